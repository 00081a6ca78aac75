"""Where the workers of a gateway run: beside its event loop, or in it if their model does.

async with working(workers, apart=True) as wake: …      wake() makes them look into the queue now
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from anyio.from_thread import start_blocking_portal

from idiolect.serve.worker import Workers


@asynccontextmanager
async def working(workers: Workers, *, apart: bool) -> AsyncIterator[Callable[[], None]]:
    """Let workers work while the context is open; at its end, their jobs return to the queue.

    Args:
        workers: the workers.
        apart: whether they have an event loop of their own, in a thread; otherwise this one is theirs.

    Yields:
        A function that wakes them.
    """
    if not apart:
        task = asyncio.ensure_future(workers.run())
        try:
            yield workers.wake
        finally:
            workers.stop()
            await task
        return
    with start_blocking_portal(name="idiolect-workers") as portal:
        loop = portal.call(_running_loop)
        work = portal.start_task_soon(workers.run)
        try:
            yield lambda: _call(loop, workers.wake)
        finally:
            _call(loop, workers.stop)
            await asyncio.wrap_future(work)


async def _running_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def _call(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    loop.call_soon_threadsafe(act)
