"""A table: columns with names, and rows of cells, from the text of a CSV file or from JSON objects without nesting."""

from __future__ import annotations

import csv
import io
import json
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
_CODE = re.compile(r"[A-Za-z]{1,8}_?\d{1,5}(?:[_.]?\w{1,4})?")
_SHORTEST_TEXT, _FEWEST_ROWS = 8, 3
_MAX_TITLES = 10  # rows with a single cell that may stand above the header


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
    titles = _titles(filled)
    row, header = filled[titles] if filled else (1, ())
    if len(header) < 2 and not faults:
        remedy = Remedy("delimiter", effect="names the character between columns")
        raise UsersFileError(f"{printable(path)}: has a single column", remedy=remedy)
    table = Table(path, tuple(map(_one_line, header)), [], f"CSV, {encoding}, separated by {name}", faults)
    if titles:
        table.notes.append(f"row {row} is the header; what stands above it was left out")
    _add_rows(table, filled[titles + 1 :])
    _drop_second_headers(table, header=row)
    _check_columns(table, header=row)
    return table


def table_of_records(records: Sequence[dict[str, Any]], *, path: str, format: str) -> Table:
    """Return the table of JSON objects without nesting; each is a row, counted as if there were a header.

    Raises:
        UsersFileError: a name contains what cannot be stored.
    """
    columns = tuple(dict.fromkeys(key for record in records for key in record))
    table = Table(path, tuple(map(_one_line, columns)), [], format)
    for number, record in enumerate(records, start=2):
        cells = tuple(_cell(record.get(key)) for key in columns)
        if nested := next((key for key, value in record.items() if _is_nested(value)), None):
            table.faults.append(TableFault(number, nested, "is an object; a row has only texts and numbers"))
        elif part := next((part for cell in cells if (part := unstorable_part(cell))), None):
            table.faults.append(TableFault(number, "", f"contains {part}"))
        else:
            table.rows.append(Row(number, cells))
    _check_columns(table, header=1)
    return table


def _is_nested(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(each, dict | list) for each in value))


def _cell(value: Any) -> str:
    if value is None or value != value:  # NaN
        return ""
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
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


def _titles(records: Sequence[tuple[int, tuple[str, ...]]]) -> int:
    """Return the number of rows above the header that have a text in their first cell only, such as a title."""
    for place, (_, cells) in enumerate(records[: _MAX_TITLES + 1]):
        if any(cells[1:]):
            return place
    return 0


def _delimiter(text: str) -> str:
    """Return the delimiter that splits the header and most of the first rows into the same number of cells.

    If there are several, it is the one with most cells; if there is none, the header does not count, because a title
    may stand above it.
    """

    def quality(delimiter: str) -> tuple[bool, bool, int]:
        rows = csv.reader(io.StringIO(text[:1_000_000], newline=""), delimiter=delimiter)
        try:
            every = [len(row) for row in islice(rows, _SAMPLE) if any(row)]
        except csv.Error:
            return False, False, 0
        width, rows_of_width = Counter(every).most_common(1)[0] if every else (0, 0)
        fits = width > 1 and rows_of_width * 2 > len(every)
        return fits and every[0] == width, fits, width

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


def _drop_second_headers(table: Table, *, header: int) -> None:
    """Take the questions' texts from further header rows, such as those of Qualtrics, SurveyMonkey and SoSci Survey."""
    rows = table.rows
    if len(rows) >= 2 and any(cell.startswith(_QUALTRICS) for cell in rows[1].cells):
        table.columns = tuple(_texts_or_codes(rows[0].cells, table.columns))
        del rows[:2]
        table.notes.append("rows 2 and 3 are further headers of Qualtrics; row 2 has the questions")
    elif rows and rows[0].number == header + 1 and any(cell.casefold() in _SURVEYMONKEY for cell in rows[0].cells):
        table.columns = tuple(_joined_headers(table.columns, rows[0].cells))
        del rows[0]
        table.notes.append(f"row {header + 1} is a further header of SurveyMonkey")
    elif rows and (coded := _explained_codes(table.columns, rows)):
        texts = [cell if at in coded else "" for at, cell in enumerate(rows[0].cells)]
        table.columns = tuple(_texts_or_codes(texts, table.columns))
        table.notes.append(f"row {rows[0].number} has the texts of the header's codes, and is a further header")
        del rows[0]


def _explained_codes(names: Sequence[str], rows: Sequence[Row]) -> frozenset[int]:
    """Return the places of the columns whose names are codes that the first row explains; none if it is a person's row.

    It is no person's row if each of its cells there is a text of several words that occurs nowhere else in its column,
    although most of these columns have numbers, or the same few answers again and again.
    """
    coded = frozenset(at for at, name in enumerate(names) if _CODE.fullmatch(name))
    if len(coded) < 2 or len(rows) <= _FEWEST_ROWS:
        return frozenset()
    closed = 0
    for at in coded:
        text, *others = (row.cells[at] for row in rows)
        if len(text) < _SHORTEST_TEXT or " " not in text or text in others:
            return frozenset()
        answers = [cell for cell in others if cell]
        closed += all(cell.lstrip("+-").isdecimal() for cell in answers) or len(set(answers)) * 2 <= len(answers)
    return coded if closed * 2 > len(coded) else frozenset()


def _texts_or_codes(texts: Sequence[str], codes: Sequence[str]) -> Iterator[str]:
    """Yield the text of each question; with its code if several have the same text, such as in a loop."""
    lines = [_one_line(text) for text in texts]
    count = Counter(lines)
    for text, code in zip(lines, codes, strict=True):
        yield code if not text else text if count[text] == 1 else f"{text} ({code})"


def _joined_headers(questions: Sequence[str], items: Sequence[str]) -> Iterator[str]:
    """Yield names of columns where a question stands above its first item only, and every column has its item."""
    stem = ""
    for question, item in zip(questions, map(_one_line, items), strict=True):
        stem = question or stem
        if question and (not item or item.casefold() in _SURVEYMONKEY):
            yield question
        else:
            yield f"{stem}: {item}" if stem and item else item


def _check_columns(table: Table, *, header: int) -> None:
    """Add a fault for every column with the name of an earlier one, unless it is empty, and clear its name.

    A column without a name is not used. Columns without a name are noted.

    Raises:
        UsersFileError: a name contains what cannot be stored.
    """
    if part := next((part for name in table.columns if (part := unstorable_part(name))), None):
        raise UsersFileError(f"{printable(table.path)}: the name of a column contains {part}")
    unnamed = [at for at, name in enumerate(table.columns) if not name and any(row.cells[at] for row in table.rows)]
    if unnamed:
        some = ", ".join(str(at + 1) for at in unnamed[:5])
        more = ", …" if len(unnamed) > 5 else ""
        table.notes.append(f"columns without a name were left out: {some}{more}")
    first: dict[str, int] = {}
    names = list(table.columns)
    for place, name in enumerate(names):
        earlier = first.setdefault(name, place)
        if not name or earlier == place:
            continue
        if any(row.cells[place] for row in table.rows):
            message = f"is in column {earlier + 1} and again in column {place + 1}; rename one of them"
            table.faults.append(TableFault(header, name, message))
        names[place] = ""
    table.columns = tuple(names)
