"""Where a method writes its progress to, so that a run which stops goes on later instead of paying twice.

The caller hands a `CheckpointSink` to `fit`, because methods never touch the store. What is saved is plain JSON that
only the method itself reads; what it finds there of another run it ignores.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class CheckpointSink(Protocol):
    """Keeps the last saved state of one run."""

    def load(self) -> Mapping[str, Any] | None:
        """What was saved last; None where nothing was."""
        ...

    def save(self, payload: Mapping[str, Any]) -> None:
        """Keep this (plain JSON values) instead of what was saved before; durable when it returns."""
        ...
