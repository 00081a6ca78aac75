"""Merging the requests of concurrent tasks to one model into batches; between the async surface of `local` and its
worker.

Each call joins a queue. A task waits until no further call has come for a few ticks of the event loop, then gives the
worker all waiting requests in order of arrival. While the worker runs, the next batch gathers.
Nothing is kept from one event loop to the next, so a model outlives `asyncio.run`.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Request = TypeVar("Request")
Result = TypeVar("Result")

_QUIET_TICKS = 8


@dataclass(slots=True)
class _Queue(Generic[Request, Result]):
    """The calls waiting on one event loop, and the task that serves them."""

    waiting: list[tuple[Sequence[Request], asyncio.Future[list[Result]]]] = field(default_factory=list)
    task: asyncio.Task[None] | None = None


class Coalescer(Generic[Request, Result]):
    """A queue of calls that runs `work` on the executor, with the requests of all waiting calls.

    Args:
        work: returns one result per request, in order; its exception reaches every caller of that batch.
        executor: runs `work`.
    """

    def __init__(self, work: Callable[[list[Request]], list[Result]], executor: Executor) -> None:
        self._work, self._executor = work, executor
        self._queues: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Queue[Request, Result]]
        self._queues = weakref.WeakKeyDictionary()

    async def submit(self, requests: Sequence[Request]) -> list[Result]:
        """Run the requests in the next batch and return one result per request, in order."""
        if not requests:
            return []
        loop = asyncio.get_running_loop()
        queue = self._queues.setdefault(loop, _Queue())
        answer: asyncio.Future[list[Result]] = loop.create_future()
        queue.waiting.append((requests, answer))
        if queue.task is None:
            queue.task = loop.create_task(self._drain(queue))
        return await answer

    async def _drain(self, queue: _Queue[Request, Result]) -> None:
        try:
            while queue.waiting:
                await _quiet(queue)
                batch = [(requests, answer) for requests, answer in queue.waiting if not answer.done()]
                queue.waiting = []
                await self._answer(batch)
        finally:  # after a cancellation, no caller may be left waiting for ever
            for _, answer in queue.waiting:
                answer.cancel()
            queue.waiting = []
            queue.task = None  # a task refers to its loop, which would otherwise never be freed

    async def _answer(self, batch: list[tuple[Sequence[Request], asyncio.Future[list[Result]]]]) -> None:
        merged = [request for requests, _ in batch for request in requests]
        try:
            results = await asyncio.get_running_loop().run_in_executor(self._executor, self._work, merged)
        except asyncio.CancelledError:
            for _, answer in batch:
                answer.cancel()
            raise
        except Exception as error:  # any failure belongs to the callers, not to this task
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(error)
            return
        start = 0
        for requests, answer in batch:
            if not answer.done():
                answer.set_result(results[start : start + len(requests)])
            start += len(requests)


async def _quiet(queue: _Queue[Request, Result]) -> None:
    """Wait until nothing has joined the queue for some ticks."""
    seen, ticks = len(queue.waiting), 0
    while ticks < _QUIET_TICKS:
        await asyncio.sleep(0)
        ticks = ticks + 1 if len(queue.waiting) == seen else 0
        seen = len(queue.waiting)
