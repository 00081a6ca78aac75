"""A meter of what one method asks for one person; it may end the method after so many calls: "equal model calls".

    method → calls.model, which reports to the meter every request, and every call that gets as far as the model

A method is billed for every request it makes, whoever asked the same before it: sharing answers saves the run money,
and must not make a rival look cheap. A request that the method itself repeats is billed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from idiolect.errors import BudgetExceededError, HaltedError
from idiolect.evaluate.records import MethodCost
from idiolect.models.calls.model import AnyRequest, Source
from idiolect.models.language_model import Usage


class Meter:
    """What one method asked so far for one person, over all of its models: the `CallObserver` of these.

    Args:
        owner: the person, for the message.
        limit: calls it may make; None: as many as it likes.

    Attributes:
        refused: whether more was asked for than the limit allows.
        halted: the error of a call that the run refused; None if it refused none. A method may make do with what it
            has learned by then, which is less than it would learn, so check this before you keep that.
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
        self._owner = owner
        self._seen: set[tuple[str, str, AnyRequest]] = set()
        self._unbilled: set[tuple[str, str, AnyRequest]] = set()  # those of them that have not been answered yet

    @property
    def calls(self) -> int:
        """The number of different requests so far."""
        return len(self._seen)

    def requested(self, source: Source, requests: Sequence[AnyRequest]) -> None:
        """Count the requests that are new.

        Raises:
            BudgetExceededError: they are more than the limit leaves room for; none of them counts then.
        """
        new = {(*_identity(source), request) for request in requests} - self._seen
        if self.limit is not None and self.calls + len(new) > self.limit:
            self.refused = True
            raise BudgetExceededError(
                f"{self.limit:,} calls a person are allowed, {self.calls:,} are made, {len(new):,} more are asked for",
                owner=self._owner,
            )
        self._seen |= new
        self._unbilled |= new

    def answered(self, source: Source, requests: Sequence[AnyRequest], usages: Sequence[Usage]) -> None:
        """Bill each request that was answered, once."""
        for request, usage in zip(requests, usages, strict=True):
            key = (*_identity(source), request)
            if key in self._unbilled:
                self._unbilled.remove(key)
                self.usage += usage

    def reached(self, source: Source, usages: Sequence[Usage]) -> None:
        """Count calls that a model answered just now, and what they cost."""
        self.calls_made += len(usages)
        price = source.price
        if price is None or self.money is None:
            self.money = None
            return
        self.money += sum((price.cost(usage.prompt_tokens, usage.completion_tokens) for usage in usages), Decimal(0))

    def stopped(self, error: HaltedError) -> None:
        """Remember that the run refused a call."""
        self.halted = error

    def cost(self, *, seconds: float) -> MethodCost:
        """Return what was asked so far, as a record."""
        usage = Usage(self.calls, self.usage.prompt_tokens, self.usage.completion_tokens)
        money = None if self.money is None else float(self.money)
        return MethodCost(usage, self.calls_made, money, round(seconds, 3))


def _identity(source: Source) -> tuple[str, str]:
    """Return what tells this model from the method's other ones."""
    return source.name, source.fingerprint
