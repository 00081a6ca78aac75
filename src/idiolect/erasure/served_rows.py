"""What a server holds about a person beside what the person said: jobs, responses, feedback, spending and keys.

rows → plain JSON, by table → export | texts for canaries
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from idiolect.erasure.canaries import strings
from idiolect.people.user import unstorable_part
from idiolect.store.schema import api_keys, feedback, jobs, responses, spending
from idiolect.store.tenant_rows import TenantDatabase

SERVED = (jobs, responses, feedback, spending)
_SHOWN = (*SERVED, api_keys)
_OURS = (  # columns that are not the person's
    "tenant_id", "user_id", "lease_owner", "lease_until", "cancelling", "secret_sha256",
)  # fmt: skip


def served_rows(rows: TenantDatabase, user_id: str) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of a user as plain JSON, by the table's name; of keys that are bound to them, no hash.

    Raises:
        StoreError: the store cannot be read.
    """
    found: dict[str, list[dict[str, Any]]] = {table.name: [] for table in _SHOWN}
    if unstorable_part(user_id) is not None:
        return found
    with rows.reading() as connection:
        for table in _SHOWN:
            columns = [column for column in table.c if column.name not in _OURS]
            chosen = connection.select(table, *columns).where(table.c.user_id == user_id)
            ordered = chosen.order_by(*table.primary_key.columns)
            found[table.name] = [
                {name: _plain(value) for name, value in row.items()} for row in connection.execute(ordered).mappings()
            ]
    return found


def served_texts(rows: TenantDatabase, user_id: str) -> Iterator[str]:
    """Yield the texts of a person's responses and feedback, and the ids of these and of jobs.

    Raises:
        StoreError: the store cannot be read.
    """
    found = served_rows(rows, user_id)
    for row in (*found[responses.name], *found[feedback.name]):
        yield from strings(row)
    yield from (row["id"] for row in found[jobs.name])


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
