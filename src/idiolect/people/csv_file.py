"""A CSV file of a published data set, row by row: whatever bytes it holds, an error of ours or rows.

Below the readers of OpinionQA and GlobalOpinionQA. A byte order mark is dropped, bytes that are not UTF-8 become U+FFFD
(equal bytes stay equal) and are counted; rows that the csv module cannot read, or that have too many cells, are logged.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from idiolect.errors import DatasetError
from idiolect.people.broken_records import BrokenRecordsLog
from idiolect.people.json_line import printable

REPLACEMENT = "\ufffd"

_MAX_LINE = 1 << 20  # characters: a file without line ends must not be in memory as one line


@dataclass(slots=True)
class CsvFile:
    """A file that is being read.

    Args:
        name: of the file, for messages.
        columns: names of the header's cells, without outer blanks; a name that comes twice is the first one's.
        log: where broken rows are logged.
        replaced: rows so far with bytes that are not UTF-8.
    """

    name: str
    columns: tuple[str, ...]
    log: BrokenRecordsLog
    _rows: Iterator[list[str]]
    replaced: int = 0
    _places: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self._places = {name: place for place, name in reversed(list(enumerate(self.columns)))}

    def column(self, name: str) -> int | None:
        """The place of a column in the rows; None if there is none."""
        return self._places.get(name)

    def required(self, *names: str) -> tuple[int, ...]:
        """The places of columns that have to be there.

        Raises:
            DatasetError: one is not.
        """
        if missing := [name for name in names if name not in self._places]:
            raise DatasetError(f"{self.name}: has no column {', '.join(missing)}: not the layout that is published")
        return tuple(self._places[name] for name in names)

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield number (from 1, without the header) and cells of every row that can be read, all of equal length."""
        number = 0
        while True:
            number += 1
            try:
                row = next(self._rows)
            except StopIteration:
                return
            except csv.Error as error:
                self.log.add(f"{self.name}: row {number}", f"cannot be read as CSV: {error}")
                continue
            if not row:
                continue
            if len(row) > len(self.columns):
                self.log.add(f"{self.name}: row {number}", f"{len(row)} cells under {len(self.columns)} columns")
                continue
            self.replaced += any(REPLACEMENT in cell for cell in row)
            yield number, row + [""] * (len(self.columns) - len(row))


@contextmanager
def opened_csv(path: Path, log: BrokenRecordsLog) -> Iterator[CsvFile]:
    """Open a CSV file with a header.

    Raises:
        DatasetError: it cannot be opened or read, or is empty; while rows are read, too.
    """
    name = printable(f"{path.parent.name}/{path.name}" if path.parent.name else path.name)
    if path.exists() and not path.is_file():
        raise DatasetError(f"{name}: is no file")
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
            rows = csv.reader(iter(partial(stream.readline, _MAX_LINE), ""))
            header = next(rows, None)
            if not header:
                raise DatasetError(f"{name}: is empty")
            yield CsvFile(name, tuple(cell.strip() for cell in header), log, rows)
    except FileNotFoundError:
        raise DatasetError(f"{printable(str(path))}: there is no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the file's name
        reason = getattr(error, "strerror", None) or str(error)
        raise DatasetError(f"{printable(str(path))}: cannot be read: {reason}") from error
    except csv.Error as error:
        raise DatasetError(f"{name}: its header cannot be read as CSV: {error}") from error
