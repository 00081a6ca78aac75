"""Companions: every cache of calls that was used with a store, wherever it lies, so that an erasure reaches all.

    note (a run asks where its cache belongs) → known_caches → opened_caches: for the erasure and the export

The cache beside the store's own file needs no note. Paths below the folder of a SQLite file are kept relative to it,
so that the folder may be moved or copied.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from idiolect.errors import CacheError, StoreError
from idiolect.models.calls.cache import CallCache
from idiolect.models.calls.cache.claims import is_being_erased
from idiolect.store.database import Database
from idiolect.store.opening import CACHE_NAME, FILE_NAME, Place
from idiolect.store.schema import companions
from idiolect.store.strict_json import checked_text


@dataclass(frozen=True, slots=True)
class OpenedCaches:
    """A store's caches: those that are open, and the noted ones that are not there or cannot be opened, with why."""

    opened: tuple[CallCache, ...]
    missed: tuple[str, ...]


def note(database: Database, path: Path) -> bool:
    """Note that a cache is used with this store; whether that is new.

    Raises:
        StoreError: the store cannot be written, or such a path not be kept.
    """
    path = _real(path)
    if path in _own(database.place) or _is_noted(database, path):
        return False
    try:
        with database.writing() as connection:
            connection.execute(companions.insert().values(path=_named(database.place, path)))
    except StoreError:
        if not _is_noted(database, path):  # else another process was quicker
            raise
        return False
    return True


def drop_note(database: Database, path: Path) -> None:
    """Take a note back.

    Raises:
        StoreError: the store cannot be written.
    """
    with database.writing() as connection:
        connection.execute(companions.delete().where(companions.c.path == _named(database.place, _real(path))))


def known_caches(database: Database) -> dict[Path, bool]:
    """Where the store's caches are or may be, and whether one was noted there; links are resolved.

    Raises:
        StoreError: the store cannot be read.
    """
    with database.reading() as connection:
        noted = {_real(_base(database.place) / path) for path in connection.scalars(sa.select(companions.c.path))}
    expected = [*_own(database.place), _real(database.place.cache_path)]
    return {path: path in noted for path in (*dict.fromkeys(expected), *sorted(noted.difference(expected)))}


@contextmanager
def opened_caches(database: Database, *, held: CallCache | None = None) -> Iterator[OpenedCaches]:
    """Open every cache of the store that is there.

    Args:
        database: the store's.
        held: one that the caller has open already, and closes.

    Raises:
        StoreError: the store cannot be read.
        CacheError: another process is forgetting a user.
    """
    opened, missed = [] if held is None else [held], []
    with ExitStack() as stack:
        for path, noted in known_caches(database).items():
            if held is not None and path == _real(held.path):
                continue
            if not path.exists():
                if noted:
                    missed.append(f"cache {path}: is not there, but was used with this store")
                continue
            try:
                opened.append(stack.enter_context(CallCache.open(path, lock_timeout=database.lock_timeout)))
            except CacheError as error:
                if is_being_erased(path):
                    raise
                missed.append(str(error))
        yield OpenedCaches(tuple(opened), tuple(missed))


def _own(place: Place) -> tuple[Path, ...]:
    """The cache in the folder of the store, however the store was named."""
    if place.file is None or place.file.name != FILE_NAME:
        return ()
    return (_real(place.file.parent / CACHE_NAME),)


def _is_noted(database: Database, path: Path) -> bool:
    query = sa.select(companions.c.path).where(companions.c.path == _named(database.place, path))
    with database.reading() as connection:
        return connection.scalar(query) is not None


def _named(place: Place, path: Path) -> str:
    base = _base(place)
    named = path.relative_to(base) if place.file is not None and path.is_relative_to(base) else path
    return checked_text(str(named), at="the path of the cache")


def _base(place: Place) -> Path:
    """What relative paths are relative to."""
    return Path("/") if place.file is None else _real(place.file.parent)


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
