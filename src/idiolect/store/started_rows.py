"""SQL on people's edits that began at the edit of a group; each function runs inside a transaction of its caller.

Such an edit contains what the group's had learned from its sources. So it is saved only while the group still has the
edit that it began at, and a row of `personalization_groups` records the group, with whose edit it is deleted. A later
edit of the group must have been learned from all sources of the one before it, or the record would lose them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from idiolect.errors import StoreError
from idiolect.store.learned_rows import held_digest, of, put_learned
from idiolect.store.schema import group_personalizations, groups, personalization_groups, personalizations
from idiolect.store.tenant_rows import TenantConnection


def put_personalization(connection: TenantConnection, row: Mapping[str, Any]) -> None:
    """Write a row of `personalizations`, and the group at whose edit it began, which the payload names.

    Raises:
        UnknownUserError: there is no such user.
        StoreError: the group does not have that edit any more.
    """
    _put(connection, row, _locked_start(connection, row))


def replace_personalization(
    connection: TenantConnection, row: Mapping[str, Any], *, expected_digest: str | None
) -> bool:
    """Write a row as `put_personalization` does, unless the digest of the one that it replaces is another.

    Returns:
        Whether the row was written.
    """
    group_id = _locked_start(connection, row)  # the group first, as those do who delete a member and their rows
    if held_digest(connection, row["user_id"], row["method"]) != expected_digest:
        return False
    _put(connection, row, group_id)
    return True


def find_started(connection: TenantConnection, group_id: str, method: str | None = None) -> list[tuple[str, str]]:
    """Return user and method of every edit that began at the group's, in order; `method` limits them to one method."""
    table = personalization_groups
    chosen = connection.select(table, table.c.user_id, table.c.method).where(table.c.group_id == group_id)
    if method is not None:
        chosen = chosen.where(table.c.method == method)
    return [(user_id, name) for user_id, name in connection.execute(chosen.order_by(table.c.user_id, table.c.method))]


def delete_started(connection: TenantConnection, started: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Delete these edits of people; return the number of deleted rows by table, empty if there are none.

    The people keep their data and can be fitted again.
    """
    for user_id, method in started:  # cascades to `personalization_groups`
        connection.execute(connection.delete(personalizations).where(*of(personalizations, user_id, method)))
    return dict.fromkeys(("personalizations", "personalization_groups"), len(started)) if started else {}


def owners(started: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return the ids of the people whose edits these are, in order."""
    return tuple(sorted({user_id for user_id, _ in started}))


def _put(connection: TenantConnection, row: Mapping[str, Any], group_id: str | None) -> None:
    user_id, method = row["user_id"], row["method"]
    put_learned(connection, personalizations, row)
    connection.execute(connection.delete(personalization_groups).where(*of(personalization_groups, user_id, method)))
    if group_id is not None:
        started = {"user_id": user_id, "method": method, "group_id": group_id}
        connection.insert(personalization_groups, started)


def _locked_start(connection: TenantConnection, row: Mapping[str, Any]) -> str | None:
    """Return the group whose edit the row's began at, and lock it until the transaction ends; None if there is none.

    A packaged edit is nobody's in the store. The one in a folder is recorded by the group's name, but not looked for:
    the group may be one of another store. A start of unknown origin is taken for one of this store.

    Raises:
        StoreError: the group does not have that edit any more.
    """
    started = row["payload"].get("started_from")
    if not isinstance(started, Mapping) or not isinstance(group_id := started.get("group"), str):
        return None
    if (origin := started.get("origin")) in ("folder", "package"):
        return group_id if origin == "folder" else None
    # Whoever deletes a member, or saves a fit of the group, locks this row first. (SQLite has only one writer anyway.)
    there = connection.scalar(connection.select(groups, groups.c.id).where(groups.c.id == group_id).with_for_update())
    table = group_personalizations
    edit = connection.select(table, table.c.payload["edit"].as_string()).where(*of(table, group_id, row["method"]))
    held = None if there is None else connection.scalar(edit)
    learned = f"user {row['user_id']!r}: what {row['method']} learned was not saved, because it began at"
    if held is None:
        raise StoreError(
            f"{learned} an edit that group {group_id!r} does not have any more: the group, or somebody whom the edit "
            "was learned from, was forgotten or removed; fit the group again, if there is one, and then the user"
        )
    if held != started.get("digest"):
        raise StoreError(
            f"{learned} an earlier edit of group {group_id!r}, which was fitted again meanwhile; fit the user again"
        )
    return group_id
