"""Opening a file with people: a path or standard input, read twice, and never a wait without an end.

Below `users_file.py` and the import of tables. Standard input and pipes are copied to a temporary file; devices that
never end and named pipes that nobody writes to are refused.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from idiolect.errors import UsersFileError
from idiolect.escaping import printable
from idiolect.people.file_kind import HEAD_BYTES, fault_of_file

STANDARD_INPUT = "-"

_PIPE_PATIENCE = 10.0  # seconds to wait for somebody who writes to a named pipe
_PIPE_PAUSE = 0.02  # seconds between two looks
_PLAIN_REASONS: dict[type[OSError], str] = {
    FileNotFoundError: "there is no such file",
    IsADirectoryError: "it is a folder",
    PermissionError: "permission denied",
}


@contextmanager
def opened_source(source: str | Path, *, whole: bool = False) -> Iterator[tuple[str, BinaryIO]]:
    """Open the source; yield its name for messages and a stream that can be read twice, a copy if it cannot rewind.

    Args:
        source: the file; "-" is standard input.
        whole: copy a pipe as a whole, even if its beginning shows that it is no users file.

    Raises:
        UsersFileError: it cannot be opened or copied, is a device, or is a pipe without a writer.
    """
    from_standard_input = str(source) == STANDARD_INPUT
    path = "<stdin>" if from_standard_input else str(source)
    if not path:
        raise UsersFileError("the name of the users file is empty")
    with ExitStack() as stack:
        try:
            stream, first = (sys.stdin.buffer, b"") if from_standard_input else _opened_stream(Path(source))
            if not from_standard_input:
                stack.callback(stream.close)
            if _is_endless(stream):
                raise UsersFileError(f"{printable(path)}: cannot be read: it is a device, not a file")
            if from_standard_input or not stream.seekable():
                copy = cast(BinaryIO, stack.enter_context(tempfile.TemporaryFile()))
                _copy(stream, copy, path, first, whole=whole)
                stream = copy
        except (OSError, ValueError) as error:  # ValueError: a NUL in the file's name
            raise unreadable(path, error) from error
        yield path, stream


def _opened_stream(path: Path) -> tuple[BinaryIO, bytes]:
    """Open a file for reading; return it, and the bytes already read from it. A pipe is opened once it has a writer.

    Raises:
        UsersFileError: it is a named pipe, and nobody wrote to it in `_PIPE_PATIENCE` seconds.
    """
    if not path.is_fifo():
        return path.open("rb"), b""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # without this flag, opening waits for a writer
    stream = os.fdopen(descriptor, "rb")
    try:
        first = _first_bytes(descriptor)
        if first is None:
            raise UsersFileError(f"{printable(str(path))}: cannot be read: it is a named pipe that nobody writes to")
        os.set_blocking(descriptor, True)
    except BaseException:
        stream.close()
        raise
    return stream, first


def _first_bytes(descriptor: int) -> bytes | None:
    """Return the first bytes in a pipe, b"" if its writer has written none yet; None if there is no writer in time."""
    end = time.monotonic() + _PIPE_PATIENCE
    while True:
        try:
            first = os.read(descriptor, HEAD_BYTES)
        except BlockingIOError:  # there is a writer, who has not written yet
            return b""
        if first or time.monotonic() > end:
            return first or None
        time.sleep(_PIPE_PAUSE)


def _copy(stream: BinaryIO, copy: BinaryIO, path: str, first: bytes, *, whole: bool) -> None:
    """Copy a stream, of which `first` was read, and rewind the copy.

    Unless `whole` is true, only the beginning of what is no users file is copied.
    """
    head = first + stream.read(max(0, HEAD_BYTES - len(first)))
    copy.write(head)
    if whole or fault_of_file(head, whole=len(head) < HEAD_BYTES, path=path) is None:
        shutil.copyfileobj(stream, copy)
    copy.seek(0)


def head_of(path: str, stream: BinaryIO) -> tuple[bytes, bool]:
    """Return the first `HEAD_BYTES` of a stream that is at its start, and whether these are all; rewind it.

    Raises:
        UsersFileError: the stream cannot be read.
    """
    try:
        head = stream.read(HEAD_BYTES)
        whole = len(head) < HEAD_BYTES
        stream.seek(0)
    except OSError as error:
        raise unreadable(path, error) from error
    return head, whole


def _is_endless(stream: BinaryIO) -> bool:
    """Return whether the stream is a device such as /dev/zero, which never ends; a terminal's user can end it."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):  # not a file of the operating system
        return False
    device = stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)
    return device and not stream.isatty() and not os.path.samestat(status, Path(os.devnull).stat())


def unreadable(path: str, error: Exception) -> UsersFileError:
    """Return the error for a file that cannot be opened or read, with the reason in plain words."""
    if isinstance(error, FileNotFoundError) and "://" in path:
        return UsersFileError(f"{printable(path)}: cannot be read: it is an address, not a file; download it first")
    reason = next((words for kind, words in _PLAIN_REASONS.items() if isinstance(error, kind)), None)
    reason = reason or getattr(error, "strerror", None) or str(error)
    return UsersFileError(f"{printable(path)}: cannot be read: {reason}")
