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
from sqlalchemy.engine import RowMapping

from idiolect.people.user import unstorable_part
from idiolect.store.faults import DAMAGE
from idiolect.store.people_rows import check_known, lock_known
from idiolect.store.schema import personalizations
from idiolect.store.tenant_rows import TenantConnection

_KEPT_ONCE = frozenset({"user_id", "method", "created_at"})


def put_learned(connection: TenantConnection, table: sa.Table, row: Mapping[str, Any]) -> None:
    """Write a row of either table; replace the row of the same user and method."""
    lock_known(connection, row["user_id"])
    kept = {name: value for name, value in row.items() if name not in _KEPT_ONCE}
    if "created_at" in table.c:
        where = of(table, row["user_id"], row["method"])
        kept["created_at"] = first_saved(connection, table, where) or row["created_at"]
    theirs = connection.update(table).where(*of(table, row["user_id"], row["method"]))
    if connection.changed(theirs.values(kept)) == 0:
        connection.insert(table, row)


def first_saved(
    connection: TenantConnection, table: sa.Table, where: tuple[sa.ColumnElement[bool], ...]
) -> datetime | None:
    """Return the date at which a row was saved first; None if there is no row, or its date cannot be read."""
    try:
        saved: datetime | None = connection.scalar(connection.select(table, table.c.created_at).where(*where))
    except DAMAGE:
        return None
    return saved


def read_learned(connection: TenantConnection, table: sa.Table, user_id: str, method: str) -> RowMapping | None:
    """Return the row of the user and method, if there is one."""
    storable = unstorable_part(user_id) is None and unstorable_part(method) is None
    if storable and (found := connection.rows_of(table, user_id, method)):
        return found[0]  # without a look at the user, who is there if the row is
    check_known(connection, user_id)
    return None


def all_learned(connection: TenantConnection, table: sa.Table, user_id: str) -> list[RowMapping]:
    """Return the user's rows, in the order of their methods."""
    check_known(connection, user_id)
    return list(connection.rows_of(table, user_id))


def held_digest(connection: TenantConnection, user_id: str, method: str) -> str | None:
    """Return the digest of the learned data, and lock the user's row against other writers."""
    lock_known(connection, user_id)
    table = personalizations
    held: str | None = connection.scalar(connection.select(table, table.c.digest).where(*of(table, user_id, method)))
    return held


def unverified(connection: TenantConnection, user_id: str, method: str) -> tuple[str | None, object]:
    """Return the digest of the learned data (None: there is none), and its payload (None: it cannot be read)."""
    check_known(connection, user_id)
    columns = personalizations.c.digest, sa.type_coerce(personalizations.c.payload, sa.Text)
    row = connection.execute(
        connection.select(personalizations, *columns).where(*of(personalizations, user_id, method))
    ).first()
    if row is None:
        return None, None
    digest, payload = row
    try:
        return digest, json.loads(payload) if isinstance(payload, str | bytes) else payload
    except (ValueError, RecursionError):
        return digest, None


def of(table: sa.Table, owner_id: str, method: str) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    """Return the conditions that pick a tenant's rows of one method and one user or group, whichever has the row."""
    owner = table.c.group_id if "group_id" in table.primary_key.columns else table.c.user_id
    return owner == owner_id, table.c.method == method
