"""The interface through which a method saves its progress, so that a stopped run can resume without paying twice.

The caller passes a `CheckpointSink` to `fit`, because methods never touch the store. A checkpoint is plain JSON that
only the method itself reads; it ignores the checkpoint of a different run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class CheckpointSink(Protocol):
    """Storage for the last saved state of one run."""

    def load(self) -> Mapping[str, Any] | None:
        """Return the last saved state; None if there is none."""
        ...

    def save(self, payload: Mapping[str, Any]) -> None:
        """Replace the saved state by this one (plain JSON values), which is durable when this returns."""
        ...
