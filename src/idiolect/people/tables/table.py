"""A table: columns with names, and rows of cells, from the text of a CSV file or from JSON objects without nesting."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from idiolect.errors import Remedy, SettingsError, UsersFileError
from idiolect.escaping import printable
from idiolect.people.file_kind import DELIMITERS
from idiolect.people.tables.options import TableFault
from idiolect.people.user import unstorable_part

_MAX_CELL = 8 * 1024 * 1024  # characters
_SAMPLE = 50  # first rows that decide the delimiter
_EXCEL_DELIMITER = re.compile(r"\Asep=(.)\r?\n")
_QUALTRICS = '{"ImportId"'
_SURVEYMONKEY = frozenset({"response", "open-ended response"})


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table. `number` counts from 1 for the header, as a spreadsheet does."""

    number: int
    cells: tuple[str, ...]


@dataclass(slots=True)
class Table:
    """A table.

    Args:
        path: the file as it was named.
        columns: names of the columns, on one line each; "" for a column without a name.
        rows: rows without the header, each with one cell per column, without outer blanks.
        format: the file's format in words, such as "CSV, utf-8, separated by ;".
        faults: rows and columns that cannot be used; they are not in `rows`.
        notes: what was noticed while reading.
    """

    path: str
    columns: tuple[str, ...]
    rows: list[Row]
    format: str
    faults: list[TableFault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def table_of_csv(text: str, *, path: str, encoding: str, delimiter: str | None) -> Table:
    """Return the table in the text of a CSV file.

    Raises:
        SettingsError: the delimiter is not a single character.
        UsersFileError: there is no table: no header, no row or only one column.
    """
    if delimiter is not None and len(delimiter := delimiter.replace("\\t", "\t")) != 1:
        raise SettingsError(f"the delimiter is {delimiter!r}, must be a single character")
    if marked := _EXCEL_DELIMITER.match(text):
        delimiter, text = delimiter or marked[1], text[marked.end() :]
    used = delimiter or _delimiter(text)
    name = "tab" if used == "\t" else used
    faults: list[TableFault] = []
    with _large_cells():
        records = list(_records(text, used, faults))
    filled = [(number, cells) for number, cells in records if any(cells)]
    if not filled and not faults:
        raise UsersFileError(f"{printable(path)}: is empty; expected a header and rows")
    header = filled[0][1] if filled else ()
    if len(header) < 2 and not faults:
        remedy = Remedy("delimiter", effect="names the character between columns")
        raise UsersFileError(f"{printable(path)}: has a single column", remedy=remedy)
    table = Table(path, tuple(map(_one_line, header)), [], f"CSV, {encoding}, separated by {name}", faults)
    _add_rows(table, filled[1:])
    _drop_second_headers(table)
    _check_columns(table)
    return table


def table_of_records(records: Sequence[dict[str, Any]], *, path: str, format: str) -> Table:
    """Return the table of JSON objects without nesting; each is a row, counted as if there were a header."""
    columns = tuple(dict.fromkeys(key for record in records for key in record))
    rows = [
        Row(number, tuple(_cell(record.get(key)) for key in columns)) for number, record in enumerate(records, start=2)
    ]
    return Table(path, tuple(map(_one_line, columns)), rows, format)


def _cell(value: Any) -> str:
    if value is None or value != value:  # NaN
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _one_line(text: str) -> str:
    return " ".join(text.split())


@contextmanager
def _large_cells() -> Iterator[None]:
    before = csv.field_size_limit(_MAX_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _records(text: str, delimiter: str, faults: list[TableFault]) -> Iterator[tuple[int, tuple[str, ...]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 0
    while True:
        number += 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            unclosed = "unexpected end" in str(error)
            why = "a quotation mark is opened and never closed" if unclosed else str(error)
            faults.append(TableFault(number, "", f"cannot be read as CSV: {why}"))
            if unclosed:
                return
            continue
        yield number, tuple(cell.strip() for cell in cells)


def _delimiter(text: str) -> str:
    """Return the delimiter that splits most of the first rows into the same number of cells, and into most cells."""

    def quality(delimiter: str) -> tuple[bool, int]:
        rows = csv.reader(io.StringIO(text[:1_000_000], newline=""), delimiter=delimiter)
        try:
            widths = Counter(len(row) for row in islice(rows, _SAMPLE) if any(row))
        except csv.Error:
            return False, 0
        width, rows_of_width = widths.most_common(1)[0] if widths else (0, 0)
        return width > 1 and rows_of_width * 2 > widths.total(), width

    return max(DELIMITERS, key=quality)


def _add_rows(table: Table, records: Iterable[tuple[int, tuple[str, ...]]]) -> None:
    """Add the rows that fit the columns; short rows get blank cells."""
    width = len(table.columns)
    for number, cells in records:
        if any(cells[width:]):
            message = f"has {len(cells)} cells, but the header has {width}; cells that contain a delimiter need quotes"
            table.faults.append(TableFault(number, "", message))
        elif part := next((part for cell in cells if (part := unstorable_part(cell))), None):
            table.faults.append(TableFault(number, "", f"contains {part}"))
        else:
            table.rows.append(Row(number, (*cells[:width], *[""] * (width - len(cells)))))


def _drop_second_headers(table: Table) -> None:
    """Take the questions' texts from the further header rows of Qualtrics and SurveyMonkey."""
    rows = table.rows
    if len(rows) >= 2 and any(cell.startswith(_QUALTRICS) for cell in rows[1].cells):
        texts = rows[0].cells
        table.columns = tuple(_one_line(text) or name for text, name in zip(texts, table.columns, strict=True))
        del rows[:2]
        table.notes.append("rows 2 and 3 are further headers of Qualtrics; row 2 has the questions")
    elif rows and rows[0].number == 2 and any(cell.casefold() in _SURVEYMONKEY for cell in rows[0].cells):
        named = zip(rows[0].cells, table.columns, strict=True)
        table.columns = tuple(name or (_one_line(text) if text else "") for text, name in named)
        del rows[0]
        table.notes.append("row 2 is a further header of SurveyMonkey")


def _check_columns(table: Table) -> None:
    """Add a fault for every column with the name of an earlier one, and clear its name, so that it is not used."""
    first: dict[str, int] = {}
    names = list(table.columns)
    for place, name in enumerate(names):
        earlier = first.setdefault(name, place)
        if name and earlier != place:
            table.faults.append(TableFault(1, name, f"is in column {earlier + 1} and again in column {place + 1}"))
            names[place] = ""
    table.columns = tuple(names)
