"""A model that counts what one method asks for one person, and may end it after so many calls: "equal model calls".

    method → MeteredModel (counts requests) → calls.model (cache, budget) → ReachedModel (counts what gets there)

A method is billed for every request it makes, whoever asked the same before it: sharing answers saves the run money,
and must not make a rival look cheap. A request that the method itself repeats is billed once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from decimal import Decimal
from typing import TypeVar

from idiolect.errors import BudgetExceededError, HaltedError
from idiolect.evaluate.records import Cost
from idiolect.models.calls.prices import Price
from idiolect.models.language_model import (
    ChoiceLogProbs,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    LanguageModel,
    Usage,
)

Request = TypeVar("Request", CompletionRequest, ChoiceRequest)
Result = TypeVar("Result", Completion, ChoiceLogProbs)


class Meter:
    """What one method asked so far for one person, over all of its models.

    Args:
        owner: the person, for the message.
        limit: calls it may make; None: as many as it likes.

    Attributes:
        refused: whether more was asked for than the limit allows.
        halted: why the run refused a call; None if it didn't. A method may make do with what it has learned by then,
            and that is less than it would learn: whoever keeps it has to look here.
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
        self._seen: set[tuple[str, object]] = set()

    @property
    def calls(self) -> int:
        """Different requests so far."""
        return len(self._seen)

    def admit(self, model: str, requests: Sequence[Request]) -> list[Request]:
        """The requests that are new; they count from now on.

        Raises:
            BudgetExceededError: they are more than the limit leaves room for; none of them counts then.
        """
        new = list(dict.fromkeys(request for request in requests if (model, request) not in self._seen))
        if self.limit is not None and self.calls + len(new) > self.limit:
            self.refused = True
            raise BudgetExceededError(
                f"{self.limit:,} calls a person are allowed, {self.calls:,} are made, {len(new):,} more are asked for",
                owner=self._owner,
            )
        self._seen.update((model, request) for request in new)
        return new

    def reached(self, usages: Sequence[Usage], price: Price | None) -> None:
        """So many calls reached a model, at this price; None: not known."""
        self.calls_made += len(usages)
        if price is None or self.money is None:
            self.money = None
            return
        self.money += sum((price.cost(usage.prompt_tokens, usage.completion_tokens) for usage in usages), Decimal(0))

    def cost(self, *, seconds: float) -> Cost:
        """Return what was asked so far, as a record."""
        usage = Usage(self.calls, self.usage.prompt_tokens, self.usage.completion_tokens)
        money = None if self.money is None else float(self.money)
        return Cost(usage, self.calls_made, money, round(seconds, 3))


class MeteredModel:
    """A `LanguageModel` whose requests a meter counts.

    Args:
        model: answers.
        meter: counts.
        known_as: what tells this model from the method's other ones.
    """

    def __init__(self, model: LanguageModel, meter: Meter, *, known_as: str) -> None:
        self._model, self._meter, self._known_as = model, meter, known_as

    @property
    def name(self) -> str:
        """The model's own."""
        return self._model.name

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """As the model does.

        Raises:
            BudgetExceededError: beyond the meter's limit.
            ModelError, HaltedError: as the model.
        """
        new = set(self._meter.admit(self._known_as, requests))
        answers = await self._asked(self._model.complete(requests))
        self._bill(requests, answers, new)
        return answers

    async def choice_logprobs(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceLogProbs]:
        """As the model does.

        Raises:
            BudgetExceededError: beyond the meter's limit.
            ModelError, HaltedError: as the model.
        """
        new = set(self._meter.admit(self._known_as, requests))
        answers = await self._asked(self._model.choice_logprobs(requests))
        self._bill(requests, answers, new)
        return answers

    async def _asked(self, answers: Awaitable[list[Result]]) -> list[Result]:
        try:
            return await answers
        except HaltedError as error:
            self._meter.halted = error
            raise

    def _bill(
        self, requests: Sequence[Request], answers: Sequence[Completion | ChoiceLogProbs], new: set[Request]
    ) -> None:
        for request, answer in zip(requests, answers, strict=True):
            if request in new:
                new.discard(request)
                self._meter.usage += answer.usage


class ReachedModel:
    """A `LanguageModel` behind the cache, that tells a meter which calls got as far as here."""

    def __init__(self, model: LanguageModel, meter: Meter, price: Price | None) -> None:
        self._model, self._meter, self._price = model, meter, price

    @property
    def name(self) -> str:
        """The model's own."""
        return self._model.name

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """As the model does."""
        answers = await self._model.complete(requests)
        self._meter.reached([answer.usage for answer in answers], self._price)
        return answers

    async def choice_logprobs(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceLogProbs]:
        """As the model does."""
        answers = await self._model.choice_logprobs(requests)
        self._meter.reached([answer.usage for answer in answers], self._price)
        return answers
