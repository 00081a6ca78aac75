"""Threads in which a gateway works, apart from each other, so that answers wait for nothing that somebody else sends.

reads of the store, keys        the event loop's own threads (`asyncio.to_thread`)
writes about people             a few: they wait for each other in the database
bodies that are parsed          two: they compute, which holds up the event loop if there are many
exports                         two: they read all that is held about a person, and hold the caches of calls open

If a client goes, its request is cancelled, but no thread can be. So the request then waits for work that a thread has
begun: what it holds meanwhile (the user's data, the memory of the body, the caches) is in use until that has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import ParamSpec, Self, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_WRITING, _PARSING, _EXPORTING = 4, 2, 2


class Threads:
    """Threads for writes, parsing and exports. Use it with `async with`, which waits at its end for what they do."""

    def __init__(self) -> None:
        self._writing = ThreadPoolExecutor(_WRITING, thread_name_prefix="idiolect-writing")
        self._parsing = ThreadPoolExecutor(_PARSING, thread_name_prefix="idiolect-parsing")
        self._exporting = ThreadPoolExecutor(_EXPORTING, thread_name_prefix="idiolect-exporting")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for executor in (self._writing, self._parsing, self._exporting):
            await asyncio.to_thread(executor.shutdown)

    async def write(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the result of work that writes into the store."""
        return await _run(self._writing, lambda: work(*args, **kwargs))

    async def parse(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the result of work that takes a body apart."""
        return await _run(self._parsing, lambda: work(*args, **kwargs))

    async def export(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the result of work that reads all that is held about a person."""
        return await _run(self._exporting, lambda: work(*args, **kwargs))


async def _run(executor: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    begun = executor.submit(copy_context().run, work)
    done = asyncio.wrap_future(begun)
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        done.add_done_callback(_take_error)
        if not begun.cancel():  # a thread has it
            await asyncio.wait([done])
        raise


def _take_error(done: asyncio.Future[T]) -> None:
    """Take the error of work that nobody awaits any more, which would be logged otherwise."""
    if not done.cancelled():
        done.exception()
