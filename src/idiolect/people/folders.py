"""Searching the folder that somebody names for the files of a published data set, wherever a download put them.

Below the readers of published data sets. Folders are searched breadth first to a small depth, so that the folder above
the expected one works, and a whole disk is never read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from idiolect.escaping import printable

_DEPTH = 5
_MOST_FOLDERS = 2000
_SHOWN = 8
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".7z")


def entries_below(folder: Path, wanted: Callable[[Path], bool], *, depth: int = _DEPTH) -> list[Path]:
    """Return the wanted files and folders below a folder, nearest first, each level in the order of names.

    Hidden folders are not entered, nor are wanted ones.
    """
    found: list[Path] = []
    level, seen = [folder], 0
    for _ in range(depth):
        below: list[Path] = []
        for each in level:
            seen += 1
            if seen > _MOST_FOLDERS:
                return found
            for entry in _entries(each):
                if wanted(entry):
                    found.append(entry)
                elif not entry.name.startswith(".") and entry.is_dir():
                    below.append(entry)
        level = below
    return found


def contents(folder: Path) -> str:
    """Return what a folder contains, for a message: "it contains a.csv, b.csv and 3 more"."""
    names = [entry.name + ("/" if entry.is_dir() else "") for entry in _entries(folder)]
    if not names:
        return "it is empty"
    shown = ", ".join(map(printable, names[:_SHOWN]))
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    packed = "; unpack the archives first" if any(map(is_archive, _entries(folder))) else ""
    return f"it contains {shown}{more}{packed}"


def is_archive(path: Path) -> bool:
    """Return whether a file's name is that of an archive."""
    return path.name.lower().endswith(_ARCHIVES)


def _entries(folder: Path) -> Iterator[Path]:
    try:
        yield from sorted(folder.iterdir())
    except (OSError, ValueError):  # not there, not readable, or a NUL in its name
        return
