"""Every cache that was used with a store is known to its erasure, however the store was named."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from idiolect.errors import CacheError
from idiolect.models.calls.cache import CallCache
from idiolect.models.calls.cache.claims import erasing
from idiolect.store import Store
from idiolect.store.companions import known_caches
from idiolect.store.erasure import forget_user
from tests.store.keeping import ANNA, BORIS, everything, learn

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IDIOLECT_CACHE", str(tmp_path / "caches"))
    return tmp_path / "caches"


def known(target: str | Path) -> dict[Path, bool]:
    with Store.open(target) as store:
        return known_caches(store.database)


def test_cache_of_a_file_is_the_same_under_every_spelling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path / "real")
    places = set()
    for name in (f"{tmp_path}/real/a.db", f"{tmp_path}/link/a.db", "a.db", "../link/./a.db"):
        with Store.open(f"sqlite:///{name}") as store:
            places.add(store.cache_path)
    assert len(places) == 1


async def test_caches_of_other_environments_are_forgotten_and_searched_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, used = f"sqlite:///{tmp_path}/a.db", []
    for place in ("one", "two"):
        monkeypatch.setenv("IDIOLECT_CACHE", str(tmp_path / place))
        with Store.open(url) as store, CallCache.open(store.cache_path) as cache:
            used.append(cache.path)
            await learn(store, cache, ANNA)
            await learn(store, cache, BORIS)
    monkeypatch.setenv("IDIOLECT_CACHE", str(tmp_path / "three"))
    with Store.open(url) as store:
        receipt = forget_user(store, ANNA.id)
    assert receipt.proven
    assert {str(path) for path in used} <= receipt.before.places.keys()
    assert receipt.calls_deleted == 4
    assert b"red handbag" not in everything(tmp_path)
    with CallCache.open(used[0]) as cache:
        assert len(list(cache.calls_of(BORIS.id))) == 2


async def test_noted_cache_that_is_gone_or_no_cache_is_named_and_nothing_is_proven(tmp_path: Path) -> None:
    with Store.open(tmp_path / "people") as store, CallCache.open(store.cache_path) as cache:
        await learn(store, cache, ANNA)
        (tmp_path / "text").write_text("no cache, but long enough to be looked at " * 100)
        store.note_cache(tmp_path / "gone" / "calls.db")
        store.note_cache(tmp_path / "text")
    with Store.open(tmp_path / "people") as store:
        receipt = forget_user(store, ANNA.id)
    assert receipt.caches_missed == (
        f"cache {tmp_path / 'gone' / 'calls.db'}: is not there, but was used with this store",
        f"cache {tmp_path / 'text'}: the file is not a database",
    )
    assert receipt.after.total == 0
    assert not receipt.proven


async def test_cache_in_the_folder_is_known_to_a_url_and_moves_with_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "people"
    with Store.open(folder) as store, CallCache.open(store.cache_path) as cache:
        await learn(store, cache, ANNA)
        (folder / "more").mkdir()
        store.note_cache(folder / "more" / "calls.db")
    shutil.move(folder, tmp_path / "moved")
    CallCache.open(tmp_path / "moved" / "more" / "calls.db").close()
    with Store.open(f"sqlite:///{tmp_path}/moved/idiolect.db") as store:
        receipt = forget_user(store, ANNA.id)
    assert receipt.proven
    assert receipt.calls_deleted == 3


def test_note_of_a_cache_that_never_came_to_be_is_taken_back(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    with Store.open(url) as store:
        path = store.cache_path
        assert known_caches(store.database) == {path: True}  # were this process killed now, it would stay
    assert known(url) == {path: False}
    with Store.open(url) as store:
        CallCache.open(store.cache_path).close()
    assert known(url) == {path: True}
    path.unlink()
    with Store.open(url) as store:
        assert store.cache_path == path
    assert known(url) == {path: True}  # there was one once


def test_cache_of_a_killed_run_is_known(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    code = "import os, sys; from idiolect.store import Store; print(Store.open(sys.argv[1]).cache_path); os._exit(9)"
    command = [sys.executable, "-u", "-c", code, url]
    done = subprocess.run(command, cwd=ROOT, check=False, timeout=60, capture_output=True, text=True)
    assert known(url) == {Path(done.stdout.strip()): True}


def test_asking_for_the_cache_of_a_folder_writes_nothing(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        assert store.cache_path == tmp_path / "calls.db"
        assert known_caches(store.database) == {tmp_path / "calls.db": False}


def test_erasure_that_was_cut_off_is_finished_in_every_cache(tmp_path: Path) -> None:
    with Store.open(tmp_path / "people") as store, CallCache.open(tmp_path / "other.db") as cache:
        store.note_cache(cache.path)
        cache._database.execute("PRAGMA secure_delete = OFF")
        cache._database.execute("CREATE TABLE words AS SELECT 'what she said' AS said")
        cache._database.execute("DELETE FROM words")
    with Store.open(tmp_path / "people") as store, store.database.writing() as connection:
        connection.exec_driver_sql("INSERT INTO erasures VALUES ('ab', '2026-01-01 00:00:00')")
    assert b"what she said" in everything(tmp_path)
    with Store.open(tmp_path / "people") as store:
        assert store.finished_erasures == 1
    assert b"what she said" not in everything(tmp_path)


async def test_two_erasures_do_not_go_on_at_once(tmp_path: Path) -> None:
    with Store.open(tmp_path / "people", lock_timeout=0.1) as store:
        with CallCache.open(store.cache_path) as cache:
            await learn(store, cache, ANNA)
        with (
            erasing(tmp_path / "people" / "calls.db", lock_timeout=0),
            pytest.raises(CacheError, match="is being forg"),
        ):
            forget_user(store, ANNA.id)
        assert store.user(ANNA.id) == ANNA
