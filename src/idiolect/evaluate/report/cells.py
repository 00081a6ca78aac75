"""The parts of a section of the report, as values: the template uses only these.

sections → Section (Table, Plot, Prose, Answers, Definitions) → templates/report.html.jinja
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table.

    Args:
        text: main text.
        note: small text after or below it.
        mark: short label in a frame ("another's", "replayed").
        shade: strength of the tint, 0 to 1; None: no tint.
        order: value by which the column is sorted; "": the text.
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
    numeric: frozenset[int] = field(default_factory=frozenset)  # indices of columns with numbers
    folded: bool = False  # collapsed until opened
    kind: ClassVar[str] = "table"


@dataclass(frozen=True, slots=True)
class Meaning:
    """An entry of a legend: a colour of style.css, a text, and a shape (square, circle, triangle or diamond)."""

    colour: str
    text: str
    shape: str = "square"
    hollow: bool = False


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing as trusted SVG, for wide and for narrow screens.

    Args:
        svg: drawing for screens that are wide enough.
        narrow: the same for a phone.
        caption: text below it.
        legend: meanings of colours and shapes.
        key: names of what the narrow drawing only numbers, from 1.
    """

    svg: str
    narrow: str
    caption: str
    legend: tuple[Meaning, ...] = ()
    key: tuple[str, ...] = ()
    kind: ClassVar[str] = "plot"


@dataclass(frozen=True, slots=True)
class Prose:
    """Sentences, as a paragraph, or as a list if `listed`."""

    sentences: tuple[str, ...]
    listed: bool = False
    kind: ClassVar[str] = "prose"


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice of a question, and the people and arms that took it."""

    text: str
    taken_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadAnswer:
    """An example answer; `said` contains (speaker, answer) for answers that are not among the choices."""

    arm: str
    user: str
    question: str
    choices: tuple[Choice, ...]
    said: tuple[tuple[str, str], ...]
    score: str


@dataclass(frozen=True, slots=True)
class Answers:
    """Example answers."""

    title: str
    answers: tuple[ReadAnswer, ...]
    kind: ClassVar[str] = "answers"


@dataclass(frozen=True, slots=True)
class Entry:
    """A name with a text, or with nested entries."""

    name: str
    text: str = ""
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Definitions:
    """A nested definition list."""

    entries: tuple[Entry, ...]
    kind: ClassVar[str] = "definitions"


Part = Table | Plot | Prose | Answers | Definitions


@dataclass(frozen=True, slots=True)
class Section:
    """A section; `key` is its anchor."""

    key: str
    title: str
    parts: tuple[Part, ...]


def section(key: str, title: str, parts: Sequence[Part | None]) -> Section | None:
    """Return a section with the parts that are not None; None if there are none."""
    there = tuple(part for part in parts if part is not None)
    return Section(key, title, there) if there else None
