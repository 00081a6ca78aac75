"""The composition root: everything opened at its first use, everything closed, one model object for all use cases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from idiolect.application.asking import ask
from idiolect.application.blocking import Workspace
from idiolect.application.choices import FermiChoices
from idiolect.application.fitting import fit_users, open_learner
from idiolect.application.owner import Owner
from idiolect.application.persons import known_about
from idiolect.application.workspace import AsyncWorkspace, WorkspaceSettings
from idiolect.errors import SettingsError, StoreError
from idiolect.models.calls.cache import CallCache
from idiolect.models.doubles import FunctionModel
from tests.application.mimicked import ANN, FAST, opened
from tests.cli.learning import TEA, mimic


async def test_nothing_is_opened_before_its_first_use(tmp_path: Path) -> None:
    store = tmp_path / "store"
    async with AsyncWorkspace(WorkspaceSettings(store, " ")) as space:
        with pytest.raises(SettingsError, match="the model's name is empty"):
            await open_learner(space, FAST)
        assert (space.opened_run, list(space.models.opened_models())) == (None, [])
        assert not store.exists()
        assert list(space.store.user_ids()) == []
        assert (store / "idiolect.db").exists()
        assert not (store / "calls.db").exists(), "the cache belongs to calls"
        assert space.run is space.run is space.opened_run
        assert (store / "calls.db").exists()


async def test_a_store_that_is_not_there_is_made_only_where_it_may_be(tmp_path: Path) -> None:
    async with AsyncWorkspace(WorkspaceSettings(tmp_path / "typo", mimic(), create=False)) as space:
        for use in (known_about(space, "ann"), ask(space, Owner.user("ann"), TEA)):
            with pytest.raises(StoreError, match="there is no store at"):
                await use
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["a\0b", "~nobody-of-that-name/x", "nosuch:/ann:pw@h/x"])
def test_a_store_that_cannot_exist_is_refused_at_once(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError):
        Workspace.open(target)
    if "\0" not in target:
        monkeypatch.setenv("IDIOLECT_STORE", target)
        with pytest.raises(StoreError):
            WorkspaceSettings()


async def test_the_store_of_the_environment_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDIOLECT_STORE", str(tmp_path / "mine"))
    async with AsyncWorkspace() as space:
        assert space.store.folder == tmp_path / "mine"


async def test_a_model_object_learns_and_is_found_again_by_what_was_learned(tmp_path: Path) -> None:
    model = mimic()
    async with AsyncWorkspace(opened(tmp_path / "store", model)) as space:
        await fit_users(space, await open_learner(space, FAST), [ANN])
    before = len(model.choice_requests)
    async with AsyncWorkspace(opened(tmp_path / "store", model)) as space:
        asked = await ask(space, Owner.user("ann"), TEA)
        assert (asked.text, asked.prompts is not None and asked.prompts.model) == ("always", "mimic")
        assert [each.model for each in space.models.opened_models()] == [model]
    assert len(model.choice_requests) > before


async def test_model_and_optimizer_may_be_two_objects_of_two_names(tmp_path: Path) -> None:
    model, writer = mimic(), FunctionModel("writer", complete=lambda request: f"[Text {request.draw}]")
    async with AsyncWorkspace(replace(opened(tmp_path / "store", model), optimizer=writer)) as space:
        report = await fit_users(space, await open_learner(space, FAST), [ANN])
    assert report.complete
    assert (len(writer.completion_requests) > 0, model.completion_requests) == (True, [])
    with pytest.raises(ValueError, match="two models have the name 'mimic'"):
        AsyncWorkspace(replace(opened(tmp_path / "store", model), optimizer=mimic()))


async def test_everything_is_closed_at_the_end_also_after_an_error(tmp_path: Path) -> None:
    space = AsyncWorkspace(opened(tmp_path / "store"))

    async def fail() -> None:
        async with space:
            await open_learner(space, FermiChoices(similarity="bm25"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert space.opened_run is not None
    cache = space.opened_run.calls.cache
    assert cache is not None
    CallCache.open(cache.path).close()
    assert list(space.models.opened_models()) == []


async def test_a_halt_before_the_first_call_holds_for_all_of_them(tmp_path: Path) -> None:
    """Ctrl-C while a model is opened: no call may come after it."""
    model = mimic()
    async with AsyncWorkspace(opened(tmp_path / "store", model)) as space:
        space.halt("enough")
        report = await fit_users(space, await open_learner(space, FAST), [ANN])
    assert (report.halted_by, [each.state for each in report.outcomes]) == ("enough", ["not learned"])
    assert model.choice_requests == []
