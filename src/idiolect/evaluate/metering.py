"""A meter for the requests of one method for one person, which can limit the number of calls: "equal model calls".

    method → calls.model, which reports to the meter every request, and every call that reaches the model

A method is billed for every request, even if another method made the same request before: sharing answers saves money
in the run, but must not make a method look cheap. A request that the method itself repeats is billed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from idiolect.errors import BudgetExceededError, HaltedError
from idiolect.evaluate.records import MethodCost
from idiolect.models.calls.model import AnyRequest, Source
from idiolect.models.language_model import Usage


class Meter:
    """Meter of one method's requests for one person, over all of its models, as their `CallObserver`.

    Args:
        owner: the person, for error messages.
        limit: maximum number of calls; None: no limit.

    Attributes:
        refused: whether the method asked for more calls than the limit.
        usage: tokens of all requests so far; price: their price, whether they reached a model or not; None if unknown.
        calls_made: number of calls that reached a model; money: their cost; None if a price is unknown.
        halted: error of a call that the run refused; None if it refused none. A method may then return what it has
            learned so far, which is less than it would learn, so check this before you keep the result.
    """

    def __init__(self, owner: str, *, limit: int | None = None) -> None:
        if limit is not None and limit < 1:
            raise ValueError(f"limit is {limit}, must be at least 1")
        self.limit = limit
        self.refused = False
        self.halted: HaltedError | None = None
        self.usage = Usage()
        self.calls_made = 0
        self.money: Decimal | None = Decimal(0)
        self.price: Decimal | None = Decimal(0)
        self._owner = owner
        self._seen: set[tuple[str, str, AnyRequest]] = set()
        self._unbilled: set[tuple[str, str, AnyRequest]] = set()  # the part of `_seen` that is not answered yet

    @property
    def calls(self) -> int:
        """Number of different requests so far."""
        return len(self._seen)

    def requested(self, source: Source, requests: Sequence[AnyRequest]) -> None:
        """Count new requests.

        Raises:
            BudgetExceededError: they would exceed the limit; then none of them counts.
        """
        new = {(*_identity(source), request) for request in requests} - self._seen
        if self.limit is not None and self.calls + len(new) > self.limit:
            self.refused = True
            raise BudgetExceededError(
                f"the limit is {self.limit:,} calls per person: {self.calls:,} were made, {len(new):,} more requested",
                owner=self._owner,
            )
        self._seen |= new
        self._unbilled |= new

    def answered(self, source: Source, requests: Sequence[AnyRequest], usages: Sequence[Usage]) -> None:
        """Bill each answered request once."""
        for request, usage in zip(requests, usages, strict=True):
            key = (*_identity(source), request)
            if key in self._unbilled:
                self._unbilled.remove(key)
                self.usage += usage
                self.price = _with_cost(self.price, source, [usage])

    def reached(self, source: Source, usages: Sequence[Usage]) -> None:
        """Count calls that a model answered, and their cost."""
        self.calls_made += len(usages)
        self.money = _with_cost(self.money, source, usages)

    def stopped(self, error: HaltedError) -> None:
        """Record that the run refused a call."""
        self.halted = error

    def cost(self, *, seconds: float) -> MethodCost:
        """Return the cost of all requests so far."""
        usage = Usage(self.calls, self.usage.prompt_tokens, self.usage.completion_tokens)
        money, price = (None if each is None else float(each) for each in (self.money, self.price))
        return MethodCost(usage, self.calls_made, money, round(seconds, 3), price)


def _with_cost(money: Decimal | None, source: Source, usages: Sequence[Usage]) -> Decimal | None:
    """Return an amount of money plus the cost of usages; None if it or the price is unknown."""
    price = source.price
    if price is None or money is None:
        return None
    return money + sum((price.cost(usage.prompt_tokens, usage.completion_tokens) for usage in usages), Decimal(0))


def _identity(source: Source) -> tuple[str, str]:
    """Return the identity of a model among those of the method."""
    return source.name, source.fingerprint
