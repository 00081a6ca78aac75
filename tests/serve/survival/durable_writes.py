"""Durable writes of the store and of the cache of calls alike: counted, and one of them deadly.

A durable write is a commit that changed something, a VACUUM, a write-ahead log that is written back and emptied, or a
change of the journal. They are seen below SQLAlchemy and below the cache, in the connections of `sqlite3` and `psycopg`
themselves.
"""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

_CHANGES = re.compile(
    r"\s*(INSERT|UPDATE|DELETE|REPLACE|CREATE|DROP|ALTER)\b(?:\s+(?:OR|UNIQUE)\b(?:\s+(?:IGNORE|REPLACE))?)?"
    r"(?:\s+(?:INTO|FROM|TABLE|INDEX))?\s+\"?(\w+)",
    re.IGNORECASE,
)
_BY_THEMSELVES = re.compile(r"\s*(VACUUM|PRAGMA (?:wal_checkpoint\(TRUNCATE\)|journal_mode = WAL))", re.IGNORECASE)
_SCHEMA = ("CREATE", "DROP", "ALTER")


class DeadlyWrite:
    """Counts the durable writes of this process, and kills it before or after the chosen one.

    Args:
        die_at: number of that write, from 1; None: none.
        before: whether to die before it; otherwise after it.
        on_death: receives what is written, just before the end.
    """

    def __init__(self, die_at: int | None, *, before: bool, on_death: Callable[[str], None]) -> None:
        self.writes: list[str] = []
        self._die_at, self._before, self._on_death = die_at, before, on_death
        self._lock = threading.Lock()

    @contextmanager
    def around(self, what: str) -> Iterator[None]:
        """One durable write."""
        with self._lock:
            self.writes.append(what)
            number = len(self.writes)
        if self._before and number == self._die_at:
            self._die(what)
        yield
        if not self._before and number == self._die_at:
            self._die(what)

    def _die(self, what: str) -> None:
        self._on_death(what)
        os.kill(os.getpid(), signal.SIGKILL)


_watching: DeadlyWrite | None = None


def watch(deadly: DeadlyWrite) -> None:
    """Watch every connection that is opened from now on in this process."""
    global _watching
    _watching = deadly
    _watch_psycopg(deadly)
    plain = sqlite3.connect

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        return plain(*arguments, **{"factory": _Connection, **options})

    sqlite3.connect = connect
    sqlite3.dbapi2.connect = connect  # type: ignore[attr-defined]  # the one that SQLAlchemy calls


class _Connection(sqlite3.Connection):
    """A connection whose durable writes are watched."""

    def __init__(self, database: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(database, *arguments, **options)
        self._name = Path(str(database)).stem
        self._counted = 0
        self.changing: dict[str, None] = {}  # in order

    def cursor(self, factory: Any = None) -> Any:
        """Return a cursor that notes what it changes."""
        return super().cursor(_Cursor if factory is None else factory)

    def execute(self, *arguments: Any) -> Any:
        """Run a statement with a cursor of its own."""
        return self.cursor().execute(*arguments)

    def executemany(self, *arguments: Any) -> Any:
        """Run a statement with several sets of parameters, with a cursor of its own."""
        return self.cursor().executemany(*arguments)

    def commit(self) -> None:
        """Commit, as SQLAlchemy does."""
        with self.committing():
            super().commit()

    @contextmanager
    def committing(self) -> Iterator[None]:
        """A commit, which is a durable write if anything was changed."""
        of_schema = any(change.startswith(_SCHEMA) for change in self.changing)
        changed, self._counted = self.total_changes > self._counted or of_schema, self.total_changes
        what, self.changing = f"{self._name}: {', '.join(self.changing)}", {}
        if not changed or _watching is None:
            yield
            return
        with _watching.around(what):
            yield

    @contextmanager
    def by_itself(self, statement: str) -> Iterator[None]:
        """A durable write outside of transactions."""
        if _watching is None:
            yield
            return
        with _watching.around(f"{self._name}: {statement}"):
            yield


class _Cursor(sqlite3.Cursor):
    """A cursor that notes what its statements change."""

    connection: _Connection

    def execute(self, statement: str, *parameters: Any) -> Any:
        """Run a statement."""
        if statement == "COMMIT":
            with self.connection.committing():
                return super().execute(statement, *parameters)
        if alone := _BY_THEMSELVES.match(statement):
            with self.connection.by_itself(alone[1]):
                return super().execute(statement, *parameters)
        self._note(statement)
        return super().execute(statement, *parameters)

    def executemany(self, statement: str, parameters: Any) -> Any:
        """Run a statement with several sets of parameters."""
        self._note(statement)
        return super().executemany(statement, parameters)

    def _note(self, statement: str) -> None:
        if found := _CHANGES.match(statement):
            self.connection.changing[f"{found[1].upper()} {found[2]}"] = None


def _watch_psycopg(deadly: DeadlyWrite) -> None:
    """Watch what is written to PostgreSQL: the driver's classes are changed, because it chooses them itself."""
    plain_commit, plain_execute = psycopg.Connection.commit, psycopg.Cursor.execute
    plain_many, plain_rollback = psycopg.Cursor.executemany, psycopg.Connection.rollback
    changing: dict[int, dict[str, None]] = {}  # by the id of the connection

    def note(cursor: Any, statement: object) -> None:
        found = _CHANGES.match(str(statement))
        if found and (cursor.rowcount > 0 or found[1].upper() in _SCHEMA):
            changing.setdefault(id(cursor.connection), {})[f"{found[1].upper()} {found[2]}"] = None

    def commit(self: Any) -> None:
        changed = changing.pop(id(self), {})
        if not changed:
            plain_commit(self)
            return
        with deadly.around(f"server: {', '.join(changed)}"):
            plain_commit(self)

    def rollback(self: Any) -> None:
        changing.pop(id(self), None)
        plain_rollback(self)

    def execute(self: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        if str(query).startswith("VACUUM"):
            with deadly.around("server: VACUUM"):
                return plain_execute(self, query, *arguments, **options)
        done = plain_execute(self, query, *arguments, **options)
        note(self, query)
        return done

    def executemany(self: Any, query: Any, *arguments: Any, **options: Any) -> None:
        plain_many(self, query, *arguments, **options)
        note(self, query)

    psycopg.Connection.commit = commit  # type: ignore[method-assign]
    psycopg.Connection.rollback = rollback  # type: ignore[method-assign]
    psycopg.Cursor.execute = execute  # type: ignore[method-assign,assignment]
    psycopg.Cursor.executemany = executemany  # type: ignore[method-assign,assignment]
