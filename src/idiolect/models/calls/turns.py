"""Turns: so many calls are in flight at a time, and no user waits behind another one's thousand.

Owners that wait are served in rounds, one turn an owner a round, and each owner's own calls in the order they came.
Taking and giving back a turn costs the same however many owners and calls wait.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """At most `concurrency` holders at a time. For one event loop; not for threads.

    Args:
        concurrency: the bound; ≥ 1.

    Attributes:
        concurrency: the bound.
        in_flight: turns held now, in [0, concurrency].
        waiting: calls that wait for a turn now.

    Raises:
        ValueError: a bound below 1.
    """

    def __init__(self, concurrency: int) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency is {concurrency}, must be at least 1")
        self.concurrency = concurrency
        self.in_flight = self.waiting = 0
        # Owners in the order of the round. A future that is done was cancelled: it is skipped when its turn comes.
        self._round: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def take(self, owner: str) -> AsyncIterator[None]:
        """Wait for a turn of this owner's, and hold it.

        A task that is cancelled while it waits leaves no hole: a turn that it was just given goes to the next.
        """
        await self._enter(owner)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, owner: str) -> None:
        if self.in_flight < self.concurrency:  # then nobody waits: a turn given back goes to a waiter at once
            self.in_flight += 1
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
        self.in_flight -= 1
