"""A model that counts what one method asks for one person, and may end it after so many calls: "equal model calls".

    method → Metered (counts requests, also those whose answer was there already) → calls.model → the model

A method is billed for every request it makes, whoever asked the same before it: sharing answers saves the run money, and
must not make a rival look cheap. A request that the method itself repeats is billed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from idiolect.errors import BudgetExceededError
from idiolect.evaluate.records import Spent
from idiolect.models.language_model import (
    ChoiceLogProbs,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    LanguageModel,
    Usage,
)

Request = TypeVar("Request", CompletionRequest, ChoiceRequest)


class Meter:
    """What one method asked so far for one person, over all of its models.

    Args:
        owner: the person, for the message.
        limit: calls it may make; None: as many as it likes.
    """

    def __init__(self, owner: str, *, limit: int | None = None) -> None:
        if limit is not None and limit < 1:
            raise ValueError(f"limit is {limit}, must be at least 1")
        self.limit = limit
        self.usage = Usage()
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
            raise BudgetExceededError(
                f"{self.limit:,} calls a person are allowed, {self.calls:,} are made and {len(new):,} more are asked for",
                owner=self._owner,
            )
        self._seen.update((model, request) for request in new)
        return new

    def spent(self, *, calls_made: int, money: float | None, seconds: float) -> Spent:
        """As a record: what was counted here, beside what the caller knows."""
        usage = self.usage
        return Spent(self.calls, calls_made, usage.prompt_tokens, usage.completion_tokens, money, seconds)


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
        answers = await self._model.complete(requests)
        self._bill(requests, answers, new)
        return answers

    async def choice_logprobs(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceLogProbs]:
        """As the model does.

        Raises:
            BudgetExceededError: beyond the meter's limit.
            ModelError, HaltedError: as the model.
        """
        new = set(self._meter.admit(self._known_as, requests))
        answers = await self._model.choice_logprobs(requests)
        self._bill(requests, answers, new)
        return answers

    def _bill(
        self, requests: Sequence[Request], answers: Sequence[Completion | ChoiceLogProbs], new: set[Request]
    ) -> None:
        for request, answer in zip(requests, answers, strict=True):
            if request in new:
                new.discard(request)
                self._meter.usage += answer.usage
