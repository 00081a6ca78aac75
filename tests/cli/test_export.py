"""`idiolect export`: what is printed of an adapter, and whose edit is named by which option."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner, Result

from idiolect.application import adapters, model_pool
from idiolect.application.chameleon import USER_NOTE
from idiolect.cli.app import app
from idiolect.models.edits import Edit
from idiolect.models.local import LocalModel
from idiolect.people.user import User
from idiolect.store import DEFAULT_TENANT, Store
from tests.models import tiny


@pytest.fixture
def store(tmp_path: Path) -> str:
    target = str(tmp_path / "store")
    with Store.open(target, tenant=DEFAULT_TENANT) as opened:
        opened.save_users([User("ann", texts=("I write.",))])
    return target


@pytest.fixture
def learned_store(store: str) -> str:
    """A store that holds something for ann and for the critics; `learn` decides what it reads as."""
    with Store.open(store, tenant=DEFAULT_TENANT) as opened:
        opened.save_personalization("ann", "chameleon", {"format": 1})
        opened.groups.create("critics", ("ann",))
        members = opened.groups.read_members("critics")
        opened.groups.save_personalization("critics", "chameleon", {"format": 1}, fitted_on=members)
    return store


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalModel]:
    """The tiny model under every name."""
    found = tiny.local_model()
    monkeypatch.setattr(model_pool, "open_local_model", lambda *_, **__: found)
    yield found
    found.close()


def learn(monkeypatch: pytest.MonkeyPatch, edit: Edit, fingerprint: str, *, used: bool = True) -> None:
    learned = SimpleNamespace(edit=edit, model="tiny", fingerprint=fingerprint, used=used, gate="12 of 20 got worse")
    monkeypatch.setattr(adapters, "read_edit", lambda _record: learned)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["export", *arguments])


def folders(directory: Path) -> list[Path]:
    return list(directory.iterdir()) if directory.exists() else []


def test_export_writes_a_verified_peft_folder(
    model: LocalModel, learned_store: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    learn(monkeypatch, tiny.edit(0), model.fingerprint())
    result = run(
        str(tmp_path / "out"), "--store", learned_store, "--user", "ann", "--format", "peft", "--verify", "--json"
    )
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert [str(folder) for folder in folders(tmp_path / "out")] == [told["folder"]] == [told["path"]]
    assert told["verification"]["passed"]
    assert json.loads((Path(told["folder"]) / "verification.json").read_text()) == told["verification"]
    assert not any(b"ann" in file.read_bytes() for file in Path(told["folder"]).glob("*.json"))


def test_export_writes_a_gguf_file_and_names_its_owner_when_asked(
    model: LocalModel, learned_store: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    learn(monkeypatch, tiny.edit(0), model.fingerprint())
    result = run(
        str(tmp_path / "out"), "--store", learned_store, "--group", "critics", "--format", "gguf", "--name-owner"
    )
    assert result.exit_code == 0, result.output
    (folder,) = folders(tmp_path / "out")
    assert result.stdout.splitlines()[0] == str(folder / f"{folder.name}.gguf")
    assert json.loads((folder / "idiolect.json").read_text())["whose"] == "group critics"


def test_an_edit_that_is_not_used_is_exported_only_on_demand(
    model: LocalModel, learned_store: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    learn(monkeypatch, tiny.edit(0), model.fingerprint(), used=False)
    wanted = (str(tmp_path / "out"), "--store", learned_store, "--user", "ann", "--format", "peft")
    refused = run(*wanted)
    assert refused.exit_code == 1
    assert "the base model answers for user ann, not the edit (12 of 20 got worse)" in refused.stderr
    assert folders(tmp_path / "out") == []
    assert run(*wanted, "--even-if-unused").exit_code == 0
    assert len(folders(tmp_path / "out")) == 1


def test_nothing_learned_says_what_learns(store: str, tmp_path: Path) -> None:
    result = run(str(tmp_path / "out"), "--user", "ann", "--format", "peft", "--store", store)
    assert result.exit_code == 1
    assert f"idiolect fit USERS --method chameleon --user ann --store {store}" in result.stderr


@pytest.mark.parametrize("whose", [(), ("--user", "ann", "--group", "critics")])
def test_one_of_user_and_group_is_named(tmp_path: Path, whose: tuple[str, ...]) -> None:
    result = run(str(tmp_path / "out"), *whose, "--format", "peft")
    assert result.exit_code == 2
    assert "either a user or a group" in result.stderr


def test_a_stale_edit_is_exported_with_a_note(
    model: LocalModel, learned_store: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    learn(monkeypatch, tiny.edit(0), model.fingerprint())
    monkeypatch.setattr(adapters, "stale_note", lambda *_: USER_NOTE)
    result = run(str(tmp_path / "out"), "--store", learned_store, "--user", "ann", "--format", "peft", "--json")
    assert result.exit_code == 0, result.output
    assert " ".join(result.stderr.split()) == f"note: {USER_NOTE}"
    assert len(folders(tmp_path / "out")) == 1
