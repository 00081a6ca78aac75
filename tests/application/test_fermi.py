"""Fermi with its models: names that open them again, what distinguishes them, and the way out without embeddings."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest

from idiolect.application.choices import FermiChoices, fermi_settings
from idiolect.application.fermi import FermiLearner, FermiSummary, open_fermi, similarity_remedy
from idiolect.application.model_pool import ModelPool
from idiolect.application.run import CallSettings
from idiolect.application.workspace import WorkspaceSettings
from idiolect.errors import ModelError
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.presets import preset
from idiolect.methods.setting_changes import changed
from idiolect.models.doubles import FunctionModel
from idiolect.people.user import Opinion, Question, UserProfile
from idiolect.store import DEFAULT_TENANT, Store
from tests.application.mimicked import ANN, FAST, opened
from tests.application.served import fit_in
from tests.cli import learning
from tests.cli.learning import mimic, record

SETTINGS = fermi_settings(FAST, model="mimic")


async def learner(pool: ModelPool | None = None) -> FermiLearner:
    pool = pool or ModelPool(CallSettings())
    return await open_fermi(pool, SETTINGS, model=pool.add(mimic()))


def test_models_are_named_so_that_they_open_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From any folder; and they are the same ones there."""
    name = record(tmp_path / "mimic.jsonl", [learning.ANN])
    monkeypatch.chdir(tmp_path)
    asyncio.run(fit_in(WorkspaceSettings(tmp_path / "store", "replay:mimic.jsonl"), [ANN], FAST))
    with Store.open(tmp_path / "store", create=False, tenant=DEFAULT_TENANT) as store:
        kept = FermiPersonalization.from_json(store.personalization("ann", "fermi"))
    assert (kept.model, kept.optimizer) == (name, name)
    (tmp_path / "folder").mkdir()
    identities = set()
    for folder, given in ((tmp_path, "replay:mimic.jsonl"), (tmp_path / "folder", name)):
        monkeypatch.chdir(folder)
        found = asyncio.run(open_fermi(ModelPool(CallSettings()), SETTINGS, model=given))
        identities.add(found.identity)
        assert found.made_with == "", "the weights behind a recording are not known"
    assert identities == {(name, "") * 2 + ("",)}


async def test_the_same_is_learned_again_only_where_something_differs(tmp_path: Path) -> None:
    await fit_in(opened(tmp_path / "store"), [ANN], FAST)
    with Store.open(tmp_path / "store", create=False, tenant=DEFAULT_TENANT) as store:
        found = store.find_personalization("ann", "fermi")
    assert found is not None
    kept, here = FermiPersonalization.from_json(found.payload), await learner()
    assert here.already_learned(found, ANN) == FermiSummary.of(kept)
    others = [
        replace(ANN, opinions=ANN.opinions[1:]),
        replace(ANN, opinions=(*ANN.opinions, Opinion(Question("Wine?"), "No"))),
        replace(ANN, profile=UserProfile({"Age": "65+"})),
    ]
    assert [here.already_learned(found, other) for other in others] == [None] * 3
    changed = [
        replace(kept, finished=False).to_json(),
        replace(kept, model="another").to_json(),
        replace(kept, settings=replace(SETTINGS, seed=1)).to_json(),
        {"format": 1},
    ]
    assert [here.already_learned(replace(found, payload=payload), ANN) for payload in changed] == [None] * 4
    assert FermiSummary.of(kept).calls == kept.answering.calls + kept.optimizing.calls


async def test_what_was_learned_before_the_output_rule_is_learned_again_only_where_the_rule_matters(
    tmp_path: Path,
) -> None:
    await fit_in(opened(tmp_path / "store"), [ANN], FAST)
    with Store.open(tmp_path / "store", create=False, tenant=DEFAULT_TENANT) as store:
        found = store.find_personalization("ann", "fermi")
    assert found is not None
    older = deepcopy(dict(found.payload)) | {"format": 2}
    del older["settings"]["answering"]["output_rule"]
    record = replace(found, payload=older)
    for mode, again in (("likelihood", False), ("generate", True)):
        older["settings"]["answering"]["mode"] = mode
        settings = changed(SETTINGS, {"answering.mode": mode})
        here = replace(await learner(), settings=settings)
        assert (here.already_learned(record, ANN) is None) == again
        unruled = replace(here, settings=changed(settings, {"answering.output_rule": False}))
        assert unruled.already_learned(record, ANN) is not None


@pytest.mark.parametrize(
    ("choices", "value"),
    [
        (FermiChoices("paper"), "paper-offline"),
        (FermiChoices("paper-offline"), "bm25"),
        (FermiChoices("paper", similarity="minilm"), "bm25"),
        (FermiChoices("demo", similarity="bm25"), None),
    ],
)
def test_what_does_without_the_similarity_is_named(choices: FermiChoices, value: str | None) -> None:
    remedy = similarity_remedy(fermi_settings(choices, model="embedded"))
    assert (None if remedy is None else remedy.value) == value


async def test_a_model_that_cannot_answer_that_way_is_refused_at_once() -> None:
    pool = ModelPool(CallSettings())
    name = pool.add(FunctionModel("writes", complete=lambda _: "x"))
    mute = pool.add(FunctionModel("mute"))
    assert (await open_fermi(pool, replace(preset("paper-offline")), model=name)).model.name == name
    assert (await open_fermi(pool, SETTINGS, model=mute)).optimizer is await pool.model(mute)
    with pytest.raises(ModelError, match=r"no model at \./nowhere"):
        await open_fermi(pool, SETTINGS, model=name, optimizer="./nowhere")
