"""The cache's file: its creation with private permissions, its pragmas, and the creation or check of its schema.

    path → file (0600, in a 0700 folder if that is made) → connection in WAL mode → schema of this version

Plain `sqlite3`, no ORM: every call takes this path, and SQLAlchemy would cost more than all the rest of it. The file's
`user_version` is that of the schema; its `application_id` marks it as Idiolect's.

`synchronous` is FULL: a commit survives a power cut, not only the death of the process. Group commit (`commits.py`)
shares one fsync among all calls that wait for it, so a slow disk makes the groups larger and not the queue longer.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from idiolect.errors import CacheError
from idiolect.paths import printable_path
from idiolect.sqlite import quotes_nothing, set_pragmas, sqlite_reason

VERSION = 2
_APPLICATION = int.from_bytes(b"idio")

_CLAIMS = """
CREATE TABLE claims (
    key BLOB NOT NULL,
    token TEXT NOT NULL,
    started_at REAL NOT NULL,
    operation TEXT NOT NULL,
    model TEXT NOT NULL,
    owner TEXT NOT NULL,
    PRIMARY KEY (key, token)
) WITHOUT ROWID
"""
_TABLES = f"""
CREATE TABLE entries (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,
    operation TEXT NOT NULL,
    model TEXT NOT NULL,
    kept_at REAL NOT NULL,
    result BLOB NOT NULL
);
CREATE TABLE owners (
    entry INTEGER NOT NULL REFERENCES entries (id) ON DELETE CASCADE,
    owner TEXT NOT NULL,
    PRIMARY KEY (entry, owner)
) WITHOUT ROWID;
CREATE INDEX owners_by_owner ON owners (owner, entry);
{_CLAIMS};
CREATE TABLE uncertain (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    started_at REAL NOT NULL,
    operation TEXT NOT NULL,
    model TEXT NOT NULL,
    owner TEXT NOT NULL
)
"""
# Version 1 had a checksum beside each result, and one claim per call, so that a second process waited for the first.
_FROM_VERSION_1 = f"""
ALTER TABLE entries DROP COLUMN checksum;
ALTER TABLE claims RENAME TO claims_1;
{_CLAIMS};
INSERT INTO claims (key, token, started_at, operation, model, owner)
    SELECT key, token, started_at, operation, model, owner FROM claims_1;
DROP TABLE claims_1
"""

_DAMAGED = "the file is damaged; move it away to continue (its calls are then paid for again)"
_REASONS = {
    sqlite3.SQLITE_NOTADB: "the file is not a database; move it away to continue (its calls are then paid for again)",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_TOOBIG: "a result is too large for SQLite",
}


@contextmanager
def cache_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's and the file system's errors into `CacheError`, with the path and the reason but nobody's texts."""
    try:
        yield
    except sqlite3.Error as error:
        cause = error if quotes_nothing(error) else None
        raise CacheError(f"cache {printable_path(path)}: {sqlite_reason(error, instead=_REASONS)}") from cause
    except UnicodeDecodeError:  # Python cannot read SQLite's message, which quotes the damaged name of a table
        raise CacheError(f"cache {printable_path(path)}: {_DAMAGED}") from None
    except OSError as error:
        raise CacheError(f"cache {printable_path(path)}: {error.strerror or type(error).__name__}") from error


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Open a write transaction, which is committed at the end of the context and rolled back by an exception."""
    database.execute("BEGIN IMMEDIATE")  # waits for the lock now, so that later statements are never refused one
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:  # SQLite rolls some failures back itself
            database.execute("ROLLBACK")
        raise


def open_database(path: Path, *, lock_timeout: float) -> sqlite3.Connection:
    """Open a connection to the cache at `path`; create the cache if there is none.

    Args:
        path: the database's file.
        lock_timeout: seconds to wait for another process's lock.

    Raises:
        CacheError: the file cannot be created or opened, is not a cache, was made by a newer Idiolect, or is locked.
    """
    with cache_errors(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite gives -wal and -shm the same mode
        database = sqlite3.connect(path, timeout=lock_timeout, isolation_level=None)
        try:
            _version(database, path)  # checked before anything changes, in case the file is another program's
            set_pragmas(database, lock_timeout=lock_timeout)
            database.execute("PRAGMA synchronous = FULL")
            database.execute("PRAGMA temp_store = MEMORY")
            with transaction(database):
                _bring_up_to_date(database, _version(database, path))
        except BaseException:
            database.close()
            raise
    return database


def _version(database: sqlite3.Connection, path: Path) -> int:
    """Return the version of the cache's schema, 0 for an empty database; refuse other databases and newer versions."""
    application, version, tables = (
        database.execute(question).fetchone()[0]
        for question in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
    )
    if (application, version, tables) == (0, 0, 0):
        return 0
    if application != _APPLICATION:
        raise CacheError(f"cache {printable_path(path)}: this is another kind of database; move it away to continue")
    if version > VERSION:
        raise CacheError(
            f"cache {printable_path(path)}: made by a newer Idiolect (version {version} of the file, this one reads "
            f"up to {VERSION}); "
            "update Idiolect"
        )
    return int(version)


def _bring_up_to_date(database: sqlite3.Connection, version: int) -> None:
    if version == VERSION:
        return
    for statement in (_FROM_VERSION_1 if version else _TABLES).split(";"):
        database.execute(statement)
    database.execute(f"PRAGMA application_id = {_APPLICATION}")
    database.execute(f"PRAGMA user_version = {VERSION}")
