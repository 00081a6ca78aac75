"""Searching buffers and files for many byte strings at once, in time that does not grow with their number.

One automaton of all patterns (Aho-Corasick) reads the bytes once. A property test compares it with a naive search.

Files are read by a child process. This process may have them open as SQLite databases, and closing *any* descriptor of
a file drops all POSIX locks that the process holds on it, even SQLite's (sqlite.org/howtocorrupt.html, section 2.2).
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ahocorasick_rs import BytesAhoCorasick

from idiolect.errors import StoreError

SHORTEST = 6  # minimum length of a pattern in bytes; shorter ones occur by chance
_CHUNK = 1 << 15


@dataclass(frozen=True, slots=True)
class SearchedFile:
    """The result for one file: its size (0 if unreadable) and the number of occurrences in it and in its name."""

    path: Path
    bytes: int
    found: int
    readable: bool = True


class Patterns:
    """Byte strings to search for.

    Args:
        patterns: each at least `SHORTEST` bytes long.

    Raises:
        ValueError: a pattern is too short.
    """

    def __init__(self, patterns: Iterable[bytes]) -> None:
        self._patterns = list(set(patterns))
        if any(len(pattern) < SHORTEST for pattern in self._patterns):
            raise ValueError(f"a pattern is shorter than {SHORTEST} bytes")
        self._automaton = BytesAhoCorasick(self._patterns)
        self._overlap = max(max(map(len, self._patterns), default=0) - 1, 1)

    def find(self, buffer: bytes) -> Iterator[bytes]:
        """Yield every occurrence of a pattern, including overlapping ones."""
        return self.find_across([buffer])

    def count(self, buffers: Iterable[bytes]) -> int:
        """Return the number of occurrences of all patterns in the buffers, each searched on its own."""
        return sum(1 for buffer in buffers for _ in self.find(buffer))

    def find_across(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield every occurrence of a pattern in the concatenation of the chunks."""
        kept = b""
        for chunk in chunks:
            buffer = kept + chunk
            for number, _, end in self._automaton.find_matches_as_indexes(buffer, overlapping=True):
                if end > len(kept):  # otherwise it was found with the previous chunk
                    yield self._patterns[number]
            kept = buffer[-self._overlap :]


def search_files(files: Mapping[Path, str], patterns: Iterable[bytes]) -> list[SearchedFile]:
    """Search files and their names for the patterns; a file that no longer exists is left out.

    Args:
        files: the files to read, each with the name to search (its path below the searched folder).
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
    command = [sys.executable, "-P", __file__]  # as a script, which imports little else of the package
    # The patterns go through stdin, because everybody can read a command line.
    done = subprocess.run(command, input=json.dumps(task).encode(), capture_output=True, env=environment, check=False)
    if done.returncode:
        raise StoreError(f"the files could not be searched (status {done.returncode})")
    return [
        SearchedFile(path, size, found, readable)
        for path, (there, readable, size, found) in zip(order, json.loads(done.stdout), strict=True)
        if there
    ]


def main() -> None:
    """Run as the child process: read a task from stdin and write the results to stdout."""
    task: dict[str, Any] = json.load(sys.stdin.buffer)
    patterns = Patterns(map(base64.b85decode, task["patterns"]))
    files = ([base64.b85decode(text) for text in names] for names in task["files"])
    found = [_searched(path, name, patterns) for path, name in files]
    sys.stdout.write(json.dumps(found))


def _searched(path: bytes, name: bytes, patterns: Patterns) -> tuple[bool, bool, int, int]:
    """Return whether the file exists, whether it is readable, its size, and the number of occurrences of patterns."""
    found = sum(1 for _ in patterns.find(name))
    try:
        with Path(os.fsdecode(path)).open("rb", buffering=0) as file:
            for _ in patterns.find_across(iter(partial(file.read, _CHUNK), b"")):
                found += 1
            return True, True, file.tell(), found
    except FileNotFoundError:
        return False, False, 0, 0
    except OSError:
        return True, False, 0, found


if __name__ == "__main__":
    main()
