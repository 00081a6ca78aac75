"""Threads in which a gateway works, apart from each other, so that answers wait for nothing that somebody else sends.

reads of the store, keys        the event loop's own threads (`asyncio.to_thread`)
writes about people             a few: they wait for each other in the database
bodies that are parsed          two: they compute, which holds up the event loop if there are many
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import ParamSpec, Self, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_WRITING, _PARSING = 4, 2


class Threads:
    """Threads for writes and for parsing. Use it with `async with`, which waits at its end for what they do."""

    def __init__(self) -> None:
        self._writing = ThreadPoolExecutor(_WRITING, thread_name_prefix="idiolect-writing")
        self._parsing = ThreadPoolExecutor(_PARSING, thread_name_prefix="idiolect-parsing")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for executor in (self._writing, self._parsing):
            await asyncio.to_thread(executor.shutdown)

    async def write(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the result of work that writes into the store."""
        return await _run(self._writing, lambda: work(*args, **kwargs))

    async def parse(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the result of work that takes a body apart."""
        return await _run(self._parsing, lambda: work(*args, **kwargs))


async def _run(executor: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(executor, copy_context().run, work)
