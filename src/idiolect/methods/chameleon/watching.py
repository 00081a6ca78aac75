"""Work in a model's thread, watched from the event loop: its steps are told there, and it ends if nobody waits for it.

    model's thread: on_step → event loop: tell → it raises, or the waiting task is cancelled → on_step raises → the end

Without this, a cancelled task would leave its work running in the thread, which the end of the process waits for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from idiolect.models.edit_training import OnStep

T = TypeVar("T")


class _NobodyWaitsError(Exception):
    """The end of work whose task was cancelled; nobody receives it."""


class _Watch:
    """The steps of one piece of work; `error` is what `tell` has raised, None before that."""

    def __init__(self, tell: OnStep) -> None:
        self._tell, self._loop = tell, asyncio.get_running_loop()
        self.error: Exception | None = None
        self.ended = False

    def on_step(self, done: int, total: int) -> None:
        """Have a step told, and raise an error if the work is to end; called in the model's thread."""
        if self.error is not None:
            raise self.error
        if self.ended:
            raise _NobodyWaitsError
        self._loop.call_soon_threadsafe(self._told, done, total)  # raises RuntimeError if the loop is closed

    def _told(self, done: int, total: int) -> None:
        if self.ended or self.error is not None:
            return
        try:
            self._tell(done, total)
        except Exception as error:
            self.error = error


async def watched(work: Callable[[OnStep], Awaitable[T]], tell: OnStep) -> T:
    """Return the result of work in another thread.

    The work ends at its next step if `tell` raises an error, which is then raised here, or if this task is cancelled.

    Args:
        work: starts the work; receives the function that the work calls, in any thread, after every step.
        tell: receives the number of steps done and of all steps, in the event loop.
    """
    watch = _Watch(tell)
    try:
        result = await work(watch.on_step)
    except Exception:
        if watch.error is not None:  # the model may have wrapped it
            raise watch.error from None
        raise
    finally:
        watch.ended = True
    if watch.error is not None:
        raise watch.error
    return result
