"""Files that hold what people wrote: private, and whole or not there."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from idiolect.application.private_file import private_file
from idiolect.errors import IdiolectError


def test_private_file_is_there_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.bin"
    with private_file(path) as file:
        file.write(b"\0text")
        assert not path.exists()
    assert path.read_bytes() == b"\0text"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(IdiolectError, match="already exists"), private_file(path):
        pytest.fail("not opened")
    with private_file(path, force=True) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize(
    ("cause", "told"),
    [(KeyboardInterrupt(), KeyboardInterrupt), (OSError(28, "No space left on device"), IdiolectError)],
)
def test_private_file_that_is_cut_off_leaves_what_was_there(
    tmp_path: Path, cause: BaseException, told: type[BaseException]
) -> None:
    path = tmp_path / "out.bin"
    path.write_bytes(b"old")
    with pytest.raises(told), private_file(path, force=True):
        raise cause
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("out.bin", b"old")]
