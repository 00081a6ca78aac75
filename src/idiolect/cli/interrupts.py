"""Signals: SIGTERM ends a long command as Ctrl-C does, with what was paid for kept."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def terminating_like_ctrl_c() -> Iterator[None]:
    """Raise `KeyboardInterrupt` at SIGTERM too, as long as the context lasts."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may change what signals do
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
