"""One user's view of a model, with calls that are kept, counted and limited; methods get this instead of the model.

    look-up in the cache → a turn, with room in the budget → a durable claim → the model → the budget's account → kept

A remote model gets its requests one by one, so that each answer is kept as soon as it arrives and the turns limit the
calls in flight. A local model gets all requests at once, because it batches. If one call fails, the others in flight
are finished and kept, because they are paid for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
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
from idiolect.models.calls.streaming import StreamCaller
from idiolect.models.calls.tries import Tries
from idiolect.models.calls.turns import Turns
from idiolect.models.language_model import (
    ChoiceLogProbs,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    LanguageModel,
    Streamed,
    Usage,
)

AnyRequest = CompletionRequest | ChoiceRequest
Request = TypeVar("Request", CompletionRequest, ChoiceRequest)
Result = TypeVar("Result", Completion, ChoiceLogProbs)


@dataclass(frozen=True, slots=True)
class Source:
    """A model, with everything that is needed to make calls to it.

    Args:
        model: the model that answers.
        name: the model's name in the cache; it names the server as well as the model.
        fingerprint: hash of weights, edit and chat template; "" if the name identifies the model.
        price: price per token; None if unknown.
        remote: whether the model answers each request on its own, so that many are sent concurrently.
        cached: False keeps its answers out of the cache (a recording needs none).
    """

    model: LanguageModel
    name: str
    fingerprint: str = ""
    price: Price | None = None
    remote: bool = False
    cached: bool = True


class CallObserver(Protocol):
    """An observer of one user's requests to models, which may refuse them."""

    def requested(self, source: Source, requests: Sequence[AnyRequest]) -> None:
        """Receive requests before they are answered; raise an exception to refuse them."""
        ...

    def answered(self, source: Source, requests: Sequence[AnyRequest], usages: Sequence[Usage]) -> None:
        """Receive requests that were answered, by the model or from the cache, with the usage of each."""
        ...

    def reached(self, source: Source, usages: Sequence[Usage]) -> None:
        """Receive the usages of calls that the model itself has just answered."""
        ...

    def stopped(self, error: HaltedError) -> None:
        """Receive the error with which the run refused a call."""
        ...


@dataclass(slots=True)
class CallCounts:
    """Numbers of a run's calls by outcome.

    Args:
        made: calls that a model answered, however many tries each of them took.
        found: calls whose answer was in the cache.
        failed: calls without an answer.
        dropped: calls that were dropped while in flight.
        failed_tries: tries without an answer that may be charged for, whether or not a later try was answered.
        paused_until: the monotonic clock's time until which a server has asked calls to wait.
    """

    made: int = 0
    found: int = 0
    failed: int = 0
    dropped: int = 0
    failed_tries: int = 0
    paused_until: float = 0.0

    def pause(self, seconds: float) -> None:
        """Note that a server asks calls to wait for so many seconds."""
        self.paused_until = max(self.paused_until, time.monotonic() + seconds)


@dataclass(slots=True)
class Calls:
    """The budget, the turns and the cache that all users of a run share.

    Args:
        budget: the limits and the amounts spent.
        turns: limits the calls to remote models in flight.
        cache: keeps answers; None keeps nothing.
    """

    budget: Budget
    turns: Turns
    cache: CallCache | None = None
    counts: CallCounts = field(default_factory=CallCounts)
    _estimators: dict[str, Estimator] = field(default_factory=dict)

    def model(self, source: Source, *, owner: str, observer: CallObserver | None = None) -> CalledModel:
        """Return `owner`'s view of the model; `observer` follows the calls made through it."""
        estimator = self._estimators.setdefault(source.name, Estimator(source.price, remote=source.remote))
        completions = _Caller(self, source, owner, estimator, _COMPLETES, observer)
        return CalledModel(
            source,
            completions,
            _Caller(self, source, owner, estimator, _SCORES_CHOICES, observer),
            StreamCaller(self, source, completions.kept, estimator, observer),
        )

    @asynccontextmanager
    async def admitted(self, owner: str, estimate: Cost) -> AsyncIterator[Reservation]:
        """Take a turn, with room in the budget. While waiting for room, leave the turn to others.

        Raises:
            HaltedError: the call is refused; see `Budget.reserve`.
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
        """Count the calls made in the context that fail or are dropped; halt the run if the model is unusable.

        Args:
            n: number of calls.
            tries: pays for them.
            failed_try: the cost of a failed try that may be billed.
            useless: the cost of the calls if they fail and their model reports no tries.
        """
        try:
            with tries.paying(failed_try, on_pause=self.counts.pause):
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
        finally:
            self.counts.failed_tries += tries.maybe_billed


@dataclass(frozen=True, slots=True)
class _Ability(Generic[Request, Result]):
    """One of the two abilities of a model: writing completions or scoring choices."""

    operation: Operation[Result]
    ask: Callable[[LanguageModel, Sequence[Request]], Awaitable[list[Result]]]


_COMPLETES: _Ability[CompletionRequest, Completion] = _Ability(
    Operation("complete", completion_to_result, completion_from_result, lambda answer: not answer.free_refusal),
    lambda model, requests: model.complete(requests),
)
_SCORES_CHOICES: _Ability[ChoiceRequest, ChoiceLogProbs] = _Ability(
    Operation("choice_logprobs", logprobs_to_result, logprobs_from_result, lambda answer: not answer.free_refusal),
    lambda model, requests: model.choice_logprobs(requests),
)


class CalledModel:
    """A `LanguageModel` that calls another one for one user. Created by `Calls.model`."""

    def __init__(
        self,
        source: Source,
        completions: _Caller[CompletionRequest, Completion],
        choices: _Caller[ChoiceRequest, ChoiceLogProbs],
        streams: StreamCaller,
    ) -> None:
        self.name, self._completions, self._choices, self._streams = source.model.name, completions, choices, streams

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """Return the model's completions, from the cache if they are kept there.

        Raises:
            ModelError: the model could not answer.
            HaltedError: the run makes no further calls; answers to calls in flight are kept.
            CacheError: the cache cannot be read or written.
        """
        return await self._completions.answer(requests)

    def stream(self, request: CompletionRequest) -> AsyncGenerator[Streamed, None]:
        """Yield the model's stream; a completion that is kept comes in one piece. Raise errors as `complete`."""
        return self._streams.stream(request)

    async def choice_logprobs(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceLogProbs]:
        """Return the model's log-probabilities, from the cache if they are kept there; raise errors as `complete`."""
        return await self._choices.answer(requests)


class _Caller(Generic[Request, Result]):
    """A caller of one ability of a model for one user."""

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
        self.kept: KeptCalls[Result] = KeptCalls(ability.operation, cache, source.name, owner)

    async def answer(self, requests: Sequence[Request]) -> list[Result]:
        """Return the answers in order, and notify the observer."""
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
        """Return the answers in order; if answers are kept, equal requests are one call."""
        keys = self._keys(requests)
        wanted = dict(zip(keys, requests, strict=True))
        known = await self.kept.look_up(list(wanted))
        self._calls.counts.found += len(known)
        missing = {key: request for key, request in wanted.items() if key not in known}
        if missing and self._source.remote:
            known |= await self._each(missing)
        elif missing:
            known |= await self._in_parts(missing)
        return [known[key] for key in keys]

    def _keys(self, requests: Sequence[Request]) -> list[str]:
        if self.kept.cache is None:
            return [str(place) for place in range(len(requests))]
        source, operation = self._source, self._ability.operation.name
        return [
            call_key(operation, model=source.name, fingerprint=source.fingerprint, request=request)
            for request in requests
        ]

    async def _each(self, missing: Mapping[str, Request]) -> dict[str, Result]:
        """Make every call on its own; after all have ended, raise the first failure if there was one."""
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
            # A failure of the model explains more than the halt that accompanied it.
            raise next((each for each in failures if isinstance(each, ModelError)), failures[0])
        answered = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
        return {key: answer for outcome in answered for key, answer in outcome.items()}

    async def _one(self, missing: Mapping[str, Request]) -> dict[str, Result]:
        (request,) = missing.values()
        async with self._calls.admitted(self._owner, self._estimator.estimate(request)) as reservation:
            return await self._together(missing, reservation)

    async def _in_parts(self, missing: Mapping[str, Request]) -> dict[str, Result]:
        """Make all calls, in parts for which there is room; the answers of a part are kept before the next is tried."""
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
        """Make all calls in one request to the model, except those that another task has made in the meantime."""
        tries = Tries(reservation)
        n_asked = 0

        async def ask(keys: list[str]) -> dict[str, Result]:
            nonlocal n_asked
            n_asked += len(keys)
            return await self._ask({key: missing[key] for key in keys}, tries)

        try:
            known = await self.kept.make(list(missing), ask)
        finally:
            reservation.settle(tries.cost)  # after a failure, this is the cost known so far
        self._calls.counts.found += len(missing) - n_asked
        return known

    async def _ask(self, asked: Mapping[str, Request], tries: Tries) -> dict[str, Result]:
        failed_try = sum((self._estimator.failed_try(request) for request in asked.values()), Cost())
        useless = Cost(len(asked), money=None if self._source.price is None else Decimal(0))
        with self._calls.counted(len(asked), tries, failed_try=failed_try, useless=useless):
            answers = await self._ability.ask(self._source.model, list(asked.values()))
        self._calls.counts.made += sum(not answer.free_refusal for answer in answers)
        if self._observer is not None:
            self._observer.reached(self._source, [answer.usage for answer in answers])
        for request, answer in zip(asked.values(), answers, strict=True):
            tries.cost += self._estimator.cost(request, answer.usage)
        return dict(zip(asked, answers, strict=True))
