"""Answers that nobody reads: their connections are ended, so that nothing waits for such a client for ever.

bytes that wait for a client ─ fewer than before → it reads
                             └ no fewer for so many seconds → the connection is aborted, and so is its upstream call

A client that reads slowly is left alone. How many bytes wait is looked at, rather than each write timed: most of a
large answer is written when its request is over.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakKeyDictionary

from aiohttp import web

from idiolect.serve.logs import log

_LOOKS = 10  # in the time that a client has
_LONGEST = 1.0  # seconds between looks


class Transport(Protocol):
    """What writes to a client."""

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait for the client."""
        ...

    def abort(self) -> None:
        """End the connection at once."""
        ...


@dataclass(slots=True)
class _Waiting:
    """Bytes that wait for a client, and since when there have not been fewer."""

    size: int
    since: float


class UnreadAnswers:
    """Ends connections whose clients read nothing.

    Args:
        seconds: for which a client may read nothing.
        clock: returns seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._waiting: WeakKeyDictionary[Transport, _Waiting] = WeakKeyDictionary()

    def look(self, transports: Iterable[Transport]) -> None:
        """End the connections whose clients have read nothing for too long, also ones that were closed meanwhile."""
        now = self._clock()
        for transport in {*transports, *self._waiting}:
            size, waiting = transport.get_write_buffer_size(), self._waiting.get(transport)
            if not size:
                self._waiting.pop(transport, None)
            elif waiting is None or size < waiting.size:
                self._waiting[transport] = _Waiting(size, now)
            elif now - waiting.since >= self._seconds:
                del self._waiting[transport]
                transport.abort()
                log("unread", level=logging.WARNING, waiting_bytes=size)
            else:
                waiting.size = size


@asynccontextmanager
async def unread_answers_end(server: web.Server, seconds: float) -> AsyncIterator[None]:
    """End connections of a server whose clients read nothing for so many seconds, while the context is open."""
    unread = UnreadAnswers(seconds)

    async def watch() -> None:
        while True:
            await asyncio.sleep(min(seconds / _LOOKS, _LONGEST))
            unread.look(each.transport for each in server.connections if each.transport is not None)

    task = asyncio.ensure_future(watch())
    try:
        yield
    finally:
        task.cancel()
