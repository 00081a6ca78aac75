"""Everything about one person: known, handed over, counted, and forgotten while the workspace goes on."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from idiolect.application.fitting import fit_users, open_learner
from idiolect.application.opinions import add_opinion
from idiolect.application.persons import ToForget, export_person, forget, known_about, known_in, to_forget
from idiolect.application.workspace import AsyncWorkspace, WorkspaceSettings
from idiolect.errors import StoreError, UnknownUserError
from idiolect.models.calls.cache import CallCache
from idiolect.models.doubles import FunctionModel
from idiolect.people.user import Opinion, Question
from idiolect.store import DEFAULT_TENANT, DamagedUser, Store, users
from idiolect.store.companions import note
from idiolect.store.people_rows import entered_places
from idiolect.store.tenant_rows import TenantConnection
from tests.api_server import ApiServer
from tests.application.mimicked import ANN, FAST, SILENT, opened
from tests.application.served import FEW, fit_in, people, settings, states
from tests.cli.learning import mimic
from tests.cli.remote_world import answer
from tests.erasure.keeping import ANNA, BORIS, SHARED_RESULT, call, damage, everything, key_of, learn


@pytest.fixture
def held(tmp_path: Path) -> Path:
    """A store with everything that can be held about two people."""
    folder = tmp_path / "people"
    with Store.open(folder, tenant=DEFAULT_TENANT) as store, CallCache.open(store.cache_path) as cache:
        for user in (ANNA, BORIS):
            asyncio.run(learn(store, cache, user))
    return folder


def ids(folder: Path) -> Sequence[str]:
    with Store.open(folder, tenant=DEFAULT_TENANT) as store:
        return list(store.user_ids())


async def test_what_is_known_is_told_with_what_was_learned_and_entered(tmp_path: Path) -> None:
    await fit_in(opened(tmp_path / "store"), [ANN, SILENT], FAST)
    async with AsyncWorkspace(opened(tmp_path / "store")) as space:
        space.store.groups.create("drinkers", ("ann",))
        await add_opinion(space, "ann", Opinion(Question("Wine?"), "Rarely"), iterations=None)
        known = await known_about(space, "ann")
        assert known.user == space.store.user("ann")
        assert [known.user.opinions[place].answer for place in known.entered] == ["Rarely"]
        assert [record.method for record in known.learned] == list(known.summary.methods) == ["fermi"]
        assert (known.summary.n_opinions, known.groups) == (len(ANN.opinions) + 1, ("drinkers",))
        silent = await known_about(space, "silent")
        assert (silent.user, silent.learned, silent.entered, silent.groups) == (SILENT, (), (), ())
        with pytest.raises(UnknownUserError):
            await known_about(space, "eve")
        assert space.opened_run is None


def test_what_is_known_is_of_one_state_while_somebody_changes_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        Store.open(tmp_path, tenant=DEFAULT_TENANT) as store,
        Store.open(tmp_path, tenant=DEFAULT_TENANT) as other,
    ):
        store.save_users([ANN])
        store.put_opinion(ANN.id, Opinion(Question("Is it late?"), "Yes."))

        def changed_before(connection: TenantConnection, user_id: str) -> tuple[int, ...]:
            other.remove_opinion(ANN.id, ANN.opinions[0].question.text)
            return entered_places(connection, user_id)

        monkeypatch.setattr(users, "entered_places", changed_before)
        known = known_in(store, ANN.id)
    assert [known.user.opinions[place].question.text for place in known.entered] == ["Is it late?"]


async def test_a_person_is_forgotten_by_the_workspace_that_learned_from_them(tmp_path: Path) -> None:
    """Its cache is open; what it holds of others, and the workspace itself, go on."""
    store = tmp_path / "store"
    with ApiServer(answer) as server:
        async with AsyncWorkspace(settings(store, server)) as space:
            learner = await open_learner(space, FEW)
            assert (await fit_users(space, learner, people("ann", "bob"))).complete
            counted = await to_forget(space, "ann")
            assert counted.summary is not None
            assert (counted.summary.id, counted.unfinished, counted.calls > 0) == ("ann", 0, True)
            exported = await export_person(space, "ann")
            assert (len(exported.holdings.calls), exported.missed) == (counted.calls, ())
            receipt = await forget(space, "ann")
            assert (receipt.proven, receipt.calls_deleted, receipt.after.total) == (True, counted.calls, 0)
            for use in (forget(space, "ann"), to_forget(space, "ann"), export_person(space, "ann")):
                with pytest.raises(UnknownUserError):
                    await use
            before = len(server.requests)
            assert states(await fit_users(space, learner, people("bob"))) == {"bob": "learned"}
            assert len(server.requests) == before, "bob's answers were forgotten with ann's"
            assert states(await fit_users(space, learner, people("ann"))) == {"ann": "learned"}
            assert len(server.requests) == before + counted.calls
            assert (await forget(space, "ann")).proven
    assert b"What would ann have" not in everything(store)


class Remembering(FunctionModel):
    """A model that remembers prompts until it is to forget them."""

    forgotten = 0

    async def forget_prefixes(self) -> None:
        self.forgotten += 1


async def test_models_forget_what_they_remember_of_prompts(tmp_path: Path) -> None:
    model = Remembering("remembering")
    async with AsyncWorkspace(WorkspaceSettings(tmp_path, model)) as space:
        space.store.save_users([ANNA])
        assert (await forget(space, ANNA.id)).proven
        with pytest.raises(UnknownUserError):
            await forget(space, ANNA.id)
    assert model.forgotten == 1


async def test_no_cache_is_made_for_a_receipt(tmp_path: Path) -> None:
    async with AsyncWorkspace(opened(tmp_path)) as space:
        space.store.save_users([ANNA])
        assert (await to_forget(space, ANNA.id)).calls == 0
        receipt = await forget(space, ANNA.id)
    assert (receipt.calls_deleted, receipt.calls_shared, receipt.proven) == (0, 0, True)
    assert not (tmp_path / "calls.db").exists()


async def test_edits_of_others_that_would_go_are_counted(held: Path) -> None:
    async with AsyncWorkspace(opened(held)) as space:
        assert (await to_forget(space, ANNA.id)).begun_edits == 0
        space.store.groups.create("both", [ANNA.id])
        members = space.store.groups.read_members("both")
        space.store.groups.save_personalization("both", "chameleon", {"edit": "ab"}, fitted_on=members)
        card = {"started_from": {"group": "both", "digest": "ab", "origin": "store"}}
        space.store.save_personalization(BORIS.id, "chameleon", card)
        assert (await to_forget(space, ANNA.id)).begun_edits == 1
        assert (await forget(space, ANNA.id)).begun_edits_deleted == 1


async def test_damaged_data_is_marked_before_it_is_forgotten(held: Path) -> None:
    with closing(sqlite3.connect(held / "idiolect.db")) as database, database:
        database.execute("UPDATE users SET texts = '{bad' WHERE id = ?", (ANNA.id,))
        database.execute("UPDATE checkpoints SET payload = '{bad'")
    async with AsyncWorkspace(opened(held)) as space:
        assert await to_forget(space, ANNA.id) == ToForget(DamagedUser(ANNA.id, ANNA.id), 1, 2)
        assert (await forget(space, ANNA.id)).proven
        with pytest.raises(UnknownUserError):
            await to_forget(space, ANNA.id)


async def test_a_cache_that_another_workspace_uses_stops_everything(held: Path) -> None:
    async with AsyncWorkspace(WorkspaceSettings(held)) as space:
        with (
            CallCache.open(held / "calls.db"),
            pytest.raises(StoreError, match="another process or workspace is using it"),
        ):
            await forget(space, ANNA.id)
    assert ids(held) == [ANNA.id, BORIS.id]


async def test_what_is_left_in_the_folder_is_in_the_receipt(held: Path) -> None:
    (held / "copy.txt").write_text(ANNA.texts[0])
    async with AsyncWorkspace(WorkspaceSettings(held)) as space:
        receipt = await forget(space, ANNA.id)
    assert (receipt.proven, list(receipt.after.places)) == (False, [str(held / "copy.txt")])
    assert ids(held) == [BORIS.id], "deleted all the same"


async def test_one_of_whom_only_calls_are_left_is_forgotten(held: Path) -> None:
    with Store.open(held, tenant=DEFAULT_TENANT) as store, store.database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM users WHERE id = ?", (ANNA.id,))
    async with AsyncWorkspace(WorkspaceSettings(held)) as space:
        assert await to_forget(space, ANNA.id) == ToForget(None, 0, 2)
        receipt = await forget(space, ANNA.id)
        assert (receipt.in_store, receipt.calls_deleted, receipt.calls_shared) == (False, 2, 1)
        with pytest.raises(UnknownUserError):
            await to_forget(space, ANNA.id)


async def test_an_answer_that_cannot_be_read_stops_neither_export_nor_erasure(held: Path) -> None:
    damage(held)
    async with AsyncWorkspace(WorkspaceSettings(held)) as space:
        assert len((await export_person(space, ANNA.id)).holdings.calls) == 2
        receipt = await forget(space, ANNA.id)
    assert (receipt.proven, receipt.calls_deleted, receipt.calls_shared) == (True, 2, 1)


async def test_calls_of_every_cache_are_exported_and_a_missing_one_is_named(held: Path, tmp_path: Path) -> None:
    with Store.open(held, tenant=DEFAULT_TENANT) as store, CallCache.open(tmp_path / "other.db") as cache:
        note(store.database, cache.path, tenant=DEFAULT_TENANT)
        note(store.database, tmp_path / "gone.db", tenant=DEFAULT_TENANT)
        await call(cache, key_of("elsewhere"), {"text": "elsewhere"}, owner=ANNA.id)
        await call(cache, key_of("shared"), SHARED_RESULT, owner=ANNA.id)
    missing = f"cache {tmp_path / 'gone.db'}: does not exist, but was used with this store"
    async with AsyncWorkspace(WorkspaceSettings(held)) as space:
        exported = await export_person(space, ANNA.id)
        assert [each["result"] for each in exported.holdings.calls].count(SHARED_RESULT) == 1
        assert {"text": "elsewhere"} in [each["result"] for each in exported.holdings.calls]
        assert exported.missed == (missing,)
        receipt = await forget(space, ANNA.id)
    assert (receipt.proven, receipt.caches_missed) == (False, (missing,))
    assert ids(held) == [BORIS.id]


async def test_forgetting_needs_no_model(tmp_path: Path) -> None:
    model = mimic()
    await fit_in(opened(tmp_path / "store", model), [ANN], FAST)
    before = len(model.choice_requests)
    async with AsyncWorkspace(WorkspaceSettings(tmp_path / "store", "./nowhere")) as space:
        assert (await forget(space, "ann")).proven
    assert len(model.choice_requests) == before
