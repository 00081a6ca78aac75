"""Keys that the store knows, for `identity`: those of `idiolect keys create`."""

from __future__ import annotations

from idiolect.serve.keys import KeyRecord
from idiolect.store.api_keys import ApiKeys
from idiolect.store.database import Database


class StoredKeys:
    """The keys of a store, of all tenants.

    Args:
        database: the opened database of the store.
    """

    def __init__(self, database: Database) -> None:
        self._keys = ApiKeys(database)

    def exist(self) -> bool:
        """Return whether there is any key that is not revoked."""
        return any(record.revoked_at is None for record in self._keys.list())

    def verify(self, secret: str) -> KeyRecord | None:
        """Return the record of a key; None if there is no such key, or it was revoked."""
        found = self._keys.verify(secret)
        if found is None:
            return None
        scopes = frozenset(str(scope) for scope in found.scopes)
        return KeyRecord(found.id, found.tenant, found.user, scopes, found.per_minute)
