"""One process: what is kept, for whom, and what the cache says when it cannot."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import stat
import time
import traceback
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from idiolect.errors import CacheError
from idiolect.models.calls.cache import CallCache, ForgottenCalls

RESULT = {"text": "Ça va — \ud800 \0 ok", "finish_reason": "stop", "usage": {"calls": 1}}  # half a character, too


def key(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


async def begin(cache: CallCache, *numbers: int, owner: str = "ann") -> None:
    await cache.begin([key(number) for number in numbers], operation="complete", model="m", owner=owner)


async def call(cache: CallCache, number: int, *, owner: str = "ann", result: Any = RESULT) -> None:
    await begin(cache, number, owner=owner)
    await cache.keep({key(number): result})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "made" / "calls.db"


@pytest.fixture
def cache(path: Path) -> Iterator[CallCache]:
    with CallCache.open(path) as opened:
        yield opened


async def test_cache_returns_what_was_kept(cache: CallCache) -> None:
    assert await cache.look_up([key(1), key(2)], owner="ann") == [None, None]
    await call(cache, 1)
    assert await cache.look_up([key(2), key(1), key(1)], owner="ann") == [None, RESULT, RESULT]


async def test_cache_keeps_results_when_it_is_opened_again(path: Path) -> None:
    with CallCache.open(path) as cache:
        await call(cache, 1)
    with CallCache.open(path) as cache:
        assert await cache.look_up([key(1)], owner="ann") == [RESULT]
        assert cache.uncertain() == []


async def test_cache_looks_up_many_at_once(cache: CallCache) -> None:
    await asyncio.gather(*(call(cache, number, result={"n": number}) for number in range(0, 1200, 2)))
    found = await cache.look_up([key(number) for number in range(1200)], owner="bob")
    assert found == [None if number % 2 else {"n": number} for number in range(1200)]
    assert sum(kept.shared for kept in cache.calls_of("bob")) == 600


async def test_cache_is_readable_by_its_user_only(cache: CallCache, path: Path) -> None:
    await call(cache, 1)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    files = {
        file.name.removeprefix("calls.db").split(".")[-1]: stat.S_IMODE(file.stat().st_mode)
        for file in path.parent.iterdir()
    }
    assert files == {"": 0o600, "-wal": 0o600, "-shm": 0o600, "alive": 0o600}


async def test_close_leaves_nothing_but_the_database(path: Path) -> None:
    cache = CallCache.open(path)
    await call(cache, 1)
    cache.close()
    cache.close()
    assert [file.name for file in path.parent.iterdir()] == ["calls.db"]
    with pytest.raises(CacheError, match="is closed"):
        await cache.look_up([key(1)], owner="ann")
    with pytest.raises(CacheError, match="is closed"):
        await begin(cache, 1)


async def test_one_tick_is_one_transaction(cache: CallCache) -> None:
    statements: list[str] = []
    cache._database.set_trace_callback(statements.append)
    await asyncio.gather(*(begin(cache, n) for n in range(32)))
    await asyncio.gather(*(cache.keep({key(n): RESULT}) for n in range(32)))
    assert statements.count("COMMIT") == 2


def test_cache_serves_one_event_loop_after_another(cache: CallCache) -> None:
    asyncio.run(call(cache, 1))
    asyncio.run(call(cache, 2))
    assert asyncio.run(cache.look_up([key(1), key(2)], owner="ann")) == [RESULT, RESULT]


async def test_calls_of_an_owner_come_in_the_order_of_keeping(cache: CallCache) -> None:
    for number in (3, 1, 2):
        await call(cache, number, result={"n": number})
    await cache.look_up([key(1)], owner="bob")
    kept = list(cache.calls_of("ann"))
    assert [(one.key, one.result["n"], one.shared) for one in kept] == [
        (key(3), 3, False),
        (key(1), 1, True),
        (key(2), 2, False),
    ]
    assert {(one.operation, one.model) for one in kept} == {("complete", "m")}
    assert all(timedelta() <= datetime.now(UTC) - one.kept_at < timedelta(minutes=1) for one in kept)
    assert [one.key for one in cache.calls_of("bob")] == [key(1)]
    assert list(cache.calls_of("eve")) == []


async def test_what_is_kept_must_have_begun(cache: CallCache) -> None:
    with pytest.raises(ValueError, match="was not begun"):
        await cache.keep({key(1): RESULT})
    assert await cache.look_up([key(1)], owner="ann") == [None]
    await cache.abandon([key(1)])


@pytest.mark.parametrize("result", [{"a": float("nan")}, {"a": {1, 2}}])
async def test_a_result_that_is_no_json_is_refused_and_can_be_abandoned(cache: CallCache, result: Any) -> None:
    await begin(cache, 1)
    with pytest.raises(ValueError, match="JSON"):
        await cache.keep({key(1): result})
    await cache.abandon([key(1)])
    await call(cache, 1)


@pytest.mark.parametrize("wrong", ["", "abc", "zz" * 32, "ab" * 31])
async def test_a_wrong_key_is_refused(cache: CallCache, wrong: str) -> None:
    with pytest.raises(ValueError, match=r"hex|key"):
        await cache.look_up([wrong], owner="ann")
    with pytest.raises(ValueError, match=r"hex|key"):
        await cache.begin([wrong], operation="complete", model="m", owner="ann")


async def test_an_owner_that_cannot_be_stored_harms_no_one_else(cache: CallCache) -> None:
    results = await asyncio.gather(
        call(cache, 1), call(cache, 2, owner="half \ud800"), call(cache, 3), return_exceptions=True
    )
    assert results[0] is None
    assert results[2] is None
    assert isinstance(results[1], ValueError)


@pytest.mark.parametrize("change", ["x'7b7d7b'", "'text'", "x''", "x'ff'", "x'5b5d'"])
async def test_an_entry_that_cannot_be_read_is_as_if_it_were_not_there(
    cache: CallCache, path: Path, change: str
) -> None:
    for number in (1, 2):
        await call(cache, number)
    other = sqlite3.connect(path)
    with other:
        other.execute(f"UPDATE entries SET result = {change} WHERE id = 1")
    other.close()
    assert [one.key for one in cache.calls_of("ann")] == [key(2)]
    assert await cache.look_up([key(1), key(2)], owner="bob") == [None, RESULT]
    await call(cache, 1, owner="bob")  # is paid for again
    assert await cache.look_up([key(1)], owner="eve") == [RESULT]
    assert [one.key for one in cache.calls_of("ann")] == [key(1), key(2)]


async def test_an_entry_that_cannot_be_read_can_be_forgotten(cache: CallCache) -> None:
    await call(cache, 1)
    cache._database.execute("UPDATE entries SET result = x'ff'")
    assert cache.holds("ann")
    assert cache.forget("ann") == ForgottenCalls(deleted=1)
    assert not cache.holds("ann")
    await begin(cache, 1)
    assert cache.holds("ann")


def test_a_file_that_is_no_cache_is_left_alone(tmp_path: Path) -> None:
    text, foreign = tmp_path / "text", tmp_path / "foreign"
    text.write_text("no database, but long enough to be looked at " * 100, encoding="utf-8")
    other = sqlite3.connect(foreign)
    other.execute("CREATE TABLE a (b)")
    other.close()
    before = [text.read_bytes(), foreign.read_bytes()]
    with pytest.raises(CacheError, match="text: the file is not a database"):
        CallCache.open(text)
    with pytest.raises(CacheError, match="foreign: this is another kind of database"):
        CallCache.open(foreign)
    with pytest.raises(CacheError, match=r"cannot be opened|directory"):
        CallCache.open(tmp_path)
    assert [text.read_bytes(), foreign.read_bytes()] == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["foreign", "text"]


def test_a_damaged_name_of_a_table_is_told(path: Path) -> None:
    CallCache.open(path).close()
    damaged = path.read_bytes().replace(b"tableentriesentries", b"table\xc9ntriesentries")
    path.write_bytes(damaged.replace(b"CREATE TABLE entries", b"CREATE..ABLE entries"))
    with pytest.raises(CacheError, match="the file is damaged; move it away to continue"):
        CallCache.open(path)


async def test_a_cache_of_a_newer_version_is_refused(path: Path) -> None:
    CallCache.open(path).close()
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version = 3")
    other.close()
    with pytest.raises(CacheError, match="made by a newer Idiolect"):
        CallCache.open(path)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CacheError, match=r"calls\.db: (Not a directory|File exists)"):
        CallCache.open(tmp_path / "file" / "calls.db")


async def test_a_locked_cache_is_told(path: Path) -> None:
    with CallCache.open(path, lock_timeout=0.05) as cache:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(CacheError, match="it is locked: another process is writing to it"):
            await call(cache, 1)
        with pytest.raises(CacheError, match="it is locked"):
            CallCache.open(path, lock_timeout=0.05)
        other.close()
        await call(cache, 1)
        assert not cache.in_use_by_others()  # the one that could not be opened left no sign of life


async def test_a_result_waits_for_a_lock_longer_than_one_time_out_and_the_loop_goes_on(path: Path) -> None:
    with CallCache.open(path, lock_timeout=0.1) as cache:
        await begin(cache, 1)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        keeping = asyncio.ensure_future(cache.keep({key(1): RESULT}))
        pauses = []
        for _ in range(25):
            before = time.monotonic()
            await asyncio.sleep(0.01)
            pauses.append(time.monotonic() - before)
        assert sum(pauses) > 0.2
        assert sorted(pauses)[len(pauses) // 2] < 0.05
        assert not keeping.done()
        other.close()
        await keeping
        assert await cache.look_up([key(1)], owner="ann") == [RESULT]


async def test_a_cache_that_is_closed_before_its_tick_writes_and_raises_nothing_later(path: Path) -> None:
    faults: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    cache = CallCache.open(path)
    claiming = asyncio.ensure_future(begin(cache, 1))
    asyncio.get_running_loop().call_soon(cache.close)  # after the task's first step, before its tick
    await claiming
    await asyncio.sleep(0)
    assert faults == []


async def test_a_read_only_cache_is_told(cache: CallCache) -> None:
    cache._database.execute("PRAGMA query_only = ON")
    with pytest.raises(CacheError, match="it is read-only"):
        await call(cache, 1)


async def test_a_full_disk_reaches_everyone_in_the_group(cache: CallCache) -> None:
    numbers = range(8)
    await begin(cache, *numbers)
    pages = cache._database.execute("PRAGMA page_count").fetchone()[0]
    cache._database.execute(f"PRAGMA max_page_count = {pages}")
    large = {"text": "x" * 10_000}
    told = await asyncio.gather(*(cache.keep({key(n): large}) for n in numbers), return_exceptions=True)
    assert [str(error) for error in told] == [f"cache {cache.path}: the disk is full"] * 8
    cache._database.execute("PRAGMA max_page_count = 10000")
    await asyncio.gather(*(cache.keep({key(n): large}) for n in numbers))  # may be tried again
    assert await cache.look_up([key(n) for n in numbers], owner="ann") == [large] * 8
    assert cache.uncertain() == []


async def test_forget_deletes_what_no_one_else_has(cache: CallCache) -> None:
    await call(cache, 1)
    await call(cache, 2)
    await call(cache, 3, owner="bob")
    await cache.look_up([key(2)], owner="bob")
    await begin(cache, 4)
    assert cache.forget("ann") == ForgottenCalls(deleted=1, unlinked=1, claims=1)
    assert cache.forget("ann") == ForgottenCalls()
    assert await cache.look_up([key(1), key(2), key(3)], owner="bob") == [None, RESULT, RESULT]
    assert cache.forget("bob") == ForgottenCalls(deleted=2)
    assert await cache.look_up([key(2), key(3)], owner="eve") == [None, None]


async def test_forget_reaches_calls_in_flight(cache: CallCache) -> None:
    await begin(cache, 1)
    cache.forget("ann")
    await cache.keep({key(1): RESULT})
    assert await cache.look_up([key(1)], owner="bob") == [None]
    assert not cache.holds("ann")


async def test_scrub_leaves_no_byte_of_the_forgotten(cache: CallCache, path: Path) -> None:
    await asyncio.gather(
        *(call(cache, n, owner="owner-canary", result={"text": f"text-canary {n} " * 40}) for n in range(200))
    )
    await call(cache, 1000, owner="bob")
    await begin(cache, 1001, owner="owner-canary")
    found = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"text-canary" in found
    assert b"owner-canary" in found
    assert cache.forget("owner-canary").deleted == 200
    cache.scrub()
    left = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"canary" not in left
    assert await cache.look_up([key(1000)], owner="bob") == [RESULT]


async def test_scrub_says_when_another_process_is_reading(path: Path) -> None:
    with CallCache.open(path, lock_timeout=0.05) as cache:
        await call(cache, 1)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN")
        other.execute("SELECT * FROM entries").fetchall()
        cache.forget("ann")
        with pytest.raises(CacheError, match="another process"):
            cache.scrub()
        other.close()
        cache.scrub()
        await call(cache, 1)


@pytest.mark.parametrize("damage", ["kept_at = 'soon'", "kept_at = 1e300", "key = 'text'", "model = x'ff'"])
async def test_a_damaged_row_is_skipped(path: Path, damage: str) -> None:
    with CallCache.open(path) as cache:
        await call(cache, 1)
        await call(cache, 2)
    changed = sqlite3.connect(path)
    with changed:
        changed.execute(f"UPDATE entries SET {damage} WHERE id = 1")
    changed.close()
    with CallCache.open(path) as cache:
        assert [one.key for one in cache.calls_of("ann")] == [key(2)]
        assert cache.forget("ann").deleted == 2


async def test_a_text_that_is_not_utf_8_is_not_repeated(path: Path) -> None:
    with CallCache.open(path) as cache:
        await call(cache, 1)
    changed = sqlite3.connect(path)
    with changed:
        changed.execute("UPDATE entries SET model = CAST(? AS TEXT)", (b"my private words\xff",))
    changed.close()
    with CallCache.open(path) as cache, pytest.raises(CacheError, match="its data is damaged") as caught:
        list(cache.calls_of("ann"))
    assert "private" not in "".join(traceback.format_exception(caught.value))


_VERSION_1 = """
CREATE TABLE entries (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,
    operation TEXT NOT NULL,
    model TEXT NOT NULL,
    kept_at REAL NOT NULL,
    checksum INTEGER NOT NULL,
    result BLOB NOT NULL
);
CREATE TABLE owners (
    entry INTEGER NOT NULL REFERENCES entries (id) ON DELETE CASCADE,
    owner TEXT NOT NULL,
    PRIMARY KEY (entry, owner)
) WITHOUT ROWID;
CREATE INDEX owners_by_owner ON owners (owner, entry);
CREATE TABLE claims (
    key BLOB PRIMARY KEY,
    token TEXT NOT NULL,
    started_at REAL NOT NULL,
    operation TEXT NOT NULL,
    model TEXT NOT NULL,
    owner TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE uncertain (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    started_at REAL NOT NULL,
    operation TEXT NOT NULL,
    model TEXT NOT NULL,
    owner TEXT NOT NULL
);
PRAGMA journal_mode = WAL;
PRAGMA application_id = 1768188271;
PRAGMA user_version = 1;
"""


async def test_a_cache_of_version_1_is_brought_up_to_date_and_answers(tmp_path: Path) -> None:
    path = tmp_path / "calls.db"
    old = sqlite3.connect(path)
    old.executescript(_VERSION_1)
    with old:
        row = (bytes.fromhex(key(1)), zlib.crc32(b'{"text":"old"}'), b'{"text":"old"}')
        old.execute("INSERT INTO entries VALUES (7, ?, 'complete', 'm', 1.5, ?, ?)", row)
        old.execute("INSERT INTO owners VALUES (7, 'ann')")
        old.execute("INSERT INTO claims VALUES (?, 'gone', 2.5, 'complete', 'm', 'bob')", (bytes.fromhex(key(2)),))
        old.execute("INSERT INTO uncertain VALUES (3, 3.5, 'embed', 'e', 'eve')")
    old.close()
    for _ in range(2):  # the second time, nothing is left to be done
        with CallCache.open(path) as cache:
            assert await cache.look_up([key(1)], owner="ann") == [{"text": "old"}]
            assert [(one.key, one.kept_at.timestamp()) for one in cache.calls_of("ann")] == [(key(1), 1.5)]
            assert [(one.operation, one.owner) for one in cache.uncertain()] == [("embed", "eve"), ("complete", "bob")]
    with CallCache.open(path) as cache:
        await call(cache, 3)
        assert await cache.look_up([key(1), key(3)], owner="ann") == [{"text": "old"}, RESULT]
