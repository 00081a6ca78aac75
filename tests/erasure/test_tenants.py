"""Erasure in one of two tenants with the same ids: the other keeps its rows, calls, artifacts and keys."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from idiolect.application.persons import export_from
from idiolect.erasure.forgetting import artifact_folder, forget_user
from idiolect.models.calls.cache import CallCache
from idiolect.people.user import Opinion, Question, User
from idiolect.store import DEFAULT_TENANT, Store
from idiolect.store.companions import known_caches
from tests.erasure.keeping import ANNA, BORIS, call, key_of, learn

RED = "red company"
OTHER_ANNA = User(ANNA.id, opinions=(Opinion(Question("Which way home?"), "The long way round, by the river"),))


@pytest.fixture
async def kept(
    store_target: str,
) -> AsyncIterator[tuple[tuple[Store, CallCache], tuple[Store, CallCache]]]:
    """Two tenants, each with Anna, and one with Boris; each has a cache and, in a folder, artifacts."""
    with Store.open(store_target, tenant=DEFAULT_TENANT) as store:
        red = store.of_tenant(RED, create=True)
        with CallCache.open(store.cache_path) as cache, CallCache.open(red.cache_path) as red_cache:
            for user in (ANNA, BORIS):
                await learn(store, cache, user)
            await learn(red, red_cache, OTHER_ANNA)
            for each in (store, red):
                if each.tenant_folder is not None:
                    artifacts = artifact_folder(each.tenant_folder, ANNA.id)
                    artifacts.mkdir(parents=True)
                    (artifacts / "notes").write_text(f"notes of {ANNA.id}")
            yield (store, cache), (red, red_cache)


def held(store: Store, cache: CallCache) -> list[object]:
    folder = store.tenant_folder
    return [
        store.user(ANNA.id),
        store.personalizations(ANNA.id),
        store.checkpoints(ANNA.id),
        list(cache.calls_of(ANNA.id)),
        folder is None or artifact_folder(folder, ANNA.id).is_dir(),
    ]


async def test_the_same_id_in_the_other_tenant_is_untouched(
    kept: tuple[tuple[Store, CallCache], tuple[Store, CallCache]],
) -> None:
    (store, cache), (red, red_cache) = kept
    before = held(red, red_cache)
    receipt = forget_user(store, ANNA.id, cache=cache)
    assert receipt.proven
    assert held(red, red_cache) == before
    assert list(store.user_ids()) == [BORIS.id]
    assert list(cache.calls_of(ANNA.id)) == []
    assert receipt.before.total > 10
    receipt = forget_user(red, ANNA.id, cache=red_cache)
    assert receipt.proven
    assert list(red_cache.calls_of(ANNA.id)) == []
    assert [user.id for user in store.users()] == [BORIS.id]
    assert store.folder is None or not list(store.folder.rglob("notes"))


async def test_what_another_tenant_holds_too_is_no_trace(
    kept: tuple[tuple[Store, CallCache], tuple[Store, CallCache]],
) -> None:
    """The same person with the same texts, learned data and calls is in both tenants."""
    (store, cache), (red, red_cache) = kept
    await learn(red, red_cache, ANNA)
    result = {"text": "An answer that no other person's calls contain", "finish_reason": "stop"}
    for each in (cache, red_cache):
        await call(each, key_of("same"), result, owner=ANNA.id)
    receipt = forget_user(store, ANNA.id, cache=cache)
    assert receipt.after.places == {}
    assert [call.key for call in red_cache.calls_of(ANNA.id)].count(key_of("same")) == 1


async def test_trace_in_the_cache_of_another_tenant_is_found(tmp_path: Path) -> None:
    """Nobody there has it, so it should not be there: the search below the folder sees it."""
    with Store.open(tmp_path, tenant=DEFAULT_TENANT) as store:
        red = store.of_tenant(RED, create=True)
        with CallCache.open(store.cache_path) as cache, CallCache.open(red.cache_path) as red_cache:
            await learn(store, cache, ANNA)
            await call(red_cache, key_of("lost"), {"text": ANNA.texts[0]}, owner="nobody there")
            receipt = forget_user(store, ANNA.id, cache=cache)
    assert not receipt.proven
    assert list(receipt.after.places) == [str(place) for place in receipt.after.places if "tenants" in place]


async def test_export_has_the_calls_of_its_tenant_only(
    kept: tuple[tuple[Store, CallCache], tuple[Store, CallCache]],
) -> None:
    (store, cache), (red, red_cache) = kept
    for of, held_cache, other in ((store, cache, "long way"), (red, red_cache, "handbag")):
        exported = export_from(of, ANNA.id, held=held_cache)
        assert len(exported.holdings.calls) == len(list(held_cache.calls_of(ANNA.id)))
        assert other not in repr(exported.holdings)


async def test_each_tenant_has_caches_of_its_own(
    kept: tuple[tuple[Store, CallCache], tuple[Store, CallCache]],
) -> None:
    (store, _), (red, _) = kept
    for each in (store, red):
        assert next(iter(known_caches(each.database, tenant=each.tenant))).samefile(each.cache_path)
    assert (
        known_caches(store.database, tenant=DEFAULT_TENANT).keys().isdisjoint(known_caches(store.database, tenant=RED))
    )
