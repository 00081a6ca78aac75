"""The budget: limits hold whatever the interleaving, who may still fit waits in line, who never will is told why."""

from __future__ import annotations

import asyncio
import math
import random
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idiolect.errors import BudgetExceededError, HaltedError, SettingsError
from idiolect.models.calls.budget import Budget, Cost, Limits, Reservation

CALL = Cost(1)


async def settle_down() -> None:
    """Let every task run until it waits for something."""
    for _ in range(5):
        await asyncio.sleep(0)


def reserving(budget: Budget, owner: str, estimate: Cost = CALL) -> asyncio.Task[Reservation]:
    return asyncio.create_task(budget.reserve(owner, estimate))


async def spend(budget: Budget, owner: str, cost: Cost = CALL) -> None:
    (await budget.reserve(owner, cost)).settle(cost)


async def test_work_without_calls_is_checked_for_a_halt_and_for_time() -> None:
    now = 0.0
    budget = Budget(run=Limits(calls=1, seconds=10), user=Limits(seconds=4), clock=lambda: now)
    budget.check("ann")
    await spend(budget, "ann")
    budget.check("ann")  # work that makes no call needs no room for one
    now = 4.0
    with pytest.raises(BudgetExceededError, match="the budget of 4 seconds for user 'ann' is spent"):
        budget.check("ann")
    assert budget.exceeded is None
    budget.check("bob")
    now = 10.0
    with pytest.raises(BudgetExceededError, match="the budget of 10 seconds is spent"):
        budget.check("cyd")
    assert budget.exceeded is not None
    budget = Budget()
    budget.halt("stopped by hand")
    with pytest.raises(HaltedError, match="stopped by hand"):
        budget.check("ann")


def test_costs_add_up_and_an_unknown_price_stays_unknown() -> None:
    a, b = Cost(1, 10, 2, Decimal("0.1")), Cost(2, 5, 1, Decimal("0.2"))
    assert a + b == Cost(3, 15, 3, Decimal("0.3"))
    assert (a + b).tokens == 18
    assert (a + Cost(1, money=None)).money is None
    assert sum([a, b], Cost()) == a + b


@pytest.mark.parametrize("bad", [(-1, 0, 0), (0, -1, 0), (0, 0, -1), (0, 0, 0, Decimal(-1)), (0, 0, 0, Decimal("nan"))])
def test_a_cost_is_not_negative(bad: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="negative"):
        Cost(*bad)


@pytest.mark.parametrize(
    "bad",
    [
        {"calls": 0}, {"tokens": -1}, {"money": Decimal(0)}, {"money": Decimal("nan")}, {"money": Decimal("inf")},
        {"seconds": 0.0}, {"seconds": math.inf}, {"seconds": math.nan},
    ],
)  # fmt: skip
def test_limits_are_positive_and_finite(bad: dict[str, Any]) -> None:
    with pytest.raises(
        SettingsError, match=f"the limit on {next(iter(bad))} is .*, must be a finite number greater than 0"
    ):
        Limits(**bad)


async def test_without_limits_costs_are_only_counted() -> None:
    budget = Budget()
    await spend(budget, "ann", Cost(1, 100, 10, Decimal("0.5")))
    await spend(budget, "bob", Cost(1, 50, 5, Decimal("0.25")))
    assert budget.spent() == Cost(2, 150, 15, Decimal("0.75"))
    assert budget.spent("ann") == Cost(1, 100, 10, Decimal("0.5"))
    assert budget.spent("nobody") == Cost()
    await spend(budget, "bob", Cost(1, money=None))
    assert budget.spent().money is budget.spent("bob").money is None
    assert budget.spent("ann").money == Decimal("0.5")
    assert budget.exceeded is None


@pytest.mark.parametrize(
    ("limits", "first", "second", "message"),
    [
        (Limits(calls=1000), Cost(998), Cost(3), "the budget of 1,000 calls{} is spent: 998 made"),
        (
            Limits(tokens=5000),
            Cost(1, 4000, 500),
            Cost(1, 400, 101),
            "the budget of 5,000 tokens{} is spent: 4,500 used, the next call may need 501",
        ),
        (
            Limits(money=Decimal(5)),
            Cost(1, money=Decimal("4.98")),
            Cost(1, money=Decimal("0.0213")),
            "the budget of $5.00{} is spent: $4.98 used, the next call may cost $0.0213",
        ),
    ],
)
async def test_what_never_fits_is_refused_in_plain_words(
    limits: Limits, first: Cost, second: Cost, message: str
) -> None:
    budget = Budget(run=limits)
    await spend(budget, "ann", first)
    with pytest.raises(BudgetExceededError) as caught:
        await budget.reserve("ann", second)
    assert str(caught.value) == message.format("")
    assert caught.value.owner is None
    assert budget.exceeded is caught.value

    budget = Budget(user=limits)
    await spend(budget, "ann", first)
    with pytest.raises(BudgetExceededError) as caught:
        await budget.reserve("ann", second)
    assert str(caught.value) == message.format(" for user 'ann'")
    assert caught.value.owner == "ann"
    assert budget.exceeded is None
    await spend(budget, "bob", first)


async def test_only_the_first_time_that_the_run_exceeds_is_remembered() -> None:
    budget = Budget(run=Limits(calls=2))
    await spend(budget, "ann")
    with pytest.raises(BudgetExceededError):
        await budget.reserve("ann", Cost(2))
    await spend(budget, "ann")  # what is smaller may still fit
    with pytest.raises(BudgetExceededError):
        await budget.reserve("ann", CALL)
    assert str(budget.exceeded) == "the budget of 2 calls is spent: 1 made"


async def test_a_limit_is_reached_exactly() -> None:
    budget = Budget(run=Limits(3, 30, Decimal("0.3")), user=Limits(3, 30, Decimal("0.3")))
    for _ in range(3):
        await spend(budget, "ann", Cost(1, 6, 4, Decimal("0.1")))
    with pytest.raises(BudgetExceededError):
        await budget.reserve("ann", Cost(1))


async def test_money_with_an_unknown_price_is_a_fault_of_the_settings() -> None:
    for budget in (Budget(run=Limits(money=Decimal(1))), Budget(user=Limits(money=Decimal(1)))):
        with pytest.raises(SettingsError, match=r"the price of a model is unknown"):
            await budget.reserve("ann", Cost(1, money=None))


async def test_what_the_estimate_feared_counts_where_the_price_is_lost() -> None:
    budget = Budget(run=Limits(money=Decimal(1)))
    (await budget.reserve("ann", Cost(1, money=Decimal("0.4")))).settle(Cost(1, money=None))
    assert budget.spent() == Cost(1, money=Decimal("0.4"))


async def test_waits_for_what_is_in_flight_and_goes_on_when_it_cost_less() -> None:
    budget = Budget(run=Limits(tokens=100))
    first = await budget.reserve("ann", Cost(1, 80))
    second = reserving(budget, "bob", Cost(1, 80))
    await settle_down()
    assert not second.done()
    first.settle(Cost(1, 20))
    (await second).release()
    assert budget.spent() == Cost(1, 20)


async def test_is_refused_once_nothing_in_flight_can_help() -> None:
    budget = Budget(run=Limits(tokens=100))
    first, waiting = await budget.reserve("ann", Cost(1, 80)), reserving(budget, "bob", Cost(1, 80))
    await settle_down()
    first.settle(Cost(1, 70))
    with pytest.raises(BudgetExceededError, match="70 used, the next call may need 80"):
        await waiting
    assert budget.exceeded is not None
    await spend(budget, "bob", Cost(1, 30))


async def test_waiters_come_in_turn_and_none_overtakes() -> None:
    budget = Budget(run=Limits(calls=10))
    held = await budget.reserve("ann", Cost(8))
    large, small = reserving(budget, "bob", Cost(5)), reserving(budget, "cy", Cost(1))
    await settle_down()
    assert not small.done()  # there is room, but it came later
    held.settle(Cost(4))
    await settle_down()
    assert large.done()
    assert small.done()


async def test_a_user_s_small_call_does_not_overtake_their_large_one() -> None:
    budget = Budget(user=Limits(calls=10))
    held = await budget.reserve("ann", Cost(8))
    large, small = reserving(budget, "ann", Cost(5)), reserving(budget, "ann", Cost(1))
    await settle_down()
    assert not small.done()
    held.release()
    (await large).release()
    (await small).release()


async def test_who_waits_for_their_own_limit_holds_up_nobody_else() -> None:
    budget = Budget(run=Limits(calls=10), user=Limits(calls=2))
    held = await budget.reserve("ann", Cost(2))
    waiting = [reserving(budget, "ann"), reserving(budget, "ann")]
    await settle_down()
    await asyncio.wait_for(spend(budget, "bob"), 1)
    assert not any(task.done() for task in waiting)
    held.settle(Cost(1))
    await settle_down()
    (await waiting[0]).settle(CALL)
    with pytest.raises(BudgetExceededError) as caught:
        await waiting[1]
    assert caught.value.owner == "ann"


async def test_settling_or_releasing_twice_counts_once() -> None:
    budget = Budget(run=Limits(calls=3))
    reservation = await budget.reserve("ann", CALL)
    reservation.settle(CALL)
    reservation.settle(CALL)
    reservation.release()
    released = await budget.reserve("ann", CALL)
    released.release()
    released.settle(CALL)
    assert budget.spent() == CALL
    await spend(budget, "ann", Cost(2))


async def test_a_cancelled_waiter_holds_nothing_up() -> None:
    budget = Budget(run=Limits(calls=10), user=Limits(calls=9))
    held = await budget.reserve("ann", Cost(8))
    large, small = reserving(budget, "bob", Cost(9)), reserving(budget, "cy", Cost(2))
    own = reserving(budget, "bob")
    await settle_down()
    assert not small.done()
    large.cancel()
    await settle_down()
    assert large.cancelled()
    (await small).settle(Cost(1))
    held.release()
    (await own).settle(CALL)
    await spend(budget, "ann", Cost(8))


async def test_room_given_to_a_task_just_cancelled_is_given_back() -> None:
    budget = Budget(run=Limits(calls=1))
    held = await budget.reserve("ann", CALL)
    first, second = reserving(budget, "bob"), reserving(budget, "cy")
    await settle_down()
    held.release()  # bob's is admitted, but the task has not run yet
    first.cancel()
    (await asyncio.wait_for(second, 1)).settle(CALL)
    assert first.cancelled()


async def test_a_waiter_cancelled_in_the_moment_of_its_admission_is_skipped() -> None:
    budget = Budget(run=Limits(calls=1))
    held = await budget.reserve("ann", CALL)
    first, second = reserving(budget, "bob"), reserving(budget, "cy")
    await settle_down()
    first.cancel()
    held.release()
    (await asyncio.wait_for(second, 1)).settle(CALL)
    assert first.cancelled()


async def test_halt_wakes_everyone_and_admits_no_one() -> None:
    budget = Budget(run=Limits(calls=3), user=Limits(calls=2))
    held = await budget.reserve("ann", Cost(2))
    waiting = [reserving(budget, "ann"), reserving(budget, "bob", Cost(2)), reserving(budget, "cy")]
    await settle_down()
    budget.halt("stopped by you")
    budget.halt("something later")
    for task in waiting:
        with pytest.raises(HaltedError, match="stopped by you") as caught:
            await task
        assert not isinstance(caught.value, BudgetExceededError)
    with pytest.raises(HaltedError, match="stopped by you"):
        await budget.reserve("dee", CALL)
    held.settle(Cost(2))
    assert budget.spent() == Cost(2)
    assert budget.exceeded is None


async def test_time_is_up_for_the_run_and_for_a_user() -> None:
    now = 50.0
    budget = Budget(run=Limits(seconds=100), user=Limits(seconds=30), clock=lambda: now)
    now = 90.0
    await spend(budget, "ann")  # ann's time begins here
    now = 119.9
    await spend(budget, "ann")
    now = 120.0
    with pytest.raises(BudgetExceededError) as caught:
        await budget.reserve("ann", CALL)
    assert str(caught.value) == "the budget of 30 seconds for user 'ann' is spent: 2 calls made"
    await spend(budget, "bob")
    now = 150.0
    with pytest.raises(BudgetExceededError, match="the budget of 100 seconds is spent: 3 calls made") as caught:
        await budget.reserve("cy", CALL)
    assert budget.exceeded is caught.value


@pytest.mark.parametrize("scope", ["run", "user"])
async def test_who_waits_is_told_when_time_is_up(scope: str) -> None:
    limits = Limits(calls=1, seconds=0.05)
    budget = Budget(run=limits) if scope == "run" else Budget(user=limits)
    held = await budget.reserve("ann", CALL)
    began = time.monotonic()
    with pytest.raises(BudgetExceededError, match=r"0\.05 seconds"):
        await budget.reserve("ann", CALL)
    assert 0.04 < time.monotonic() - began < 1
    held.settle(CALL)


async def test_waiting_takes_no_cpu() -> None:
    budget = Budget(run=Limits(calls=1, seconds=60))
    held, waiting = await budget.reserve("ann", CALL), reserving(budget, "bob")
    await settle_down()
    began = time.process_time()
    await asyncio.sleep(0.2)
    assert time.process_time() - began < 0.1
    held.release()
    (await waiting).release()


class Crowd:
    """Calls of several owners that check all limits whenever something changes."""

    def __init__(self, run: Limits, user: Limits, rng: random.Random) -> None:
        self.budget = Budget(run=run, user=user)
        self.run, self.user, self.rng = run, user, rng
        self.in_flight: list[tuple[str, Cost]] = []

    def check(self) -> None:
        assert self.run.calls
        assert self.run.tokens
        assert self.user.calls
        total = sum((cost for _, cost in self.in_flight), self.budget.spent())
        assert total.calls <= self.run.calls
        assert total.tokens <= self.run.tokens
        for owner in {owner for owner, _ in self.in_flight}:
            held = sum(cost.calls for other, cost in self.in_flight if other == owner)
            assert self.budget.spent(owner).calls + held <= self.user.calls

    async def call(self, owner: str, estimate: Cost) -> None:
        reservation = await self.budget.reserve(owner, estimate)
        self.in_flight.append((owner, estimate))
        self.check()
        try:
            for _ in range(self.rng.randrange(4)):
                await asyncio.sleep(0)
        finally:
            self.in_flight.remove((owner, estimate))
            if self.rng.random() < 0.3:
                reservation.release()
            else:
                reservation.settle(Cost(estimate.calls, self.rng.randint(0, estimate.prompt_tokens)))
            self.check()

    async def come(self, n: int, owners: int) -> list[BaseException | None]:
        """All of them, a little apart; some are cancelled. None waits for ever."""
        tasks = []
        for _ in range(n):
            estimate = Cost(self.rng.choice((1, 1, 1, 2)), self.rng.randrange(60))
            tasks.append(asyncio.create_task(self.call(str(self.rng.randrange(owners)), estimate)))
            if self.rng.random() < 0.4:
                await asyncio.sleep(0)
            if self.rng.random() < 0.2:
                self.rng.choice(tasks).cancel()
        return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)


@settings(max_examples=100, deadline=None)
@given(
    st.builds(Limits, calls=st.integers(1, 25), tokens=st.integers(20, 200)),
    st.builds(Limits, calls=st.integers(1, 12)),
    st.integers(1, 4),
    st.integers(0, 40),
    st.integers(0),
)
def test_limits_hold_whatever_the_interleaving(run: Limits, user: Limits, owners: int, n: int, seed: int) -> None:
    async def scenario() -> None:
        crowd = Crowd(run, user, random.Random(seed))
        errors = [outcome for outcome in await crowd.come(n, owners) if outcome is not None]
        assert all(isinstance(error, (BudgetExceededError, asyncio.CancelledError)) for error in errors)
        assert run.calls is not None
        for k in range(run.calls - crowd.budget.spent().calls):  # nothing is left reserved: what isn't spent can be
            await asyncio.wait_for(crowd.budget.reserve(f"new {k}", CALL), 1)

    asyncio.run(scenario())


async def test_a_halt_has_its_first_reason() -> None:
    budget = Budget()
    assert budget.halted is None
    budget.halt("one")
    budget.halt("two")
    assert budget.halted == "one"


@pytest.mark.parametrize(
    ("limits", "estimate", "words"),
    [
        (Limits(tokens=100), Cost(1, 60, 41), r"may need 101 tokens, more than the whole budget of 100"),
        (Limits(money=Decimal(2)), Cost(1, money=Decimal(3)), r"may cost \$3.00, more than the whole budget of \$2.00"),
        (Limits(calls=2), Cost(3), r"may take 3 calls, more than the whole budget of 2"),
    ],
)
async def test_a_call_larger_than_the_whole_budget_of_the_run_is_its_users_trouble(
    limits: Limits, estimate: Cost, words: str
) -> None:
    budget = Budget(run=limits)
    await spend(budget, "bob", Cost(1, 10, 10, Decimal(1)))
    with pytest.raises(BudgetExceededError, match=words) as caught:
        await budget.reserve("ann", estimate)
    assert caught.value.owner == "ann"
    assert "'ann'" in str(caught.value)
    assert budget.exceeded is None
    await spend(budget, "bob", Cost(1, 10, 10, Decimal(1)))


async def test_a_try_that_may_be_billed_is_spent_and_leaves_room_for_another() -> None:
    budget = Budget(run=Limits(calls=2))
    reservation = await budget.reserve("ann", CALL)
    reservation.check()
    reservation.settle_try(CALL)
    reservation.check()
    assert budget.spent("ann").calls == budget.spent().calls == 1
    reservation.settle_try(CALL)
    with pytest.raises(BudgetExceededError, match="the budget of 2 calls is spent"):
        reservation.check()
    assert budget.exceeded is not None
    reservation.settle(Cost())
    assert budget.spent().calls == 2
    reservation.settle_try(CALL)
    assert budget.spent().calls == 2


async def test_another_try_takes_no_room_of_calls_in_flight() -> None:
    budget = Budget(user=Limits(calls=2))
    first, second = await budget.reserve("ann", CALL), await budget.reserve("ann", CALL)
    first.settle_try(CALL)
    with pytest.raises(BudgetExceededError, match="no room for another try") as caught:
        first.check()
    assert caught.value.owner == "ann"
    first.release()
    second.settle(CALL)
    assert budget.spent("ann").calls == 2


async def test_a_halt_and_the_time_end_tries() -> None:
    now = 0.0
    budget = Budget(user=Limits(seconds=5), clock=lambda: now)
    reservation = await budget.reserve("ann", CALL)
    reservation.check()
    now = 5.0
    with pytest.raises(BudgetExceededError, match="5 seconds"):
        reservation.check()
    budget.halt("enough")
    with pytest.raises(HaltedError, match="enough"):
        reservation.check()
