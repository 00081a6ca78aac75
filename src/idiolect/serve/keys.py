"""Keys that clients show: who may ask, for which tenant, as which user, and how often; one Protocol, and plain keys.

    Authorization: Bearer SECRET → sha256 → KeyRecord, kept for a second → Caller

Secrets are hashed when they arrive, and only hashes are kept and compared, in constant time. Keys have 128 bits or
more of chance, so that a plain hash protects them.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from idiolect.store import DEFAULT_TENANT
from idiolect.store.api_keys import Scope, hash_of

CHAT: Final = Scope.CHAT.value
PEOPLE: Final = Scope.PEOPLE.value
_MOST_KEPT = 10_000
_LONGEST_SECRET = 1024


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What is known of a key; not the key itself.

    Args:
        id: name of the key, for logs and limits.
        tenant: tenant whose users it may ask as.
        user: the only user it may ask as; None: any user of the tenant, whom the request names.
        scopes: what it may be used for: "chat" is asking models, "people" is data about people.
        per_minute: requests a minute; None: the server's usual limit.
    """

    id: str
    tenant: str = DEFAULT_TENANT
    user: str | None = None
    scopes: frozenset[str] = frozenset({CHAT})
    per_minute: int | None = None


class Keys(Protocol):
    """Where keys are known. Both methods may block; the gateway calls them in a thread."""

    def exist(self) -> bool:
        """Return whether there is any key."""
        ...

    def verify(self, secret: str) -> KeyRecord | None:
        """Return the record of a key; None if there is no such key, or it was revoked."""
        ...


class ConfiguredKeys:
    """Keys from the configuration, by their hashes.

    Args:
        records: the hash (hex) of each key, with its record.
    """

    def __init__(self, records: Iterable[tuple[str, KeyRecord]] = ()) -> None:
        self._records = [(known.lower().encode(), record) for known, record in records]

    def exist(self) -> bool:
        """Return whether any key is configured."""
        return bool(self._records)

    def verify(self, secret: str) -> KeyRecord | None:
        """Return the record of a key; every known hash is compared, whether or not one before it was the same."""
        shown, found = hash_of(secret).encode(), None
        for known, record in self._records:
            if hmac.compare_digest(shown, known):
                found = record
        return found


class KnownKeys:
    """Keys that were shown lately, so that not every request asks where they are kept.

    Args:
        keys: where keys are known; several are asked in turn.
        max_age: seconds for which an answer of theirs holds, also that there is no such key.
    """

    def __init__(self, *keys: Keys, max_age: float) -> None:
        self._keys, self._max_age = keys, max_age
        self._kept: OrderedDict[str, tuple[float, KeyRecord | None]] = OrderedDict()

    async def exist(self) -> bool:
        """Return whether there is any key."""
        return await asyncio.to_thread(lambda: any(each.exist() for each in self._keys))

    async def verify(self, secret: str) -> KeyRecord | None:
        """Return the record of a key; None if there is no such key."""
        if len(secret) > _LONGEST_SECRET:
            return None
        shown, now = hash_of(secret), time.monotonic()
        kept = self._kept.get(shown)
        if kept is not None and now - kept[0] <= self._max_age:
            return kept[1]
        record = await asyncio.to_thread(self._ask, secret)
        self._kept[shown] = (now, record)
        self._kept.move_to_end(shown)
        while len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        return record

    def forget(self) -> None:
        """Ask again for every key from now on, because one was revoked."""
        self._kept.clear()

    def _ask(self, secret: str) -> KeyRecord | None:
        for each in self._keys:
            if (record := each.verify(secret)) is not None:
                return record
        return None
