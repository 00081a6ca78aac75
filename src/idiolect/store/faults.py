"""Translation of SQLAlchemy's errors, and of those that damaged values raise, to `StoreError` with a reason.

Messages contain the store and the reason, never SQL parameters, because those are people's texts. SQLite's own reasons
are safe to repeat (see `idiolect.sqlite`). Other databases quote values in theirs, so that a message contains only the
kind of their error, and so for damaged values.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError

from idiolect.errors import DamagedError, StoreError
from idiolect.sqlite import quotes_nothing, sqlite_reason

# What broken JSON, a wrong type, or a value that makes no valid user raises.
DAMAGE = (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError)
REMEDY = "fit the user again, or forget the user"
_MISSING = re.compile("no such (table|column): ")
_DAMAGED = "the database file is damaged; restore a backup of it"
_REASONS = {
    sqlite3.SQLITE_NOTADB: "the file is not a database; restore a backup of it",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
}
_STATES = {  # by PostgreSQL's SQLSTATE
    "55P03": "it is locked: another process is writing to it",
    "40P01": "another process was writing the same data at the same time; try again",
    "40001": "another process was writing the same data at the same time; try again",
    "25006": "it is read-only",
    "42501": "permission was denied",
    "53100": "the server's disk is full",
    "53300": "the server has too many connections",
    "57P01": "the server is shutting down",
    "42P01": "its revision and its tables do not fit together; restore a backup of it",
    "42703": "its revision and its tables do not fit together; restore a backup of it",
}


@contextmanager
def store_errors(where: str) -> Iterator[None]:
    """Turn SQLAlchemy's errors into `StoreError`, with `where` (the store's printable place) and the reason."""
    try:
        yield
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None)
        hidden = isinstance(cause, sqlite3.Error) and not quotes_nothing(cause)  # from a printed traceback, too
        raise StoreError(f"store {where}: {reason(error)}") from (None if hidden else error)
    except UnicodeDecodeError:  # Python cannot read SQLite's message, which quotes the damaged name of a table
        raise StoreError(f"store {where}: {_DAMAGED}") from None


@contextmanager
def damage_errors(where: str) -> Iterator[None]:
    """Turn the errors of reading a damaged value into `StoreError`, without the value."""
    try:
        yield
    except DAMAGE as error:
        raise StoreError(f"store {where}: its data is damaged ({type(error).__name__})") from error


@contextmanager
def damage_of(user_id: str) -> Iterator[None]:
    """Turn the errors of reading a user's damaged value into `DamagedError`, which names the user and what to do."""
    try:
        yield
    except DAMAGE as error:
        raise damaged(user_id, type(error).__name__) from error


def damaged(user_id: str, kind: str = "") -> DamagedError:
    """Return the error for a user whose data is damaged."""
    shown = f" ({kind})" if kind else ""
    return DamagedError(f"the data of user {user_id!r} is damaged{shown}; {REMEDY}")


def reason_behind(error: BaseException) -> str:
    """Return why the database failed, if an error comes of that, without anyone's texts or ids; otherwise ""."""
    return reason(error.__cause__) if isinstance(error.__cause__, SQLAlchemyError) else ""


def reason(error: SQLAlchemyError) -> str:
    """Return why the database failed, without anyone's texts."""
    cause = getattr(error, "orig", None)
    if isinstance(cause, sqlite3.Error):
        if _MISSING.match(str(cause)) and quotes_nothing(cause):
            return "its revision and its tables do not fit together; restore a backup of it"
        return sqlite_reason(cause, instead=_REASONS)
    kind = type(error if cause is None else cause).__name__
    state = getattr(cause, "sqlstate", None)
    if state in _STATES:
        return _STATES[state]
    if state is None and kind in ("OperationalError", "ConnectionTimeout"):
        return "the server cannot be reached, or refused the login"
    return f"the database failed ({kind}, SQLSTATE {state})" if state else f"the database failed ({kind})"
