"""Reading a CSV file of a published data set row by row; whatever its bytes, the result is rows or a `DatasetError`.

Below the readers of OpinionQA, GlobalOpinionQA and PersonaMem. `text_file` opens it, unpacks gzip and drops a byte
order mark. Bytes that are not UTF-8 become U+FFFD (equal bytes stay equal), and their rows are counted. Rows that the
csv module cannot read, or that have too many cells, are logged.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from idiolect.errors import DatasetError
from idiolect.escaping import printable
from idiolect.people.broken_records import BrokenRecordsLog
from idiolect.people.text_file import DAMAGED, opened_text, present

REPLACEMENT = "\ufffd"

_SHOWN = 12  # columns in a message
_MAX_LINE = 1 << 20  # characters; a file without line ends must not be in memory as one line


@dataclass(slots=True)
class CsvFile:
    """A CSV file that is being read.

    Args:
        name: the file's name for messages.
        columns: the header's cells, without outer blanks; a repeated name refers to its first column.
        log: the log of broken rows.
        replaced: number of rows so far with bytes that are not UTF-8.
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
        """Return the index of a column in the rows; None if there is no such column."""
        return self._places.get(name)

    def required(self, *names: str) -> tuple[int, ...]:
        """Return the indices of columns that must exist.

        Raises:
            DatasetError: one is missing.
        """
        if missing := [name for name in names if name not in self._places]:
            more = ", …" if len(self.columns) > _SHOWN else ""
            has = ", ".join(printable(name[:40]) for name in self.columns[:_SHOWN] if name) or "none"
            raise DatasetError(
                f"{self.name}: has no column {', '.join(missing)}; expected the published layout, with commas between "
                f"the cells. Its columns are: {has}{more}"
            )
        return tuple(self._places[name] for name in names)

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the number (from 1, without the header) and the cells of every readable row, all of equal length."""
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
                self.log.add(f"{self.name}: row {number}", f"has {len(row)} cells for {len(self.columns)} columns")
                continue
            self.replaced += any(REPLACEMENT in cell for cell in row)
            yield number, row + [""] * (len(self.columns) - len(row))


@contextmanager
def opened_csv(path: Path, log: BrokenRecordsLog) -> Iterator[CsvFile]:
    """Open a CSV file with a header; without the file, the one with `.gz` after its name.

    Raises:
        DatasetError: the file cannot be opened or read, or is empty; also while rows are read.
    """
    name = printable(f"{path.parent.name}/{path.name}" if path.parent.name else path.name)
    if path.exists() and not path.is_file():
        raise DatasetError(f"{name}: is not a file")
    try:
        with opened_text(present(path) or path, newline="") as stream:
            rows = csv.reader(iter(partial(stream.readline, _MAX_LINE), ""))
            header = next(rows, None)
            if not header:
                raise DatasetError(f"{name}: is empty")
            yield CsvFile(name, tuple(cell.strip() for cell in header), log, rows)
    except FileNotFoundError:
        raise DatasetError(f"{printable(str(path))}: there is no such file") from None
    except DAMAGED:
        raise DatasetError(f"{name}: is not a whole gzip file; download it again") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the file's name
        reason = getattr(error, "strerror", None) or str(error)
        raise DatasetError(f"{printable(str(path))}: cannot be read: {reason}") from error
    except csv.Error as error:
        raise DatasetError(f"{name}: its header cannot be read as CSV: {error}") from error
