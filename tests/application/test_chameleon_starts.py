"""Where a person's step begins: packaged, in the store, or in a folder; other weights and missing edits are refused."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from idiolect.application.chameleon import ChameleonLearner, read_edit
from idiolect.application.chameleon_learners import LearnerByPerson, begin_steps
from idiolect.application.chameleon_starts import open_folder, open_start, packaged_start, save_start
from idiolect.application.choices import ChameleonChoices, chameleon_settings
from idiolect.application.fitting import fit_users, open_learner
from idiolect.application.groups import fit_group
from idiolect.application.workspace import AsyncWorkspace, WorkspaceSettings
from idiolect.errors import (
    GroupNeedsRefitError,
    IdiolectError,
    NotFittedError,
    OtherWeightsError,
    PersonalizationError,
    SettingsError,
    StoreError,
    UnknownGroupError,
)
from idiolect.methods.chameleon.judging import fluency
from idiolect.methods.chameleon.personalization import ChameleonPersonalization, StartedFrom
from idiolect.methods.chameleon.start import edit_of_factors, start_of
from idiolect.models.edits import Edit, LayerEdit
from idiolect.store import DEFAULT_TENANT, Store
from tests.application.edited import PAPER, SMALL, U1, U2, fit
from tests.application.served import states
from tests.cli.open_weights import learned, weights
from tests.methods.chameleon.planted import PlantedModel

pytestmark = pytest.mark.usefixtures("hashed")
STEPPED = ChameleonChoices(from_group="readers")


@pytest.fixture(scope="module")
def grouped_once(tiny_weights: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the edit of the group "readers", of which u1 is not a member; tests copy it."""
    store = tmp_path_factory.mktemp("grouped") / "store"

    async def learn() -> None:
        async with AsyncWorkspace(WorkspaceSettings(store, tiny_weights)) as space:
            space.store.save_users([U2])
            space.store.groups.create("readers", ("u2",))
            space.store.groups.create("empty", ("u2",))
            await fit_group(space, "readers", ChameleonChoices())

    asyncio.run(learn())
    return store


@pytest.fixture
def store(grouped_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(grouped_once, tmp_path / "store"))


def edit_of(store: Path, group: str = "readers") -> ChameleonPersonalization:
    with Store.open(store, create=False, tenant=DEFAULT_TENANT) as opened:
        return read_edit(opened.groups.personalization(group, "chameleon"))


async def test_a_step_begins_at_the_group_in_the_store(store: Path, tiny_weights: str) -> None:
    assert states(await fit(store, tiny_weights, [U1], STEPPED)) == {"u1": "learned"}
    kept = learned(store, "u1")
    assert kept.settings.preset == "grouped"
    assert kept.started_from == StartedFrom("readers", edit_of(store).edit.digest, "store")
    assert states(await fit(store, tiny_weights, [U1], STEPPED, resume=True)) == {"u1": "already learned"}


async def test_a_step_begins_at_the_edit_in_a_folder(store: Path, tmp_path: Path, tiny_weights: str) -> None:
    group = edit_of(store)
    save_start(group, tmp_path / "saved" / "readers")
    assert states(await fit(store, tiny_weights, [U1], STEPPED)) == {"u1": "learned"}
    from_store = learned(store, "u1")
    there = ChameleonChoices(from_group=str(tmp_path / "saved" / "readers"))
    assert states(await fit(tmp_path / "other", tiny_weights, [U1], there)) == {"u1": "learned"}
    from_folder = learned(tmp_path / "other", "u1")
    assert from_folder.edit == from_store.edit
    assert from_folder.started_from == StartedFrom("readers", group.edit.digest, "folder")


def begun(store: Path, name: str, group: ChameleonPersonalization) -> tuple[str, str]:
    """The digest of the edit at which a step from that name begins, and where it is; weights are the group's."""
    with Store.open(store, create=False, tenant=DEFAULT_TENANT) as opened:
        start, origin = open_start(name, lambda: opened, model=group.model, fingerprint=group.fingerprint)
    return start.digest, origin


def test_a_folder_never_stands_in_for_a_group(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    group = edit_of(store)
    copy = replace(group, edit=edit_of_factors(start_of(group).factors, 0.5))  # as of before the group's last fit
    for name in ("readers", "a/b", ".hidden", "writers"):
        save_start(copy, Path(name))
    held, copied = (group.edit.digest, "store"), (copy.edit.digest, "folder")
    assert held[0] != copied[0]
    assert begun(store, "readers", group) == held
    for name in ("./readers", str(tmp_path / "readers"), "a/b", ".hidden"):
        assert begun(store, name, group) == copied
    with pytest.raises(UnknownGroupError, match=r"no group 'writers'.*a folder of that name.*write \./writers$"):
        begun(store, "writers", group)
    with pytest.raises(UnknownGroupError) as unnamed:
        begun(store, "", group)
    assert "a folder of that name" not in str(unnamed.value)
    with Store.open(store, create=False, tenant=DEFAULT_TENANT) as opened:
        opened.groups.create("a/b", ("u2",))
        members = opened.groups.read_members("a/b")
        card, tensors = group.to_json(), group.tensor_bytes()
        opened.groups.save_personalization("a/b", "chameleon", card, tensors, fitted_on=members)
        opened.groups.remove_members("readers", ("u2",))
    assert begun(store, "a/b", group) == held
    with pytest.raises(GroupNeedsRefitError):
        begun(store, "readers", group)


@pytest.mark.parametrize("gone", ["forgotten", "fitted again"])
async def test_a_step_in_flight_is_not_kept_when_its_start_is_gone(store: Path, tiny_weights: str, gone: str) -> None:
    async with AsyncWorkspace(WorkspaceSettings(store, tiny_weights)) as space:
        learner = await open_learner(space, STEPPED)
        if gone == "forgotten":
            space.store.groups.forget("readers")
        else:
            await fit_group(space, "readers", ChameleonChoices(seed=1))
        report = await fit_users(space, learner, [U1])
        (outcome,) = report.outcomes
        assert (outcome.state, isinstance(outcome.error, StoreError)) == ("failed", True)
        assert "what chameleon learned was not saved" in str(outcome.error)
        with pytest.raises(NotFittedError):
            space.store.personalization("u1", "chameleon")


def test_a_folder_names_no_member_and_quotes_nobody(store: Path, tmp_path: Path) -> None:
    save_start(edit_of(store), tmp_path / "readers")
    written = {path.name: path.read_bytes() for path in (tmp_path / "readers").iterdir()}
    assert set(written) == {"edit.json", "edit.safetensors"}
    assert json.loads(written["edit.json"])["members"] == []
    said = [*U2.texts, *(opinion.question.text for opinion in U2.opinions), '"u2"', "u2 says"]
    assert not [each for each in said for content in written.values() if each.encode() in content]


async def test_a_folder_names_no_path_of_this_machine_and_serves_the_same_weights(
    store: Path, tmp_path: Path, tiny_weights: str
) -> None:
    group = edit_of(store)
    assert group.model == tiny_weights
    assert Path(tiny_weights).is_absolute()
    named = replace(group, settings=replace(group.settings, similarity=str(tmp_path / "embeddings")))
    save_start(named, tmp_path / "saved" / "readers")
    text = (tmp_path / "saved" / "readers" / "edit.json").read_text(encoding="utf-8")
    card = json.loads(text)
    assert (card["model"], card["settings"]["similarity"]) == (Path(tiny_weights).name, "embeddings")
    assert str(tmp_path.parent) not in text
    assert str(Path(tiny_weights).parent) not in text
    elsewhere = shutil.copytree(tiny_weights, tmp_path / "elsewhere")
    start = open_folder(str(tmp_path / "saved" / "readers"), model=str(elsewhere), fingerprint=group.fingerprint)
    assert (start.edit, start.digest) == (group.edit, group.edit.digest)


async def test_another_start_is_learned_from_anew(store: Path, tiny_weights: str) -> None:
    await fit(store, tiny_weights, [U1], STEPPED)
    first = learned(store, "u1")
    async with AsyncWorkspace(WorkspaceSettings(store, tiny_weights)) as space:
        await fit_group(space, "readers", ChameleonChoices(seed=1))
    assert states(await fit(store, tiny_weights, [U1], STEPPED, resume=True)) == {"u1": "learned"}
    second = learned(store, "u1")
    assert first.started_from != second.started_from
    assert first.edit != second.edit


async def test_without_a_groups_edit_a_step_from_one_is_refused(tmp_path: Path, tiny_weights: str) -> None:
    with pytest.raises(SettingsError, match=r"none is packaged for .* groups fit GROUP` and name it with --from-group"):
        await fit(tmp_path / "store", tiny_weights, [U1], ChameleonChoices("grouped"))


async def test_a_name_that_is_no_start_is_an_error_that_says_why(
    store: Path, tmp_path: Path, tiny_weights: str
) -> None:
    (tmp_path / "bare").mkdir()
    damaged = tmp_path / "damaged"
    save_start(edit_of(store), damaged)
    (damaged / "edit.safetensors").write_bytes(b"")
    refused: list[tuple[str, type[IdiolectError], str]] = [
        ("writers", UnknownGroupError, "writers"),
        ("x" * 300, UnknownGroupError, "xxx"),
        ("empty", NotFittedError, "empty"),
        (str(tmp_path / "bare"), SettingsError, "there is no edit.json in this folder, so it holds no edit of a group"),
        (str(damaged), PersonalizationError, "damaged"),
    ]
    for name, error, message in refused:
        with pytest.raises(error, match=message):
            await fit(store, tiny_weights, [U1], ChameleonChoices(from_group=name))
    (damaged / "edit.json").write_text("{")
    with pytest.raises(PersonalizationError, match=r"damaged: .* cannot be read \(JSONDecodeError\); write the folder"):
        await fit(store, tiny_weights, [U1], ChameleonChoices(from_group=str(damaged)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"user_id": ""}, "the group's id is blank"),
        ({"user_id": "a\0b"}, "cannot be stored"),
        ({"user_id": "\ud800"}, "cannot be stored"),
        ({"user_id": None}, "damaged at user_id"),
        ({"start": {"scale": [float("nan")] * 3}}, "damaged at start"),
        ({"start": {"scale": [0.0] * 3}}, "damaged at start"),
        ({"start": {"scale": [-20.0] * 3}}, "damaged at start"),
        ({"start": {"scale": [1e300] * 3}}, "damaged at start"),
        ({"start": {"neutral": []}}, "damaged at start"),
        ({"start": {"neutral": [{"request": "Write.", "text": " ", "logprob": -1.0}]}}, "damaged at start"),
        ({"start": {"neutral": [{"request": "Write.", "text": "\ud800", "logprob": -1.0}]}}, "damaged at start"),
        ({"start": {"neutral": [{"request": "Write.", "text": "So.", "logprob": float("nan")}]}}, "damaged at start"),
    ],
)
def test_a_folder_whose_card_was_changed_is_refused_with_its_name_and_what_to_do(
    store: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    kept = edit_of(store)
    save_start(kept, tmp_path / "readers")
    card = json.loads((tmp_path / "readers" / "edit.json").read_text())
    changes = {name: {**card[name], **new} if isinstance(new, dict) else new for name, new in changes.items()}
    (tmp_path / "readers" / "edit.json").write_text(json.dumps(card | changes))
    with pytest.raises(PersonalizationError, match=message) as e:
        open_folder(str(tmp_path / "readers"), model=kept.model, fingerprint=kept.fingerprint)
    assert "no step can begin at the edit in" in str(e.value)
    assert str(tmp_path / "readers") in str(e.value)
    assert "write the folder again with `idiolect groups save`" in str(e.value)


def test_a_card_that_is_nested_too_deeply_is_refused(store: Path, tmp_path: Path) -> None:
    kept = edit_of(store)
    save_start(kept, tmp_path / "readers")
    (tmp_path / "readers" / "edit.json").write_text('{"a":' * 100_000)
    with pytest.raises(PersonalizationError, match=r"cannot be read \(RecursionError\)"):
        open_folder(str(tmp_path / "readers"), model=kept.model, fingerprint=kept.fingerprint)


def test_a_full_disk_leaves_the_edit_that_was_there(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = edit_of(store)
    save_start(kept, tmp_path / "readers")
    before = {path.name: path.read_bytes() for path in (tmp_path / "readers").iterdir()}
    write = Path.write_bytes

    def half_written(path: Path, content: bytes) -> int:
        write(path, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", half_written)
        with pytest.raises(SettingsError, match=r"cannot write the edit \(No space left on device\)"):
            save_start(replace(kept, user_id="others"), tmp_path / "readers")
    assert {path.name: path.read_bytes() for path in (tmp_path / "readers").iterdir()} == before


def test_layers_of_different_ranks_are_no_start(store: Path, tmp_path: Path) -> None:
    kept = edit_of(store)
    first = kept.edit.layers[0]
    twice = LayerEdit(first.read.repeat(2, 1), first.write.repeat(2, 1))
    save_with = replace(kept, edit=Edit({**kept.edit.layers, 0: twice}))
    with pytest.raises(PersonalizationError, match="layers of different ranks"):
        save_start(save_with, tmp_path / "readers")


async def test_a_groups_edit_of_pairs_is_no_start(store: Path, tmp_path: Path, tiny_weights: str) -> None:
    group = replace(edit_of(store), start=None)
    with Store.open(store, create=False, tenant=DEFAULT_TENANT) as opened:
        members = opened.groups.read_members("readers")
        card, tensors = group.to_json(), group.tensor_bytes()
        opened.groups.save_personalization("readers", "chameleon", card, tensors, fitted_on=members)
    with pytest.raises(PersonalizationError, match="'readers' was not learned as a start for people"):
        await fit(store, tiny_weights, [U1], STEPPED)
    with pytest.raises(PersonalizationError, match="was not learned as a start"):
        save_start(group, tmp_path / "readers")
    assert not (tmp_path / "readers").exists()


async def test_a_start_of_other_weights_is_refused(store: Path, tmp_path: Path) -> None:
    other = weights(tmp_path / "other", seed=1)
    save_start(edit_of(store), tmp_path / "readers")
    with pytest.raises(OtherWeightsError, match="on other weights than those of") as e:
        await fit(store, other, [U1], ChameleonChoices(from_group="readers"))
    assert (e.value.model, e.value.owner, e.value.kind) == (other, "readers", "group")
    with pytest.raises(SettingsError, match=r"on other weights than those of .*groups fit"):
        await fit(store, other, [U1], ChameleonChoices(from_group=str(tmp_path / "readers")))


def test_a_start_of_unknown_weights_is_refused(store: Path, tmp_path: Path) -> None:
    kept = edit_of(store)
    save_start(replace(kept, fingerprint=""), tmp_path / "readers")
    with pytest.raises(SettingsError, match="learned on other weights"):
        open_folder(str(tmp_path / "readers"), model=kept.model, fingerprint=kept.fingerprint)


async def test_other_presets_begin_at_no_group(store: Path, tiny_weights: str) -> None:
    for choices in (SMALL, PAPER):
        with pytest.raises(SettingsError, match="does not begin at a group's edit"):
            await fit(store, tiny_weights, [U1], replace(choices, from_group="readers"))
    await fit(store, tiny_weights, [U1], SMALL)
    assert learned(store, "u1").started_from is None


CARD = json.loads((files("idiolect.methods.chameleon") / "starts" / "embedded" / "edit.json").read_text("utf-8"))


async def test_an_edit_is_packaged_for_the_embedded_model_and_no_other() -> None:
    model = PlantedModel()
    start = await packaged_start("embedded", CARD["fingerprint"], model)
    assert start is not None
    assert start.group
    assert start.edit.digest == start.digest
    assert len(start.neutral) == len(start.fluency.scores) > 0
    assert await packaged_start("some/model", CARD["fingerprint"], model) is None
    assert model.events == [], "what is in the package is taken as it is"


async def test_on_other_weights_the_packaged_texts_are_measured_again() -> None:
    """As in another dtype, or read by another version of transformers."""
    kept = await packaged_start("embedded", CARD["fingerprint"], PlantedModel())
    other = await packaged_start("embedded", "f" * 64, PlantedModel())
    assert kept is not None
    assert other is not None
    assert (other.digest, other.neutral) == (kept.digest, kept.neutral)
    assert other.fluency.scores == (await fluency(kept.neutral, PlantedModel())).scores != kept.fluency.scores
    assert other.usage.calls == len(kept.neutral)


async def named_embedded(
    folder: str, choices: ChameleonChoices, store: Path, *, fingerprint: str
) -> ChameleonLearner | LearnerByPerson:
    """The learner of the tiny network, under the embedded model's name and a fingerprint."""
    async with AsyncWorkspace(WorkspaceSettings(store, folder)) as space:
        opened = await space.models.model(folder)
        opened = replace(opened, source=replace(opened.source, name="embedded", fingerprint=fingerprint))
        learner = ChameleonLearner(chameleon_settings(choices, model="embedded"), opened, fingerprint)
        return await begin_steps(learner, choices, space)


async def test_steps_on_the_embedded_model_begin_at_the_packaged_edit(tiny_weights: str, tmp_path: Path) -> None:
    for fingerprint in (CARD["fingerprint"], "f" * 64):
        usual = await named_embedded(tiny_weights, ChameleonChoices(), tmp_path, fingerprint=fingerprint)
        named = await named_embedded(tiny_weights, ChameleonChoices("grouped"), tmp_path, fingerprint=fingerprint)
        assert isinstance(usual, LearnerByPerson)
        for learner in (usual.with_texts, named):
            assert isinstance(learner, ChameleonLearner)
            assert learner.start is not None
            begun = (learner.settings.preset, learner.start.group, learner.origin)
            assert begun == ("grouped", CARD["user_id"], "package")
        without = usual.without_texts
        assert (without.settings.preset, without.start) == ("measured", None)


def test_the_packaged_edit_names_nobody_and_quotes_only_the_model() -> None:
    assert (CARD["members"], CARD["insights"], CARD["pairs"]) == ([], [], [])
