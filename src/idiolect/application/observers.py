"""The default observer of use cases, which ignores every event."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

Waiting = Callable[[str], AbstractContextManager[None]]


def ignore(*event: object) -> None:
    """Ignore an event."""


def wait_quietly(what: str) -> AbstractContextManager[None]:
    """Show no sign of what takes seconds."""
    del what
    return nullcontext()
