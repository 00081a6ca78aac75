"""Turns: so many calls are in flight at a time, and no user waits behind another one's thousand.

Owners that wait are served in rounds, one turn an owner a round, and each owner's own calls in the order they came.
Taking and giving back a turn costs the same however many owners and calls wait.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from types import TracebackType


class Turns:
    """At most `concurrency` holders at a time. For one event loop; not for threads.

    Args:
        concurrency: the bound; ≥ 1.
        clock: seconds, for `occupancy`.

    Attributes:
        concurrency: the bound.
        in_flight: turns held now, in [0, concurrency].
        waiting: calls that wait for a turn now.
        peak: the greatest `in_flight` so far.

    Raises:
        ValueError: a bound below 1.
    """

    def __init__(self, concurrency: int, *, clock: Callable[[], float] = time.perf_counter) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency is {concurrency}, must be at least 1")
        self.concurrency = concurrency
        self.in_flight = self.waiting = self.peak = 0
        self._clock = clock
        # Owners in the order of the round. A future that is done was cancelled: it is skipped when its turn comes.
        self._round: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._changed = 0.0
        self._busy = 0.0
        self._area = 0.0  # turns × seconds

    def take(self, owner: str) -> Turn:
        """A turn of this owner's, for `async with`; entering it waits until there is one.

        A task that is cancelled while it waits leaves no hole: a turn that it was just given goes to the next.
        """
        return Turn(self, owner)

    def occupancy(self) -> float:
        """Mean number of turns held, over the time in which at least one was; 0 before the first.

        Whoever waits does so because all turns are held, so time spent waiting is part of it.
        """
        self._account()
        return self._area / self._busy if self._busy else 0.0

    def _account(self) -> None:
        now = self._clock()
        if self.in_flight:
            self._busy += now - self._changed
            self._area += self.in_flight * (now - self._changed)
        self._changed = now

    async def _enter(self, owner: str) -> None:
        if self.in_flight < self.concurrency:  # then nobody waits: a turn given back goes to a waiter at once
            self._account()
            self.in_flight += 1
            self.peak = max(self.peak, self.in_flight)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._round.setdefault(owner, deque()).append(future)
        self.waiting += 1
        try:
            await future
        except asyncio.CancelledError:
            if future.cancelled():
                self.waiting -= 1
            else:
                self._leave()
            raise

    def _leave(self) -> None:
        """Hand the turn to whoever is next, or keep it free."""
        while self._round:
            owner, futures = self._round.popitem(last=False)
            while futures and futures[0].done():
                futures.popleft()
            if not futures:
                continue
            futures.popleft().set_result(None)
            self.waiting -= 1
            if futures:
                self._round[owner] = futures  # at the end: the others come first
            return
        self._account()
        self.in_flight -= 1


class Turn:
    """One turn; `Turns.take` makes it."""

    __slots__ = ("_owner", "_turns")

    def __init__(self, turns: Turns, owner: str) -> None:
        self._turns = turns
        self._owner = owner

    async def __aenter__(self) -> None:
        await self._turns._enter(self._owner)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._turns._leave()
