"""Tasks and processes that want the same calls at once, are cancelled, or die."""

from __future__ import annotations

import asyncio
import hashlib
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotDoneError
from contextlib import ExitStack
from pathlib import Path

import pytest

from idiolect.errors import CacheError
from idiolect.models.calls.cache import CallCache
from idiolect.models.calls.cache.claims import Living, erasing, is_being_erased

RESULT = {"text": "yes"}


def key(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


async def begin(cache: CallCache, number: int, *, owner: str = "ann") -> object:
    return await asyncio.wait_for(cache.begin(key(number), operation="complete", model="m", owner=owner), 5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.db"


@pytest.fixture
def cache(path: Path) -> Iterator[CallCache]:
    with CallCache.open(path) as opened:
        yield opened


async def test_the_same_call_is_made_by_one_task(cache: CallCache) -> None:
    made = 0

    async def one(owner: str) -> object:
        nonlocal made
        found = await begin(cache, 1, owner=owner)
        if found is None:
            made += 1
            await asyncio.sleep(0.01)
            await cache.keep(key(1), RESULT, owner=owner)
        return found or RESULT

    assert await asyncio.gather(*(one(f"u{n}") for n in range(20))) == [RESULT] * 20
    assert made == 1
    assert all(len(list(cache.calls_of(f"u{n}"))) == 1 for n in range(20))


async def test_an_abandoned_call_goes_to_one_who_waits(cache: CallCache) -> None:
    made = []

    async def one(number: int) -> None:
        if await begin(cache, 1) is None:
            made.append(number)
            await asyncio.sleep(0)
            await (cache.abandon(key(1)) if len(made) < 4 else cache.keep(key(1), RESULT, owner="ann"))

    await asyncio.gather(*(one(number) for number in range(10)))
    assert len(made) == 4
    assert cache.uncertain() == []


@pytest.mark.parametrize("ticks", range(6))
async def test_a_begin_cancelled_at_any_moment_keeps_no_one_waiting(cache: CallCache, ticks: int) -> None:
    task = asyncio.create_task(cache.begin(key(1), operation="complete", model="m", owner="ann"))
    waiting = asyncio.create_task(begin(cache, 1, owner="bob"))
    for _ in range(ticks):
        await asyncio.sleep(0)
    task.cancel()
    if (await asyncio.gather(task, return_exceptions=True))[0] is None:  # it was through already
        await cache.abandon(key(1))
    assert await waiting is None


async def test_a_begin_cancelled_between_commit_and_wake_up_gives_the_call_back(cache: CallCache) -> None:
    task = asyncio.create_task(cache.begin(key(1), operation="complete", model="m", owner="ann"))
    await asyncio.sleep(0)  # it awaits the commit, which is the next thing to happen
    asyncio.get_running_loop().call_soon(task.cancel)  # and this the one after
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await begin(cache, 1) is None
    assert cache.forget("ann").claims == 1


async def test_a_waiter_that_is_cancelled_wakes_no_one_and_stops_no_one(cache: CallCache) -> None:
    await begin(cache, 1)
    waiting = [asyncio.create_task(begin(cache, 1)) for _ in range(3)]
    await asyncio.sleep(0.01)
    waiting[0].cancel()
    await asyncio.sleep(0.01)
    assert [task.done() for task in waiting] == [True, False, False]
    await cache.keep(key(1), RESULT, owner="ann")
    assert await asyncio.gather(*waiting[1:]) == [RESULT] * 2


async def test_a_result_is_kept_though_its_task_is_cancelled(cache: CallCache) -> None:
    await begin(cache, 1)
    task = asyncio.create_task(cache.keep(key(1), RESULT, owner="ann"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await begin(cache, 1) == RESULT


async def test_close_wakes_those_who_wait_and_keeps_what_is_being_kept(path: Path) -> None:
    cache = CallCache.open(path)
    await begin(cache, 1)
    await begin(cache, 2)
    waiting = asyncio.create_task(begin(cache, 1))
    keeping = asyncio.create_task(cache.keep(key(2), RESULT, owner="ann"))
    await asyncio.sleep(0)
    cache.close()
    await keeping
    with pytest.raises(CacheError, match="is closed"):
        await waiting
    with CallCache.open(path) as again:
        assert await again.look_up([key(1), key(2)], owner="ann") == [None, RESULT]
        assert len(again.uncertain()) == 1


async def test_two_caches_on_one_file_wait_for_each_other(cache: CallCache, path: Path) -> None:
    with CallCache.open(path) as other:
        assert cache.in_use_by_others()
        assert other.in_use_by_others()
        await begin(cache, 1)
        await begin(cache, 2)
        waiting = [asyncio.create_task(begin(other, number, owner="bob")) for number in (1, 2)]
        await asyncio.sleep(0.02)
        assert not any(task.done() for task in waiting)
        await cache.keep(key(1), RESULT, owner="ann")
        await cache.abandon(key(2))
        assert await asyncio.gather(*waiting) == [RESULT, None]
        assert cache.uncertain() == other.uncertain() == []
    assert not cache.in_use_by_others()


def test_a_cache_is_not_opened_while_a_user_is_forgotten(path: Path) -> None:
    CallCache.open(path).close()
    with (
        erasing(path, lock_timeout=0),
        pytest.raises(CacheError, match="a user is being forgotten; try again when that is done"),
    ):
        CallCache.open(path, lock_timeout=0.05)
    CallCache.open(path, lock_timeout=0).close()
    assert [file.name for file in path.parent.iterdir()] == ["calls.db"]


def test_a_cache_that_is_opened_meanwhile_waits_for_the_erasure(path: Path, tmp_path: Path) -> None:
    linked = tmp_path / "link"
    linked.symlink_to(path)
    with ExitStack() as erasure, ThreadPoolExecutor() as threads:
        erasure.enter_context(erasing(path, lock_timeout=0))
        opening = threads.submit(lambda: CallCache.open(linked).close())
        with pytest.raises(NotDoneError):
            opening.result(0.15)
        erasure.close()
        opening.result(5)


def test_an_erasure_that_begins_while_a_cache_is_opened_is_seen(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = ExitStack()
    tidy = Living.tidy

    def begin_then_tidy(living: Living) -> None:
        if not is_being_erased(path):
            begun.enter_context(erasing(path, lock_timeout=0))
        tidy(living)

    monkeypatch.setattr(Living, "tidy", begin_then_tidy)
    with begun, pytest.raises(CacheError, match="being forgotten"):
        CallCache.open(path, lock_timeout=0.05)
    assert [file.name for file in path.parent.iterdir()] == ["calls.db"]


def test_two_erasures_do_not_go_on_at_once(path: Path) -> None:
    with (
        erasing(path, lock_timeout=0),
        pytest.raises(CacheError, match="being forgotten"),
        erasing(path, lock_timeout=0.05),
    ):
        pytest.fail("not both")


async def test_one_cache_takes_over_what_another_leaves_at_its_close(cache: CallCache, path: Path) -> None:
    other = CallCache.open(path)
    await begin(other, 1, owner="bob")
    waiting = asyncio.create_task(begin(cache, 1))
    await asyncio.sleep(0.01)
    other.close()
    assert await waiting is None
    assert [(call.owner, call.operation, call.model) for call in cache.uncertain()] == [("bob", "complete", "m")]


_CHILD = """
import asyncio, hashlib, os, random, sys
from pathlib import Path
from idiolect.models.calls.cache import CallCache

path, tasks, seed, counter, *numbers = sys.argv[1:]
keys = [hashlib.sha256(number.encode()).hexdigest() for number in numbers]
random.seed(int(seed))
random.shuffle(keys)
coming = iter(keys)

async def work(cache):
    for key in coming:
        result = await cache.begin(key, operation="complete", model="m", owner=seed)
        if result is None:
            with open(counter, "ab", buffering=0) as stream:
                stream.write(key.encode() + b"\\n")
            await asyncio.sleep(random.random() * 0.004)
            result = {"text": key}
            await cache.keep(key, result, owner=seed)
        assert result == {"text": key}
        os.write(1, key.encode() + b"\\n")

async def main():
    with CallCache.open(Path(path)) as cache:
        print("open", flush=True)
        await asyncio.gather(*(work(cache) for _ in range(int(tasks))))

asyncio.run(main())
"""


def _child(path: Path, *, tasks: int, seed: int, numbers: range) -> subprocess.Popen[str]:
    arguments = [str(path), str(tasks), str(seed), str(path.with_name("counter")), *map(str, numbers)]
    return subprocess.Popen([sys.executable, "-c", _CHILD, *arguments], stdout=subprocess.PIPE, text=True)


def test_two_processes_pay_for_no_call_twice(path: Path) -> None:
    children = [_child(path, tasks=16, seed=seed, numbers=range(200)) for seed in (1, 2)]
    printed = [child.communicate(timeout=60)[0].split() for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert [len(lines) for lines in printed] == [201, 201]
    assert len(path.with_name("counter").read_text().split()) == 200
    with CallCache.open(path) as cache:
        assert [len(list(cache.calls_of(owner))) for owner in ("1", "2")] == [200, 200]
        assert cache.uncertain() == []


def test_what_was_kept_survives_a_kill_at_any_moment(path: Path) -> None:
    chance, tasks = random.Random(5), 8
    kept: set[str] = set()
    for seed in range(6):
        child = _child(path, tasks=tasks, seed=seed, numbers=range(seed * 2000, seed * 2000 + 2000))
        assert child.stdout is not None
        lines = [child.stdout.readline().strip() for _ in range(1 + chance.randrange(150))]
        child.send_signal(signal.SIGKILL)
        lines += child.communicate(timeout=60)[0].split()
        assert child.returncode == -signal.SIGKILL
        kept |= {line for line in lines if len(line) == 64}
        with CallCache.open(path) as cache:
            there = asyncio.run(cache.look_up(sorted(kept), owner="ann"))
            assert there == [{"text": line} for line in sorted(kept)]
            uncertain = cache.uncertain()
            assert len(uncertain) <= tasks
            assert {call.owner for call in uncertain} <= {str(seed)}
            cache.clear_uncertain()
            assert cache.uncertain() == []
    assert [file.name for file in path.parent.glob("*.alive")] == []
    assert kept


_CLAIMANT = """
import asyncio, sys
from pathlib import Path
from idiolect.models.calls.cache import CallCache
cache = CallCache.open(Path(sys.argv[1]))
asyncio.run(cache.begin(sys.argv[2], operation="complete", model="m", owner="dead"))
print("claimed", flush=True)
sys.stdin.read()
"""


def _claimant(path: Path, number: int) -> subprocess.Popen[str]:
    """A process that has claimed the call, and does nothing more."""
    command = [sys.executable, "-c", _CLAIMANT, str(path), key(number)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "claimed\n"
    return process


def _die_with_a_claim(path: Path, number: int) -> None:
    process = _claimant(path, number)
    process.kill()
    process.communicate(timeout=60)


async def test_the_claim_of_a_dead_process_is_taken_over_and_told_once(cache: CallCache, path: Path) -> None:
    _die_with_a_claim(path, 1)
    assert not cache.in_use_by_others()
    assert await begin(cache, 1) is None
    await cache.keep(key(1), RESULT, owner="ann")
    assert [call.owner for call in cache.uncertain()] == ["dead"]
    assert [call.owner for call in cache.uncertain()] == ["dead"]  # till it is cleared
    _die_with_a_claim(path, 2)
    cache.clear_uncertain()  # clears what was told, not what came since
    assert [call.owner for call in cache.uncertain()] == ["dead"]
    cache.clear_uncertain()
    assert cache.uncertain() == []
    assert await begin(cache, 2) is None


async def test_forget_drops_the_uncertain_calls_of_the_owner(cache: CallCache, path: Path) -> None:
    _die_with_a_claim(path, 1)
    assert len(cache.uncertain()) == 1
    assert cache.forget("dead").claims == 1
    assert cache.uncertain() == []


async def test_a_waiter_takes_over_when_the_other_process_dies(cache: CallCache, path: Path) -> None:
    process = _claimant(path, 1)
    assert cache.in_use_by_others()
    waiting = asyncio.create_task(begin(cache, 1))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    process.kill()
    process.communicate(timeout=60)
    assert await waiting is None
    assert [call.owner for call in cache.uncertain()] == ["dead"]
