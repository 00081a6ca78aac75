"""Processes that share a file, are cancelled in the middle of a call, or die; and erasures that need the file alone."""

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


async def begin(cache: CallCache, number: int, *, owner: str = "ann") -> None:
    await cache.begin([key(number)], operation="complete", model="m", owner=owner)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.db"


@pytest.fixture
def cache(path: Path) -> Iterator[CallCache]:
    with CallCache.open(path) as opened:
        yield opened


@pytest.mark.parametrize("ticks", range(6))
async def test_a_call_cancelled_at_any_moment_and_abandoned_leaves_no_claim(cache: CallCache, ticks: int) -> None:
    task = asyncio.create_task(begin(cache, 1))
    for _ in range(ticks):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await cache.abandon([key(1)])
    assert not cache.holds("ann")
    assert cache.uncertain() == []


async def test_an_abandoned_call_keeps_nothing_and_can_be_begun_again(cache: CallCache) -> None:
    await begin(cache, 1)
    await cache.abandon([key(1)])
    with pytest.raises(ValueError, match="was not begun"):
        await cache.keep({key(1): RESULT})
    await begin(cache, 1)
    await cache.keep({key(1): RESULT})
    await cache.abandon([key(1)])  # it has ended: what is kept stays
    assert await cache.look_up([key(1)], owner="ann") == [RESULT]


async def test_a_result_is_kept_though_its_task_is_cancelled(cache: CallCache) -> None:
    await begin(cache, 1)
    task = asyncio.create_task(cache.keep({key(1): RESULT}))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await cache.abandon([key(1)])
    assert await cache.look_up([key(1)], owner="ann") == [RESULT]


async def test_close_keeps_what_is_being_kept_and_makes_the_others_uncertain(path: Path) -> None:
    cache = CallCache.open(path)
    await begin(cache, 1)
    await begin(cache, 2)
    keeping = asyncio.create_task(cache.keep({key(2): RESULT}))
    await asyncio.sleep(0)
    cache.close()
    await keeping
    with CallCache.open(path) as again:
        assert await again.look_up([key(1), key(2)], owner="ann") == [None, RESULT]
        assert [(call.owner, call.operation, call.model) for call in again.uncertain()] == [("ann", "complete", "m")]


async def test_two_caches_on_one_file_see_each_others_results_and_claims(cache: CallCache, path: Path) -> None:
    other_result = {"text": "yes, indeed"}
    with CallCache.open(path) as other:
        assert cache.in_use_by_others()
        assert other.in_use_by_others()
        await begin(cache, 1)
        await begin(other, 1, owner="bob")  # both make the call
        await cache.keep({key(1): RESULT})
        assert await other.look_up([key(1)], owner="bob") == [RESULT]
        await other.keep({key(1): other_result})
        assert await cache.look_up([key(1)], owner="ann") == [other_result]
        assert [len(list(cache.calls_of(owner))) for owner in ("ann", "bob")] == [1, 1]
        await begin(cache, 2)
        await begin(other, 2, owner="bob")
        await other.abandon([key(2)])
        assert cache.uncertain() == other.uncertain() == []
        await cache.keep({key(2): RESULT})
        assert await other.look_up([key(2)], owner="bob") == [RESULT]
    assert not cache.in_use_by_others()


def test_a_cache_is_not_opened_while_a_user_is_forgotten(path: Path) -> None:
    CallCache.open(path).close()
    with (
        erasing(path, lock_timeout=0),
        pytest.raises(CacheError, match="a user is being forgotten; try again after that"),
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
        [result] = await cache.look_up([key], owner=seed)
        if result is None:
            await cache.begin([key], operation="complete", model="m", owner=seed)
            with open(counter, "ab", buffering=0) as stream:
                stream.write(key.encode() + b"\\n")
            await asyncio.sleep(random.random() * 0.004)
            result = {"text": key}
            await cache.keep({key: result})
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


def test_two_processes_make_a_call_once_each_at_most_and_share_what_is_kept(path: Path) -> None:
    children = [_child(path, tasks=16, seed=seed, numbers=range(200)) for seed in (1, 2)]
    printed = [child.communicate(timeout=60)[0].split() for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert [len(lines) for lines in printed] == [201, 201]
    assert 200 <= len(path.with_name("counter").read_text().split()) <= 400
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
asyncio.run(cache.begin([sys.argv[2]], operation="complete", model="m", owner="dead"))
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


async def test_the_claim_of_a_dead_process_is_uncertain_until_it_is_cleared(cache: CallCache, path: Path) -> None:
    _die_with_a_claim(path, 1)
    assert not cache.in_use_by_others()
    await begin(cache, 1)
    await cache.keep({key(1): RESULT})
    assert [call.owner for call in cache.uncertain()] == ["dead"]
    assert [call.owner for call in cache.uncertain()] == ["dead"]
    _die_with_a_claim(path, 2)
    cache.clear_uncertain()  # clears what was returned, not what came since
    assert [call.owner for call in cache.uncertain()] == ["dead"]
    cache.clear_uncertain()
    assert cache.uncertain() == []


async def test_forget_drops_the_uncertain_calls_of_the_owner(cache: CallCache, path: Path) -> None:
    _die_with_a_claim(path, 1)
    assert len(cache.uncertain()) == 1
    assert cache.forget("dead").claims == 1
    assert cache.uncertain() == []


async def test_the_claim_of_a_living_process_is_not_uncertain(cache: CallCache, path: Path) -> None:
    process = _claimant(path, 1)
    assert cache.in_use_by_others()
    assert cache.uncertain() == []
    process.kill()
    process.communicate(timeout=60)
    assert [call.owner for call in cache.uncertain()] == ["dead"]
