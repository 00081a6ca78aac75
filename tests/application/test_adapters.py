"""Adapters: an edit as the store has it becomes files, of a user and of a group; what no LoRA does is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from idiolect.application.adapters import AdapterExported, export_adapter
from idiolect.application.chameleon import GROUP_NOTE, LEARNED_FROM, USER_NOTE
from idiolect.application.owner import Owner
from idiolect.application.workspace import AsyncWorkspace, WorkspaceSettings
from idiolect.errors import ExportError, NotFittedError, UnknownUserError, VerificationError
from idiolect.export import peft_folder
from idiolect.export.exporting import ExportOptions
from idiolect.methods.chameleon.fitting import Chameleon
from idiolect.methods.chameleon.grouped import GroupedChameleon
from idiolect.methods.chameleon.identity import ModelIdentity
from idiolect.methods.chameleon.personalization import ChameleonPersonalization
from idiolect.methods.evidence import Evidence
from idiolect.models.doubles import FunctionModel
from idiolect.models.edits import Edit
from idiolect.models.language_model import LanguageModel
from idiolect.models.local import LocalModel
from idiolect.store import DEFAULT_TENANT, Store
from idiolect.store.group_records import data_digest
from tests.methods.chameleon import planted
from tests.methods.chameleon.starts import random_start
from tests.models import tiny
from tests.models.tiny import SIZES

ANN = replace(planted.writer(), id="ann")
OWNERS = (Owner.user("ann"), Owner.group("critics"))


@pytest.fixture(scope="module")
def model() -> Iterator[LocalModel]:
    with closing(tiny.local_model()) as opened:
        yield opened


@pytest.fixture(scope="module")
def kept(model: LocalModel) -> ChameleonPersonalization:
    """An edit that its evidence speaks for, of the tiny model's width."""
    identity = ModelIdentity("tiny", model.fingerprint())
    learner = Chameleon(planted.PlantedModel(), planted.settings(), embedder=planted.Letters(), identity=identity)
    learned = asyncio.run(learner.fit(ANN))
    eligible = tuple(replace(trial, eligible=True) for trial in learned.trials)
    return replace(learned, edit=tiny.edit(0), trials=eligible, evidence=Evidence((1.0,), (0.0,)))


def save(folder: Path, learned: ChameleonPersonalization) -> None:
    """Keep it for ann and for the critics, of whom ann is one."""
    card, tensors = learned.to_json(), learned.tensor_bytes()
    with Store.open(folder / "store", tenant=DEFAULT_TENANT) as store:
        store.save_users([ANN])
        store.save_personalization("ann", "chameleon", {**card, LEARNED_FROM: data_digest(ANN)}, tensors)
        store.groups.create("critics", ("ann",))
        members = store.groups.read_members("critics")
        store.groups.save_personalization("critics", "chameleon", card, tensors, fitted_on=members)


async def export(
    folder: Path,
    model: LanguageModel,
    *,
    owners: Sequence[Owner] = OWNERS[:1],
    options: ExportOptions | None = None,
    even_if_unused: bool = False,
    name_owner: bool = False,
) -> list[AdapterExported]:
    """Export for each owner, from a workspace that has the model."""
    chosen = options or ExportOptions("peft", folder / "out")
    async with AsyncWorkspace(WorkspaceSettings(folder / "store", model)) as space:
        return [
            await export_adapter(space, owner, chosen, even_if_unused=even_if_unused, name_owner=name_owner)
            for owner in owners
        ]


def folders(folder: Path) -> list[Path]:
    return list((folder / "out").iterdir()) if (folder / "out").exists() else []


async def test_what_the_store_holds_is_what_is_exported(
    tmp_path: Path, model: LocalModel, kept: ChameleonPersonalization
) -> None:
    """For a user and for a group: the files depend on the edit alone, and say when it is stale."""
    save(tmp_path, kept)
    verified = ExportOptions("peft", tmp_path / "out", verify=True)
    first, second = await export(tmp_path, model, owners=OWNERS, options=verified)
    assert first.exported.verification is not None
    assert first.exported.verification.passed
    assert first.exported.layers == tuple(sorted(kept.edit.layers))
    assert (second.exported.name, second.exported.published.new) == (first.exported.name, False)
    assert (first.stale, second.stale) == ("", "")
    (folder,) = folders(tmp_path)
    assert folder == first.exported.published.folder
    assert not any(b"ann" in file.read_bytes() for file in folder.glob("*.json"))
    with Store.open(tmp_path / "store", tenant=DEFAULT_TENANT) as store:
        store.save_users([replace(ANN, texts=(*ANN.texts, "One more."))])
    again = await export(tmp_path, model, owners=OWNERS)
    assert [each.stale for each in again] == [USER_NOTE, GROUP_NOTE]
    assert {each.exported.name for each in again} == {first.exported.name}


async def test_a_step_from_a_groups_edit_is_exactly_one_lora_of_its_rank(tmp_path: Path, model: LocalModel) -> None:
    made = planted.stepping(rank=2, neutral_texts=2, neutral_tokens=8)
    start = random_start(SIZES["num_hidden_layers"], SIZES["hidden_size"], rank=2)
    identity = ModelIdentity("tiny", model.fingerprint())
    learned = await GroupedChameleon(model, made, start=start, identity=identity).fit(ANN)
    assert learned.started_from is not None  # a copy of a group's edit: no group of that name has to be in the store
    save(tmp_path, replace(learned, started_from=replace(learned.started_from, origin="folder")))
    (found,) = await export(
        tmp_path, model, options=ExportOptions("peft", tmp_path / "out", verify=True), even_if_unused=True
    )
    assert found.exported.verification is not None
    assert found.exported.verification.passed
    (folder,) = folders(tmp_path)
    assert json.loads((folder / "adapter_config.json").read_text())["r"] == 2
    assert found.exported.layers == tuple(range(SIZES["num_hidden_layers"]))


async def test_the_owner_is_named_only_when_asked_for(
    tmp_path: Path, model: LocalModel, kept: ChameleonPersonalization
) -> None:
    save(tmp_path, kept)
    gguf = ExportOptions("gguf", tmp_path / "out")
    (named,) = await export(tmp_path, model, owners=OWNERS[1:], options=gguf, name_owner=True)
    folder = named.exported.published.folder
    assert named.exported.published.path == folder / f"{folder.name}.gguf"
    assert json.loads((folder / "idiolect.json").read_text())["whose"] == "group critics"


async def test_an_adapter_that_fails_its_check_is_not_left_behind(
    tmp_path: Path, model: LocalModel, kept: ChameleonPersonalization, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, kept)
    exact = peft_folder.peft_tensors
    monkeypatch.setattr(
        peft_folder, "peft_tensors", lambda *given: {name: 1.01 * each for name, each in exact(*given).items()}
    )
    with pytest.raises(VerificationError, match="acts differently from the edit"):
        await export(tmp_path, model, options=ExportOptions("peft", tmp_path / "out", verify=True))
    assert folders(tmp_path) == []


@pytest.mark.parametrize(
    ("edit", "fingerprint", "reason"),
    [
        (tiny.edit(0, positions="generated"), None, "only on generated positions"),
        (tiny.edit(0, gate="positive"), None, "gated"),
        (tiny.edit(0), "0" * 64, "learned on other weights"),
    ],
)
async def test_what_no_lora_does_is_refused(
    tmp_path: Path,
    model: LocalModel,
    kept: ChameleonPersonalization,
    edit: Edit,
    fingerprint: str | None,
    reason: str,
) -> None:
    save(tmp_path, replace(kept, edit=edit, fingerprint=fingerprint or kept.fingerprint))
    with pytest.raises(ExportError, match=reason):
        await export(tmp_path, model)
    assert folders(tmp_path) == []


async def test_an_edit_that_is_not_used_is_exported_only_on_demand(
    tmp_path: Path, model: LocalModel, kept: ChameleonPersonalization
) -> None:
    unused = replace(kept, evidence=Evidence((0.0,), (1.0,)))
    save(tmp_path, unused)
    with pytest.raises(ExportError, match="the base model answers for user ann, not the edit") as caught:
        await export(tmp_path, model)
    assert unused.gate in str(caught.value)
    assert caught.value.remedy is not None
    assert caught.value.remedy.setting == "even_if_unused"
    assert folders(tmp_path) == []
    await export(tmp_path, model, even_if_unused=True)
    assert len(folders(tmp_path)) == 1


async def test_a_model_that_does_not_run_here_has_no_weights_to_export(
    tmp_path: Path, kept: ChameleonPersonalization
) -> None:
    save(tmp_path, kept)
    with pytest.raises(ExportError, match="a LoRA cannot be made from its weights"):
        await export(tmp_path, FunctionModel("tiny"))


async def test_nobodys_edit_is_exported(tmp_path: Path, model: LocalModel) -> None:
    with Store.open(tmp_path / "store", tenant=DEFAULT_TENANT) as store:
        store.save_users([ANN])
        store.groups.create("critics", ("ann",))
    for owner in OWNERS:
        with pytest.raises(NotFittedError):
            await export(tmp_path, model, owners=[owner])
    with pytest.raises(UnknownUserError):
        await export(tmp_path, model, owners=[Owner.user("eve")])
