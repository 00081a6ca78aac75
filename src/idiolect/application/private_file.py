"""Files with people's texts: complete or absent, readable by their owner only, never overwritten without `force`."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from idiolect.errors import IdiolectError, Remedy


@contextmanager
def private_file(path: Path, *, force: bool = False) -> Iterator[BinaryIO]:
    """Open a file of mode 0600 for bytes, which appears at `path` once it is complete.

    Args:
        path: file to write; its folder must exist.
        force: replace an existing file.

    Raises:
        IdiolectError: the file exists and `force` is false, `path` is no regular file, or it cannot be written.
    """
    name = ""
    try:
        _check_place(path, force=force)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)  # made with mode 0600
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
        name = ""
    except OSError as error:
        raise IdiolectError(f"cannot write {path}: {error.strerror}") from error
    finally:
        if name:
            Path(name).unlink(missing_ok=True)


def _check_place(path: Path, *, force: bool) -> None:
    if path.is_dir():
        raise IdiolectError(f"{path} is a folder, not a file")
    if not os.path.lexists(path):
        return
    if not stat.S_ISREG(path.lstat().st_mode):  # renaming would put a file in place of a device, such as /dev/stdout
        raise IdiolectError(f"{path} is a link or a device, not a file", remedy=Remedy("out", "-", "writes to stdout"))
    if not force:
        raise IdiolectError(f"{path} already exists", remedy=Remedy("force", effect="replaces it"))
