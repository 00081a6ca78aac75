"""The questions and attributes of one wave of OpinionQA, from `info.csv` and `metadata.csv`. No people here.

info.csv (key, question, references, option_mapping, option_ordinal) → WaveQuestion
metadata.csv (key, options) → Attribute

Below `opinionqa.py`, which reads the people.
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

_NO_ANSWER = frozenset({"", "nan", "refused"})

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


@dataclass(frozen=True, slots=True)
class WaveQuestion:
    """A question of a wave.

    Args:
        question: its choices are the options as published, without "Refused".
        answers: the opinions by the content of a cell (an option's text, or a code as `code_of` writes it); one object
            for all people with that answer, which keeps 80,000 people small in memory.
    """

    question: Question
    answers: Mapping[str, Opinion] = field(repr=False)

    def opinion(self, cell: str) -> Opinion | None:
        """Return the opinion that a cell stands for; None if the cell is not one of the options."""
        return self.answers.get(cell) or self.answers.get(cell.strip()) or self.answers.get(code_of(cell))


def code_of(value: object) -> str:
    """Return a numeric code in one spelling that no text has (1, 1.0 and "1.0" are equal); "" if it is not numeric."""
    try:
        number = float(str(value))
    except ValueError:
        return ""
    return f"\0{number}" if math.isfinite(number) else ""


def read_questions(path: Path, log: BrokenRecordsLog) -> dict[str, WaveQuestion]:
    """Read the questions of an `info.csv`, by key.

    Raises:
        DatasetError: the file cannot be read, or lacks a column.
    """
    found: dict[str, WaveQuestion] = {}
    with opened_csv(path, log) as table:
        key_at, text_at, references_at = table.required("key", "question", "references")
        mapping_at, ordinal_at = table.column("option_mapping"), table.column("option_ordinal")
        for number, row in table.rows():
            key = row[key_at].strip()
            mapping = "" if mapping_at is None else row[mapping_at]
            ordinal = "" if ordinal_at is None else row[ordinal_at]
            try:
                if not key or key in found:
                    raise ValueError("its key is blank" if not key else "its key is that of an earlier row")
                found[key] = _question(key, row[text_at].strip(), row[references_at], mapping, ordinal)
            except ValueError as error:
                log.add(f"{table.name}: row {number}", str(error))
    return found


def _question(key: str, text: str, references: str, mapping: str, ordinal: str) -> WaveQuestion:
    choices = tuple(option for option in text_list(references) if not is_no_answer(option))
    if not choices:
        raise ValueError("has no options")
    question = Question(text, choices, ordinal=_is_scale(ordinal, len(choices)))
    by_text = {choice: Opinion(question, choice, {"id": key}) for choice in choices}
    by_code = {code: by_text[option] for code, option in _codes(mapping).items() if option in by_text}
    return WaveQuestion(question, by_code | by_text)


def _is_scale(cell: str, choices: int) -> bool:
    """Return whether the options ascend in the order in which they are shown.

    The published numbers put a middle option that is shown last ("About the same") between the others: [1, 2, 1.5].
    Such options stay in the order in which people saw them, and are not treated as a scale.
    """
    try:
        places = python_literal(cell)
    except UnreadableLiteralError:
        return False
    if not isinstance(places, list) or len(places) != choices:
        return False
    numbers = [place for place in places if isinstance(place, int | float) and not isinstance(place, bool)]
    return len(numbers) == choices and all(one < next_one for one, next_one in pairwise(numbers))


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
