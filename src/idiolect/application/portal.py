"""An event loop in its own thread, for callers that don't await. Ctrl-C halts a use case, then cancels it.

    call ─ the use case runs there ─ Ctrl-C here → interrupted() → up to ten seconds → cancel → result or error here

The thread is a daemon, so that a workspace that is never closed does not keep the process alive.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, ExitStack, aclosing
from functools import partial
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

T = TypeVar("T")

GRACE_SECONDS = 10.0  # after Ctrl-C, for calls in flight
STOPPED_BY_HAND = "stopped by hand"


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a use case that was completed all the same; `result` is its return value."""

    def __init__(self, result: Any) -> None:
        super().__init__()
        self.result = result


class Portal:
    """Access to an event loop in a daemon thread. Close it after use; a portal left open is closed at exit."""

    def __init__(self) -> None:
        self._opened = ExitStack()
        self._portal: BlockingPortal = self._opened.enter_context(start_blocking_portal(name="idiolect"))
        self._loop_thread = self._portal.call(threading.get_ident)
        self._running: set[_Work[Any]] = set()
        self._close = weakref.finalize(self, self._opened.close)

    @property
    def closed(self) -> bool:
        """Whether the portal was closed."""
        return not self._close.alive

    def enter(self, opening: Callable[[], AbstractAsyncContextManager[T]]) -> T:
        """Enter an async context in the event loop, and exit it there when the portal is closed."""
        return self._opened.enter_context(self._portal.wrap_async_context_manager(self._portal.call(opening)))

    def call(self, use_case: Callable[[], Awaitable[T]], *, interrupted: Callable[[], bool]) -> T:
        """Run a use case in the event loop, and wait until it has ended.

        Args:
            use_case: async function to run.
            interrupted: called on Ctrl-C. It halts the use case, and returns whether calls may be in flight; if so,
                this waits for them.

        Raises:
            Interrupted: Ctrl-C was pressed, and the use case was completed.
            KeyboardInterrupt: Ctrl-C was pressed, and the use case was not completed.
            RuntimeError: the portal is closed, or this is the event loop's own thread (an observer is called in it).
        """
        if self.closed:
            raise RuntimeError("the workspace is closed")
        self.check_thread()
        work = _Work(use_case)
        self._running.add(work)
        try:
            future = self._portal.start_task_soon(work.run)
            try:
                work.ended.wait()
            except KeyboardInterrupt:
                try:
                    work.ended.wait(GRACE_SECONDS if interrupted() else 0)
                finally:
                    future.cancel()  # has no effect if the use case has ended
                    work.ended.wait()  # work that cannot be cancelled, such as an erasure, is completed
                if work.error is None:
                    raise Interrupted(work.result) from None
                raise
        finally:
            self._running.discard(work)
        if work.error is not None:
            raise work.error
        return work.result  # type: ignore[return-value]  # without an error, there is a result

    def iterate(self, stream: Callable[[], AsyncGenerator[T, None]]) -> Generator[T, None, None]:
        """Yield the items of an async generator that runs in the event loop.

        If the caller closes this generator, or Ctrl-C interrupts the wait for an item, the stream is cancelled, and its
        end awaited. Nothing else is halted.

        Raises:
            RuntimeError: the portal is closed, or this is the event loop's own thread.
        """
        if self.closed:
            raise RuntimeError("the workspace is closed")
        self.check_thread()
        items: SimpleQueue[tuple[T] | None] = SimpleQueue()
        work = _Work(partial(_pump, stream, items))
        self._running.add(work)
        try:
            self._portal.start_task_soon(work.run)
            while (item := items.get()) is not None:
                yield item[0]
        finally:
            self.soon(work.cancel)
            work.ended.wait()
            self._running.discard(work)
        if work.error is not None:
            raise work.error

    def check_thread(self) -> None:
        """Raise RuntimeError if this is the event loop's own thread."""
        if threading.get_ident() == self._loop_thread:
            raise RuntimeError("an observer cannot wait for a use case; it may call spending() and halt()")

    def soon(self, function: Callable[[], object]) -> None:
        """Call a function in the event loop's thread, from any thread. Do nothing once the portal is closed."""
        if threading.get_ident() == self._loop_thread:
            function()
        elif not self.closed:
            self._portal.call(function)

    def close(self) -> None:
        """Wait for running use cases, then close everything that was opened, and end the event loop."""
        for work in list(self._running):
            work.ended.wait(GRACE_SECONDS)
        self._close()


class _Work(Generic[T]):
    """A running use case, with its result or its error (of any kind) once it has ended."""

    def __init__(self, use_case: Callable[[], Awaitable[T]]) -> None:
        self._use_case = use_case
        self._task: asyncio.Task[None] | None = None
        self.ended = threading.Event()
        self.result: T | None = None
        self.error: BaseException | None = None

    def cancel(self) -> None:
        """Cancel the use case once, so that it can clean up; call this in the event loop's thread.

        The cancellation of a portal's future comes again at every `await`.
        """
        if self._task is not None and not self.ended.is_set():
            self._task.cancel()

    async def run(self) -> None:
        """Run the use case and keep its error, because one such as `SystemExit` would end the loop."""
        self._task = asyncio.current_task()
        try:
            self.result = await self._use_case()
        except BaseException as error:
            self.error = error
        finally:
            self.ended.set()


async def _pump(stream: Callable[[], AsyncGenerator[T, None]], items: SimpleQueue[tuple[T] | None]) -> None:
    """Put the items of a stream into a queue, and None behind the last one."""
    try:
        async with aclosing(stream()) as generator:
            async for item in generator:
                items.put((item,))
    finally:
        items.put(None)


def run_blocking(use_case: Callable[[], Awaitable[T]], *, interrupted: Callable[[Portal], bool] | None = None) -> T:
    """Run a use case in a new event loop, and wait for it. Another loop may run in this thread.

    Args:
        use_case: async function to run.
        interrupted: like the argument of `Portal.call`, but receives the portal; None: cancel the use case at once.

    Raises:
        Interrupted, KeyboardInterrupt: see `Portal.call`.
    """
    portal = Portal()
    try:
        return portal.call(use_case, interrupted=lambda: interrupted is not None and interrupted(portal))
    finally:
        portal.close()
