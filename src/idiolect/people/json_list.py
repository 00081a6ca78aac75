"""Reading a JSON file with one long list value by value, so that hundreds of megabytes are never in memory at once.

Below the reader of LaMP. It also reads whole small files. `text_file` opens them, so they may be compressed with gzip.
Whatever the bytes, the result is values or a `DatasetError`.

Why not `ijson` (3.6): one record with NaN, an integer beyond 64 bits or a stray byte would end the reading of all
others, and a lone surrogate would silently become "?".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from idiolect.errors import DatasetError
from idiolect.escaping import printable
from idiolect.people.text_file import DAMAGED, opened_text

_CHUNK = 1 << 20
_BLANK = " \t\r\n"
_AFTER_A_VALUE = _BLANK + ",]"
_LONG_ENOUGH = 64  # with this many characters after a value, none of them can still belong to a number
_DECODER = json.JSONDecoder()


def read_json_list(path: Path) -> Iterator[Any]:
    """Yield the values of the list in a file.

    Raises:
        DatasetError: the file cannot be opened, is not a JSON list, or is nested too deeply; also while iterating.
    """
    yield from _guarded(path, lambda stream: _Scanner(path, stream).values())


def read_json(path: Path) -> Any:
    """Read the one value in a small file.

    Raises:
        DatasetError: the file cannot be opened, is not JSON, or is nested too deeply.
    """
    return next(_guarded(path, lambda stream: iter([json.load(stream)])))


def _guarded(path: Path, values: Callable[[TextIO], Iterator[Any]]) -> Iterator[Any]:
    name = printable(str(path))
    try:
        with opened_text(path) as stream:
            yield from values(stream)
    except FileNotFoundError:
        raise DatasetError(f"{name}: there is no such file") from None
    except DAMAGED:
        raise DatasetError(f"{name}: is not a whole gzip file; download it again") from None
    except RecursionError:
        raise DatasetError(f"{name}: is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise DatasetError(f"{name}: is not JSON: {error.msg}") from None
    except OSError as error:
        raise DatasetError(f"{name}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # a number with too many digits, a NUL in the file's name
        raise DatasetError(f"{name}: cannot be read: {error}") from error


@dataclass(slots=True)
class _Scanner:
    """A decoder of single values from a buffer that grows only as far as the longest value needs."""

    path: Path
    stream: TextIO
    buffer: str = ""
    position: int = 0
    ended: bool = False

    def values(self) -> Iterator[Any]:
        if self._next_mark() != "[":
            raise DatasetError(f"{printable(str(self.path))}: must contain a list […], as published")
        self.position += 1
        mark = self._next_mark()
        while mark != "]":
            yield self._value()
            mark = self._next_mark()
            if mark not in ("]", ","):
                raise json.JSONDecodeError("expected ',' or ']' after a value of the list", "", 0)
            self.position += mark == ","

    def _next_mark(self) -> str:
        """Return the next character that is not blank, without consuming it; "" at the end of the file."""
        while True:
            while self.position < len(self.buffer) and self.buffer[self.position] in _BLANK:
                self.position += 1
            if self.position < len(self.buffer):
                return self.buffer[self.position]
            if not self._more():
                return ""

    def _value(self) -> Any:
        self._next_mark()
        while True:
            try:
                value, end = _DECODER.raw_decode(self.buffer, self.position)
            except json.JSONDecodeError:
                if not self._more():
                    raise
            else:
                if self._is_whole(end) or not self._more():
                    self.position = end
                    return value

    def _is_whole(self, end: int) -> bool:
        """Return whether the value really ends at `end`; a number may continue in the next chunk ("0" and ".5")."""
        rest = self.buffer[end : end + _LONG_ENOUGH]
        return bool(rest) and (rest[0] in _AFTER_A_VALUE or len(rest) == _LONG_ENOUGH)

    def _more(self) -> bool:
        """Read as much again as is buffered, so that a value of n characters is tried only log n times."""
        chunk = "" if self.ended else self.stream.read(max(_CHUNK, len(self.buffer) - self.position))
        self.ended = not chunk
        self.buffer, self.position = self.buffer[self.position :] + chunk, 0
        return bool(chunk)
