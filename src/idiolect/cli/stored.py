"""What the commands keep in the store while they learn, and look up there: checkpoints and what was learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from idiolect.store import Store
from idiolect.store.records import PersonalizationRecord


@dataclass(slots=True)
class StoredCheckpoints:
    """A `CheckpointSink` in the store. `fresh`: what an earlier run left there is not looked at."""

    store: Store
    user_id: str
    method: str
    fresh: bool
    _identity: object = field(default=None, init=False)

    def load(self) -> Mapping[str, Any] | None:
        """What was saved last."""
        payload = None if self.fresh else self.store.checkpoint(self.user_id, self.method)
        self._identity = None if payload is None else payload.get("identity")
        return payload

    def save(self, payload: Mapping[str, Any]) -> None:
        """Durable when it returns."""
        self.store.save_checkpoint(self.user_id, self.method, payload)
        self._identity = payload.get("identity")

    def drop(self) -> None:
        """Delete the checkpoint that was saved or gone on from; one that another run has put in its place stays."""
        held = self.store.checkpoint(self.user_id, self.method)
        if held is not None and self._identity is not None and held.get("identity") == self._identity:
            self.store.drop_checkpoint(self.user_id, self.method)


def held_record(store: Store, user_id: str, method: str) -> PersonalizationRecord | None:
    """What the store holds of a method for this user, with its digest.

    Raises:
        UnknownUserError: no such user.
        StoreError: the store cannot be read, or what it holds is damaged.
    """
    return next((record for record in store.personalizations(user_id) if record.method == method), None)
