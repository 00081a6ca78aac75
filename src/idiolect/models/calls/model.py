"""One user's view of a model whose calls are kept, counted and bounded: what a method is handed instead of the model.

    look-up in the cache → a turn, with room in the budget → a durable claim → the model → the budget's account → kept

A remote model is asked request by request, so that each answer is kept the moment it is there and the turns bound what
is in flight; a local one is asked for all at once, because it batches. Whatever is in flight when a neighbour fails is
finished and kept: it is paid for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from typing import Generic, Protocol, TypeVar

from idiolect.errors import HaltedError, ModelError, UnusableModelError
from idiolect.models.calls.budget import Budget, Cost, Reservation
from idiolect.models.calls.cache import CallCache
from idiolect.models.calls.cache.keys import call_key
from idiolect.models.calls.cache.results import (
    completion_from_result,
    completion_to_result,
    logprobs_from_result,
    logprobs_to_result,
)
from idiolect.models.calls.estimates import Estimator
from idiolect.models.calls.kept_calls import KeptCalls, Operation
from idiolect.models.calls.prices import Price
from idiolect.models.calls.tries import Tries
from idiolect.models.calls.turns import Turns
from idiolect.models.language_model import (
    ChoiceLogProbs,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    LanguageModel,
    Usage,
)

AnyRequest = CompletionRequest | ChoiceRequest
Request = TypeVar("Request", CompletionRequest, ChoiceRequest)
Result = TypeVar("Result", Completion, ChoiceLogProbs)


@dataclass(frozen=True, slots=True)
class Source:
    """A model as calls are made of it.

    Args:
        model: answers.
        name: what a cache knows it by; names the server as well as the model.
        fingerprint: hash of weights, edit and chat template; "" where the name is enough.
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


class CallObserver(Protocol):
    """An observer of what one user asks of models, which may refuse it."""

    def requested(self, source: Source, requests: Sequence[AnyRequest]) -> None:
        """Hear of requests before they are answered; raise to refuse them."""
        ...

    def answered(self, source: Source, requests: Sequence[AnyRequest], usages: Sequence[Usage]) -> None:
        """Hear of requests that were answered, by the model or from the cache, and of what each cost its model."""
        ...

    def reached(self, source: Source, usages: Sequence[Usage]) -> None:
        """Hear of calls that the model itself answered just now."""
        ...

    def stopped(self, error: HaltedError) -> None:
        """Hear that the run refused a call."""
        ...


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

    def model(self, source: Source, *, owner: str, observer: CallObserver | None = None) -> CalledModel:
        """Return the model as `owner` calls it; `observer` follows these calls."""
        estimator = self._estimators.setdefault(source.name, Estimator(source.price, remote=source.remote))
        return CalledModel(
            source,
            _Caller(self, source, owner, estimator, _COMPLETES, observer),
            _Caller(self, source, owner, estimator, _SCORES_CHOICES, observer),
        )

    @asynccontextmanager
    async def admitted(self, owner: str, estimate: Cost) -> AsyncIterator[Reservation]:
        """Take a turn, with room in the budget. Who has to wait for room gives the turn to others meanwhile.

        Raises:
            HaltedError: no further call is made, see `Budget.reserve`.
        """
        async with self.turns.take(owner):
            reservation = self.budget.reserve_now(owner, estimate)
            if reservation is not None:
                try:
                    yield reservation
                finally:
                    reservation.release()
                return
        reservation = await self.budget.reserve(owner, estimate)
        try:
            async with self.turns.take(owner):
                reservation.check()
                yield reservation
        finally:
            reservation.release()

    @contextmanager
    def counted(self, n: int, tries: Tries, *, failed_try: Cost, useless: Cost) -> Iterator[None]:
        """Count what becomes of calls that are made inside, if they bring no answer; halt the run if none can.

        Args:
            n: how many calls.
            tries: pays for them.
            failed_try: the cost of a try that may be billed.
            useless: the cost of the calls, where they fail and their model reports no tries.
        """
        try:
            with tries.paying(failed_try):
                yield
        except asyncio.CancelledError:
            self.counts.dropped += n
            raise
        except (ModelError, HaltedError) as error:
            self.counts.failed += n
            if not tries.reported:
                tries.cost += useless
            if isinstance(error, UnusableModelError):
                self.budget.halt(str(error))
            raise


@dataclass(frozen=True, slots=True)
class _Ability(Generic[Request, Result]):
    """One of the two things that a model does."""

    operation: Operation[Result]
    ask: Callable[[LanguageModel, Sequence[Request]], Awaitable[list[Result]]]


_COMPLETES: _Ability[CompletionRequest, Completion] = _Ability(
    Operation("complete", completion_to_result, completion_from_result),
    lambda model, requests: model.complete(requests),
)
_SCORES_CHOICES: _Ability[ChoiceRequest, ChoiceLogProbs] = _Ability(
    Operation("choice_logprobs", logprobs_to_result, logprobs_from_result),
    lambda model, requests: model.choice_logprobs(requests),
)


class CalledModel:
    """A `LanguageModel` that calls another one for one user. Made by `Calls.model`."""

    def __init__(
        self,
        source: Source,
        completions: _Caller[CompletionRequest, Completion],
        choices: _Caller[ChoiceRequest, ChoiceLogProbs],
    ) -> None:
        self.name, self._completions, self._choices = source.model.name, completions, choices

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """Return what the model answers, or what it answered before.

        Raises:
            ModelError: the model could not answer.
            HaltedError: the run makes no further calls; what was in flight is kept.
            CacheError: the cache cannot be read or written.
        """
        return await self._completions.answer(requests)

    async def choice_logprobs(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceLogProbs]:
        """Return what the model answers, or what it answered before; raises as `complete`."""
        return await self._choices.answer(requests)


class _Caller(Generic[Request, Result]):
    """Calls one ability of a model for one user."""

    def __init__(
        self,
        calls: Calls,
        source: Source,
        owner: str,
        estimator: Estimator,
        ability: _Ability[Request, Result],
        observer: CallObserver | None,
    ) -> None:
        self._calls, self._source, self._owner, self._estimator = calls, source, owner, estimator
        self._ability: _Ability[Request, Result] = ability
        self._observer = observer
        cache = calls.cache if source.cached else None
        self._kept: KeptCalls[Result] = KeptCalls(ability.operation, cache, source.name, owner)

    async def answer(self, requests: Sequence[Request]) -> list[Result]:
        """Return the answers in order, and let the observer follow."""
        if self._observer is None:
            return await self._answer(requests)
        self._observer.requested(self._source, requests)
        try:
            answers = await self._answer(requests)
        except HaltedError as error:
            self._observer.stopped(error)
            raise
        self._observer.answered(self._source, requests, [answer.usage for answer in answers])
        return answers

    async def _answer(self, requests: Sequence[Request]) -> list[Result]:
        """Return the answers in order; the same request twice is one call where answers are kept."""
        keys = self._keys(requests)
        wanted = dict(zip(keys, requests, strict=True))
        known = await self._kept.look_up(list(wanted))
        self._calls.counts.found += len(known)
        missing = {key: request for key, request in wanted.items() if key not in known}
        if missing and self._source.remote:
            known |= await self._each(missing)
        elif missing:
            known |= await self._in_parts(missing)
        return [known[key] for key in keys]

    def _keys(self, requests: Sequence[Request]) -> list[str]:
        if self._kept.cache is None:
            return [str(place) for place in range(len(requests))]
        source, operation = self._source, self._ability.operation.name
        return [
            call_key(operation, model=source.name, fingerprint=source.fingerprint, request=request)
            for request in requests
        ]

    async def _each(self, missing: Mapping[str, Request]) -> dict[str, Result]:
        """Make every call on its own; the first failure is raised when all have come to an end."""
        if len(missing) == 1:
            return await self._one(missing)
        tasks = [asyncio.ensure_future(self._one({key: request})) for key, request in missing.items()]
        try:
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        except asyncio.CancelledError:
            await asyncio.gather(*tasks, return_exceptions=True)  # gather has cancelled them; let them clean up
            raise
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if failures:
            # A failure of the model explains more than the halt that came with it.
            raise next((each for each in failures if isinstance(each, ModelError)), failures[0])
        answered = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
        return {key: answer for outcome in answered for key, answer in outcome.items()}

    async def _one(self, missing: Mapping[str, Request]) -> dict[str, Result]:
        (request,) = missing.values()
        async with self._calls.admitted(self._owner, self._estimator.estimate(request)) as reservation:
            return await self._together(missing, reservation)

    async def _in_parts(self, missing: Mapping[str, Request]) -> dict[str, Result]:
        """Make all calls, or as many as there is room for; these are kept before the rest is refused."""
        known: dict[str, Result] = {}
        left = dict(missing)
        while left:
            estimates = [self._estimator.estimate(request) for request in left.values()]
            n = max(self._calls.budget.fitting(self._owner, estimates), 1)
            part = dict(islice(left.items(), n))
            reservation = await self._calls.budget.reserve(self._owner, sum(estimates[:n], Cost()))
            known |= await self._together(part, reservation)
            left = {key: request for key, request in left.items() if key not in part}
        return known

    async def _together(self, missing: Mapping[str, Request], reservation: Reservation) -> dict[str, Result]:
        """Make all calls in one call of the model, but for those that somebody else has made meanwhile."""
        tries = Tries(reservation)
        n_asked = 0

        async def ask(keys: list[str]) -> dict[str, Result]:
            nonlocal n_asked
            n_asked += len(keys)
            return await self._ask({key: missing[key] for key in keys}, tries)

        try:
            known = await self._kept.make(list(missing), ask)
        finally:
            reservation.settle(tries.cost)  # what failed costs what is known of it
        self._calls.counts.found += len(missing) - n_asked
        return known

    async def _ask(self, asked: Mapping[str, Request], tries: Tries) -> dict[str, Result]:
        failed_try = sum((self._estimator.failed_try(request) for request in asked.values()), Cost())
        useless = Cost(len(asked), money=None if self._source.price is None else Decimal(0))
        with self._calls.counted(len(asked), tries, failed_try=failed_try, useless=useless):
            answers = await self._ability.ask(self._source.model, list(asked.values()))
        self._calls.counts.made += len(answers)
        if self._observer is not None:
            self._observer.reached(self._source, [answer.usage for answer in answers])
        for request, answer in zip(asked.values(), answers, strict=True):
            tries.cost += self._estimator.cost(request, answer.usage)
        return dict(zip(asked, answers, strict=True))
