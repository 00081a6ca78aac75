"""Signals: SIGTERM and SIGHUP stop a command as Ctrl-C does, and a completed result is shown all the same."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")

_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def even_if_interrupted(use_case: Callable[[], T]) -> T:
    """Return the result of a use case, even if Ctrl-C was pressed before it completed."""
    from idiolect.application.portal import Interrupted

    try:
        return use_case()
    except Interrupted as ended:
        return cast("T", ended.result)


@contextmanager
def terminating_like_ctrl_c() -> Iterator[None]:
    """Raise `KeyboardInterrupt` on SIGTERM, and on SIGHUP if it is not ignored, while the context is open."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may install signal handlers
        return
    before = {
        number: signal.signal(number, signal.default_int_handler)
        for number in _ENDING
        if signal.getsignal(number) is not signal.SIG_IGN  # nohup
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def until_stopped(serve: Callable[[asyncio.Event], Coroutine[object, object, None]]) -> None:
    """Run a server until Ctrl-C, SIGTERM or SIGHUP sets the event that it is given; a second one ends it at once.

    Raises:
        KeyboardInterrupt: there was a second one.
    """
    import asyncio  # which help does without

    async def run() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()

        def end() -> None:
            if stop.is_set():
                task.cancel()
            stop.set()

        task = asyncio.ensure_future(serve(stop))
        for number in (signal.SIGINT, *_ENDING):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                loop.add_signal_handler(number, end)
        try:
            await task
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None

    asyncio.run(run())
