"""Checkpoints in the store: the progress of a method for one user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from idiolect.store import Store


@dataclass(slots=True)
class StoredCheckpoints:
    """A `CheckpointSink` in the store; if `fresh`, it ignores a checkpoint of an earlier run."""

    store: Store
    user_id: str
    method: str
    fresh: bool
    _identity: object = field(default=None, init=False)

    def load(self) -> Mapping[str, Any] | None:
        """Return the last saved state; None if there is none."""
        payload = None if self.fresh else self.store.checkpoint(self.user_id, self.method)
        self._identity = None if payload is None else payload.get("identity")
        return payload

    def save(self, payload: Mapping[str, Any]) -> None:
        """Save the state, which is durable when this returns."""
        self.store.save_checkpoint(self.user_id, self.method, payload)
        self._identity = payload.get("identity")

    def drop(self) -> None:
        """Delete the checkpoint that was saved or loaded here, unless another run has replaced it."""
        held = self.store.checkpoint(self.user_id, self.method)
        if held is not None and self._identity is not None and held.get("identity") == self._identity:
            self.store.drop_checkpoint(self.user_id, self.method)
