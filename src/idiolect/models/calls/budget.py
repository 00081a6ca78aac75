"""The budget: what a run, and each of its users, may cost. Every call reserves its estimate first and settles after.

    reserve ── fits ────────────────────────────────→ Reservation ── settle(actual) | release()
       ├─ fits once calls in flight are given back ─→ waits, first come first served
       └─ fits no more ─────────────────────────────→ BudgetExceededError

Settled and reserved cost together stay within every limit as long as no call costs more than its estimate. A request
passes its user's limits first and then those of the run, so who waits for its own limit holds up nobody else.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from math import ceil, inf, isfinite

from idiolect.errors import BudgetExceededError, HaltedError, SettingsError
from idiolect.models.calls.prices import Cost as Cost
from idiolect.models.calls.prices import Price
from idiolect.models.language_model import ChoiceRequest, CompletionRequest, Usage


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be spent; None is no limit.

    Args:
        calls: requests to a model.
        tokens: of prompts and completions together.
        money: in the currency of the prices (US dollars).
        seconds: of wall time; a run's begins with its `Budget`, a user's with their first reservation.

    Raises:
        SettingsError: a limit that is not positive and finite.
    """

    calls: int | None = None
    tokens: int | None = None
    money: Decimal | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("calls", "tokens", "money", "seconds"):
            limit = getattr(self, name)
            if limit is not None and not (isfinite(limit) and limit > 0):
                raise SettingsError(f"the limit on {name} is {limit}, must be greater than 0 and finite")


_NO_LIMITS = Limits()


@dataclass(slots=True, eq=False)
class _Account:
    """The run's or one user's: what is settled, what is reserved, and who waits for room, in order."""

    limits: Limits
    owner: str | None
    ends: float
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    money: Decimal = Decimal(0)
    priced: bool = True
    reserved_calls: int = 0
    reserved_tokens: int = 0
    reserved_money: Decimal = Decimal(0)
    queue: OrderedDict[_Waiter, None] = field(default_factory=OrderedDict)

    def fits(self, estimate: Cost, now: float) -> bool:
        """Within every limit, whatever becomes of the reservations in flight."""
        limits = self.limits
        if now >= self.ends:
            return False
        if limits.calls is not None and self.calls + self.reserved_calls + estimate.calls > limits.calls:
            return False
        if limits.tokens is not None and self.tokens + self.reserved_tokens + estimate.tokens > limits.tokens:
            return False
        return limits.money is None or self.money + self.reserved_money + (estimate.money or 0) <= limits.money

    def refusal(self, estimate: Cost, now: float) -> BudgetExceededError | None:
        """Why the estimate will never fit, even with nothing in flight; None if it may."""
        limits, money = self.limits, estimate.money or Decimal(0)
        if limits.calls is not None and self.calls + estimate.calls > limits.calls:
            return self._exceeded(f"{limits.calls:,} calls", f"{self.calls:,} made")
        if limits.tokens is not None and self.tokens + estimate.tokens > limits.tokens:
            needed = f"the next call may need {estimate.tokens:,}"
            return self._exceeded(f"{limits.tokens:,} tokens", f"{self.tokens:,} used, {needed}")
        if limits.money is not None and self.money + money > limits.money:
            needed = f"the next call may cost {_dollars(money)}"
            return self._exceeded(_dollars(limits.money), f"{_dollars(self.money)} used, {needed}")
        if now >= self.ends:
            return self._exceeded(f"{limits.seconds:,g} seconds", f"{self.calls:,} calls made")
        return None

    def _exceeded(self, limit: str, spent: str) -> BudgetExceededError:
        whose = "" if self.owner is None else f" for user {self.owner!r}"
        return BudgetExceededError(f"the budget of {limit}{whose} is spent: {spent}", owner=self.owner)

    def hold(self, estimate: Cost, sign: int = 1) -> None:
        """Reserve the estimate; with −1, give it back."""
        self.reserved_calls += sign * estimate.calls
        self.reserved_tokens += sign * estimate.tokens
        self.reserved_money += sign * (estimate.money or 0)

    def spend(self, actual: Cost, estimate: Cost) -> None:
        """Settle. Where money is not known after all, what was estimated counts."""
        money = estimate.money if actual.money is None else actual.money
        self.calls += actual.calls
        self.prompt_tokens += actual.prompt_tokens
        self.completion_tokens += actual.completion_tokens
        self.money += money or 0
        self.priced = self.priced and money is not None

    @property
    def tokens(self) -> int:
        """Settled ones, of prompts and completions."""
        return self.prompt_tokens + self.completion_tokens

    def spent(self) -> Cost:
        """What is settled."""
        return Cost(self.calls, self.prompt_tokens, self.completion_tokens, self.money if self.priced else None)


@dataclass(slots=True, eq=False)
class _Waiter:
    """A request that waits: in its user's queue (`queued_in` is `user`), in that of the run, or in none any more.

    In the run's queue its place in the user's account is reserved already. An error is kept as a value, because a
    cancelled task would never collect it from the future.
    """

    user: _Account
    estimate: Cost
    outcome: asyncio.Future[Reservation | HaltedError]
    queued_in: _Account | None
    timer: asyncio.TimerHandle | None = None


class Reservation:
    """Room in the budget for one call; end it with `settle` or `release`. What is called second does nothing."""

    __slots__ = ("_budget", "_user", "estimate")

    def __init__(self, budget: Budget, user: _Account, estimate: Cost) -> None:
        self.estimate = estimate
        self._budget: Budget | None = budget
        self._user = user

    def settle(self, actual: Cost) -> None:
        """The call was made, and cost this."""
        self._end(actual)

    def release(self) -> None:
        """The call was not made, or is known not to cost anything."""
        self._end(None)

    def _end(self, actual: Cost | None) -> None:
        budget, self._budget = self._budget, None
        if budget is not None:
            budget._give_back(self._user, self.estimate, actual)


class Budget:
    """Admits calls within limits. For one event loop; not for threads.

    Who holds a reservation should not wait for another one: if neither can be given back, both wait for ever.

    Args:
        run: limits of everything together.
        user: limits of each user.
        clock: seconds of wall time.

    Attributes:
        exceeded: the first time that a limit of the run was exceeded, None so far.
    """

    def __init__(
        self, *, run: Limits = _NO_LIMITS, user: Limits = _NO_LIMITS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.exceeded: BudgetExceededError | None = None
        self._clock = clock
        self._run = _Account(run, None, clock() + (run.seconds or inf))
        self._user_limits = user
        self._users: dict[str, _Account] = {}
        self._needs_prices = run.money is not None or user.money is not None
        self._halted: str | None = None

    async def reserve(self, owner: str, estimate: Cost) -> Reservation:
        """Room for a call of this user's, waiting for it as long as calls in flight may still make some.

        Args:
            owner: id of the user for whom the call is made.
            estimate: the most that the call may cost.

        Raises:
            BudgetExceededError: it fits no more; `owner` is set where the limit is the user's own.
            HaltedError: `halt` was called, before or while waiting.
            SettingsError: money is limited, but the estimate's is not known.
        """
        if self._halted is not None:
            raise HaltedError(self._halted)
        if self._needs_prices and estimate.money is None:
            raise SettingsError("money is limited, but the price of a model is not known: say it in prices.toml")
        user = self._account(owner)
        run, now = self._run, self._clock()
        if not user.queue and not run.queue and user.fits(estimate, now) and run.fits(estimate, now):
            user.hold(estimate)
            run.hold(estimate)
            return Reservation(self, user, estimate)
        refusal = self._refusal(user, estimate)
        if refusal is not None:
            raise refusal
        return await self._wait(user, estimate)

    def halt(self, reason: str) -> None:
        """Admit nothing any more: every later reservation, and every one that waits, raises `HaltedError(reason)`.

        What is in flight can still be self. The first reason stays. Call it in the thread of the event loop.
        """
        if self._halted is None:
            self._halted = reason
            for account in (self._run, *self._users.values()):
                while account.queue:
                    self._refuse(next(iter(account.queue)), HaltedError(reason))

    def spent(self, owner: str | None = None) -> Cost:
        """What is settled so far: by this user, or by all. `money` is None if a part of it is not known."""
        if owner is None:
            return self._run.spent()
        return self._users[owner].spent() if owner in self._users else Cost()

    def _account(self, owner: str) -> _Account:
        account = self._users.get(owner)
        if account is None:
            limits = self._user_limits
            account = self._users[owner] = _Account(limits, owner, self._clock() + (limits.seconds or inf))
        return account

    def _refusal(self, user: _Account, estimate: Cost) -> BudgetExceededError | None:
        now = self._clock()
        refusal = self._run.refusal(estimate, now)
        if refusal is None:
            return user.refusal(estimate, now)
        self.exceeded = self.exceeded or refusal
        return refusal

    async def _wait(self, user: _Account, estimate: Cost) -> Reservation:
        waiter = _Waiter(user, estimate, asyncio.get_running_loop().create_future(), user)
        user.queue[waiter] = None
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

    def _watch_time(self, waiter: _Waiter) -> None:
        """Refuse the waiter when the time is up, even if nothing is given back by then."""
        if waiter.queued_in is None:
            return
        if self._refused(waiter):
            self._look_again(waiter.user)
            return
        left = min(self._run.ends, waiter.user.ends) - self._clock()
        if left < inf:
            waiter.timer = asyncio.get_running_loop().call_later(left, self._watch_time, waiter)

    def _give_back(self, user: _Account, estimate: Cost, actual: Cost | None) -> None:
        for account in (user, self._run):
            account.hold(estimate, -1)
            if actual is not None:
                account.spend(actual, estimate)
        self._look_again(user)

    def _look_again(self, user: _Account) -> None:
        """Admit the first in line as long as they fit, and refuse who never will: of this user's, then of the run's."""
        self._advance(user)
        run, now = self._run, self._clock()
        while run.queue:
            waiter = next(iter(run.queue))
            if waiter.outcome.cancelled():
                self._leave_queue(waiter)
            elif run.fits(waiter.estimate, now):
                del run.queue[waiter]
                waiter.queued_in = None
                run.hold(waiter.estimate)
                waiter.outcome.set_result(Reservation(self, waiter.user, waiter.estimate))
            elif not self._refused(waiter):
                return

    def _advance(self, user: _Account) -> None:
        """Let who fits their user's limits go on to the queue of the run."""
        now = self._clock()
        while user.queue:
            waiter = next(iter(user.queue))
            if user.fits(waiter.estimate, now):
                del user.queue[waiter]
                user.hold(waiter.estimate)
                self._run.queue[waiter] = None
                waiter.queued_in = self._run
            elif not self._refused(waiter):
                return

    def _refused(self, waiter: _Waiter) -> bool:
        """Refuse who will never fit."""
        refusal = self._refusal(waiter.user, waiter.estimate)
        if refusal is not None:
            self._refuse(waiter, refusal)
        return refusal is not None

    def _refuse(self, waiter: _Waiter, error: HaltedError) -> None:
        if not waiter.outcome.cancelled():
            waiter.outcome.set_result(error)
        self._leave_queue(waiter)

    def _withdraw(self, waiter: _Waiter) -> None:
        """Its task was cancelled: what it holds, or was just given, goes back."""
        if waiter.queued_in is not None:
            self._leave_queue(waiter)
            self._look_again(waiter.user)
        elif not waiter.outcome.cancelled() and isinstance(admitted := waiter.outcome.result(), Reservation):
            admitted.release()

    def _leave_queue(self, waiter: _Waiter) -> None:
        queued_in, waiter.queued_in = waiter.queued_in, None
        assert queued_in is not None
        del queued_in.queue[waiter]
        if queued_in is self._run:
            waiter.user.hold(waiter.estimate, -1)
            self._advance(waiter.user)


_FIRST_RATIO = 0.5  # tokens a byte; English has 0.25, the scripts that cost most about as much as this
_SEEN_ENOUGH = 20
_MARGIN = 1.25
_BYTES_AROUND = 16  # what a chat template puts around a message, and around all of them


class Estimator:
    """Upper estimates of what requests to one model cost, before they are sent.

    Prompt tokens are the UTF-8 bytes of a request's texts times a ratio: the greatest seen with this model so far,
    with a margin of a quarter, and at least 0.5 for the first 20 requests.

    Args:
        price: of the model; None where it isn't known, then no money is.
    """

    def __init__(self, price: Price | None) -> None:
        self._price, self._greatest, self._seen = price, 0.0, 0

    def estimate(self, request: CompletionRequest | ChoiceRequest) -> Cost:
        """The most that one request may cost: as many tokens written as it allows."""
        ratio = self._greatest * _MARGIN
        if self._seen < _SEEN_ENOUGH:
            ratio = max(ratio, _FIRST_RATIO)
        written = request.sampling.max_tokens if isinstance(request, CompletionRequest) else 0
        return self._priced(1, ceil(ratio * _size(request)), written)

    def cost(self, request: CompletionRequest | ChoiceRequest, usage: Usage) -> Cost:
        """What the request did cost, by the model's own count; the next estimates follow it."""
        self._greatest = max(self._greatest, usage.prompt_tokens / _size(request))
        self._seen += 1
        return self._priced(usage.calls, usage.prompt_tokens, usage.completion_tokens)

    def _priced(self, calls: int, prompt_tokens: int, completion_tokens: int) -> Cost:
        money = None if self._price is None else self._price.cost(prompt_tokens, completion_tokens)
        return Cost(calls, prompt_tokens, completion_tokens, money)


def _size(request: CompletionRequest | ChoiceRequest) -> int:
    """Bytes that the model may read. A server that scores choices may read the prompt once for each."""
    prompt = _bytes(request.prefill) + _BYTES_AROUND
    prompt += sum(_bytes(message.content) + _BYTES_AROUND for message in request.messages)
    if isinstance(request, CompletionRequest):
        return prompt
    return prompt * len(request.choices) + sum(map(_bytes, request.choices))


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _dollars(money: Decimal) -> str:
    """Whole cents, or as many decimals as there are."""
    exact = f"{money.normalize():,f}"
    decimals = len(exact.partition(".")[2])
    return f"${exact}" if decimals > 2 else f"${money:,.2f}"
