"""The questions and attributes of one wave of OpinionQA, from `info.csv` and `metadata.csv`. No people here.

info.csv (key, question, references, option_mapping, option_ordinal) → WaveQuestion, one or more per key
metadata.csv (key, options) → Attribute

Below `opinionqa.py`, which reads the people; `opinionqa_wordings.py` decides who was asked which of several wordings.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from idiolect.people.broken_records import BrokenRecordsLog
from idiolect.people.csv_file import opened_csv
from idiolect.people.python_literals import UnreadableLiteralError, plain_text, python_literal, text_list
from idiolect.people.user import Opinion, Question

PLACES = "places"
"""Key of `Opinion.extra` for the published places of the choices on the scale, if these are not 1, 2, 3 …: [1, 2, 1.5]
for "Better", "Worse", "About the same"."""

_NO_ANSWER = frozenset({"", "nan", "refused"})
_NO_VALUE = frozenset({"dk", "dk/ref", "dk/refused", "don't know", "don't know/refused"})

READABLE_NAMES = {
    "CREGION": "Region",
    "AGE": "Age",
    "SEX": "Sex",
    "EDUCATION": "Education",
    "CITIZEN": "US citizen",
    "MARITAL": "Marital status",
    "RELIG": "Religion",
    "RELIGATTEND": "Attendance of religious services",
    "POLPARTY": "Political party",
    "INCOME": "Household income",
    "POLIDEOLOGY": "Political ideology",
    "RACE": "Race",
}
"""Names of the attributes in a profile; an attribute missing here keeps its name from `metadata.csv`."""


def is_no_answer(cell: str) -> bool:
    """Return whether a cell contains no answer, that is, whether it is blank, "nan" or "Refused"."""
    return cell.strip().casefold() in _NO_ANSWER


def is_no_value(cell: str) -> bool:
    """Return whether a cell contains no value of an attribute: no answer, or one such as "DK/REF"."""
    return is_no_answer(cell) or cell.strip().casefold().replace("’", "'") in _NO_VALUE


@dataclass(frozen=True, slots=True)
class WaveQuestion:
    """A question of a wave.

    Args:
        question: its choices are the options of the published scale, in the order in which they were shown.
        answers: the opinions by the content of a cell (an option's text, or a code as `code_of` writes it); one object
            for all people with that answer, which keeps 80,000 people small in memory.
        refusals: contents of cells that are no answer: the options after the scale, as texts and as codes.
    """

    question: Question
    answers: Mapping[str, Opinion] = field(repr=False)
    refusals: frozenset[str] = field(default=frozenset(), repr=False)

    def opinion(self, cell: str) -> Opinion | None:
        """Return the opinion that a cell stands for; None if the cell is not one of the options."""
        return self.answers.get(cell) or self.answers.get(cell.strip()) or self.answers.get(code_of(cell))

    def is_refusal(self, cell: str) -> bool:
        """Return whether a cell contains no answer to this question."""
        return is_no_answer(cell) or cell.strip() in self.refusals or code_of(cell) in self.refusals


def code_of(value: object) -> str:
    """Return a numeric code in one spelling that no text has (1, 1.0 and "1.0" are equal); "" if it is not numeric."""
    try:
        number = float(str(value))
    except ValueError:
        return ""
    return f"\0{number}" if math.isfinite(number) else ""


def read_questions(path: Path, log: BrokenRecordsLog) -> dict[str, tuple[WaveQuestion, ...]]:
    """Read the questions of an `info.csv`, by key. A key has several if it was put in several wordings.

    Raises:
        DatasetError: the file cannot be read, or lacks a column.
    """
    found: dict[str, tuple[WaveQuestion, ...]] = {}
    with opened_csv(path, log) as table:
        key_at, text_at, references_at = table.required("key", "question", "references")
        mapping_at, ordinal_at = table.column("option_mapping"), table.column("option_ordinal")
        for number, row in table.rows():
            key = row[key_at].strip()
            mapping = "" if mapping_at is None else row[mapping_at]
            ordinal = "" if ordinal_at is None else row[ordinal_at]
            try:
                if not key:
                    raise ValueError("its key is blank")
                question = _question(key, row[text_at].strip(), row[references_at], mapping, ordinal)
                earlier = found.get(key, ())
                if any(question.question == each.question for each in earlier):
                    raise ValueError("repeats an earlier row")
                found[key] = (*earlier, question)
            except ValueError as error:
                log.add(f"{table.name}: row {number}", str(error))
    return found


def _question(key: str, text: str, references: str, mapping: str, ordinal: str) -> WaveQuestion:
    """Return the question of one row.

    As in the authors' `helpers.py`, the options that `option_ordinal` has a place for are the scale, and all options
    after these ("Not sure", "Refused") are refusals. Without places, every option but "Refused" is a choice.
    """
    options = text_list(references)
    places = _places(ordinal, len(options)) or (None,) * len(options)
    shown = [(option, place) for option, place in zip(options, places, strict=False) if not is_no_answer(option)]
    if not shown:
        raise ValueError("has no options")
    choices = tuple(option for option, _ in shown)
    numbers = [place for _, place in shown if place is not None]
    question = Question(text, choices, ordinal=bool(numbers) and all(a < b for a, b in pairwise(numbers)))
    extra: dict[str, Any] = {"id": key}
    if numbers and any(b - a != 1 for a, b in pairwise(numbers)):
        extra[PLACES] = numbers
    by_text = {choice: Opinion(question, choice, extra) for choice in choices}
    codes = _codes(mapping)
    by_code = {code: by_text[option] for code, option in codes.items() if option in by_text}
    refused = frozenset(option for option in options if option not in by_text)
    return WaveQuestion(question, by_code | by_text, refused | {code for code in codes if codes[code] in refused})


def _places(cell: str, options: int) -> tuple[float, ...]:
    """Return the published place of each option of the scale; () if there are none.

    A middle option that is shown last ("About the same") has a place between the others: [1, 2, 1.5]. Such options stay
    in the order in which people saw them, and the question is no scale in that order.
    """
    try:
        places = python_literal(cell)
    except UnreadableLiteralError:
        return ()
    if not isinstance(places, list) or not 2 <= len(places) <= options:
        return ()
    numbers = tuple(float(each) for each in places if isinstance(each, int | float) and not isinstance(each, bool))
    return numbers if len(numbers) == len(places) and all(map(math.isfinite, numbers)) else ()


def _codes(cell: str) -> dict[str, str]:
    """Return the options by code; empty if the mapping cannot be read, since answers are usually texts."""
    try:
        value: Any = python_literal(cell)
        if not isinstance(value, dict):
            return {}
        return {code: plain_text(option) for key, option in value.items() if (code := code_of(key))}
    except UnreadableLiteralError:
        return {}


@dataclass(frozen=True, slots=True)
class Attribute:
    """A column of `responses.csv` that belongs in profiles: its name in a profile, and its possible values."""

    name: str
    values: frozenset[str]


def read_attributes(path: Path, log: BrokenRecordsLog) -> dict[str, Attribute]:
    """Read the attributes of a `metadata.csv`, by key.

    Raises:
        DatasetError: the file cannot be read, or lacks a column.
    """
    found: dict[str, Attribute] = {}
    with opened_csv(path, log) as table:
        key_at, options_at = table.required("key", "options")
        for number, row in table.rows():
            key = row[key_at].strip()
            try:
                if not key or "\0" in key:
                    raise ValueError("its key is blank or contains a NUL character")
                options = frozenset(option for option in text_list(row[options_at]) if not is_no_answer(option))
                found.setdefault(key, Attribute(READABLE_NAMES.get(key, key), options))
            except ValueError as error:
                log.add(f"{table.name}: row {number}", str(error))
    return found
