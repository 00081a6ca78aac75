"""Reading ends: pipes without a writer, endless pipes, devices."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from idiolect.errors import UsersFileError
from idiolect.people import users_source
from idiolect.people.users_file import read_users

LINE = b'{"id": "a", "texts": ["Hello."]}\n'
needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")


@needs_pipes
def test_named_pipe_without_a_writer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users_source, "_PIPE_PATIENCE", 0.05)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsersFileError, match="pipe: cannot be read: it is a named pipe that nobody writes to"):
        read_users(tmp_path / "pipe")


@needs_pipes
@pytest.mark.parametrize("pause", [0.0, 0.1])
def test_named_pipe_with_a_slow_writer_is_read(tmp_path: Path, pause: float) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    opened = threading.Event()

    def write() -> None:
        threading.Event().wait(pause)
        with path.open("wb", buffering=0) as stream:
            opened.set()
            threading.Event().wait(pause)
            stream.write(LINE[:10])
            threading.Event().wait(pause)
            stream.write(LINE[10:])

    writer = threading.Thread(target=write)
    writer.start()
    assert [user.id for user in read_users(path)] == ["a"]
    writer.join()


def test_pipe_of_something_else_is_not_copied_to_its_end() -> None:
    """A stream that never ends, such as `yes |`, is refused after its beginning."""
    reader, writer = os.pipe()

    def write() -> None:
        with os.fdopen(writer, "wb", buffering=0) as stream:
            try:
                while True:
                    stream.write(b"y\n" * 10_000)
            except BrokenPipeError:
                pass

    thread = threading.Thread(target=write)
    thread.start()
    with pytest.raises(UsersFileError, match="is not a users file"):
        read_users(f"/dev/fd/{reader}")
    os.close(reader)
    thread.join()


def test_address_is_no_file() -> None:
    with pytest.raises(UsersFileError, match="it is an address, not a file; download it first"):
        read_users("https://survey.example/export.csv")
