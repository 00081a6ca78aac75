"""Looks for many byte strings at once, in buffers and in files, in time that does not grow with their number.

The bytes at every offset of a buffer are hashed (numpy), and only where a pattern begins with such a hash are they
compared. `tests/erasure/test_byte_search.py` compares it with plain search.

Files are read by a child process. This one may have them open as SQLite databases, and closing *any* descriptor of a
file drops all POSIX locks that the process holds on it, SQLite's too (sqlite.org/howtocorrupt.html, section 2.2).
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idiolect.errors import StoreError

SHORTEST = 6  # bytes of a pattern
_LONG = 16
_WORD = 8
_BITS = 20  # slots of a table of hashes: a million, of a byte each
_SHIFTS = (np.uint64(64 - _BITS), np.uint64(64 - 2 * _BITS))
_SLOTS = np.uint64((1 << _BITS) - 1)
_MULTIPLIERS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))
_CHUNK = 1 << 15  # what numpy makes of it fits into a processor's cache


@dataclass(frozen=True, slots=True)
class SearchedFile:
    """What was found in one file. `bytes` is its size; `found` how often any pattern occurs, in it or in its name."""

    path: Path
    bytes: int
    found: int
    readable: bool = True


class Patterns:
    """Byte strings to look for.

    Args:
        patterns: each at least `SHORTEST` bytes long.

    Raises:
        ValueError: a pattern is too short.
    """

    def __init__(self, patterns: Iterable[bytes]) -> None:
        given = set(patterns)
        if any(len(pattern) < SHORTEST for pattern in given):
            raise ValueError(f"a pattern is shorter than {SHORTEST} bytes")
        self.longest = max(map(len, given), default=0)
        split = {_LONG: [p for p in given if len(p) >= _LONG], SHORTEST: [p for p in given if len(p) < _LONG]}
        self._groups = [_Group(some, width) for width, some in split.items() if some]

    def find(self, buffer: bytes, *, seen: int = 0) -> Iterator[bytes]:
        """Every occurrence of a pattern that does not lie within the first `seen` bytes."""
        padded = buffer + bytes(2 * _WORD)
        for group in self._groups:
            yield from group.find(padded, len(buffer), seen)


class _Group:
    """Patterns of at least `width` bytes, found by their first `width` (at most 16) bytes."""

    def __init__(self, patterns: Sequence[bytes], width: int) -> None:
        self._width = width
        self._masks = (_mask(width), _mask(width - _WORD))
        self._by_start: dict[bytes, list[bytes]] = {}
        for pattern in patterns:
            self._by_start.setdefault(pattern[:width], []).append(pattern)
        # Two tables of different bits: where both are marked, a pattern very likely begins.
        self._marked = np.zeros((2, 1 << _BITS), dtype=np.bool_)
        for start in self._by_start:
            hashed = self._hashed(start + bytes(2 * _WORD), 1)
            for table, shift in zip(self._marked, _SHIFTS, strict=True):
                table[hashed >> shift & _SLOTS] = True

    def find(self, padded: bytes, size: int, seen: int) -> Iterator[bytes]:
        count = size - self._width + 1
        if count < 1:
            return
        hashed = self._hashed(padded, count)
        places = np.flatnonzero(self._marked[0][hashed >> _SHIFTS[0]])
        places = places[self._marked[1][hashed[places] >> _SHIFTS[1] & _SLOTS]]
        for position in places.tolist():
            for pattern in self._by_start.get(padded[position : position + self._width], ()):
                end = position + len(pattern)
                if seen < end <= size and padded.startswith(pattern, position):
                    yield pattern

    def _hashed(self, padded: bytes, count: int) -> NDArray[np.uint64]:
        words = np.ndarray((count + _WORD,), "<u8", padded, strides=(1,))  # the eight bytes at every offset
        mixed: NDArray[np.uint64] = (words[:count] & self._masks[0]) * _MULTIPLIERS[0]
        if self._masks[1]:
            mixed += (words[_WORD:] & self._masks[1]) * _MULTIPLIERS[1]
        return mixed


def _mask(width: int) -> np.uint64:
    return np.uint64((1 << 8 * min(max(width, 0), _WORD)) - 1)


def search_files(files: Mapping[Path, str], patterns: Iterable[bytes]) -> list[SearchedFile]:
    """Look for the patterns in files and in their names; a file that is gone meanwhile is left out.

    Args:
        files: what to read, and the name under which it is kept (the part below the folder that is searched).
        patterns: each at least `SHORTEST` bytes long.

    Raises:
        StoreError: the search itself failed.
    """
    order = list(files)
    task = {
        "patterns": [base64.b85encode(pattern).decode() for pattern in patterns],
        "files": [[base64.b85encode(os.fsencode(text)).decode() for text in (path, files[path])] for path in order],
    }
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-P", __file__]  # as a script, which imports nothing else of the store
    # The patterns go through stdin, because everyone may read a command line.
    done = subprocess.run(command, input=json.dumps(task).encode(), capture_output=True, env=environment, check=False)
    if done.returncode:
        raise StoreError(f"the files could not be searched (status {done.returncode})")
    return [
        SearchedFile(path, size, found, readable)
        for path, (there, readable, size, found) in zip(order, json.loads(done.stdout), strict=True)
        if there
    ]


def main() -> None:
    """The child: a task on stdin, what was found on stdout."""
    task: dict[str, Any] = json.load(sys.stdin.buffer)
    patterns = Patterns(map(base64.b85decode, task["patterns"]))
    files = ([base64.b85decode(text) for text in names] for names in task["files"])
    found = [_searched(path, name, patterns) for path, name in files]
    sys.stdout.write(json.dumps(found))


def _searched(path: bytes, name: bytes, patterns: Patterns) -> tuple[bool, bool, int, int]:
    """Whether the file is there, whether it is readable, its size, and how often a pattern was found."""
    found = sum(1 for _ in patterns.find(name))
    size, kept = 0, b""
    try:
        with Path(os.fsdecode(path)).open("rb", buffering=0) as file:
            while chunk := file.read(_CHUNK):
                found += sum(1 for _ in patterns.find(kept + chunk, seen=len(kept)))
                kept = (kept + chunk)[-max(patterns.longest - 1, 1) :]
                size += len(chunk)
    except FileNotFoundError:
        return False, False, 0, 0
    except OSError:
        return True, False, size, found
    return True, True, size, found


if __name__ == "__main__":
    main()
