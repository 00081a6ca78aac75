"""The budget of a run and of each of its users. Every call reserves its estimated cost before and settles it after.

    reserve ── fits ────────────────────────────────→ Reservation ── settle(actual) | release()
       ├─ fits once calls in flight are given back ─→ waits, first come first served
       └─ fits no more ─────────────────────────────→ BudgetExceededError

Settled and reserved cost together stay within every limit as long as no call costs more than its estimate. A request
must pass its user's limits first and then those of the run, so a call that waits for its user's limit delays no others.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

from idiolect.errors import BudgetExceededError, HaltedError, SettingsError
from idiolect.models.calls.accounts import NOBODY, Account
from idiolect.models.calls.accounts import Limits as Limits
from idiolect.models.calls.prices import Cost as Cost

_NO_LIMITS = Limits()
_NOTHING = Cost()


@dataclass(slots=True, eq=False)
class Waiter:
    """A waiting request: in its user's queue (`queued_in` is `user`), in the run's queue, or no longer in any.

    Once it is in the run's queue, its estimate is already reserved in the user's account. An error is stored as a
    value, because a cancelled task would never retrieve an exception from the future.
    """

    user: Account
    estimate: Cost
    outcome: asyncio.Future[Reservation | HaltedError]
    queued_in: Account | None
    timer: asyncio.TimerHandle | None = None


class Reservation:
    """Room in the budget for one call. End it with `settle` or `release`; a second call of either does nothing."""

    __slots__ = ("_budget", "_user", "estimate")

    def __init__(self, budget: Budget, user: Account, estimate: Cost) -> None:
        self.estimate = estimate
        self._budget: Budget | None = budget
        self._user = user

    def settle(self, actual: Cost) -> None:
        """End the reservation of a call that was made, with its actual cost."""
        self._end(actual)

    def release(self) -> None:
        """End the reservation of a call that was not made, or is known to cost nothing."""
        self._end(None)

    def settle_try(self, actual: Cost) -> None:
        """Spend the possible cost of a try without an answer; the room stays reserved for another try."""
        if self._budget is not None:
            self._budget._spend(self._user, actual)

    def check(self) -> None:
        """Check that the call may still be made, or made again.

        Raises:
            BudgetExceededError: the call no longer fits after the cost of its tries, or the time is over.
            HaltedError: `Budget.halt` was called.
        """
        if self._budget is not None:
            self._budget._check(self._user, self.estimate)

    def _end(self, actual: Cost | None) -> None:
        budget, self._budget = self._budget, None
        if budget is not None:
            budget._give_back(self._user, self.estimate, actual)


class Budget:
    """A budget that admits calls within limits. For one event loop; not for threads.

    A task that holds a reservation should not wait for another one: if neither can be released, both wait for ever.

    Args:
        run: limits of all users together.
        user: limits of each user.
        clock: returns seconds of wall time.

    Attributes:
        exceeded: the error raised when a limit of the run was first exceeded; None before that.
        halted: the reason passed to `halt`; None if it was not called.
    """

    def __init__(
        self, *, run: Limits = _NO_LIMITS, user: Limits = _NO_LIMITS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.exceeded: BudgetExceededError | None = None
        self._clock = clock
        self._run = Account(run, None, clock() + (run.seconds or inf))
        self._user_limits = user
        self._users: dict[str, Account] = {}
        # Calls waiting for room, in a user's account and then in the run's, each in order of arrival.
        self._queues: dict[Account, OrderedDict[Waiter, None]] = {self._run: OrderedDict()}
        self._needs_prices = run.money is not None or user.money is not None
        self.halted: str | None = None

    async def reserve(self, owner: str, estimate: Cost) -> Reservation:
        """Reserve room for a call of this user; wait as long as calls in flight may still free enough of it.

        Raises:
            BudgetExceededError: the call can no longer fit; `owner` is set if the limit is the user's own.
            HaltedError: `halt` was called, before or while waiting.
            SettingsError: money is limited, but the estimate contains no money.
        """
        self._check_halt()
        if self._needs_prices and estimate.money is None:
            raise SettingsError("money is limited, but the price of a model is unknown: add it to prices.toml")
        if (reservation := self.reserve_now(owner, estimate)) is not None:
            return reservation
        user = self._account(owner)
        refusal = self._refusal(user, estimate)
        if refusal is not None:
            raise refusal
        return await self._wait(user, estimate)

    def reserve_now(self, owner: str, estimate: Cost) -> Reservation | None:
        """Reserve room like `reserve`, but return None if that would wait or raise an error."""
        user, run, now = self._account(owner), self._run, self._clock()
        if self.halted is not None or (self._needs_prices and estimate.money is None):
            return None
        if self._queues[user] or self._queues[run]:
            return None
        if not (user.fits(estimate, now) and run.fits(estimate, now)):
            return None
        user.hold(estimate)
        run.hold(estimate)
        return Reservation(self, user, estimate)

    def check(self, owner: str) -> None:
        """Check that work for this user may go on that makes no calls, and so costs nothing but time.

        Raises:
            BudgetExceededError: the time of the run, or of this user, is over.
            HaltedError: `halt` was called.
        """
        self._check_halt()
        user = self._account(owner)
        if self._clock() < min(self._run.ends, user.ends):
            return
        if (refusal := self._refusal(user, _NOTHING)) is not None:
            raise refusal

    def fitting(self, owner: str, estimates: Sequence[Cost]) -> int:
        """Return how many of these calls, from the first on, fit together at present; 0 if not even the first does."""
        user, run, now, together = self._account(owner), self._run, self._clock(), Cost()
        for n, estimate in enumerate(estimates):
            together += estimate
            if not (user.fits(together, now) and run.fits(together, now)):
                return n
        return len(estimates)

    def halt(self, reason: str) -> None:
        """Stop admitting calls: every later or waiting reservation raises `HaltedError(reason)`.

        Calls in flight can still be settled. The first reason is kept. Call this in the thread of the event loop.
        """
        if self.halted is None:
            self.halted = reason
            for queue in self._queues.values():
                while queue:
                    self._refuse(next(iter(queue)), HaltedError(reason))

    def spent(self, owner: str | None = None) -> Cost:
        """Return the cost settled so far, of this user or of all. `money` is None if a part of it is unknown."""
        if owner is None:
            return self._run.spent()
        return self._users[owner].spent() if owner in self._users else Cost()

    def _account(self, owner: str) -> Account:
        account = self._users.get(owner)
        if account is None:
            limits = _NO_LIMITS if owner == NOBODY else self._user_limits
            account = self._users[owner] = Account(limits, owner, self._clock() + (limits.seconds or inf))
            self._queues[account] = OrderedDict()
        return account

    def _check_halt(self) -> None:
        if self.halted is not None:
            raise HaltedError(self.halted)

    def _check(self, user: Account, estimate: Cost) -> None:
        self._check_halt()
        now = self._clock()
        for account in (self._run, user):
            if not account.fits(_NOTHING, now):
                refusal = account.refusal(estimate, now) or account.full()
                if account is self._run:
                    self.exceeded = self.exceeded or refusal
                raise refusal

    def _spend(self, user: Account, actual: Cost) -> None:
        for account in (user, self._run):
            account.spend(actual, actual)

    def _refusal(self, user: Account, estimate: Cost) -> BudgetExceededError | None:
        if (how := self._run.oversized(estimate)) is not None:  # other users' calls may still be small enough
            whose = f" for user {user.owner!r}" if user.owner else ""
            return BudgetExceededError(f"one call{whose} {how}", owner=user.owner or None)
        now = self._clock()
        refusal = self._run.refusal(estimate, now)
        if refusal is None:
            return user.refusal(estimate, now)
        self.exceeded = self.exceeded or refusal
        return refusal

    async def _wait(self, user: Account, estimate: Cost) -> Reservation:
        waiter = Waiter(user, estimate, asyncio.get_running_loop().create_future(), user)
        self._queues[user][waiter] = None
        self._look_again(user)
        self._watch_time(waiter)
        try:
            outcome = await waiter.outcome
        except asyncio.CancelledError:
            self._withdraw(waiter)
            raise
        finally:
            if waiter.timer is not None:
                waiter.timer.cancel()
        if isinstance(outcome, HaltedError):
            raise outcome
        return outcome

    def _watch_time(self, waiter: Waiter) -> None:
        """Refuse the waiter when the time is up, even if no reservation is given back by then."""
        if waiter.queued_in is None:
            return
        if self._refused(waiter):
            self._look_again(waiter.user)
            return
        left = min(self._run.ends, waiter.user.ends) - self._clock()
        if left < inf:
            waiter.timer = asyncio.get_running_loop().call_later(left, self._watch_time, waiter)

    def _give_back(self, user: Account, estimate: Cost, actual: Cost | None) -> None:
        for account in (user, self._run):
            account.hold(estimate, -1)
            if actual is not None:
                account.spend(actual, estimate)
        self._look_again(user)

    def _look_again(self, user: Account) -> None:
        """Admit waiters from the heads of this user's and then the run's queue; refuse those that can never fit."""
        self._advance(user)
        run, queue, now = self._run, self._queues[self._run], self._clock()
        while queue:
            waiter = next(iter(queue))
            if waiter.outcome.cancelled():
                self._leave_queue(waiter)
            elif run.fits(waiter.estimate, now):
                del queue[waiter]
                waiter.queued_in = None
                run.hold(waiter.estimate)
                waiter.outcome.set_result(Reservation(self, waiter.user, waiter.estimate))
            elif not self._refused(waiter):
                return

    def _advance(self, user: Account) -> None:
        """Move waiters that fit their user's limits on to the queue of the run."""
        queue, now = self._queues[user], self._clock()
        while queue:
            waiter = next(iter(queue))
            if user.fits(waiter.estimate, now):
                del queue[waiter]
                user.hold(waiter.estimate)
                self._queues[self._run][waiter] = None
                waiter.queued_in = self._run
            elif not self._refused(waiter):
                return

    def _refused(self, waiter: Waiter) -> bool:
        """Refuse a waiter that will never fit; return whether it was refused."""
        refusal = self._refusal(waiter.user, waiter.estimate)
        if refusal is not None:
            self._refuse(waiter, refusal)
        return refusal is not None

    def _refuse(self, waiter: Waiter, error: HaltedError) -> None:
        if not waiter.outcome.cancelled():
            waiter.outcome.set_result(error)
        self._leave_queue(waiter)

    def _withdraw(self, waiter: Waiter) -> None:
        """Release everything that a waiter holds or was just given, because its task was cancelled."""
        if waiter.queued_in is not None:
            self._leave_queue(waiter)
            self._look_again(waiter.user)
        elif not waiter.outcome.cancelled() and isinstance(admitted := waiter.outcome.result(), Reservation):
            admitted.release()

    def _leave_queue(self, waiter: Waiter) -> None:
        queued_in, waiter.queued_in = waiter.queued_in, None
        assert queued_in is not None
        del self._queues[queued_in][waiter]
        if queued_in is self._run:
            waiter.user.hold(waiter.estimate, -1)
            self._advance(waiter.user)
