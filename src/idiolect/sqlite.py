"""SQLite for the store and the cache of calls: the setup of connections, and reasons for failures in plain words.

SQLite's own reasons contain nobody's texts, so they are safe to repeat. Those of Python's driver are not: it quotes a
text that is not UTF-8. Only errors of SQLite itself have a result code.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from types import MappingProxyType

_REASONS = {
    sqlite3.SQLITE_BUSY: "it is locked: another process is writing to it",
    sqlite3.SQLITE_LOCKED: "it is locked: another connection is writing to it",
    sqlite3.SQLITE_READONLY: "it is read-only",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk could not be read or written; is it full?",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
    sqlite3.SQLITE_PERM: "permission to open it was denied",
    sqlite3.SQLITE_AUTH: "permission to open it was denied",
    sqlite3.SQLITE_NOTADB: "the file is not a database",
    sqlite3.SQLITE_CORRUPT: "the database file is damaged",
    sqlite3.SQLITE_TOOBIG: "a value is too large for SQLite",
}
_NONE: Mapping[int, str] = MappingProxyType({})
_PAUSE = 0.02  # seconds between tries to enter WAL mode


def sqlite_reason(error: sqlite3.Error, *, instead: Mapping[int, str] = _NONE) -> str:
    """Return why SQLite failed, in plain words.

    Args:
        error: an error of `sqlite3`.
        instead: reasons, by SQLite's primary result code, that replace the usual ones.
    """
    if not quotes_nothing(error):
        misused = isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError)
        return "the connection cannot be used" if misused else "its data is damaged"
    code = primary_code(error)
    return instead.get(code) or _REASONS.get(code, f"SQLite reports: {error}")


def quotes_nothing(error: BaseException | None) -> bool:
    """Return whether the error is of SQLite itself, whose message, unlike the driver's, quotes no stored text."""
    return getattr(error, "sqlite_errorcode", None) is not None


def primary_code(error: BaseException | None) -> int:
    """Return SQLite's primary result code, such as `sqlite3.SQLITE_BUSY`; SQLITE_ERROR if the error has none."""
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF


def read_any_text(connection: sqlite3.Connection) -> None:
    """Make a connection return texts that are not UTF-8 with a lone surrogate for each wrong byte, instead of failing.

    A value with one is damaged, and is found so where it is checked, without its row hiding the others.
    """
    connection.text_factory = lambda stored: stored.decode("utf-8", "surrogateescape")


def set_pragmas(connection: sqlite3.Connection, *, lock_timeout: float) -> None:
    """Make a connection check foreign keys, overwrite deleted data, and keep a write-ahead log.

    Args:
        connection: a connection in autocommit mode (`isolation_level` is None), outside a transaction.
        lock_timeout: seconds to wait for another process's lock, now and in every later statement.

    Raises:
        sqlite3.Error: the file is locked or cannot be written.
    """
    connection.execute(f"PRAGMA busy_timeout = {round(lock_timeout * 1000)}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")
    deadline = time.monotonic() + lock_timeout
    while connection.execute("PRAGMA journal_mode").fetchone()[0] == "delete":
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:  # SQLite itself does not wait for locks here
            if primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)
