"""Calls that several tasks want at once: one of them makes each, and whatever becomes of it, nobody hangs."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from idiolect.errors import CacheError, ModelError
from idiolect.models.calls.cache import CallCache
from idiolect.models.calls.kept_calls import KeptCalls, Operation

SPELLED: Operation[str] = Operation("spell", lambda answer: {"text": answer}, lambda result: str(result["text"]))


def key(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


NAMES = {key(name): name for name in "abcdefgh"}


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[CallCache]:
    with CallCache.open(tmp_path / "calls.db") as opened:
        yield opened


class Asked:
    """Answers every call after `go` by its name in capitals; fails the first `failures` times."""

    def __init__(self, *, failures: int = 0) -> None:
        self.batches: list[str] = []
        self.failures = failures
        self.go = asyncio.Event()

    async def __call__(self, keys: list[str]) -> dict[str, str]:
        self.batches.append("".join(NAMES[each] for each in keys))
        await self.go.wait()
        if len(self.batches) <= self.failures:
            raise ModelError("no answer came")
        return {each: NAMES[each].upper() for each in keys}


def make(cache: CallCache | None, asked: Asked, names: str, *, owner: str = "ann") -> asyncio.Task[dict[str, str]]:
    calls = KeptCalls(SPELLED, cache, "m", owner)
    return asyncio.create_task(calls.make([key(name) for name in names], asked))


async def result_of(task: asyncio.Task[dict[str, str]]) -> str:
    async with asyncio.timeout(5):
        return "".join(sorted((await task).values()))


async def a_few_steps(steps: int = 20) -> None:
    for _ in range(steps):
        await asyncio.sleep(0)


async def test_twenty_tasks_make_one_call_and_all_become_its_owners(cache: CallCache) -> None:
    asked = Asked()
    tasks = [make(cache, asked, "a", owner=f"u{n}") for n in range(20)]
    await a_few_steps()
    asked.go.set()
    assert [await result_of(task) for task in tasks] == ["A"] * 20
    assert asked.batches == ["a"]
    assert all(len(list(cache.calls_of(f"u{n}"))) == 1 for n in range(20))
    assert not cache.in_flight


@pytest.mark.parametrize("failures", [1, 3])
async def test_who_waited_for_a_call_that_failed_makes_it(cache: CallCache, failures: int) -> None:
    asked = Asked(failures=failures)
    tasks = [make(cache, asked, "a") for _ in range(5)]
    await a_few_steps()
    asked.go.set()
    outcomes = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
    assert sum(isinstance(outcome, ModelError) for outcome in outcomes) == failures
    assert asked.batches == ["a"] * (failures + 1)
    assert cache.uncertain() == []


@pytest.mark.parametrize("steps", range(12))
async def test_whoever_makes_a_call_is_cancelled_at_any_step_and_another_one_makes_it(
    cache: CallCache, steps: int
) -> None:
    asked = Asked()
    first, second = make(cache, asked, "a"), make(cache, asked, "a", owner="bob")
    await a_few_steps(steps)
    first.cancel()
    asked.go.set()
    assert await result_of(second) == "A"
    assert first.cancelled()
    assert len(asked.batches) <= 2
    assert not cache.in_flight
    cache.forget("bob")
    assert not cache.holds("ann"), "a claim is left"


async def test_who_is_cancelled_while_waiting_disturbs_nobody(cache: CallCache) -> None:
    asked = Asked()
    first, second, third = (make(cache, asked, "a") for _ in range(3))
    await a_few_steps()
    second.cancel()
    await a_few_steps()
    assert [first.done(), second.cancelled(), third.done()] == [False, True, False]
    asked.go.set()
    assert [await result_of(first), await result_of(third)] == ["A", "A"]
    assert asked.batches == ["a"]


async def test_nothing_is_waited_for_before_ones_own_calls_are_made(cache: CallCache) -> None:
    """Else two batches, each with a call that the other one wants, could wait for each other for ever."""
    first_asked, asked = Asked(), Asked()
    asked.go.set()
    first = make(cache, first_asked, "b")
    await a_few_steps()
    batches = [make(cache, asked, "abc"), make(cache, asked, "cbda", owner="bob")]
    async with asyncio.timeout(5):
        while sum(map(len, asked.batches)) < 3:
            await asyncio.sleep(0)
    assert not any(task.done() for task in batches)
    first_asked.go.set()
    assert [await result_of(task) for task in (first, *batches)] == ["B", "ABC", "ABCD"]
    assert sorted("".join(asked.batches)) == ["a", "c", "d"]


async def test_batches_in_opposite_orders_end_and_make_each_call_once(cache: CallCache) -> None:
    asked = Asked()
    asked.go.set()
    tasks = [make(cache, asked, names, owner=names) for names in ("abcdefgh", "hgfedcba", "cdef", "fecd", "ah")]
    assert [await result_of(task) for task in tasks] == ["ABCDEFGH", "ABCDEFGH", "CDEF", "CDEF", "AH"]
    assert sorted("".join(asked.batches)) == list("abcdefgh")


async def test_a_call_that_cannot_be_kept_is_made_by_who_waited(
    cache: CallCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, keep = Asked(), cache.keep

    async def fails_once(_results: Mapping[str, Mapping[str, Any]]) -> None:
        monkeypatch.setattr(cache, "keep", keep)
        raise CacheError("the disk is full")

    monkeypatch.setattr(cache, "keep", fails_once)
    first, second = make(cache, asked, "a"), make(cache, asked, "a")
    await a_few_steps()
    asked.go.set()
    with pytest.raises(CacheError, match="the disk is full"):
        await result_of(first)
    assert await result_of(second) == "A"
    assert asked.batches == ["a", "a"]


async def test_of_an_owner_who_is_forgotten_in_flight_nothing_is_kept_and_who_waited_makes_the_call(
    cache: CallCache,
) -> None:
    asked = Asked()
    first, second = make(cache, asked, "a"), make(cache, asked, "a", owner="bob")
    await a_few_steps()
    cache.forget("ann")
    asked.go.set()
    assert [await result_of(first), await result_of(second)] == ["A", "A"]
    assert asked.batches == ["a", "a"]
    assert [cache.holds(owner) for owner in ("ann", "bob")] == [False, True]


async def test_what_another_cache_has_kept_meanwhile_is_not_asked(cache: CallCache) -> None:
    asked = Asked()
    asked.go.set()
    with CallCache.open(cache.path) as other:
        assert await result_of(make(other, asked, "a")) == "A"
    assert await result_of(make(cache, asked, "ab")) == "AB"
    assert asked.batches == ["a", "b"]


async def test_without_a_cache_everybody_asks() -> None:
    asked = Asked()
    asked.go.set()
    tasks = [make(None, asked, "a"), make(None, asked, "a")]
    assert [await result_of(task) for task in tasks] == ["A", "A"]
    assert asked.batches == ["a", "a"]
    assert await KeptCalls(SPELLED, None, "m", "ann").look_up([key("a")]) == {}
