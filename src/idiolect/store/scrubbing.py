"""Scrubbing: removing the bytes of deleted rows from SQLite files, and finishing an interrupted erasure.

    mark + delete (one transaction) → scrub → unmark

The mark (a row of `erasures`, which contains nothing about the person) is written with the deletion. Opening a store
that has a mark scrubs it first, so a process killed in between leaves nothing behind permanently.
"""

from __future__ import annotations

import logging
import secrets
import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from idiolect.errors import CacheError, StoreError
from idiolect.paths import printable_path
from idiolect.sqlite import primary_code, sqlite_reason
from idiolect.store.companions import known_caches
from idiolect.store.database import Database
from idiolect.store.faults import store_errors
from idiolect.store.schema import erasures, metadata
from idiolect.store.tenancy import tenant_ids

_PAUSE = 0.02
_log = logging.getLogger(__name__)


def mark(connection: Connection) -> str:
    """Record, in the transaction that deletes, that an erasure has begun; return the mark, for `unmark`."""
    name = secrets.token_hex(8)
    connection.execute(erasures.insert().values(id=name, begun_at=datetime.now(UTC)))
    return name


def unmark(database: Database, marks: Iterable[str]) -> None:
    """Record that these erasures are finished.

    Raises:
        StoreError: the store cannot be written.
    """
    with database.writing() as connection:
        connection.execute(erasures.delete().where(erasures.c.id.in_(list(marks))))


def finish(database: Database, name: str) -> tuple[str, ...]:
    """Scrub the store and remove the mark; return the fault that prevented it, if any (the mark then stays)."""
    try:
        _scrub_and_unmark(database, [name])
    except StoreError as error:
        return (str(error),)
    return ()


def _scrub_and_unmark(database: Database, marks: Iterable[str]) -> None:
    scrub(database)
    unmark(database, marks)
    truncate_log(database)


def finish_interrupted(database: Database) -> int:
    """Scrub the store and its caches of calls if erasures were interrupted; return how many were finished.

    If that is not possible now (another process holds a lock, the disk is read-only), the next opening tries again.

    Raises:
        StoreError: the store cannot be read.
    """
    with database.reading() as connection:
        marks = list(connection.scalars(sa.select(erasures.c.id)))
    if not marks:
        return 0
    try:
        for tenant in tenant_ids(database):
            for cache_path in known_caches(database, tenant=tenant):
                if cache_path.exists():
                    scrub_file(cache_path, timeout=database.lock_timeout)
        _scrub_and_unmark(database, marks)
    except (CacheError, StoreError) as error:
        _log.warning("an interrupted erasure could not be finished; the next opening tries again: %s", error)
        return 0
    return len(marks)


def scrub(database: Database) -> None:
    """Remove all bytes of deleted rows from a SQLite store; have a PostgreSQL server free the rows' places.

    PostgreSQL does that for the tables that this login may vacuum, and leaves bytes in its files and its log
    (`erasure.receipt` names what is not proven).

    Raises:
        StoreError: another process uses the store, or it cannot be written.
    """
    if database.kind == "sqlite":
        with store_errors(database.where), closing(database.engine().raw_connection()) as connection:
            _scrub(connection.driver_connection, database.where, database.lock_timeout)
    else:
        tables = ", ".join(f'"{name}"' for name in metadata.tables)
        with store_errors(database.where), database.engine(isolation_level="AUTOCOMMIT").connect() as vacuuming:
            vacuuming.exec_driver_sql(f"VACUUM {tables}")  # of a table that is not its own, it only warns


def truncate_log(database: Database) -> None:
    """Empty SQLite's write-ahead log after the last small write; raise the same errors as `scrub`."""
    if database.kind == "sqlite":
        with store_errors(database.where), closing(database.engine().raw_connection()) as connection:
            _truncate_log(connection.driver_connection, database.where, time.monotonic() + database.lock_timeout)


def scrub_file(path: Path, *, timeout: float) -> None:
    """Remove all bytes of deleted rows from a SQLite file.

    Args:
        path: the file.
        timeout: seconds to wait for another process's lock.

    Raises:
        StoreError: another process uses the file, or it is not a database.
    """
    try:
        connection = sqlite3.connect(path, timeout=timeout, isolation_level=None)
    except sqlite3.Error as error:
        raise StoreError(f"{printable_path(path)}: {sqlite_reason(error)}") from error
    with closing(connection):
        _scrub(connection, printable_path(path), timeout)


def _scrub(connection: Any, where: str, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    cursor = connection.cursor()
    try:
        cursor.execute("PRAGMA secure_delete = ON")
        cursor.execute("PRAGMA temp_store = MEMORY")  # VACUUM's copy of the other people's rows touches no other disk
        _truncate_log(connection, where, deadline)
        cursor.execute("VACUUM")
        _truncate_log(connection, where, deadline)
    except sqlite3.Error as error:
        if primary_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise _in_use(where) from error
        raise StoreError(f"{where}: {sqlite_reason(error)}") from error
    finally:
        cursor.close()


def _truncate_log(connection: Any, where: str, deadline: float) -> None:
    """Write the log back and truncate it, because it contains pages from before the deletion."""
    cursor = connection.cursor()
    while cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:  # 1: another connection reads an older state
        if time.monotonic() > deadline:
            raise _in_use(where)
        time.sleep(_PAUSE)
    cursor.close()


def _in_use(where: str) -> StoreError:
    return StoreError(
        f"{where}: another process uses it, so bytes of deleted data may still be in it;"
        " stop that process and open the store again, which finishes the erasure"
    )
