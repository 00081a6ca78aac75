"""Opening every cache of calls that was used with a store, for the erasure and the export.

store.companions.known_caches (paths) → opened_caches → `OpenedCaches`
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from idiolect.errors import CacheError
from idiolect.models.calls.cache import CallCache
from idiolect.models.calls.cache.claims import is_being_erased
from idiolect.paths import printable_path
from idiolect.store.companions import known_caches, resolved
from idiolect.store.database import Database


@dataclass(frozen=True, slots=True)
class OpenedCaches:
    """A store's caches: the opened ones, and messages about those that are missing or cannot be opened."""

    opened: tuple[CallCache, ...]
    missed: tuple[str, ...]


@contextmanager
def opened_caches(database: Database, *, held: CallCache | None = None) -> Iterator[OpenedCaches]:
    """Open every cache of the store that exists.

    Args:
        database: the store's database.
        held: a cache that the caller has already opened, and will close.

    Raises:
        StoreError: the store cannot be read.
        CacheError: another process is forgetting a user.
    """
    opened, missed = [] if held is None else [held], []
    with ExitStack() as stack:
        for path, noted in known_caches(database).items():
            if held is not None and path == resolved(held.path):
                continue
            if not path.exists():
                if noted:
                    missed.append(f"cache {printable_path(path)}: does not exist, but was used with this store")
                continue
            try:
                opened.append(stack.enter_context(CallCache.open(path, lock_timeout=database.lock_timeout)))
            except CacheError as error:
                if is_being_erased(path):
                    raise
                missed.append(str(error))
        yield OpenedCaches(tuple(opened), tuple(missed))
