"""Every cache that was used with a store is known to its erasure, however the store was named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from idiolect.models.calls.cache import CallCache
from idiolect.store import DEFAULT_TENANT, Store
from idiolect.store.companions import known_caches, note
from tests.erasure.keeping import everything

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IDIOLECT_CACHE", str(tmp_path / "caches"))
    return tmp_path / "caches"


def known(target: str | Path) -> dict[Path, bool]:
    with Store.open(target, tenant=DEFAULT_TENANT) as store:
        return known_caches(store.database, tenant=DEFAULT_TENANT)


def test_cache_of_a_file_is_the_same_under_every_spelling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path / "real")
    places = set()
    for name in (f"{tmp_path}/real/a.db", f"{tmp_path}/link/a.db", "a.db", "../link/./a.db"):
        with Store.open(f"sqlite:///{name}", tenant=DEFAULT_TENANT) as store:
            places.add(store.cache_path)
    assert len(places) == 1


def test_note_of_a_cache_that_never_came_to_be_is_taken_back(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    with Store.open(url, tenant=DEFAULT_TENANT) as store:
        path = store.cache_path
        assert known_caches(store.database, tenant=DEFAULT_TENANT) == {
            path: True
        }  # were this process killed now, it would stay
    assert known(url) == {path: False}
    with Store.open(url, tenant=DEFAULT_TENANT) as store:
        CallCache.open(store.cache_path).close()
    assert known(url) == {path: True}
    path.unlink()
    with Store.open(url, tenant=DEFAULT_TENANT) as store:
        assert store.cache_path == path
    assert known(url) == {path: True}  # there was one once


def test_cache_of_a_killed_run_is_known(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    opened = "Store.open(sys.argv[1], tenant='default')"
    code = f"import os, sys; from idiolect.store import Store; print({opened}.cache_path); os._exit(9)"
    command = [sys.executable, "-u", "-c", code, url]
    done = subprocess.run(command, cwd=ROOT, check=False, timeout=60, capture_output=True, text=True)
    assert known(url) == {Path(done.stdout.strip()): True}


def test_asking_for_the_cache_of_a_folder_writes_nothing(tmp_path: Path) -> None:
    with Store.open(tmp_path, tenant=DEFAULT_TENANT) as store:
        assert store.cache_path == tmp_path / "calls.db"
        assert known_caches(store.database, tenant=DEFAULT_TENANT) == {tmp_path / "calls.db": False}


def test_erasure_that_was_cut_off_is_finished_in_every_cache(tmp_path: Path) -> None:
    with (
        Store.open(tmp_path / "people", tenant=DEFAULT_TENANT) as store,
        CallCache.open(tmp_path / "other.db") as cache,
    ):
        note(store.database, cache.path, tenant=DEFAULT_TENANT)
        cache._database.execute("PRAGMA secure_delete = OFF")
        cache._database.execute("CREATE TABLE words AS SELECT 'what she said' AS said")
        cache._database.execute("DELETE FROM words")
    with Store.open(tmp_path / "people", tenant=DEFAULT_TENANT) as store, store.database.writing() as connection:
        connection.exec_driver_sql("INSERT INTO erasures VALUES ('ab', '2026-01-01 00:00:00')")
    assert b"what she said" in everything(tmp_path)
    with Store.open(tmp_path / "people", tenant=DEFAULT_TENANT) as store:
        assert store.finished_erasures == 1
    assert b"what she said" not in everything(tmp_path)
