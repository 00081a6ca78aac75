"""Rows of one tenant: the only place that makes statements on the tables of users and groups.

    TenantDatabase (database, tenant) → TenantConnection (transaction) → select | count | update | delete | insert

Each of those names its table first and is limited to the tenant's rows; a second table that a condition names is
limited by `theirs`. A test forbids the modules that use it to make statements in another way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, NestedTransaction, Result, RowMapping
from sqlalchemy.engine.result import ScalarResult

from idiolect.store.database import Database

K = TypeVar("K")
T = TypeVar("T")


@cache
def _rows_of(table: sa.Table, columns: tuple[sa.Column[Any], ...], *, by_method: bool) -> sa.Select[*tuple[Any, ...]]:
    chosen = sa.select(*(columns or table.c)).where(table.c.tenant_id == sa.bindparam("tenant"), _is_owned(table))
    if by_method:
        chosen = chosen.where(table.c.method == sa.bindparam("method"))
    return chosen.order_by(*table.primary_key.columns)


@cache
def _row_with(
    owners: sa.Table, table: sa.Table, listed: tuple[sa.Column[Any], ...], *, in_one: bool
) -> sa.Select[*tuple[Any, ...]]:
    """Return the query of an owner's row beside that of a method and, if `in_one`, its listed rows as one JSON list."""
    its = (table.c.tenant_id == owners.c.tenant_id, table.c.user_id == owners.c.id)
    joined = owners.outerjoin(table, sa.and_(*its, table.c.method == sa.bindparam("method")))
    chosen = sa.select(owners, *table.c).select_from(joined)
    if in_one:
        many = listed[0].table
        ordered = postgresql.aggregate_order_by(sa.func.json_build_array(*listed), *many.primary_key.columns)
        theirs = (many.c.tenant_id == owners.c.tenant_id, many.c.user_id == owners.c.id)
        chosen = chosen.add_columns(sa.select(sa.func.json_agg(ordered)).where(*theirs).scalar_subquery())
    return chosen.where(owners.c.tenant_id == sa.bindparam("tenant"), _is_owned(owners))


def _is_owned(table: sa.Table) -> sa.ColumnElement[bool]:
    return (table.c.user_id if "user_id" in table.c else table.c.id) == sa.bindparam("owner")


class TenantConnection:
    """A transaction that reaches the rows of one tenant.

    Args:
        connection: a connection in a transaction.
        tenant: the tenant's id.

    Attributes:
        whole: the same transaction, for tables that belong to no tenant.
    """

    def __init__(self, connection: Connection, tenant: str) -> None:
        self.whole, self.tenant = connection, tenant

    @property
    def kind(self) -> str:
        """SQLAlchemy's name of the database: `sqlite`, `postgresql`, …"""
        return self.whole.dialect.name

    def theirs(self, table: sa.Table) -> sa.ColumnElement[bool]:
        """Return the condition that a row of the table is the tenant's."""
        return table.c.tenant_id == self.tenant

    def select(self, table: sa.Table, *columns: Any) -> sa.Select[*tuple[Any, ...]]:
        """Return a query of the tenant's rows; without columns, it returns all of them."""
        return sa.select(*(columns or (table,))).select_from(table).where(self.theirs(table))

    def rows_of(
        self, table: sa.Table, owner_id: str, method: str | None = None, *, columns: tuple[sa.Column[Any], ...] = ()
    ) -> Sequence[RowMapping]:
        """Return a user's rows, or that of one method, in the order of their keys.

        The rows are those of `select`; this statement is made once for each table, because making one costs more than
        running it. They are fetched at once, which is quicker than one by one.

        Args:
            table: the table.
            owner_id: the user's id.
            method: the method; None: all rows.
            columns: the table's columns; empty: all of them.
        """
        values = {"tenant": self.tenant, "owner": owner_id, "method": method}
        if method is None:
            del values["method"]
        statement = _rows_of(table, columns, by_method=method is not None)
        return self.whole.execute(statement, values).mappings().all()

    def row_with(
        self, owners: sa.Table, table: sa.Table, owner_id: str, method: str, *, listed: tuple[sa.Column[Any], ...]
    ) -> tuple[dict[str, Any], dict[str, Any] | None, Sequence[Mapping[str, Any] | RowMapping]] | None:
        """Return an owner's row, that of one method, and columns of the owner's rows of a third table, in their order.

        This takes as few statements as the database allows. On PostgreSQL it is one, which sees a single state by
        itself, so that no transaction is needed (`TenantDatabase.reading_once`).

        Args:
            owners: table of the owner, with the key `id`.
            table: table with one row for each owner and method.
            owner_id: the owner's id.
            method: the method, which may have no row.
            listed: columns of the third table.
        """
        in_one = self.kind == "postgresql"
        values = {"tenant": self.tenant, "owner": owner_id, "method": method}
        found = self.whole.execute(_row_with(owners, table, listed, in_one=in_one), values).first()
        if found is None:
            return None
        n, names = len(owners.c), [column.name for column in listed]
        owner = dict(zip(owners.c.keys(), found[:n], strict=True))
        learned = dict(zip(table.c.keys(), found[n : n + len(table.c)], strict=True))
        many: Sequence[Mapping[str, Any] | RowMapping]
        if in_one:
            many = [dict(zip(names, row, strict=True)) for row in found[-1] or ()]
        else:
            assert isinstance(listed[0].table, sa.Table)
            many = self.rows_of(listed[0].table, owner_id, columns=listed)
        return owner, None if learned["method"] is None else learned, many

    def count(self, table: sa.Table, *conditions: sa.ColumnElement[bool]) -> int:
        """Return the number of the tenant's rows that meet the conditions."""
        return self.scalar(self.select(table, sa.func.count()).where(*conditions)) or 0

    def update(self, table: sa.Table) -> sa.Update:
        """Return a statement that changes the tenant's rows."""
        return table.update().where(self.theirs(table))

    def delete(self, table: sa.Table) -> sa.Delete:
        """Return a statement that deletes the tenant's rows."""
        return table.delete().where(self.theirs(table))

    def insert(self, table: sa.Table, rows: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
        """Insert one or several rows, at least one, for the tenant."""
        self.whole.execute(table.insert(), self._owned(rows))

    def insert_missing(self, table: sa.Table, rows: Sequence[Mapping[str, Any]], returned: sa.Column[T]) -> list[T]:
        """Insert those of the rows, at least one, whose key is not there yet; return a column of the inserted ones.

        On PostgreSQL, this waits for others who are inserting the same.
        """
        insert = postgresql.insert if self.kind == "postgresql" else sqlite.insert
        statement = insert(table).on_conflict_do_nothing().returning(returned)
        return list(self.whole.scalars(statement, self._owned(rows)))

    def _owned(self, rows: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        several = [rows] if isinstance(rows, Mapping) else rows
        return [{**row, "tenant_id": self.tenant} for row in several]

    def execute(
        self, statement: sa.Executable, parameters: Sequence[Mapping[str, Any]] | None = None
    ) -> Result[*tuple[Any, ...]]:
        """Run a statement that this connection has made."""
        return self.whole.execute(statement, parameters)

    def changed(self, statement: sa.Update | sa.Delete) -> int:
        """Run a statement that this connection has made; return the number of rows that it changed or deleted."""
        return self.whole.execute(statement).rowcount

    def scalar(self, statement: sa.Executable) -> Any:
        """Run a query that this connection has made; return the first column of the first row, None without rows."""
        return self.whole.scalar(statement)

    def scalars(self, statement: sa.Executable) -> ScalarResult[Any]:
        """Run a query that this connection has made; return the first column of all rows."""
        return self.whole.scalars(statement)

    def stream(self, statement: sa.Executable, *, page: int) -> Result[*tuple[Any, ...]]:
        """Run a query that this connection has made; at most `page` rows are in memory at a time."""
        return self.whole.execution_options(yield_per=page).execute(statement)

    def begin_nested(self) -> NestedTransaction:
        """Begin a part of the transaction that can fail by itself."""
        return self.whole.begin_nested()


class TenantDatabase:
    """The rows of one tenant in an opened database, and their transactions."""

    def __init__(self, database: Database, tenant: str) -> None:
        self.database, self.tenant = database, tenant
        self.where = database.where

    @contextmanager
    def writing(self) -> Iterator[TenantConnection]:
        """Open a transaction that writes, as `Database.writing` does, which raises the same errors."""
        with self.database.writing() as connection:
            yield TenantConnection(connection, self.tenant)

    @contextmanager
    def reading(self) -> Iterator[TenantConnection]:
        """Open a transaction that sees a single state, as `Database.reading` does, which raises the same errors."""
        with self.database.reading() as connection:
            yield TenantConnection(connection, self.tenant)

    @contextmanager
    def reading_once(self) -> Iterator[TenantConnection]:
        """Open a transaction for `TenantConnection.row_with`, as `Database.reading_once` does."""
        with self.database.reading_once() as connection:
            yield TenantConnection(connection, self.tenant)

    def pages(self, read: Callable[[TenantConnection, K | None], Sequence[T]], *, key: Callable[[T], K]) -> Iterator[T]:
        """Yield a long list page by page, each page in a transaction of its own, so that others may write in between.

        Args:
            read: returns the page that follows a key, in the order of the keys; for None, the first page.
            key: returns an item's key.

        Raises:
            StoreError: as for `reading`.
        """
        after: K | None = None
        while True:
            with self.reading() as connection:
                page = read(connection, after)
            if not page:
                return
            yield from page
            after = key(page[-1])
