"""What a section of the report is made of, as values: the template knows nothing else.

sections → Section (Table, Plot, Prose, Answers, Definitions) → templates/report.html.jinja
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Args:
        text: main text.
        note: small, behind or below it.
        mark: a short label in a frame ("another's", "replayed").
        shade: 0 to 1: how strongly the cell is tinted; None: not at all.
        order: what the column is sorted by; "" for the text.
    """

    text: str
    note: str = ""
    mark: str = ""
    shade: float | None = None
    order: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first cell of a row is its head."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: frozenset[int] = field(default_factory=frozenset)  # columns of numbers
    folded: bool = False  # shown when asked for
    kind: ClassVar[str] = "table"


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing: trusted SVG; `legend`: colours of style.css and what they stand for."""

    svg: str
    caption: str
    legend: tuple[tuple[str, str], ...] = ()
    kind: ClassVar[str] = "plot"


@dataclass(frozen=True, slots=True)
class Prose:
    """Sentences; `listed`: as a list."""

    sentences: tuple[str, ...]
    listed: bool = False
    kind: ClassVar[str] = "prose"


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice of a question, and who took it."""

    text: str
    taken_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadAnswer:
    """An answer to read; `said`: who said what, where that is none of the choices."""

    arm: str
    user: str
    question: str
    choices: tuple[Choice, ...]
    said: tuple[tuple[str, str], ...]
    score: str


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers to read."""

    title: str
    answers: tuple[ReadAnswer, ...]
    kind: ClassVar[str] = "answers"


@dataclass(frozen=True, slots=True)
class Entry:
    """A name with a text, or with entries of its own."""

    name: str
    text: str = ""
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Definitions:
    """A definition list, in levels."""

    entries: tuple[Entry, ...]
    kind: ClassVar[str] = "definitions"


Part = Table | Plot | Prose | Answers | Definitions


@dataclass(frozen=True, slots=True)
class Section:
    """A section; `key`: its anchor."""

    key: str
    title: str
    parts: tuple[Part, ...]


def section(key: str, title: str, parts: Sequence[Part | None]) -> Section | None:
    """Return a section of the parts that there are; None where there are none."""
    there = tuple(part for part in parts if part is not None)
    return Section(key, title, there) if there else None
