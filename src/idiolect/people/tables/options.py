"""Options of an import, and the faults that it finds. Whatever is not set is guessed, and every guess is reported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from idiolect.escaping import printable
from idiolect.people.json_line import EXCERPT_CHARACTERS

Layout = Literal["wide", "long"]

MAX_TABLE_BYTES = 512 * 1024 * 1024
"""Maximum size of a table, which is in memory as a whole."""

MAX_FAULTS_KEPT = 1000
"""Maximum number of faults of a table that are kept, in the order of its rows; further ones are only counted."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """Options of an import. None means that it is guessed.

    Args:
        layout: "wide" has one row per person, "long" one row per answer.
        id: the column with the ids of people.
        profile: the columns with attributes of people.
        question, answer: wide: only `question` counts, the columns that are questions (all others are left out); long:
            the column with the questions' texts, and the column with the answers.
        choices: long: the column with the questions' choices, separated by "|".
        sets: sets of choices in no order, each for every question most of whose answers are among them; written like
            "1=Yes", the codes in the table stand for the texts.
        scales: the same, in order.
        ordinal: wide: columns whose choices are a scale; long: the texts of such questions.
        nominal: the same for choices that are no scale.
        texts: columns with texts that the person wrote and that answer no question.
        ignored: columns to leave out.
        missing: entries that stand for no answer, instead of the known ones; a blank entry is never an answer.
        date: long: the column with the dates of answers, which decides which of two answers is the newest.
        encoding: encoding of the file.
        delimiter: character between the cells of a row.
    """

    layout: Layout | None = None
    id: str | None = None
    profile: tuple[str, ...] | None = None
    question: tuple[str, ...] | None = None
    answer: str | None = None
    choices: str | None = None
    sets: tuple[tuple[str, ...], ...] = ()
    scales: tuple[tuple[str, ...], ...] = ()
    ordinal: tuple[str, ...] = ()
    nominal: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    missing: tuple[str, ...] | None = None
    date: str | None = None
    encoding: str | None = None
    delimiter: str | None = None


@dataclass(frozen=True, slots=True)
class TableFault:
    """A fault of one cell; printed as `row 12, column "Q3": what is wrong`.

    Args:
        row: number of the row as a spreadsheet counts it, from 1 for the header; 0: the table as a whole.
        column: name of the column; "": the row as a whole.
        message: the fault in plain words, without anything that a person said.
    """

    row: int
    column: str
    message: str

    def __str__(self) -> str:
        where = [f"row {self.row}"] * bool(self.row) + [f'column "{short(self.column)}"'] * bool(self.column)
        return f"{', '.join(where)}: {self.message}" if where else self.message


def short(name: str) -> str:
    """Return the name of a column on one line, cut if it is long."""
    name = printable(" ".join(name.split()))
    return name if len(name) <= EXCERPT_CHARACTERS else name[: EXCERPT_CHARACTERS - 1] + "…"
