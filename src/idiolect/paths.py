"""Paths that people name: the home folder expanded, and a form of a name that can be printed and is still its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from idiolect.escaping import printable


def expanded(named: str | Path, failure: Callable[[str], Exception], *, of: str = "") -> Path:
    """Return the path with `~` and `~user` replaced by the home folder.

    Args:
        named: the path as a person wrote it.
        failure: makes the error to raise from its message.
        of: what the path is named by, such as an environment variable, for the message.

    Raises:
        Exception: what `failure` returns: the home folder is not known, or the path contains a NUL character.
    """
    shown = f"{of}={printable_path(named)}" if of else printable_path(named)
    if "\0" in os.fspath(named):
        raise failure(f"{shown}: a path cannot contain a NUL character")
    try:
        return Path(named).expanduser()
    except RuntimeError:
        raise failure(f"{shown}: that user has no known home folder; write the path in full") from None


def printable_path(path: str | Path) -> str:
    """Return a path on one line, with escapes for bytes that are not UTF-8 and for characters that cannot be printed.

    A path from which these were dropped would be that of another file.
    """
    return printable(os.fspath(path))
