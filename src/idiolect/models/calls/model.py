"""One user's view of a model whose calls are kept, counted and bounded: what a method is handed instead of the model.

    look-up in the cache → a turn → room in the budget → a durable claim → the model → the budget's account → kept

A remote model is asked request by request, so that each answer is kept the moment it is there and the turns bound what
is in flight; a local one is asked for all at once, because it batches. Whatever is in flight when a neighbour fails is
finished and kept: it is paid for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Generic, TypeVar

from idiolect.errors import ModelError
from idiolect.models.calls.budget import Budget, Cost, Estimator
from idiolect.models.calls.cache import CallCache
from idiolect.models.calls.keys import call_key
from idiolect.models.calls.prices import Price
from idiolect.models.calls.results import (
    completion_from_result,
    completion_to_result,
    logprobs_from_result,
    logprobs_to_result,
)
from idiolect.models.calls.turns import Turns
from idiolect.models.language_model import (
    ChoiceLogProbs,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    LanguageModel,
)

T = TypeVar("T")
Request = TypeVar("Request", CompletionRequest, ChoiceRequest)
Result = TypeVar("Result", Completion, ChoiceLogProbs)


@dataclass(frozen=True, slots=True)
class Source:
    """A model as calls are made of it.

    Args:
        model: answers.
        name: what a cache knows it by; names the server as well as the model.
        fingerprint: hash of weights, edit and chat template; "" where the name says it all.
        price: per token; None where it isn't known.
        remote: answers each request on its own, so that many are asked side by side.
        cached: False keeps its answers out of the cache (a recording needs none).
    """

    model: LanguageModel
    name: str
    fingerprint: str = ""
    price: Price | None = None
    remote: bool = False
    cached: bool = True


@dataclass(slots=True)
class CallCounts:
    """What became of the calls of a run: asked of a model, found in the cache, failed, dropped while in flight."""

    made: int = 0
    found: int = 0
    failed: int = 0
    dropped: int = 0


@dataclass(slots=True)
class Calls:
    """What all users of a run share.

    Args:
        budget: limits, and what was spent.
        turns: bounds the calls in flight of remote models.
        cache: keeps answers; None: nothing is kept.
    """

    budget: Budget
    turns: Turns
    cache: CallCache | None = None
    counts: CallCounts = field(default_factory=CallCounts)
    _estimators: dict[str, Estimator] = field(default_factory=dict)

    def model(self, source: Source, *, owner: str) -> CalledModel:
        """The model as `owner` calls it."""
        estimator = self._estimators.setdefault(source.name, Estimator(source.price))
        return CalledModel(self, source, owner, estimator)


@dataclass(frozen=True, slots=True)
class _Operation(Generic[Request, Result]):
    """One of the two things that a model does, with the form in which its results are kept."""

    name: str
    ask: Callable[[LanguageModel, Sequence[Request]], Awaitable[list[Result]]]
    to_result: Callable[[Result], Mapping[str, Any]]
    from_result: Callable[[Mapping[str, Any]], Result]


_COMPLETE: _Operation[CompletionRequest, Completion] = _Operation(
    "complete", lambda model, requests: model.complete(requests), completion_to_result, completion_from_result
)
_CHOICES: _Operation[ChoiceRequest, ChoiceLogProbs] = _Operation(
    "choice_logprobs",
    lambda model, requests: model.choice_logprobs(requests),
    logprobs_to_result,
    logprobs_from_result,
)


@dataclass(slots=True)
class _Batch(Generic[Request, Result]):
    """Requests that are asked together.

    Args:
        missing: all of them, by key.
        begins: the claims that are still being made; None as their result: the call is ours.
        claimed: ours, and neither kept nor given up so far.
        known: what came of the others.
        cost: of what was asked.
    """

    missing: Mapping[str, Request]
    begins: dict[str, asyncio.Task[Mapping[str, Any] | None]]
    claimed: list[str] = field(default_factory=list)
    known: dict[str, Result] = field(default_factory=dict)
    cost: Cost = field(default_factory=Cost)

    def begun(self) -> dict[str, Mapping[str, Any]]:
        """Note the claims that have been made since; returns the results that somebody else has kept."""
        done = {key: self.begins.pop(key) for key in [key for key, begin in self.begins.items() if begin.done()]}
        made = {key: begin for key, begin in done.items() if not begin.cancelled() and not begin.exception()}
        self.claimed += [key for key, begin in made.items() if begin.result() is None]
        for begin in done.values():
            begin.result()  # raises what went wrong
        return {key: kept for key, begin in made.items() if (kept := begin.result()) is not None}


class CalledModel:
    """A `LanguageModel` that calls another one for one user. Made by `Calls.model`."""

    def __init__(self, calls: Calls, source: Source, owner: str, estimator: Estimator) -> None:
        self._calls, self._source, self._owner, self._estimator = calls, source, owner, estimator
        self._cache = calls.cache if source.cached else None
        self._unknown_cost = Decimal(0) if source.price is not None else None  # of a call that failed

    @property
    def name(self) -> str:
        """The model's own name."""
        return self._source.model.name

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """As the model does, or as it did before.

        Raises:
            ModelError: the model could not answer.
            HaltedError: the run makes no further calls; what was in flight is kept.
            CacheError: the cache cannot be read or written.
        """
        return await self._answer(_COMPLETE, requests)

    async def choice_logprobs(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceLogProbs]:
        """As the model does, or as it did before.

        Raises:
            ModelError: the model could not answer.
            HaltedError: the run makes no further calls; what was in flight is kept.
            CacheError: the cache cannot be read or written.
        """
        return await self._answer(_CHOICES, requests)

    async def _answer(self, operation: _Operation[Request, Result], requests: Sequence[Request]) -> list[Result]:
        keys = self._keys(operation, requests)
        asked = dict(zip(keys, requests, strict=True))  # the same request twice is one call
        known = await self._look_up(operation, list(asked))
        missing = {key: request for key, request in asked.items() if key not in known}
        if missing and self._source.remote:
            known |= await self._each(operation, missing)
        elif missing:
            known |= await self._together(operation, missing)
        return [known[key] for key in keys]

    def _keys(self, operation: _Operation[Request, Result], requests: Sequence[Request]) -> list[str]:
        if self._cache is None:
            return [str(place) for place in range(len(requests))]
        source = self._source
        return [
            call_key(operation.name, model=source.name, fingerprint=source.fingerprint, request=request)
            for request in requests
        ]

    async def _look_up(self, operation: _Operation[Request, Result], keys: list[str]) -> dict[str, Result]:
        if self._cache is None or not keys:
            return {}
        found = await self._cache.look_up(keys, owner=self._owner)
        known = {key: operation.from_result(kept) for key, kept in zip(keys, found, strict=True) if kept is not None}
        self._calls.counts.found += len(known)
        return known

    async def _each(self, operation: _Operation[Request, Result], missing: Mapping[str, Request]) -> dict[str, Result]:
        """Every request on its own; the first failure is raised when all have come to an end."""
        if len(missing) == 1:
            ((key, request),) = missing.items()
            return {key: await self._one(operation, key, request)}
        tasks = [asyncio.ensure_future(self._one(operation, key, request)) for key, request in missing.items()]
        try:
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        except asyncio.CancelledError:
            await asyncio.gather(*tasks, return_exceptions=True)  # gather has cancelled them; let them clean up
            raise
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if failures:
            # A failure of the model tells more than the halt that came with it.
            raise next((each for each in failures if isinstance(each, ModelError)), failures[0])
        return {
            key: outcome
            for key, outcome in zip(missing, outcomes, strict=True)
            if not isinstance(outcome, BaseException)
        }

    async def _one(self, operation: _Operation[Request, Result], key: str, request: Request) -> Result:
        async with self._calls.turns.take(self._owner):
            results = await self._together(operation, {key: request})
        return results[key]

    async def _together(
        self, operation: _Operation[Request, Result], missing: Mapping[str, Request]
    ) -> dict[str, Result]:
        """All requests in one call of the model, but for those that somebody else is asking right now."""
        estimates = [self._estimator.estimate(request) for request in missing.values()]
        reservation = await self._calls.budget.reserve(self._owner, sum(estimates, Cost()))
        begins = {key: asyncio.create_task(self._begin(operation, key)) for key in missing}
        batch: _Batch[Request, Result] = _Batch(missing, begins)
        try:
            # What is claimed is asked before anything else is waited for: two batches that each held a call which
            # the other one wants would wait for ever.
            while batch.begins:
                await asyncio.wait(batch.begins.values(), return_when=asyncio.FIRST_COMPLETED)
                await self._ask_claimed(operation, batch)
            return batch.known
        except BaseException:
            await asyncio.shield(self._let_go(batch))
            raise
        finally:
            reservation.settle(batch.cost)  # what failed costs what is known of it

    async def _ask_claimed(self, operation: _Operation[Request, Result], batch: _Batch[Request, Result]) -> None:
        """Ask the calls that are ours by now, and note what somebody else has kept meanwhile."""
        for key, kept in batch.begun().items():
            batch.known[key] = operation.from_result(kept)
            self._calls.counts.found += 1
        asked = tuple(batch.claimed)  # as they came: a model may share their prefixes
        if not asked:
            return
        try:
            answers = await self._ask(operation, [batch.missing[key] for key in asked])
        except ModelError:
            batch.cost += Cost(len(asked), money=self._unknown_cost)  # made, and of no use
            raise
        for key, answer in zip(asked, answers, strict=True):
            batch.cost += self._estimator.cost(batch.missing[key], answer.usage)
            batch.known[key] = answer
        batch.claimed.clear()  # from here on each call is kept, whatever happens to this task
        keeping = [self._keep(operation, key, batch.known[key]) for key in asked]
        for failure in await asyncio.shield(asyncio.gather(*keeping, return_exceptions=True)):
            if isinstance(failure, BaseException):
                raise failure

    async def _begin(self, operation: _Operation[Request, Result], key: str) -> Mapping[str, Any] | None:
        if self._cache is None:
            return None
        return await self._cache.begin(key, operation=operation.name, model=self._source.name, owner=self._owner)

    async def _ask(self, operation: _Operation[Request, Result], requests: list[Request]) -> list[Result]:
        counts = self._calls.counts
        try:
            answers = await operation.ask(self._source.model, requests) if requests else []
        except asyncio.CancelledError:
            counts.dropped += len(requests)
            raise
        except ModelError:
            counts.failed += len(requests)
            raise
        counts.made += len(answers)
        return answers

    async def _keep(self, operation: _Operation[Request, Result], key: str, answer: Result) -> None:
        if self._cache is not None:
            await self._cache.keep(key, operation.to_result(answer), owner=self._owner)

    async def _let_go(self, batch: _Batch[Request, Result]) -> None:
        """End the claims of a batch that failed, those included that are being made."""
        for begin in batch.begins.values():
            begin.cancel()
        begun = await asyncio.gather(*batch.begins.values(), return_exceptions=True)
        batch.claimed += [key for key, kept in zip(batch.begins, begun, strict=True) if kept is None]
        if self._cache is not None:
            for key in batch.claimed:
                await self._cache.abandon(key)


async def together(calls: Sequence[Coroutine[Any, Any, T]]) -> list[T | BaseException]:
    """The results of calls made at once, in order, failures among them; one alone needs no task, and raises."""
    if len(calls) == 1:
        return [await calls[0]]
    return await asyncio.gather(*calls, return_exceptions=True)
