"""The default observer of use cases, which ignores every event."""

from __future__ import annotations


def ignore(*event: object) -> None:
    """Ignore an event."""
