"""Every cache that was used with a store is opened by its erasure; a cache that cannot be is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from idiolect.erasure.forgetting import forget_user
from idiolect.errors import CacheError
from idiolect.models.calls.cache import CallCache
from idiolect.models.calls.cache.claims import erasing
from idiolect.store import DEFAULT_TENANT, Store
from idiolect.store.companions import note
from tests.erasure.keeping import ANNA, BORIS, everything, learn


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IDIOLECT_CACHE", str(tmp_path / "caches"))
    return tmp_path / "caches"


async def test_caches_of_other_environments_are_forgotten_and_searched_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, used = f"sqlite:///{tmp_path}/a.db", []
    for place in ("one", "two"):
        monkeypatch.setenv("IDIOLECT_CACHE", str(tmp_path / place))
        with Store.open(url, tenant=DEFAULT_TENANT) as store, CallCache.open(store.cache_path) as cache:
            used.append(cache.path)
            await learn(store, cache, ANNA)
            await learn(store, cache, BORIS)
    monkeypatch.setenv("IDIOLECT_CACHE", str(tmp_path / "three"))
    with Store.open(url, tenant=DEFAULT_TENANT) as store:
        receipt = forget_user(store, ANNA.id)
    assert receipt.proven
    assert {str(path) for path in used} <= receipt.before.places.keys()
    assert receipt.calls_deleted == 4
    assert b"red handbag" not in everything(tmp_path)
    with CallCache.open(used[0]) as cache:
        assert len(list(cache.calls_of(BORIS.id))) == 2


async def test_noted_cache_that_is_gone_or_no_cache_is_named_and_nothing_is_proven(tmp_path: Path) -> None:
    with Store.open(tmp_path / "people", tenant=DEFAULT_TENANT) as store, CallCache.open(store.cache_path) as cache:
        await learn(store, cache, ANNA)
        (tmp_path / "text").write_text("no cache, but long enough to be looked at " * 100)
        note(store.database, tmp_path / "gone" / "calls.db", tenant=DEFAULT_TENANT)
        note(store.database, tmp_path / "text", tenant=DEFAULT_TENANT)
    with Store.open(tmp_path / "people", tenant=DEFAULT_TENANT) as store:
        receipt = forget_user(store, ANNA.id)
    assert receipt.caches_missed == (
        f"cache {tmp_path / 'gone' / 'calls.db'}: does not exist, but was used with this store",
        f"cache {tmp_path / 'text'}: the file is not a database; move it away to continue (its calls are then paid for"
        " again)",
    )
    assert receipt.after.total == 0
    assert not receipt.proven


async def test_cache_in_the_folder_is_known_to_a_url_and_moves_with_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "people"
    with Store.open(folder, tenant=DEFAULT_TENANT) as store, CallCache.open(store.cache_path) as cache:
        await learn(store, cache, ANNA)
        (folder / "more").mkdir()
        note(store.database, folder / "more" / "calls.db", tenant=DEFAULT_TENANT)
    shutil.move(folder, tmp_path / "moved")
    CallCache.open(tmp_path / "moved" / "more" / "calls.db").close()
    with Store.open(f"sqlite:///{tmp_path}/moved/idiolect.db", tenant=DEFAULT_TENANT) as store:
        receipt = forget_user(store, ANNA.id)
    assert receipt.proven
    assert receipt.calls_deleted == 3


async def test_two_erasures_do_not_go_on_at_once(tmp_path: Path) -> None:
    with Store.open(tmp_path / "people", lock_timeout=0.1, tenant=DEFAULT_TENANT) as store:
        with CallCache.open(store.cache_path) as cache:
            await learn(store, cache, ANNA)
        with (
            erasing(tmp_path / "people" / "calls.db", lock_timeout=0),
            pytest.raises(CacheError, match="is being forg"),
        ):
            forget_user(store, ANNA.id)
        assert store.user(ANNA.id) == ANNA
