from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner, Result

from idiolect.application import adapters, model_pool
from idiolect.cli.app import app
from idiolect.methods.chameleon.fitting import Chameleon, ModelIdentity
from idiolect.models.doubles import FunctionModel
from idiolect.models.edits import Edit
from idiolect.models.local import LocalModel
from idiolect.people.user import User
from idiolect.store import Store
from idiolect.store.group_records import data_digest
from tests.cli.opened_doubles import open_models
from tests.methods.chameleon import planted
from tests.models import tiny


@pytest.fixture
def store(tmp_path: Path) -> str:
    target = str(tmp_path / "store")
    with Store.open(target) as opened:
        opened.save_users([User("ann", texts=("I write.",))])
    return target


@pytest.fixture
def learned_store(store: str) -> str:
    """A store that holds something for ann and for the critics; `learn` decides what it reads as."""
    with Store.open(store) as opened:
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


def test_an_adapter_that_fails_its_check_is_not_left_behind(
    model: LocalModel, learned_store: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from idiolect.export import peft_folder

    learn(monkeypatch, tiny.edit(0), model.fingerprint())
    exact = peft_folder.peft_tensors
    monkeypatch.setattr(
        peft_folder, "peft_tensors", lambda *told: {name: 1.01 * each for name, each in exact(*told).items()}
    )
    result = run(str(tmp_path / "out"), "--store", learned_store, "--user", "ann", "--format", "peft", "--verify")
    assert result.exit_code == 1
    assert "does not do what the edit does" in result.stderr
    assert folders(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("edit", "fingerprint", "reason"),
    [
        (tiny.edit(0, positions="generated"), None, "generated positions only"),
        (tiny.edit(0, gate="positive"), None, "gated"),
        (tiny.edit(0), "0" * 64, "learned on other weights"),
    ],
)
def test_what_no_lora_does_is_refused(
    model: LocalModel,
    learned_store: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    edit: Edit,
    fingerprint: str | None,
    reason: str,
) -> None:
    learn(monkeypatch, edit, fingerprint or model.fingerprint())
    result = run(str(tmp_path / "out"), "--store", learned_store, "--user", "ann", "--format", "peft")
    assert result.exit_code == 1
    assert reason in result.stderr
    assert folders(tmp_path / "out") == []


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


def test_a_model_behind_an_api_has_no_weights_to_export(
    learned_store: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    open_models(monkeypatch, lambda name: FunctionModel(name))
    learn(monkeypatch, tiny.edit(0), "0" * 64)
    result = run(str(tmp_path / "out"), "--store", learned_store, "--user", "ann", "--format", "peft")
    assert result.exit_code == 1
    assert "no weights to make a LoRA of" in result.stderr


def test_what_the_store_holds_is_what_is_exported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """store → personalization → adapter, for a user and for a group: the files depend on the edit alone."""
    monkeypatch.setattr(model_pool, "open_local_model", lambda *_, **__: tiny.local_model())
    with closing(tiny.local_model()) as model:
        fingerprint = model.fingerprint()
    person, target, out = replace(planted.writer(), id="ann"), str(tmp_path / "store"), tmp_path / "out"
    identity = ModelIdentity("tiny", fingerprint)
    learner = Chameleon(planted.PlantedModel(), planted.settings(), embedder=planted.Letters(), identity=identity)
    learned = replace(asyncio.run(learner.fit(person)), edit=tiny.edit(0))  # the tiny model is wider
    card, tensors = learned.to_json(), learned.tensor_bytes()
    with Store.open(target) as opened:
        opened.save_users([person])
        opened.save_personalization("ann", "chameleon", card | {"learned_from": data_digest(person)}, tensors)
        opened.groups.create("critics", ("ann",))
        members = opened.groups.read_members("critics")
        opened.groups.save_personalization("critics", "chameleon", card, tensors, fitted_on=members)
    export = (str(out), "--format", "peft", "--verify", "--even-if-unused", "--store", target, "--json")
    of_user, of_group = run(*export, "--user", "ann"), run(*export, "--group", "critics")
    for result in (of_user, of_group):
        assert result.exit_code == 0, result.output
        assert "note:" not in result.stderr
    told, again = json.loads(of_user.stdout), json.loads(of_group.stdout)
    assert told["verification"]["passed"]
    assert told["layers"] == sorted(learned.edit.layers)
    assert (again["name"], again["new"]) == (told["name"], False)
    with Store.open(target) as opened:
        opened.save_users([replace(person, texts=(*person.texts, "One more."))])
    for whose in (("--user", "ann"), ("--group", "critics")):
        result = run(*export, *whose)
        assert result.exit_code == 0, result.output
        assert "have changed since the edit was learned; fit again to include them" in " ".join(result.stderr.split())
        assert json.loads(result.stdout)["name"] == told["name"]
