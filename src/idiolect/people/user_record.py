"""Conversion of one user to a plain JSON object and back: the content of a line of the users file, checked by field.

Between `json_line.py` (bytes to an object) and `users_file.py` (all lines of a file). pydantic validates strictly and
all fields at once; its messages are translated to plain words, and then the frozen values of `user.py` are built.
Converting there and back is exact, unknown keys included, except that the numbers of a profile become text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from idiolect.people.json_line import TOO_MANY_VALUES, Problem, field_path, kind_of, object_problems
from idiolect.people.non_answers import is_no_answer
from idiolect.people.typography import difference, like_one_of
from idiolect.people.user import Opinion, Question, User, UserProfile

_PLAIN_WORDS = {
    "missing": "is missing",
    "string_type": "must be text, but is {kind}{advice}",
    "bool_type": "must be true or false, but is {kind}",
    "list_type": "must be a list, but is {kind}",
    "dict_type": "must be an object {{…}}, but is {kind}",
    "model_type": "must be an object {{…}}, but is {kind}",
}
MAX_FAULTS = 10_000
"""Maximum number of faults of a record that are listed."""

_EXACT = 2**53  # beyond this, a number with a point has lost digits, and is no longer the id that it was
_A_LIST = "; write it as a list of texts"
_CHOICES_ADVICE: dict[type, str] = {
    type(None): "; leave the field out for free text",
    dict: "; write the texts of the object as a list, in order, and the answer as one of these texts",
    str: '; write every choice as a text of its own: ["…", "…"]',
}
_SEEN_BY_OBJECT_PROBLEMS = frozenset({"string_unicode", "invalid_key"})


class InvalidRecordError(ValueError):
    """A record that does not describe a user. Both `problems` and the message contain every problem."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


def _wrong(message: str) -> PydanticCustomError:
    # As context, because pydantic treats braces in the template as placeholders.
    return PydanticCustomError("idiolect", "{words}", {"words": message})


def _not_blank(text: str) -> str:
    if not text or text.isspace():
        raise _wrong("is blank")
    return text


def _attribute_text(value: object) -> object:
    """Return a profile's value as text: a number becomes the text that JSON writes for it."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise _wrong(f"must be text or a number, but is {kind_of(value)}")
    return value


def _distinct_choices(choices: list[str]) -> list[str]:
    if len(choices) < 2:
        count = "a single choice" if choices else "no choice"
        raise _wrong(f"contains {count}; list all that the person could choose from")
    first_at: dict[str, int] = {}
    for index, choice in enumerate(choices):
        first = first_at.setdefault(choice.strip(), index)
        if first != index:
            raise _wrong(f"contains equal choices: numbers {first + 1} and {index + 1}")
    return choices


def _why_no_choice(answer: str, choices: list[str]) -> str:
    """Return the fault of an answer that is none of the choices, with the way out where there is an obvious one."""
    near = like_one_of(answer, choices)
    if near is not None:
        how = difference(answer, choices[near])
        return f"is not one of the choices: number {near + 1} differs in {how}; write it as in choices"
    fault = f"is not one of the {len(choices)} choices"
    code = answer.strip()
    if code.isdecimal() or _is_decimal_fraction(code):
        return f"{fault}, but a number: write the choice's text instead of its code"
    if len(code) == 1 and code.isalpha():
        return f"{fault}, but a letter: write the choice's text instead"
    if any(_are_choices(code.split(separator), choices) for separator in ";|,\n"):
        return f"{fault}, but several of them: an opinion has one answer"
    if is_no_answer(code):
        return f"{fault}, but no answer: leave the opinion out"
    return fault


def _are_choices(parts: list[str], choices: list[str]) -> bool:
    """Return whether there are several parts, each of which is a choice; a separator at the end has none after it."""
    named = [part for part in parts if part.strip()]
    return len(named) > 1 and all(like_one_of(part, choices) is not None for part in named)


def _is_decimal_fraction(code: str) -> bool:
    whole, _, fraction = code.partition(".")
    return whole.isdecimal() and fraction.isdecimal()


_Text = Annotated[str, AfterValidator(_not_blank)]
_AttributeText = Annotated[str, BeforeValidator(_attribute_text), AfterValidator(_not_blank)]


class _OpinionRecord(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")

    question: _Text
    choices: Annotated[list[_Text], AfterValidator(_distinct_choices)] | None = None
    ordinal: bool = False
    answer: _Text

    @field_validator("choices", mode="before")
    @classmethod
    def _choices_are_a_list(cls, choices: object) -> object:
        if not isinstance(choices, list):
            raise _wrong(f"must be a list, but is {kind_of(choices)}{_CHOICES_ADVICE.get(type(choices), _A_LIST)}")
        return choices

    @field_validator("ordinal")
    @classmethod
    def _ordinal_needs_choices(cls, ordinal: bool, info: ValidationInfo) -> bool:
        if ordinal and info.data.get("choices", ()) is None:
            raise _wrong("is true, but there are no choices to form a scale")
        return ordinal

    @field_validator("answer")
    @classmethod
    def _answer_is_a_choice(cls, answer: str, info: ValidationInfo) -> str:
        choices = info.data.get("choices")
        if choices is None or answer in choices:
            return answer
        raise _wrong(_why_no_choice(answer, choices))


class _UserRecord(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")

    id: _Text
    profile: dict[_Text, _AttributeText] = {}
    texts: list[_Text] = []
    # Last, so that its validator sees whether there are texts.
    opinions: Annotated[list[_OpinionRecord], Field(validate_default=True)] = []

    @field_validator("opinions")
    @classmethod
    def _opinions_or_texts(cls, opinions: list[_OpinionRecord], info: ValidationInfo) -> list[_OpinionRecord]:
        if not opinions and info.data.get("texts") == []:
            raise _wrong("is empty, and there are no texts; a user must have opinions, texts or both")
        return opinions


def user_from_record(record: Mapping[str, Any]) -> User:
    """Return the user that a record of the users file describes.

    Args:
        record: plain JSON values, for example a result of `user_to_record`; unknown keys go to `extra`.

    Raises:
        InvalidRecordError: a `ValueError` with every problem of the record.
    """
    as_dict = record if isinstance(record, dict) else dict(record)  # copying a dict would lose its repeated keys
    problems = object_problems(as_dict)
    if TOO_MANY_VALUES in problems:  # a closer look could cost a gigabyte
        raise InvalidRecordError(tuple(problems))
    try:
        validated = _UserRecord.model_validate(as_dict)
        if not problems:
            return _built(validated)
    except ValidationError as error:
        problems += _problems(error)
    raise InvalidRecordError(tuple(problems))


def _problems(error: ValidationError) -> list[Problem]:
    if error.error_count() > MAX_FAULTS:  # a list of them could take half a gigabyte
        return [Problem("line", f"has {error.error_count():,} faults, too many to list them")]
    return [_problem(detail) for detail in error.errors(include_url=False) if not _is_known(detail)]


def _built(record: _UserRecord) -> User:
    return User(
        id=record.id,
        profile=UserProfile(record.profile),
        opinions=tuple(_built_opinion(opinion) for opinion in record.opinions),
        texts=tuple(record.texts),
        extra=record.model_extra or {},
    )


def _built_opinion(record: _OpinionRecord) -> Opinion:
    question = Question(text=record.question, choices=tuple(record.choices or ()), ordinal=record.ordinal)
    return Opinion(question=question, answer=record.answer, extra=record.model_extra or {})


def _is_known(detail: ErrorDetails) -> bool:
    """Return whether `object_problems` already reports this error: a key that is not text, or unstorable text."""
    bad_key = detail["type"] == "string_type" and detail["loc"][-1:] == ("[key]",)
    return bad_key or detail["type"] in _SEEN_BY_OBJECT_PROBLEMS


def _problem(detail: ErrorDetails) -> Problem:
    path = detail["loc"]
    if len(path) == 3 and path[-1] == "[key]":  # pydantic's mark for the key itself: profile, name, [key]
        return Problem(field_path(path[:-1]), "has a blank name")
    template = _PLAIN_WORDS.get(detail["type"])
    if template is None:
        return Problem(field_path(path), detail["msg"])
    value = detail["input"]
    return Problem(field_path(path), template.format(kind=kind_of(value), advice=_advice(path[-1], value)))


def _advice(field: str | int, value: object) -> str:
    """Return how to write a value that should be text; "" if there is nothing to advise."""
    if isinstance(field, int) and value is None:
        return "; leave it out"
    if field == "answer" and isinstance(value, list):
        return "; an opinion has one answer"
    if field == "answer" and value is None:
        return "; leave the opinion out if there was no answer"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    if field == "id" and value == int(value) and abs(value) <= _EXACT:
        return f'; write it as text: "{int(value)}"'
    return '; write it in quotes, such as "1"'


def user_to_record(user: User) -> dict[str, Any]:
    """Return the record that `user_from_record` reads back as an equal user; empty and false fields are left out."""
    record: dict[str, Any] = {"id": user.id, "profile": dict(user.profile.attributes)}
    if user.opinions:
        record["opinions"] = [_opinion_to_record(opinion) for opinion in user.opinions]
    if user.texts:
        record["texts"] = list(user.texts)
    return record | dict(user.extra)


def _opinion_to_record(opinion: Opinion) -> dict[str, Any]:
    record: dict[str, Any] = {"question": opinion.question.text}
    if opinion.question.choices:
        record["choices"] = list(opinion.question.choices)
    if opinion.question.ordinal:
        record["ordinal"] = True
    record["answer"] = opinion.answer
    return record | dict(opinion.extra)
