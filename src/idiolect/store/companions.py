"""Companions: the paths of all caches of calls used with a store, wherever they are, so that an erasure reaches them.

Each tenant has its own.

    note (a run reads the path of its cache) → known_caches: for the erasure and the export

Only paths are stored here; nothing is opened. The cache beside the store's own file needs no note. Paths below the
folder of a SQLite file are stored relative to it, so that the folder may be moved or copied.
"""

from __future__ import annotations

import os
from pathlib import Path

import sqlalchemy as sa

from idiolect.errors import StoreError
from idiolect.store.database import Database
from idiolect.store.opening import CACHE_NAME, FILE_NAME, Place
from idiolect.store.schema import companions
from idiolect.store.strict_json import checked_text
from idiolect.store.tenancy import tenant_folder


def note(database: Database, path: Path, *, tenant: str) -> bool:
    """Note that a cache is used with this store by a tenant; return whether the note is new.

    Raises:
        StoreError: the store cannot be written, or cannot store such a path.
    """
    path = resolved(path)
    if path in _own(database.place, tenant) or _is_noted(database, path, tenant):
        return False
    try:
        with database.writing() as connection:
            kept = _kept_path(database.place, path)
            connection.execute(companions.insert().values(tenant_id=tenant, path=kept))
    except StoreError:
        if not _is_noted(database, path, tenant):  # otherwise another process was quicker
            raise
        return False
    return True


def drop_note(database: Database, path: Path, *, tenant: str) -> None:
    """Drop the note on a cache of a tenant.

    Raises:
        StoreError: the store cannot be written.
    """
    with database.writing() as connection:
        connection.execute(companions.delete().where(*_note(database.place, resolved(path), tenant)))


def known_caches(database: Database, *, tenant: str) -> dict[Path, bool]:
    """Return the possible paths of a tenant's caches, links resolved, each with whether it was noted.

    Raises:
        StoreError: the store cannot be read.
    """
    theirs = sa.select(companions.c.path).where(companions.c.tenant_id == tenant)
    with database.reading() as connection:
        noted = {resolved(_base(database.place) / path) for path in connection.scalars(theirs)}
    expected = [*_own(database.place, tenant), resolved(cache_path(database.place, tenant))]
    return {path: path in noted for path in (*dict.fromkeys(expected), *sorted(noted.difference(expected)))}


def cache_path(place: Place, tenant: str) -> Path:
    """Return the path of a tenant's cache, given the store's place; it need not exist.

    Raises:
        CacheError: `$IDIOLECT_CACHE` begins with the home folder of an unknown user.
    """
    return tenant_folder(place.cache_folder, tenant) / CACHE_NAME


def _own(place: Place, tenant: str) -> tuple[Path, ...]:
    """Return the path of the tenant's cache in the store's folder, even for a store that was named by a URL."""
    if place.file is None or place.file.name != FILE_NAME:
        return ()
    return (resolved(tenant_folder(place.file.parent, tenant) / CACHE_NAME),)


def _note(place: Place, path: Path, tenant: str) -> tuple[sa.ColumnElement[bool], ...]:
    return companions.c.tenant_id == tenant, companions.c.path == _kept_path(place, path)


def _is_noted(database: Database, path: Path, tenant: str) -> bool:
    query = sa.select(companions.c.path).where(*_note(database.place, path, tenant))
    with database.reading() as connection:
        return connection.scalar(query) is not None


def _kept_path(place: Place, path: Path) -> str:
    base = _base(place)
    named = path.relative_to(base) if place.file is not None and path.is_relative_to(base) else path
    return checked_text(str(named), at="the path of the cache")


def _base(place: Place) -> Path:
    """Return the folder to which relative paths are relative."""
    return Path("/") if place.file is None else resolved(place.file.parent)


def resolved(path: Path) -> Path:
    """Return the path without links; it need not exist."""
    return Path(os.path.realpath(path))
