"""Observers of use cases, and the one that ignores everything."""

from __future__ import annotations


def ignore(*event: object) -> None:
    """Ignore an event."""
