"""Requests and answers about people as types, for `openapi`; the answers are the documents of the command line.

Records of users and opinions are checked by `people.user_record`, which names every fault; these types describe them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_Number = Annotated[int, Field(ge=1, strict=True)]
_Words = Annotated[str, Field(min_length=1)]


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class OpinionRecord(_Open):
    """A question that a user was asked, and their answer."""

    question: _Words
    choices: Annotated[list[_Words], Field(min_length=2, description="Absent: free text.")] | None = None
    ordinal: Annotated[bool, Field(description="Whether the choices are a scale in order.")] = False
    answer: Annotated[str, Field(min_length=1, description="One of the choices, if there are any.")]


class UserRecord(_Open):
    """A user as in a users file: with opinions, texts or both. Further fields are kept."""

    id: _Words
    profile: dict[str, str | int | float] = {}
    opinions: list[OpinionRecord] = []
    texts: Annotated[list[_Words], Field(description="What the user wrote that answers no question.")] = []


class UserReplacement(_Open):
    """A user as in a users file; the id is that of the path."""

    id: str | None = None
    profile: dict[str, str | int | float] = {}
    opinions: list[OpinionRecord] = []
    texts: list[_Words] = []


class NewTexts(_Open):
    """Texts that a user wrote."""

    texts: Annotated[list[_Words], Field(min_length=1)]


class NamedOpinion(_Open):
    """The question of an opinion."""

    question: Annotated[str, Field(description="The whole text of the question.")]
    choices: Annotated[
        list[str] | None, Field(description="Its choices, in order; [] if it has none; absent: any choices.")
    ] = None


class Rewording(BaseModel):
    """A disposition in the user's own words."""

    model_config = ConfigDict(extra="forbid")

    number: _Number
    text: _Words


class DispositionChanges(BaseModel):
    """Changes of dispositions, by the numbers that GET shows."""

    model_config = ConfigDict(extra="forbid")

    strike: Annotated[list[_Number], Field(description="Those that are wrong: they are never used again.")] = []
    restore: Annotated[list[_Number], Field(description="Struck ones that hold after all.")] = []
    reword: list[Rewording] = []
    add: Annotated[list[_Words], Field(description="Further ones, in the user's own words.")] = []


class UserSummaryDocument(_Open):
    """Counts of what is held about a user."""

    id: str
    opinions: int
    texts: int
    methods: list[str]
    created_at: str
    updated_at: str


class UserDocument(UserSummaryDocument):
    """What is known about a user, and what was learned for them."""

    profile: dict[str, str]
    learned: list[dict[str, Any]]
    groups: list[str]
    entered: Annotated[list[dict[str, Any]], Field(description="Opinions that were added one by one.")]


class UserPage(_Open):
    """A page of users; one whose data is damaged has `damaged` instead of counts."""

    object: Literal["list"] = "list"
    data: list[dict[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: bool


class OpinionAddedDocument(_Open):
    """The outcome of adding an opinion."""

    id: str
    opinion: Literal["added", "replaced"]
    learned: bool


class OpinionRemovedDocument(_Open):
    """The outcome of removing an opinion."""

    user: str
    removed: bool
    opinions: Annotated[int, Field(description="How many opinions are left.")]


class TextsAddedDocument(_Open):
    """The outcome of adding texts."""

    user: str
    added: int
    texts: Annotated[int, Field(description="How many texts the user has now.")]


class DispositionsDocument(_Open):
    """What is stated of a user behind Fermi's prompts."""

    user: str
    dispositions: list[dict[str, Any]]
    note: str | None


class ExportDocument(_Open):
    """Everything that is held about a user."""

    user: dict[str, Any]
    personalizations: list[dict[str, Any]]
    checkpoints: list[dict[str, Any]]
    calls: list[dict[str, Any]]
    groups: list[str]
    artifacts: list[str]
    caches_missed: list[str]


class ReceiptDocument(_Open):
    """The receipt of an erasure."""

    user: str
    erased_at: str
    rows: dict[str, int]
    found_before: dict[str, Any]
    found_after: dict[str, Any]
    proven: Annotated[bool, Field(description="Whether the search found the user before, and nothing afterwards.")]
    limits: list[str]
