"""Signals: SIGTERM stops a long command as Ctrl-C does, and a result that was completed all the same is shown."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

T = TypeVar("T")


def even_if_interrupted(use_case: Callable[[], T]) -> T:
    """Return the result of a use case, even if Ctrl-C was pressed before it completed."""
    from idiolect.application.portal import Interrupted

    try:
        return use_case()
    except Interrupted as ended:
        return cast("T", ended.result)


@contextmanager
def terminating_like_ctrl_c() -> Iterator[None]:
    """Raise `KeyboardInterrupt` on SIGTERM too while the context is open."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may install signal handlers
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
