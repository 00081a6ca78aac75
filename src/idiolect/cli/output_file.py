"""Files that a command leaves behind: whole or not at all, for their owner's eyes, never over another one unasked."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from idiolect.errors import IdiolectError


def write_private_file(path: Path, text: str, *, force: bool = False) -> None:
    """Write the file at once, mode 0600.

    Args:
        path: the file; its folder must exist.
        text: written as UTF-8.
        force: replace a file that is there.

    Raises:
        IdiolectError: the file is there and `force` is false, or it cannot be written.
    """
    if os.path.lexists(path) and not force:
        raise IdiolectError(f"{path} is there already; --force replaces it")
    if path.is_dir():
        raise IdiolectError(f"{path} is a folder, not a file")
    try:
        _write(path, text)
    except OSError as error:
        raise IdiolectError(f"cannot write {path}: {error.strerror}") from error


def _write(path: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)  # made with mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
