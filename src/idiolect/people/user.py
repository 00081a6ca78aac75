"""People as values: who they are (`UserProfile`), what they were asked (`Question`), what they said (`Opinion`).

The top of the flow: everything below takes these values, and none of them depends on files, models or stores.
Fermi's notation (arXiv 2406.18678, section 3): `U_pro` is `User.profile`, `U_opi = {(q_i, a_i)}` is `User.opinions`.
All values are frozen; construction checks them, so a `Question` that exists is a valid one. None of their texts is
blank or contains characters that UTF-8 and databases cannot store (NUL characters, lone surrogates).

Construction takes lists, dicts and plain strings where that is natural, and stores tuples and values:

    drinks = Opinion("What do you drink?", "Tea")
    milk = Opinion(Question("Do you take milk?", ["yes", "no"]), "no")
    User("ann", profile={"Age": "30-44"}, opinions=[drinks, milk])

A field's annotation is the type that readers get. Dataclasses have no converters, so each class declares the argument
types of its `__init__` for type checkers only, and `__post_init__` converts; at run time the generated `__init__` runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

USER_KEYS = frozenset({"id", "profile", "opinions", "texts"})
OPINION_KEYS = frozenset({"question", "choices", "ordinal", "answer"})

T = TypeVar("T")

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def unstorable_part(text: str) -> str | None:
    """Return, in plain words, the part of `text` that UTF-8 or a database cannot store; None if there is none."""
    if "\0" in text:
        return "a NUL character"
    if not text.isascii() and _LONE_SURROGATE.search(text):
        return "a lone surrogate (half a character)"
    return None


def _check_text(name: str, text: str) -> None:
    if not isinstance(text, str):
        raise ValueError(f"{name} must be text, but is of type {type(text).__name__}")
    if not text or text.isspace():
        raise ValueError(f"{name} is blank")
    if part := unstorable_part(text):
        raise ValueError(f"{name} contains {part}")


def _as_tuple(name: str, values: Iterable[T]) -> tuple[T, ...]:
    # A tuple of a text's letters or of a dict's keys is never intended, and a set has no order.
    if isinstance(values, str | Mapping | AbstractSet) or not isinstance(values, Iterable):
        found = "a single text" if isinstance(values, str) else f"a value of type {type(values).__name__}"
        raise ValueError(f"{name} must be a list, not {found}")
    return tuple(values)


_NOTHING: Mapping[str, Any] = MappingProxyType({})


def _nothing() -> Mapping[str, Any]:
    return _NOTHING


def _frozen_extra(extra: Mapping[str, Any], own_keys: frozenset[str]) -> Mapping[str, Any]:
    if not isinstance(extra, Mapping):
        raise TypeError(f"extra must map names to JSON values, but is of type {type(extra).__name__}")
    if not extra:
        return _NOTHING
    if taken := own_keys & extra.keys():
        raise ValueError(f"extra contains {min(taken)!r}, which is one of Idiolect's own keys")
    return MappingProxyType(dict(extra))


class QuestionKind(Enum):
    """Kind of a question, which decides how an answer is compared with the user's own (Fermi's `s(a, â)`)."""

    MULTIPLE_CHOICE = "multiple_choice"
    ORDINAL = "ordinal"
    FREE_TEXT = "free_text"


@dataclass(frozen=True, slots=True)
class UserProfile:
    """A user's attributes (Fermi's `U_pro`), for example `{"Age": "18-29"}`; may be empty.

    Raises:
        ValueError: an attribute's name or value is blank, unstorable, or not text.
    """

    attributes: Mapping[str, str] = field(default_factory=_nothing)

    def __post_init__(self) -> None:
        for name, value in self.attributes.items():
            _check_text("the name of a profile attribute", name)
            _check_text(f"profile attribute {name!r}", value)
        object.__setattr__(self, "attributes", MappingProxyType(dict(self.attributes)))

    def __bool__(self) -> bool:
        return bool(self.attributes)

    def __hash__(self) -> int:
        return hash(tuple(sorted(self.attributes.items())))


@dataclass(frozen=True, slots=True)
class Question:
    """A question, with its choices if it has any.

    Args:
        text: the question's text; not blank.
        choices: the answers to choose from, in order; empty for free text, otherwise at least two, all different.
        ordinal: whether the choices are a scale in order (for example "1" … "5").

    Raises:
        ValueError: the text is blank, there is only one choice, choices are equal or blank, `choices` is a text instead
            of a list, or `ordinal` is set without choices.
    """

    text: str
    choices: tuple[str, ...] = ()
    ordinal: bool = False

    if TYPE_CHECKING:

        def __init__(self, text: str, choices: Iterable[str] = ..., ordinal: bool = ...) -> None: ...

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", _as_tuple("choices", self.choices))
        _check_text("question", self.text)
        if len(self.choices) == 1:
            raise ValueError("a question cannot have a single choice: give at least two, or none for free text")
        for choice in self.choices:
            _check_text("a choice", choice)
        if len({choice.strip() for choice in self.choices}) != len(self.choices):
            raise ValueError("two choices are equal")
        if not isinstance(self.ordinal, bool):
            raise ValueError(f"ordinal must be True or False, but is of type {type(self.ordinal).__name__}")
        if self.ordinal and not self.choices:
            raise ValueError("ordinal requires choices")

    @property
    def kind(self) -> QuestionKind:
        """The question's kind: multiple choice, ordinal or free text."""
        if not self.choices:
            return QuestionKind.FREE_TEXT
        return QuestionKind.ORDINAL if self.ordinal else QuestionKind.MULTIPLE_CHOICE


@dataclass(frozen=True, slots=True)
class Opinion:
    """One answer of the user: `(q_i, a_i)` of `U_opi`.

    Args:
        question: the question that was asked; plain text is a question without choices.
        answer: the user's answer; one of the choices if there are any.
        extra: keys of the users file that are not Idiolect's own, kept as they were.

    Raises:
        ValueError: the answer is blank or not among the choices, or `extra` uses one of `OPINION_KEYS`.
        TypeError: `extra` is not a mapping.
    """

    question: Question
    answer: str
    extra: Mapping[str, Any] = field(default_factory=_nothing, hash=False)

    if TYPE_CHECKING:

        def __init__(self, question: Question | str, answer: str, extra: Mapping[str, Any] = ...) -> None: ...

    def __post_init__(self) -> None:
        if isinstance(self.question, str):
            object.__setattr__(self, "question", Question(self.question))
        if not isinstance(self.question, Question):
            raise ValueError(f"question must be text or a Question, but is of type {type(self.question).__name__}")
        _check_text("answer", self.answer)
        if self.question.choices and self.answer not in self.question.choices:
            raise ValueError("answer is not one of the choices")
        object.__setattr__(self, "extra", _frozen_extra(self.extra, OPINION_KEYS))


@dataclass(frozen=True, slots=True)
class User:
    """One person: a profile, opinions, and texts that they wrote.

    Args:
        id: unique among the users of a file or store; not blank.
        profile: attributes, possibly as a plain mapping, in which numbers become text; may be empty.
        opinions: the user's answers; may be empty if there are texts.
        texts: texts by the user that do not answer a question.
        extra: keys of the users file that are not Idiolect's own, kept as they were.

    Raises:
        ValueError: the id or a text is blank, a list is given as a single text, there are neither opinions nor texts,
            or `extra` uses one of `USER_KEYS`.
        TypeError: `extra` is not a mapping.
    """

    id: str
    profile: UserProfile = UserProfile()
    opinions: tuple[Opinion, ...] = ()
    texts: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=_nothing, hash=False)

    if TYPE_CHECKING:

        def __init__(
            self,
            id: str,
            profile: UserProfile | Mapping[str, str | float] = ...,
            opinions: Iterable[Opinion] = ...,
            texts: Iterable[str] = ...,
            extra: Mapping[str, Any] = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        if not isinstance(self.profile, UserProfile):
            object.__setattr__(self, "profile", _profile_of(self.profile))
        object.__setattr__(self, "opinions", _as_tuple("opinions", self.opinions))
        object.__setattr__(self, "texts", _as_tuple("texts", self.texts))
        _check_text("id", self.id)
        for opinion in self.opinions:
            if not isinstance(opinion, Opinion):
                raise ValueError(f"opinions must be a list of Opinion, but one is of type {type(opinion).__name__}")
        for text in self.texts:
            _check_text("a text", text)
        if not self.opinions and not self.texts:
            raise ValueError("a user needs opinions, texts or both")
        object.__setattr__(self, "extra", _frozen_extra(self.extra, USER_KEYS))


def _profile_of(attributes: Any) -> UserProfile:
    if not isinstance(attributes, Mapping):
        raise ValueError(f"profile must map names to texts, but is of type {type(attributes).__name__}")
    numbers = {name: str(value) for name, value in attributes.items() if type(value) in (int, float)}
    return UserProfile({**attributes, **numbers})
