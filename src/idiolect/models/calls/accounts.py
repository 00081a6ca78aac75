"""The accounts of a budget: the limits of the run and of each user, with their settled and reserved costs.

`budget` decides which calls are admitted; an account only decides what fits, and words the refusal.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from math import isfinite

from idiolect.errors import BudgetExceededError, SettingsError
from idiolect.models.calls.prices import Cost

NOBODY = ""
"""Owner of calls that are nobody's, which is no user's id: only the limits of the run apply to them."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on spending; None is no limit.

    Args:
        calls: maximum number of requests to a model.
        tokens: maximum number of tokens, of prompts and completions together.
        money: maximum cost, in the currency of the prices (US dollars).
        seconds: maximum wall time; a run's starts with its `Budget`, a user's with their first reservation or check.

    Raises:
        SettingsError: a limit is not positive or not finite.
    """

    calls: int | None = None
    tokens: int | None = None
    money: Decimal | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("calls", "tokens", "money", "seconds"):
            limit = getattr(self, name)
            if limit is not None and not (isinstance(limit, int | float | Decimal) and isfinite(limit) and limit > 0):
                raise SettingsError(f"the limit on {name} is {limit}, must be a finite number greater than 0")


@dataclass(slots=True, eq=False)
class Account:
    """The account of the run (`owner` is None), of one user, or of `NOBODY`: its limits, settled and reserved costs."""

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

    def fits(self, estimate: Cost, now: float) -> bool:
        """Return whether the estimate is within every limit even if all reservations in flight are spent."""
        limits = self.limits
        if now >= self.ends:
            return False
        if limits.calls is not None and self.calls + self.reserved_calls + estimate.calls > limits.calls:
            return False
        if limits.tokens is not None and self.tokens + self.reserved_tokens + estimate.tokens > limits.tokens:
            return False
        return limits.money is None or self.money + self.reserved_money + (estimate.money or 0) <= limits.money

    def refusal(self, estimate: Cost, now: float) -> BudgetExceededError | None:
        """Return why the estimate will never fit, even with nothing in flight; None if it may."""
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

    def oversized(self, estimate: Cost) -> str | None:
        """Return how the estimate exceeds an entire limit, even if nothing is spent; None if it does not."""
        limits, money = self.limits, estimate.money or Decimal(0)
        if limits.calls is not None and estimate.calls > limits.calls:
            return f"may take {estimate.calls:,} calls, more than the whole budget of {limits.calls:,}"
        if limits.tokens is not None and estimate.tokens > limits.tokens:
            return f"may need {estimate.tokens:,} tokens, more than the whole budget of {limits.tokens:,}"
        if limits.money is not None and money > limits.money:
            return f"may cost {_dollars(money)}, more than the whole budget of {_dollars(limits.money)}"
        return None

    def full(self) -> BudgetExceededError:
        """Return the refusal for the case that only calls in flight take up the room."""
        whose = "" if self.owner is None else f" for user {self.owner!r}"
        return BudgetExceededError(
            f"the budget{whose} has no room for another try: the rest is reserved for calls in flight", owner=self.owner
        )

    def _exceeded(self, limit: str, spent: str) -> BudgetExceededError:
        whose = "" if self.owner is None else f" for user {self.owner!r}"
        return BudgetExceededError(f"the budget of {limit}{whose} is spent: {spent}", owner=self.owner)

    def hold(self, estimate: Cost, sign: int = 1) -> None:
        """Reserve the estimate; with `sign` −1, release it."""
        self.reserved_calls += sign * estimate.calls
        self.reserved_tokens += sign * estimate.tokens
        self.reserved_money += sign * (estimate.money or 0)

    def spend(self, actual: Cost, estimate: Cost) -> None:
        """Settle a call at its actual cost; if that has no money, the estimated money counts."""
        money = estimate.money if actual.money is None else actual.money
        self.calls += actual.calls
        self.prompt_tokens += actual.prompt_tokens
        self.completion_tokens += actual.completion_tokens
        self.money += money or 0
        self.priced = self.priced and money is not None

    @property
    def tokens(self) -> int:
        """Number of settled tokens, of prompts and completions together."""
        return self.prompt_tokens + self.completion_tokens

    def spent(self) -> Cost:
        """Return the settled cost."""
        return Cost(self.calls, self.prompt_tokens, self.completion_tokens, self.money if self.priced else None)


def _dollars(money: Decimal) -> str:
    """Format an amount with two decimals, or with all of its decimals if it has more."""
    exact = f"{money.normalize():,f}"
    decimals = len(exact.partition(".")[2])
    return f"${exact}" if decimals > 2 else f"${money:,.2f}"
