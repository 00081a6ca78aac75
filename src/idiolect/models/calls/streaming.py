"""One user's streamed calls of a model: kept, counted and limited as `complete` is, and handed out piece by piece.

    look-up → (kept: one piece) → a turn, with room in the budget → a durable claim → pieces … → completion, kept

A stream and a completion of the same request are one call: either finds what the other has kept, and a task that wants
what another one is streaming waits for its end. A stream that its reader leaves, or that breaks off, is not kept. It
costs an estimate of what was read and written until then, since only the end of a stream states its usage.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

from idiolect.errors import HaltedError, ModelError
from idiolect.models.calls.budget import Cost, Reservation
from idiolect.models.calls.cache.keys import call_key
from idiolect.models.calls.estimates import Estimator
from idiolect.models.calls.kept_calls import KeptCalls
from idiolect.models.calls.tries import Tries
from idiolect.models.language_model import Completion, CompletionRequest, Streamed
from idiolect.models.streaming import Hand, handed_over, stream_of

if TYPE_CHECKING:
    from idiolect.models.calls.model import CallObserver, Calls, Source

_BYTES_PER_TOKEN = 4


@dataclass(slots=True)
class _Written:
    """Estimate of the tokens written so far: one for each item, as most servers send them, or one per four bytes."""

    items: int = 0
    size: int = 0

    def add(self, piece: str) -> None:
        self.items += 1
        self.size += len(piece.encode("utf-8", "replace"))

    @property
    def tokens(self) -> int:
        return max(self.items, -(-self.size // _BYTES_PER_TOKEN))


@dataclass(frozen=True, slots=True)
class StreamCaller:
    """A caller of one model for one user.

    Args:
        calls: cache, budget and turns.
        source: the model.
        kept: the user's kept completions.
        estimator: estimates costs.
        observer: follows the calls; None: nobody does.
    """

    calls: Calls
    source: Source
    kept: KeptCalls[Completion]
    estimator: Estimator
    observer: CallObserver | None

    def stream(self, request: CompletionRequest) -> AsyncGenerator[Streamed, None]:
        """Yield the pieces of the text, then the completion."""
        return handed_over(partial(self._stream, request))

    async def _stream(self, request: CompletionRequest, hand: Hand[Streamed]) -> None:
        if self.observer is not None:
            self.observer.requested(self.source, [request])
        try:
            completion = await self._answer(request, hand)
        except HaltedError as error:
            if self.observer is not None:
                self.observer.stopped(error)
            raise
        if self.observer is not None:
            self.observer.answered(self.source, [request], [completion.usage])
        hand(completion)

    async def _answer(self, request: CompletionRequest, hand: Hand[Streamed]) -> Completion:
        source = self.source
        key = "0"
        if self.kept.cache is not None:
            operation = self.kept.operation.name
            key = call_key(operation, model=source.name, fingerprint=source.fingerprint, request=request)
        if (kept := (await self.kept.look_up([key])).get(key)) is not None:
            return self._found(kept, hand)
        owner, estimate = self.kept.owner, self.estimator.estimate(request)
        if source.remote:
            async with self.calls.admitted(owner, estimate) as reservation:
                return await self._paid(key, request, hand, reservation)
        return await self._paid(key, request, hand, await self.calls.budget.reserve(owner, estimate))

    def _found(self, kept: Completion, hand: Hand[Streamed]) -> Completion:
        self.calls.counts.found += 1
        hand(kept.text)
        return kept

    async def _paid(
        self, key: str, request: CompletionRequest, hand: Hand[Streamed], reservation: Reservation
    ) -> Completion:
        """Make the call, unless another task has made it in the meantime, and settle its cost."""
        tries, asked = Tries(reservation), False

        async def ask(keys: list[str]) -> dict[str, Completion]:
            nonlocal asked
            asked = True
            return dict.fromkeys(keys, await self._made(request, hand, tries))

        try:
            completion = (await self.kept.make([key], ask))[key]
        finally:
            reservation.settle(tries.cost)
        return completion if asked else self._found(completion, hand)

    async def _made(self, request: CompletionRequest, hand: Hand[Streamed], tries: Tries) -> Completion:
        written, completion = _Written(), None
        failed_try = self.estimator.failed_try(request)
        try:
            with self.calls.counted(1, tries, failed_try=failed_try, useless=Cost()):
                async with aclosing(stream_of(self.source.model, request)) as items:
                    async for item in items:
                        if isinstance(item, Completion):
                            completion = item
                        else:
                            written.add(item)
                            hand(item)
                if completion is None:
                    raise ModelError(f"the model {self.source.model.name!r} ended a stream without a completion")
        except (asyncio.CancelledError, ModelError, HaltedError) as error:
            tries.cost += self._cost_until(error, request, written, tries)
            raise
        self.calls.counts.made += not completion.free_refusal
        if self.observer is not None:
            self.observer.reached(self.source, [completion.usage])
        tries.cost += self.estimator.cost(request, completion.usage)
        return completion

    def _cost_until(self, error: BaseException, request: CompletionRequest, written: _Written, tries: Tries) -> Cost:
        """Return the estimated cost of a stream that ended early, beside that of its failed tries."""
        if tries.reported and not isinstance(error, asyncio.CancelledError):
            return self.estimator.written(written.tokens)  # the try has paid for the prompt
        in_flight = self.source.remote and isinstance(error, asyncio.CancelledError)
        if written.items or in_flight:
            return self.estimator.failed_try(request) + self.estimator.written(written.tokens)
        free = None if self.source.price is None else Decimal(0)
        return Cost(0 if isinstance(error, asyncio.CancelledError) else 1, money=free)
