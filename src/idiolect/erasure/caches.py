"""Opening every cache of calls that a tenant has used with a store, for the erasure and the export.

store.companions.known_caches (paths) → opened_caches → `OpenedCaches`
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import sqlalchemy as sa

from idiolect.errors import CacheError
from idiolect.models.calls.cache import CallCache, KeptCall
from idiolect.models.calls.cache.claims import is_being_erased
from idiolect.paths import printable_path
from idiolect.people.user import unstorable_part
from idiolect.store.companions import known_caches, resolved
from idiolect.store.database import Database
from idiolect.store.schema import users
from idiolect.store.tenancy import tenant_ids


@dataclass(frozen=True, slots=True)
class OpenedCaches:
    """A tenant's caches: the opened ones, and messages about those that are missing or cannot be opened."""

    opened: tuple[CallCache, ...]
    missed: tuple[str, ...]


@contextmanager
def opened_caches(database: Database, *, tenant: str, held: CallCache | None = None) -> Iterator[OpenedCaches]:
    """Open every cache of the tenant that exists.

    Args:
        database: the store's database.
        tenant: the tenant's id.
        held: a cache that the caller has already opened, and will close.

    Raises:
        StoreError: the store cannot be read.
        CacheError: another process is forgetting a user.
    """
    opened, missed = [] if held is None else [held], []
    with ExitStack() as stack:
        for path, noted in known_caches(database, tenant=tenant).items():
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


def calls_of_other_tenants(database: Database, *, tenant: str) -> Iterator[KeptCall]:
    """Yield the calls of the users of all other tenants.

    A cache that cannot be opened or read is left out: at worst, what it contains is then taken for a trace.

    Raises:
        StoreError: the store cannot be read.
    """
    for other in tenant_ids(database):
        if other == tenant:
            continue
        for path in known_caches(database, tenant=other):
            if path.exists():
                with suppress(CacheError), CallCache.open(path, lock_timeout=database.lock_timeout) as cache:
                    yield from _calls_of_all(database, other, cache)


def _calls_of_all(database: Database, tenant: str, cache: CallCache) -> Iterator[KeptCall]:
    with database.reading() as connection:
        ids = connection.scalars(sa.select(users.c.id).where(users.c.tenant_id == tenant)).all()
    for user_id in ids:
        if (
            isinstance(user_id, str) and unstorable_part(user_id) is None
        ):  # otherwise damaged; no call has such an owner
            yield from cache.calls_of(user_id)
