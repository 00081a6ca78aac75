"""Faults: every SQLAlchemy error becomes a `StoreError` with a reason in plain words.

Messages name the store and the reason, never SQL parameters: those are people's texts. SQLite's own reasons are safe
to repeat; other databases quote values in theirs, so a message gives only the kind of their error.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError

from idiolect.errors import StoreError

_SQLITE_REASONS = {
    sqlite3.SQLITE_BUSY: "it is locked: another process is writing to it",
    sqlite3.SQLITE_LOCKED: "it is locked: another connection is writing to it",
    sqlite3.SQLITE_READONLY: "it is read-only",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk could not be read or written",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
    sqlite3.SQLITE_PERM: "it may not be opened",
    sqlite3.SQLITE_AUTH: "it may not be opened",
    sqlite3.SQLITE_NOTADB: "the file is not a database",
    sqlite3.SQLITE_CORRUPT: "the database file is damaged",
    sqlite3.SQLITE_TOOBIG: "a value is too big for SQLite",
}


@contextmanager
def store_errors(where: str) -> Iterator[None]:
    """Turn SQLAlchemy's errors into `StoreError`, with `where` (the store's printable place) and the reason."""
    try:
        yield
    except SQLAlchemyError as error:
        raise StoreError(f"store {where}: {reason(error)}") from error


def reason(error: SQLAlchemyError) -> str:
    """Return why the database failed, without anyone's texts."""
    cause = getattr(error, "orig", None)
    if isinstance(cause, sqlite3.Error):
        return sqlite_reason(cause)
    kind = type(error if cause is None else cause).__name__
    state = getattr(cause, "sqlstate", None)
    return f"the database refused ({kind}, SQLSTATE {state})" if state else f"the database failed ({kind})"


def sqlite_reason(error: sqlite3.Error) -> str:
    """Return why SQLite failed, in plain words."""
    primary = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    return _SQLITE_REASONS.get(primary, f"SQLite says: {error}")
