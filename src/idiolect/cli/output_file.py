"""Files that a command leaves behind: whole or not at all, for their owner's eyes, never over another one unasked."""

from __future__ import annotations

import os
import stat
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
        IdiolectError: the file is there and `force` is false, it is no file, or it cannot be written.
    """
    try:
        _check_place(path, force=force)
        _write(path, text)
    except OSError as error:
        raise IdiolectError(f"cannot write {path}: {error.strerror}") from error


def _check_place(path: Path, *, force: bool) -> None:
    if path.is_dir():
        raise IdiolectError(f"{path} is a folder, not a file")
    if not os.path.lexists(path):
        return
    if not stat.S_ISREG(path.lstat().st_mode):  # renaming would put a file in place of a device, such as /dev/stdout
        raise IdiolectError(f"{path} is a link or a device, not a file; --out - writes to stdout")
    if not force:
        raise IdiolectError(f"{path} is there already; --force replaces it")


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
