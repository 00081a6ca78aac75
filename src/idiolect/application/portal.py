"""An event loop in a thread of its own, for callers that don't await. Ctrl-C halts what runs there, then cancels it.

    call ─ the use case runs there ─ Ctrl-C here → interrupted() → up to ten seconds → cancel → result or error here

The thread is a daemon, so that a workspace which nobody closes does not keep the process alive.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, ExitStack
from typing import Any, Generic, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

T = TypeVar("T")

GRACE_SECONDS = 10.0  # after Ctrl-C, for calls in flight
STOPPED_BY_HAND = "stopped by hand"


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, after which the use case still came to its end. `result` is what it returned."""

    def __init__(self, result: Any) -> None:
        super().__init__()
        self.result = result


class Portal:
    """A way into an event loop that runs in a daemon thread. Close it; one that is left open is closed at exit."""

    def __init__(self) -> None:
        self._opened = ExitStack()
        self._portal: BlockingPortal = self._opened.enter_context(start_blocking_portal(name="idiolect"))
        self._loop_thread = self._portal.call(threading.get_ident)
        self._running: set[_Work[Any]] = set()
        self._close = weakref.finalize(self, self._opened.close)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return not self._close.alive

    def enter(self, opening: Callable[[], AbstractAsyncContextManager[T]]) -> T:
        """Open something in the event loop, which is closed there with the portal."""
        return self._opened.enter_context(self._portal.wrap_async_context_manager(self._portal.call(opening)))

    def call(self, use_case: Callable[[], Awaitable[T]], *, interrupted: Callable[[], bool]) -> T:
        """Run a use case in the event loop, and wait for its end.

        Args:
            use_case: what is run.
            interrupted: is called at Ctrl-C; it halts the use case, and returns whether calls may be in flight, which
                are then waited for.

        Raises:
            Interrupted: Ctrl-C was pressed, and the use case came to its end.
            KeyboardInterrupt: Ctrl-C was pressed, and it did not.
            RuntimeError: the portal is closed, or this is the event loop's own thread, as in an observer.
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
                    future.cancel()  # without effect on what has ended
                    work.ended.wait()  # what cannot be cancelled, such as an erasure, comes to its end
                if work.error is None:
                    raise Interrupted(work.result) from None
                raise
        finally:
            self._running.discard(work)
        if work.error is not None:
            raise work.error
        return work.result  # type: ignore[return-value]  # without an error there is a result

    def check_thread(self) -> None:
        """Check that this is not the event loop's own thread.

        Raises:
            RuntimeError: it is.
        """
        if threading.get_ident() == self._loop_thread:
            raise RuntimeError("an observer cannot wait for a use case; it may call spending() and halt()")

    def soon(self, function: Callable[[], object]) -> None:
        """Call a function in the event loop's thread, now or soon; from any thread. Do nothing once it is closed."""
        if threading.get_ident() == self._loop_thread:
            function()
        elif not self.closed:
            self._portal.call(function)

    def close(self) -> None:
        """Wait for what is running, then close what was opened and end the event loop."""
        for work in list(self._running):
            work.ended.wait(GRACE_SECONDS)
        self._close()


class _Work(Generic[T]):
    """A use case on its way, with its result or its error, whatever kind of error that is."""

    def __init__(self, use_case: Callable[[], Awaitable[T]]) -> None:
        self._use_case = use_case
        self.ended = threading.Event()
        self.result: T | None = None
        self.error: BaseException | None = None

    async def run(self) -> None:
        """Run the use case. An error is kept, because one like `SystemExit` would end the loop."""
        try:
            self.result = await self._use_case()
        except BaseException as error:
            self.error = error
        finally:
            self.ended.set()


def run_blocking(use_case: Callable[[], Awaitable[T]], *, interrupted: Callable[[Portal], bool] | None = None) -> T:
    """Run a use case in an event loop of its own, and wait for it; another loop may run in this thread.

    Args:
        use_case: what is run.
        interrupted: as for `Portal.call`, with the portal; None: the use case is cancelled at once.

    Raises:
        Interrupted, KeyboardInterrupt: as `Portal.call`.
    """
    portal = Portal()
    try:
        return portal.call(use_case, interrupted=lambda: interrupted is not None and interrupted(portal))
    finally:
        portal.close()
