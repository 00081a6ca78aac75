from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from idiolect.errors import ExportError, VerificationError
from idiolect.export.adapter import VERIFICATION, AdapterFiles, content_name, publish
from idiolect.export.card import Origin
from idiolect.export.gguf_file import gguf_files
from idiolect.export.lora import lora_of
from idiolect.export.peft_folder import peft_files
from tests.export.adapters import ORIGIN, files_of
from tests.models import tiny

FILES = AdapterFiles("idiolect-0123456789ab", {"one.bin": b"1", "two.json": b"{}"}, main="one.bin")


@pytest.fixture
def closed_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("closed_umask")
@pytest.mark.parametrize("kind", ["peft", "gguf"])
def test_adapters_are_readable_for_every_engine(tmp_path: Path, kind: str) -> None:
    made = publish(files_of(tiny.edit(0), tiny.llama(), kind), tmp_path / "new" / "adapters", verify=lambda _: {})
    assert {mode(path) for path in made.folder.iterdir()} == {0o644}
    assert {mode(folder) for folder in (made.folder, made.folder.parent, made.folder.parent.parent)} == {0o755}


def test_publish_says_what_engines_are_given(tmp_path: Path) -> None:
    made = publish(FILES, tmp_path)
    assert (made.folder, made.path, made.new) == (tmp_path / FILES.name, tmp_path / FILES.name / "one.bin", True)
    assert {path.name: path.read_bytes() for path in made.folder.iterdir()} == dict(FILES.files)


def test_publish_shows_nothing_before_the_check_has_passed(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    def check(folder: Path) -> dict[str, bool]:
        seen.append([path.name for path in tmp_path.iterdir() if not path.name.startswith(".")])
        assert (folder / "one.bin").read_bytes() == b"1"
        return {"passed": True}

    made = publish(FILES, tmp_path, verify=check)
    assert seen == [[]]
    assert (made.folder / VERIFICATION).read_text() == '{\n  "passed": true\n}\n'
    assert [path.name for path in tmp_path.iterdir()] == [FILES.name]


@pytest.mark.parametrize("error", [VerificationError("differs"), RuntimeError("engine broke"), KeyboardInterrupt()])
def test_publish_leaves_nothing_of_an_adapter_that_fails_its_check(tmp_path: Path, error: BaseException) -> None:
    def check(_folder: Path) -> dict[str, bool]:
        raise error

    with pytest.raises(type(error)):
        publish(FILES, tmp_path, verify=check)
    assert list(tmp_path.iterdir()) == []


def test_publish_again_keeps_what_is_there_and_notes_the_new_check(tmp_path: Path) -> None:
    first = publish(FILES, tmp_path)
    before = (first.folder / "one.bin").stat().st_mtime_ns
    again = publish(FILES, tmp_path, verify=lambda _: {"passed": True})
    assert (again.folder, again.new) == (first.folder, False)
    assert (again.folder / "one.bin").stat().st_mtime_ns == before
    assert (again.folder / VERIFICATION).is_file()
    assert [path.name for path in tmp_path.iterdir()] == [FILES.name]


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_name_is_never_given_to_another_content(tmp_path: Path, damage: str) -> None:
    file = publish(FILES, tmp_path).folder / "one.bin"
    file.write_bytes(b"2") if damage == "changed" else file.unlink()
    with pytest.raises(ExportError, match=r"one\.bin differs from this adapter"):
        publish(FILES, tmp_path)
    assert not file.exists() if damage == "missing" else file.read_bytes() == b"2"


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="cannot write the adapter"):
        publish(FILES, tmp_path / "file" / "adapters")


def test_names_tell_contents_apart_and_are_stable() -> None:
    network = tiny.llama()
    same = {files_of(tiny.edit(0), network, kind).name for kind in ("peft", "peft")}
    assert len(same) == 1
    lora = lora_of(tiny.edit(0), network)
    other_base = Origin("some-org/another", ORIGIN.fingerprint)
    other_weights = Origin(ORIGIN.model, "1" * 64)
    made = [
        peft_files(lora, ORIGIN),
        gguf_files(lora, ORIGIN),
        peft_files(lora_of(tiny.edit(1), network), ORIGIN),
        gguf_files(lora_of(tiny.edit(1), network), ORIGIN),
        *(make(lora, origin) for make in (peft_files, gguf_files) for origin in (other_base, other_weights)),
    ]
    assert len({files.name for files in made}) == len(made)
    assert all(len(files.name) == len("idiolect-") + 12 for files in made)
    assert content_name(b"ab", b"c") != content_name(b"a", b"bc")


@pytest.mark.parametrize("kind", ["peft", "gguf"])
def test_whose_it_is_stands_in_the_card_only_when_asked_for(kind: str) -> None:
    lora = lora_of(tiny.edit(0), tiny.llama())
    make = peft_files if kind == "peft" else gguf_files
    silent, telling = make(lora, ORIGIN), make(lora, Origin(ORIGIN.model, ORIGIN.fingerprint, whose="user ann-from-x"))
    assert not any(b"ann-from-x" in content for content in silent.files.values())
    assert b"user ann-from-x" in telling.files["idiolect.json"]
    assert "ann" not in telling.name
    assert silent.name != telling.name


def test_no_path_of_this_machine_is_told() -> None:
    origin = Origin("/srv/secret-place/a-model.gguf", ORIGIN.fingerprint)
    files = peft_files(lora_of(tiny.edit(0), tiny.llama()), origin).files
    assert not any(b"secret-place" in content for content in files.values())
    assert b"a-model.gguf" in files["adapter_config.json"]
