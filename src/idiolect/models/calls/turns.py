"""Turns, which limit the calls in flight and keep one user from waiting behind another's thousand calls.

Waiting owners are served in rounds, one turn per owner and round, and each owner's calls in order of arrival.
The cost of taking and giving back a turn does not depend on how many owners and calls wait.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """Turns for at most `concurrency` holders at a time. For one event loop; not for threads.

    Args:
        concurrency: maximum number of holders; ≥ 1.

    Attributes:
        concurrency: maximum number of holders.
        in_flight: number of turns held at present, in [0, concurrency].
        waiting: number of calls waiting for a turn at present.

    Raises:
        ValueError: `concurrency` is below 1.
    """

    def __init__(self, concurrency: int) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency is {concurrency}, must be at least 1")
        self.concurrency = concurrency
        self.in_flight = self.waiting = 0
        # Owners in the order of the round. A future that is done was cancelled; it is skipped when its turn comes.
        self._round: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def take(self, owner: str) -> AsyncIterator[None]:
        """Wait for a turn for this owner, and hold it.

        If a task is cancelled while it waits, no turn is lost: one that it was just given goes to the next caller.
        """
        await self._enter(owner)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, owner: str) -> None:
        if self.in_flight < self.concurrency:  # nobody is waiting: a turn given back goes to a waiter at once
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
        """Hand the turn to the next waiting call, or free it."""
        while self._round:
            owner, futures = self._round.popitem(last=False)
            while futures and futures[0].done():
                futures.popleft()
            if not futures:
                continue
            futures.popleft().set_result(None)
            self.waiting -= 1
            if futures:
                self._round[owner] = futures  # at the end of the round, after all other owners
            return
        self.in_flight -= 1
