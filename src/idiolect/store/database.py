"""`Database`: the opened database of a store, and its transactions; `Store` and the erasure are built on it.

It has the rows of all tenants; those of one are reached by `tenant_rows`.

The driver's errors become a `StoreError` here, and so do errors of reading rows that contain no valid value.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import Connection, Engine

from idiolect.errors import StoreError
from idiolect.store.faults import damage_errors, store_errors
from idiolect.store.opening import Place


class Database:
    """An engine on a store of the newest revision, and the store's place.

    Args:
        engine: an engine from `opening.open_engine`.
        place: the store's place.
        lock_timeout: seconds to wait for another process's lock.

    Attributes:
        where: the folder or URL, printable (without password).
        kind: SQLAlchemy's name of the database: `sqlite` or `postgresql`.
        confirmed_tenants: ids of tenants that the store is known to have; they are never deleted.
    """

    def __init__(self, engine: Engine, place: Place, *, lock_timeout: float) -> None:
        self._engine = engine
        self._closed = False
        self.place, self.where = place, place.name
        self.kind = engine.dialect.name
        self.lock_timeout = lock_timeout
        self.confirmed_tenants: set[str] = set()

    def close(self) -> None:
        """Close every connection; the database cannot be used afterwards."""
        self._closed = True
        self._engine.dispose()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that writes; it is committed at the end of the context and undone by an error.

        Those who read rows in it translate the errors of damaged ones (`faults`), and no others: a caller's iterable
        may raise the same.

        Raises:
            StoreError: the store is locked, closed, or not writable.
        """
        with store_errors(self.where), self.engine(sqlite_begin="IMMEDIATE").begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that sees a single state of the database.

        Raises:
            StoreError: the store is closed or not readable, or a row contains no valid value.
        """
        with self._reading("REPEATABLE READ") as connection:
            yield connection

    @contextmanager
    def reading_once(self) -> Iterator[Connection]:
        """Open a transaction as `reading` does, but on PostgreSQL for one statement only, which saves two messages."""
        with self._reading("AUTOCOMMIT") as connection:
            yield connection

    @contextmanager
    def _reading(self, level: str) -> Iterator[Connection]:
        options = {"isolation_level": level} if self.kind == "postgresql" else {}
        with damage_errors(self.where), store_errors(self.where), self.engine(**options).begin() as connection:
            yield connection

    def engine(self, **options: str) -> Engine:
        """Return the engine, with execution options.

        Raises:
            StoreError: the store is closed.
        """
        if self._closed:
            raise StoreError(f"store {self.where}: is closed")
        return self._engine.execution_options(**options)
