"""Turns: the bound holds, owners are served in rounds, and cancelled tasks leave no hole."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idiolect.models.calls.turns import Turns


async def settle_down() -> None:
    """Let every task run until it waits for something."""
    for _ in range(5):
        await asyncio.sleep(0)


class Callers:
    """Tasks that take a turn, tell, and hold it until they are let go."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.served: list[str] = []
        self.holding: list[asyncio.Event] = []

    async def call(self, owner: str) -> None:
        async with self.turns.take(owner):
            self.served.append(owner)
            done = asyncio.Event()
            self.holding.append(done)
            await done.wait()

    async def start(self, owners: str) -> list[asyncio.Task[None]]:
        tasks = []
        for owner in owners:
            tasks.append(asyncio.create_task(self.call(owner)))
            await settle_down()
        return tasks

    async def let_go(self) -> None:
        self.holding.pop(0).set()
        await settle_down()

    async def let_all_go(self) -> None:
        while self.holding:
            await self.let_go()


async def test_owners_are_served_in_rounds_and_their_calls_in_order() -> None:
    callers = Callers(Turns(1))
    await callers.start("x" + "aaaa" + "b" + "cc")
    await callers.let_all_go()
    assert callers.served == list("x" + "abc" + "ac" + "aa")


async def test_one_call_waits_at_most_a_round_behind_a_thousand() -> None:
    turns, order = Turns(2), []

    async def call(owner: str) -> None:
        async with turns.take(owner):
            order.append(owner)
            await asyncio.sleep(0)

    await asyncio.gather(*(call("greedy") for _ in range(1000)), call("modest"))
    assert order.index("modest") <= 3
    assert len(order) == 1001


async def test_an_owner_who_comes_back_stands_at_the_end_of_the_round() -> None:
    callers = Callers(Turns(1))
    await callers.start("xab")
    await callers.let_go()  # a's only call is served
    await callers.start("a")
    await callers.let_all_go()
    assert callers.served == list("xaba")


async def test_a_waiter_that_is_cancelled_leaves_no_hole() -> None:
    callers = Callers(Turns(1))
    tasks = await callers.start("xaab")
    tasks[1].cancel()
    tasks[3].cancel()
    await settle_down()
    assert callers.turns.waiting == 1
    await callers.let_all_go()
    assert callers.served == ["x", "a"]
    assert tasks[1].cancelled()
    assert (callers.turns.in_flight, callers.turns.waiting) == (0, 0)


async def test_a_turn_given_to_a_task_just_cancelled_is_passed_on() -> None:
    callers = Callers(Turns(1))
    tasks = await callers.start("xab")
    callers.holding.pop(0).set()
    while callers.turns.waiting == 2:  # until x has handed its turn to a, which has not run yet
        await asyncio.sleep(0)
    assert callers.served == ["x"]
    tasks[1].cancel()
    await settle_down()
    assert callers.served == ["x", "b"]
    await callers.let_all_go()
    assert callers.turns.in_flight == 0


async def test_a_waiter_cancelled_in_the_moment_of_the_hand_over_is_skipped() -> None:
    callers = Callers(Turns(1))
    tasks = await callers.start("xab")
    callers.holding.pop(0).set()
    tasks[1].cancel()  # its future is cancelled at once, but the task has not seen it
    await settle_down()
    assert callers.served == ["x", "b"]
    await callers.let_all_go()
    assert (callers.turns.in_flight, callers.turns.waiting) == (0, 0)


async def test_an_exception_inside_gives_the_turn_back() -> None:
    turns = Turns(1)
    with pytest.raises(KeyError):
        async with turns.take("a"):
            raise KeyError
    async with turns.take("b"):
        assert turns.in_flight == 1
    assert turns.in_flight == 0


async def test_no_turn_stays_free_while_anyone_waits() -> None:
    turns, held = Turns(8), Counter[int]()

    async def call(owner: str) -> None:
        async with turns.take(owner):
            for _ in range(5):
                await asyncio.sleep(0)
                if turns.waiting:
                    held[turns.in_flight] += 1

    await asyncio.gather(*(call(str(k % 7)) for k in range(80)))
    assert set(held) == {8}


def test_turns_need_a_bound() -> None:
    with pytest.raises(ValueError, match="concurrency is 0"):
        Turns(0)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(0, 60), st.integers(1, 8), st.integers(0, 2**32))
def test_the_bound_holds_and_everyone_is_served(concurrency: int, n: int, owners: int, seed: int) -> None:
    rng = random.Random(seed)
    held, most, ended = 0, 0, Counter[str]()

    async def call(turns: Turns, owner: str, yields: int, fails: bool) -> None:
        nonlocal held, most
        async with turns.take(owner):
            held += 1
            most = max(most, held)
            try:
                for _ in range(yields):
                    await asyncio.sleep(0)
                if fails:
                    raise ValueError
            finally:
                held -= 1

    async def scenario() -> None:
        turns = Turns(concurrency)
        tasks = []
        for _ in range(n):
            owner = str(rng.randrange(owners))
            tasks.append(asyncio.create_task(call(turns, owner, rng.randrange(4), rng.random() < 0.2)))
            if rng.random() < 0.3:
                await asyncio.sleep(0)
            if rng.random() < 0.3:
                rng.choice(tasks).cancel()
        for outcome in await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5):
            ended[type(outcome).__name__] += 1
        assert (turns.in_flight, turns.waiting, held) == (0, 0, 0)
        assert most <= concurrency

    asyncio.run(scenario())
    assert ended.total() == n
    assert set(ended) <= {"NoneType", "ValueError", "CancelledError"}
