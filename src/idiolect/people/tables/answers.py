"""The answers in a table, cell by cell: who answered what to which question, and everything else known about a person.

The same values result from both layouts. Entries that stand for no answer are counted and left out.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain

from idiolect.people.non_answers import MAX_CHARACTERS, is_no_answer
from idiolect.people.python_literals import plain_text, text_list
from idiolect.people.tables.columns import Columns
from idiolect.people.tables.forms import codes_of_no_answer, key_of, whole_number
from idiolect.people.tables.options import ImportOptions, TableFault
from idiolect.people.tables.table import Row, Table
from idiolect.people.typography import folded

_POINT_ZERO = re.compile(r"[+-]?\d+\.0+")
_DIGITS = re.compile(r"[+-]?\d+(?:\.0+)?")
_TRUE, _FALSE = ("true", "yes", "1", "ja"), ("false", "no", "0", "nein", "")
_NO_DATE = 0.0


@dataclass(frozen=True, slots=True)
class Given:
    """One answer.

    Args:
        row, column: the cell that it stands in.
        user_id: id of the person.
        question: text of the question.
        answer: the answer as it is in the table.
        choices: the question's choices where the table states them; otherwise empty.
        ordinal: whether the choices are a scale, where the table states it.
        date: the time of the answer in seconds, where the table states it.
    """

    row: int
    column: str
    user_id: str
    question: str
    answer: str
    choices: tuple[str, ...] = ()
    ordinal: bool | None = None
    date: float = _NO_DATE


@dataclass(slots=True)
class Person:
    """The attributes and texts of a person, and the first row that has them."""

    first_row: int
    profile: dict[str, str] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Collected:
    """Everything that the rows of a table contain.

    Args:
        people: people by id, in the order of the table.
        answers: answers in the order of the table.
        no_answers: number of entries that stand for no answer, by entry; "" is a blank one.
        changed: number of attributes that a later row changed.
        dated: whether the answers are in the order of their dates instead.
        faults: faults of cells.
    """

    people: dict[str, Person] = field(default_factory=dict)
    answers: list[Given] = field(default_factory=list)
    no_answers: Counter[str] = field(default_factory=Counter)
    changed: int = 0
    dated: bool = False
    faults: list[TableFault] = field(default_factory=list)


def collected(table: Table, columns: Columns, options: ImportOptions) -> Collected:
    """Return the content of a table's rows."""
    return _Collector(table, columns, options).all()


@dataclass(slots=True)
class _Collector:
    table: Table
    columns: Columns
    options: ImportOptions
    found: Collected = field(default_factory=Collected)
    places: dict[str, int] = field(init=False)
    missing: frozenset[str] | None = field(init=False)
    judged: dict[str, bool] = field(default_factory=dict)
    codes: dict[str, frozenset[int]] = field(default_factory=dict)
    date: str | None = field(init=False)

    def __post_init__(self) -> None:
        self.places = {name: place for place, name in reversed(list(enumerate(self.table.columns))) if name}
        stated = self.options.missing
        self.missing = None if stated is None else frozenset(map(key_of, stated))
        self.date = self.columns.date
        if self.date is not None and self.options.date is None:
            dates = [self._cell(row, self.date) for row in self.table.rows]
            if None in map(seconds_of, dates):
                self.date = None  # it was only a guess; the order of the rows decides

    def all(self) -> Collected:
        integer_ids = self._are_integers(self.columns.id)
        self._find_codes()
        for row in self.table.rows:
            user_id = self._id(row, integers=integer_ids)
            if user_id is None:
                continue
            self._add_person(user_id, row)
            self.found.answers += (
                self._long(user_id, row) if self.columns.layout == "long" else self._wide(user_id, row)
            )
        self.found.dated = self.date is not None
        if self.found.dated:
            self.found.answers.sort(key=lambda given: given.date)
        return self.found

    def _cell(self, row: Row, column: str | None) -> str:
        return "" if column is None else row.cells[self.places[column]]

    def _fault(self, row: Row, column: str | None, message: str) -> None:
        self.found.faults.append(TableFault(row.number, column or "", message))

    def _are_integers(self, column: str | None) -> bool:
        """Return whether pandas has turned a column of whole numbers into numbers with a point, such as 3.0."""
        cells = [cell for row in self.table.rows if (cell := self._cell(row, column))]
        return all(map(_DIGITS.fullmatch, cells)) and any(map(_POINT_ZERO.fullmatch, cells))

    def _find_codes(self) -> None:
        """Find the codes of no answer of each question: numbers far from all other answers."""
        if self.options.missing is not None:
            return
        entries: dict[str, set[str]] = {}
        for row in self.table.rows:
            if self.columns.layout == "long":
                entries.setdefault(self._cell(row, self.columns.question), set()).add(
                    self._cell(row, self.columns.answer)
                )
            else:
                for column in self.columns.questions:
                    entries.setdefault(column, set()).add(self._cell(row, column))
        self.codes = {question: codes for question, each in entries.items() if (codes := codes_of_no_answer([*each]))}

    def _id(self, row: Row, *, integers: bool) -> str | None:
        if self.columns.id is None:
            return f"row-{row.number}"
        cell = self._cell(row, self.columns.id)
        if not cell:
            self._fault(row, self.columns.id, "is blank; every row needs the id of a person")
            return None
        return cell.partition(".")[0] if integers else cell

    def _add_person(self, user_id: str, row: Row) -> None:
        person = self.found.people.setdefault(user_id, Person(row.number))
        for column in self.columns.profile:
            value = self._cell(row, column)
            if not value or self._is_missing(value):
                continue
            self.found.changed += person.profile.get(column, value) != value
            person.profile[column] = value
        for column in self.columns.texts:
            text = self._cell(row, column)
            if text and text not in person.texts:
                person.texts.append(text)

    def _is_no_answer(self, question: str, answer: str) -> bool:
        number = whole_number(answer) if question in self.codes else None
        none = not answer or self._is_missing(answer) or (number in self.codes.get(question, ()))
        if none:
            self.found.no_answers[answer] += 1
        return none

    def _is_missing(self, entry: str) -> bool:
        """Return whether an entry is one of those that stand for no answer."""
        known = self.judged.get(entry)
        if known is None:
            known = is_no_answer(entry) if self.missing is None else key_of(entry) in self.missing
            if len(entry) <= MAX_CHARACTERS:
                self.judged[entry] = known
        return known

    def _wide(self, user_id: str, row: Row) -> Iterator[Given]:
        for column in self.columns.questions:
            answer = self._cell(row, column)
            if not self._is_no_answer(column, answer):
                yield Given(row.number, column, user_id, column, answer)

    def _long(self, user_id: str, row: Row) -> Iterator[Given]:
        columns = self.columns
        question, answer = self._cell(row, columns.question), self._cell(row, columns.answer)
        if not question:
            if answer:
                self._fault(row, columns.question, "is blank, although there is an answer")
            return
        if self._is_no_answer(question, answer):
            return
        choices = split_choices(self._cell(row, columns.choices))
        if len(choices) == 1:
            self._fault(row, columns.choices, 'contains a single choice; separate choices by "|"')
            return
        if len(set(map(folded, choices))) < len(choices):
            self._fault(row, columns.choices, "contains equal choices")
            return
        ordinal, date = self._ordinal(row), self._date(row)
        yield Given(row.number, columns.answer or "", user_id, question, answer, choices, ordinal, date)

    def _ordinal(self, row: Row) -> bool | None:
        if self.columns.ordinal is None:
            return None
        cell = folded(self._cell(row, self.columns.ordinal))
        if cell.removesuffix(".0") in _TRUE:
            return True
        if cell.removesuffix(".0") not in _FALSE:
            self._fault(row, self.columns.ordinal, "must be true or false")
        return False

    def _date(self, row: Row) -> float:
        if self.date is None:
            return _NO_DATE
        seconds = seconds_of(self._cell(row, self.date))
        if seconds is None:
            self._fault(row, self.date, "is not a date such as 2026-05-31 or 2026-05-31T10:00:00")
        return seconds or _NO_DATE


def seconds_of(text: str) -> float | None:
    """Return a date or a number as seconds; None if the text is neither. A date without a zone is in UTC."""
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        try:
            number = float(text)
        except ValueError:
            return None
        return number if math.isfinite(number) else None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def split_choices(cell: str) -> tuple[str, ...]:
    """Return the choices in a cell: a list of JSON or Python, or texts separated by "|", ";" or line ends."""
    cell = cell.strip()
    if cell[:1] in ("[", "("):
        for read in (_json_texts, text_list):
            with suppress(ValueError, RecursionError):
                return tuple(filter(None, read(cell)))
    separator = next((each for each in ("|", "\n", ";") if each in cell), "|")
    return tuple(text for part in cell.split(separator) if (text := part.strip()))


def _json_texts(cell: str) -> list[str]:
    """Return the texts and numbers of a JSON list.

    Raises:
        ValueError: the cell is no such list.
    """
    value = json.loads(cell)
    if not isinstance(value, list):
        raise ValueError("not a list")
    return list(map(plain_text, value))


def people_without_data(found: Collected) -> list[str]:
    """Return the ids of people who gave no answer and wrote no text."""
    said = set(chain((given.user_id for given in found.answers), (i for i, each in found.people.items() if each.texts)))
    return [user_id for user_id in found.people if user_id not in said]
