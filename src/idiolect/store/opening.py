"""Opening a store: from a folder or URL to an engine on a store of the newest revision.

    target → URL → SQLite: file made private (0600 in a 0700 folder) → engine, its connections set up → migrated

The execution option `sqlite_begin` is the mode in which a transaction on SQLite begins: IMMEDIATE if it writes, so that
it waits for a lock at its start and is never refused one later.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from platformdirs import user_cache_dir, user_data_dir
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from idiolect.errors import CacheError, MissingExtraError, StoreError
from idiolect.paths import expanded, printable_path
from idiolect.sqlite import read_any_text, set_pragmas
from idiolect.store import strict_json
from idiolect.store.faults import store_errors
from idiolect.store.revisions import migrate

FILE_NAME = "idiolect.db"
CACHE_NAME = "calls.db"
DATABASES = ("sqlite", "postgresql")
_LIKE_A_URL = re.compile(r"(?!\.{1,2}/)([A-Za-z][\w+.-]+:/|[^/]+:.*@|.*:[^/]*@)")  # a scheme, or a password and a host


@dataclass(frozen=True, slots=True)
class Place:
    """A store's place: its URL, its folder if it was named by one, and a printable name without secrets."""

    url: URL
    folder: Path | None
    name: str

    @property
    def file(self) -> Path | None:
        """SQLite's file, if there is one."""
        database = self.url.database
        if self.url.get_backend_name() != "sqlite" or not database or database == ":memory:":
            return None
        return None if database.startswith("file:") else Path(database)

    @property
    def in_memory(self) -> bool:
        """Whether the database is lost when it is closed."""
        if self.url.get_backend_name() != "sqlite":
            return False
        database = (self.url.database or "").split("?")[0]
        options = {name: value for name, value in self.url.query.items() if name in ("mode", "vfs")}
        return database in ("", ":memory:", "file:", "file::memory:") or bool({"memory", "memdb"} & {*options.values()})

    @property
    def cache_folder(self) -> Path:
        """The folder of the caches of calls: the store's.

        A store named by a URL has no folder; its caches are in a folder of their own below `$IDIOLECT_CACHE` or, if
        that is not set, below the user's cache folder.

        Raises:
            CacheError: `$IDIOLECT_CACHE` begins with the home folder of an unknown user.
        """
        if self.folder is not None:
            return self.folder
        caches = os.environ.get("IDIOLECT_CACHE") or user_cache_dir("idiolect")
        folder = expanded(caches, CacheError, of="IDIOLECT_CACHE").absolute()
        return folder / self._identity()

    def _identity(self) -> str:
        """Return a name of the database that does not depend on the login or its method."""
        url = self.url
        database = os.path.realpath(self.file) if self.file is not None else url.database
        query_hosts = [url.query.get("host"), url.query.get("port")]  # these name sockets
        parts = repr((url.get_backend_name(), url.host, url.port, database, query_hosts))
        return hashlib.sha256(parts.encode()).hexdigest()[:16]


def locate(target: str | Path | None) -> Place:
    """Return the place of `target`, a folder or a SQLAlchemy URL.

    None means `$IDIOLECT_STORE` or, if that is not set, the user's data folder.

    Raises:
        StoreError: the URL cannot be read, or the name of a folder looks like a URL, which may contain a password.
    """
    target = target or os.environ.get("IDIOLECT_STORE") or user_data_dir("idiolect")
    if "://" in str(target):
        return _of_url(str(target))
    if _LIKE_A_URL.match(str(target)):
        raise StoreError(
            "the store's name looks like a URL, but is none; a URL is written as in sqlite:///people.db or"
            " postgresql://user:password@host/database, and a folder of that name as ./NAME"
        )
    folder = expanded(target, StoreError).absolute()
    return Place(URL.create("sqlite", database=str(folder / FILE_NAME)), folder, printable_path(folder))


def refuse_in_memory(place: Place) -> None:
    """Refuse a database in memory, for those who expect the store to last.

    Raises:
        StoreError: the database is in memory.
    """
    if place.in_memory:
        raise StoreError(
            f"store {place.name}: is in memory and would be lost at the end; name a folder, or a file as in"
            " sqlite:///people.db"
        )


def _of_url(target: str) -> Place:
    try:
        url = sa.make_url(target)
        if url.drivername == "postgres":  # PostgreSQL's own programs take both names
            url = url.set(drivername="postgresql")
        backend = url.get_backend_name()
    except (ArgumentError, ValueError):  # not the cause of the new error: a printed traceback would show the URL
        raise StoreError("the store's URL is not valid; expected one such as sqlite:///people.db") from None
    if "@" in (url.host or "") or (backend != "sqlite" and "@" in (url.database or "")):  # SQLAlchemy took the first @
        raise StoreError("the store's URL has an @ too many; in a user's name or password it is written as %40")
    if backend not in DATABASES:
        raise StoreError(f"the store's URL names another kind of database than {' and '.join(DATABASES)}")
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    return Place(url, None, printable_path(f"{backend}://{url.host or ''}/{url.database or ''}"))


def open_engine(place: Place, *, create: bool, lock_timeout: float) -> Engine:
    """Return an engine on the store at `place`, migrated to the newest revision.

    Args:
        place: the store's place.
        create: create a store if there is none.
        lock_timeout: seconds to wait for another process's lock.

    Raises:
        StoreError: there is no store and `create` is false; or the database is not a store, was made by a newer
            Idiolect, or is not readable.
        MissingExtraError: the store is in PostgreSQL, whose driver is not installed.
    """
    if not create:
        refuse_in_memory(place)
    engine = _engine(place, lock_timeout=lock_timeout)  # connects to nothing yet
    if place.folder is not None and place.folder.is_file():
        raise StoreError(f"store {place.name}: is a file; name a folder, or a URL such as sqlite:///people.db")
    if create:
        _make_private(place)
    elif place.file is not None and not place.file.exists():
        raise StoreError(f"there is no store at {place.name}; fitting a user creates one")
    try:
        with store_errors(place.name):
            migrate(engine, place.name, create=create)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _make_private(place: Place) -> None:
    try:
        if place.folder is not None:
            place.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if place.file is not None and not place.file.exists():
            os.close(os.open(place.file, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreError(f"store {place.name}: cannot be created: {error.strerror}") from error


def _engine(place: Place, *, lock_timeout: float) -> Engine:
    on_server = place.url.get_backend_name() == "postgresql"
    try:
        engine = sa.create_engine(
            place.url, hide_parameters=True, json_serializer=strict_json.dumps, pool_pre_ping=on_server
        )
    except (SQLAlchemyError, TypeError, ValueError):  # their messages quote the URL
        raise StoreError(f"store {place.name}: unknown kind of database, or invalid option in its URL") from None
    except ImportError as error:
        if error.name == "psycopg":
            raise MissingExtraError.of("a store in PostgreSQL needs", "postgres", error) from error
        raise StoreError(f"store {place.name}: the database's driver is not installed ({error.name})") from error
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine, lock_timeout=lock_timeout)
    else:
        _prepare_postgresql(engine, lock_timeout=lock_timeout)
    return engine


def _prepare_postgresql(engine: Engine, *, lock_timeout: float) -> None:
    @sa.event.listens_for(engine, "connect")
    def connected(connection: Any, _record: object) -> None:
        connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{round(lock_timeout * 1000)}ms",))
        connection.execute("SET default_transaction_isolation TO 'read committed'")  # what the locks are made for
        connection.commit()


def _prepare_sqlite(engine: Engine, *, lock_timeout: float) -> None:
    @sa.event.listens_for(engine, "connect")
    def connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # transactions begin below, not whenever the driver decides
        try:
            read_any_text(connection)
            set_pragmas(connection, lock_timeout=lock_timeout)
        except BaseException:
            connection.close()
            raise

    @sa.event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {mode}")
