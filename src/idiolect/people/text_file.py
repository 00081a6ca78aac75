"""Opening a file of a published data set as text, in the forms in which people have it after a download.

Below the readers of CSV and JSON files. A file may be compressed with gzip (whatever its name), and begin with a byte
order mark of UTF-8 or UTF-16. Bytes that do not fit the encoding become U+FFFD.
"""

from __future__ import annotations

import gzip
import zlib
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

from idiolect.errors import DatasetError
from idiolect.escaping import printable

GZIP_SUFFIX = ".gz"
DAMAGED = (EOFError, zlib.error)
"""What reading a damaged gzip file raises besides `OSError`."""

_GZIP, _ZIP, _PARQUET = b"\x1f\x8b", b"PK\x03\x04", b"PAR1"
_LFS_POINTER = b"version https://git-lfs"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def opened_text(path: Path, *, newline: str | None = None) -> TextIO:
    """Open a text file for reading.

    Args:
        path: the file.
        newline: see `open`.

    Raises:
        DatasetError: the file is a zip archive, a Parquet file, or a pointer of Git LFS in place of the file.
        OSError, EOFError, zlib.error: it cannot be read; also while reading.
        ValueError: the path contains a NUL character.
    """
    with path.open("rb") as raw:
        start = raw.read(len(_LFS_POINTER))
    name = printable(str(path))
    if start.startswith(_ZIP):
        raise DatasetError(f"{name}: is a zip archive; unpack it and name the folder that it contained")
    if start.startswith(_PARQUET):
        raise DatasetError(f"{name}: is a Parquet file; download the file in its published layout")
    if start == _LFS_POINTER:
        raise DatasetError(
            f"{name}: is a pointer of Git LFS and not the file itself; fetch it with git lfs pull, or download it again"
        )
    stream = gzip.open(path, "rb") if start.startswith(_GZIP) else path.open("rb")  # noqa: SIM115
    try:
        encoding = "utf-16" if stream.peek(2)[:2] in _UTF16 else "utf-8-sig"
        return TextIOWrapper(stream, encoding=encoding, errors="replace", newline=newline)
    except BaseException:
        stream.close()
        raise


def present(path: Path) -> Path | None:
    """Return the file at a path, or the one with `.gz` after its name; None if neither exists."""
    compressed = path.with_name(path.name + GZIP_SUFFIX) if path.name else path
    try:
        return next((each for each in (path, compressed) if each.is_file()), None)
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return None


def bare_name(path: Path) -> str:
    """Return a file's name without `.gz`."""
    return path.name.removesuffix(GZIP_SUFFIX)
