"""SQL on `personalizations` and `checkpoints`, for `Store`; each function runs inside a transaction of its caller.

A personalization is the result of a method's learning; a checkpoint is its state while it is still learning. Functions
that take a user's id raise `UnknownUserError` if there is no such user.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from idiolect.people.user import unstorable_part
from idiolect.store.faults import DAMAGE
from idiolect.store.people_rows import check_known
from idiolect.store.schema import personalizations

_KEPT_ONCE = frozenset({"user_id", "method", "created_at"})


def put_learned(connection: Connection, table: sa.Table, row: Mapping[str, Any]) -> None:
    """Write a row of either table; replace the row of the same user and method."""
    check_known(connection, row["user_id"])
    kept = {name: value for name, value in row.items() if name not in _KEPT_ONCE}
    if "created_at" in table.c:
        where = of(table, row["user_id"], row["method"])
        kept["created_at"] = first_saved(connection, table, where) or row["created_at"]
    changed = connection.execute(table.update().where(*of(table, row["user_id"], row["method"])).values(kept))
    if changed.rowcount == 0:
        connection.execute(table.insert().values(row))


def first_saved(connection: Connection, table: sa.Table, where: tuple[sa.ColumnElement[bool], ...]) -> datetime | None:
    """Return the date at which a row was saved first; None if there is no row, or its date cannot be read."""
    try:
        return connection.scalar(sa.select(table.c.created_at).where(*where))
    except DAMAGE:
        return None


def read_learned(connection: Connection, table: sa.Table, user_id: str, method: str) -> RowMapping | None:
    """Return the row of the user and method, if there is one."""
    check_known(connection, user_id)
    if unstorable_part(method) is not None:
        return None
    return connection.execute(sa.select(table).where(*of(table, user_id, method))).mappings().first()


def all_learned(connection: Connection, table: sa.Table, user_id: str) -> list[RowMapping]:
    """Return the user's rows, in the order of their methods."""
    check_known(connection, user_id)
    rows = sa.select(table).where(table.c.user_id == user_id).order_by(table.c.method)
    return list(connection.execute(rows).mappings())


def held_digest(connection: Connection, user_id: str, method: str) -> str | None:
    """Return the digest of the learned data, and lock its row against other writers until the transaction ends."""
    check_known(connection, user_id)
    held = sa.select(personalizations.c.digest).where(*of(personalizations, user_id, method))
    return connection.scalar(held.with_for_update())  # no effect on SQLite, which has only one writer at a time


def unverified(connection: Connection, user_id: str, method: str) -> tuple[str | None, object]:
    """Return the digest of the learned data (None: there is none), and its payload (None: it cannot be read)."""
    check_known(connection, user_id)
    columns = personalizations.c.digest, sa.type_coerce(personalizations.c.payload, sa.Text)
    row = connection.execute(sa.select(*columns).where(*of(personalizations, user_id, method))).first()
    if row is None:
        return None, None
    digest, payload = row
    try:
        return digest, json.loads(payload) if isinstance(payload, str | bytes) else payload
    except (ValueError, RecursionError):
        return digest, None


def of(table: sa.Table, owner_id: str, method: str) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    """Return the conditions that pick the rows of one method and one user or group, whose id is the first column."""
    return table.primary_key.columns[0] == owner_id, table.c.method == method
