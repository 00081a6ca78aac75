"""SQL on groups, for `Groups` and the erasure of a person; each function runs inside a transaction of its caller.

A group's learned row and its sources (the members it was learned from) exist only together. When a source is deleted,
so is the row, because it contains that person's influence; a row of `group_refits` records that a refit is needed.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from idiolect.errors import StoreError, UnknownGroupError
from idiolect.people.user import User, unstorable_part
from idiolect.store.faults import DAMAGE, damaged
from idiolect.store.group_records import Group, GroupFit, Member, Removal, data_digest
from idiolect.store.learned_rows import first_saved, of
from idiolect.store.people_rows import BATCH, check_known, hint_of_near_ids
from idiolect.store.records import user_from_rows
from idiolect.store.schema import (
    group_members,
    group_personalizations,
    group_refits,
    group_sources,
    groups,
    opinions,
    personalization_groups,
    personalizations,
    users,
)
from idiolect.store.started_rows import delete_started, find_started, owners
from idiolect.store.strict_json import checked_text
from idiolect.store.tenant_rows import TenantConnection


def known_group(connection: TenantConnection, group_id: str, *, lock: bool = False) -> RowMapping:
    """Return the group's row.

    Args:
        connection: a connection in a transaction.
        group_id: the group's id.
        lock: lock the row against other writers until the transaction ends; SQLite has only one writer anyway.

    Raises:
        UnknownGroupError: there is none; the message names similar ids.
    """
    if unstorable_part(group_id) is None:
        chosen = connection.select(groups).where(groups.c.id == group_id)
        row = connection.execute(chosen.with_for_update() if lock else chosen).mappings().first()
        if row is not None:
            return row
    raise UnknownGroupError(f"the store has no group {group_id!r}{hint_of_near_ids(connection, groups, group_id)}")


def insert_group(connection: TenantConnection, group_id: str, *, now: datetime) -> None:
    """Create an empty group.

    Raises:
        StoreError: there is already one with that id, or the id cannot be stored.
    """
    checked_text(group_id, at="the group's id")
    if connection.scalar(connection.select(groups, groups.c.id).where(groups.c.id == group_id)) is not None:
        raise StoreError(f"the store already has a group {group_id!r}")
    connection.insert(groups, {"id": group_id, "created_at": now, "updated_at": now})


def insert_members(connection: TenantConnection, group_id: str, user_ids: Iterable[str], *, now: datetime) -> int:
    """Add the users to the group; return how many of them were not in it before.

    Raises:
        UnknownUserError: there is no such user.
    """
    added = 0
    for batch in _batches(dict.fromkeys(user_ids)):
        storable = [each for each in batch if unstorable_part(each) is None]
        there = set(connection.scalars(connection.select(users, users.c.id).where(users.c.id.in_(storable))))
        for user_id in batch:
            if user_id not in there:
                check_known(connection, user_id)  # raises, and names similar ids
        of_group = group_members.c.group_id == group_id
        held = connection.select(group_members, group_members.c.user_id).where(
            of_group, group_members.c.user_id.in_(batch)
        )
        new = there.difference(connection.scalars(held))
        if new:
            rows = [
                {"group_id": group_id, "user_id": user_id, "token": secrets.token_hex(16)} for user_id in sorted(new)
            ]
            connection.insert(group_members, rows)
        added += len(new)
    if added:
        connection.execute(connection.update(groups).where(groups.c.id == group_id).values(updated_at=now))
    return added


def delete_members(connection: TenantConnection, group_id: str, user_ids: Iterable[str], *, now: datetime) -> Removal:
    """Remove users from the group; delete the data that was learned for it from any of them, and edits begun at it.

    Raises:
        StoreError: one is not in the group.
    """
    ids = list(dict.fromkeys(user_ids))
    held = set(member_ids(connection, group_id))
    if strangers := [each for each in ids if each not in held]:
        raise StoreError(f"group {group_id!r} has no member {strangers[0]!r}")
    found: set[tuple[str, str]] = set()
    lost = _lost(connection, group_refits.c.group_id == group_id)
    for batch in _batches(ids):
        theirs = group_sources.c.user_id.in_(batch)
        found.update(learned_from(connection, theirs, group_sources.c.group_id == group_id))
        of_group = group_members.c.group_id == group_id
        connection.execute(connection.delete(group_members).where(of_group, group_members.c.user_id.in_(batch)))
    connection.execute(connection.update(groups).where(groups.c.id == group_id).values(updated_at=now))
    rows = {"group_members": len(ids), **delete_learned(connection, sorted(found), now=now)}
    started = [each for learned in sorted({*found, *lost}) for each in find_started(connection, *learned)]
    rows |= delete_started(connection, started)
    return Removal(rows, refit=tuple(sorted(method for _, method in found)), begun_edits=owners(started))


def delete_group(connection: TenantConnection, group_id: str) -> Removal:
    """Delete the group, all data learned for it and all edits of people that began at it, but no user."""
    tables = (group_members, group_personalizations, group_sources, group_refits)
    started = find_started(connection, group_id)
    begun = delete_started(connection, started)
    rows = {"groups": 1} | {table.name: connection.count(table, table.c.group_id == group_id) for table in tables}
    connection.execute(connection.delete(groups).where(groups.c.id == group_id))  # cascades to the other tables
    return Removal(rows | begun, begun_edits=owners(started))


def learned_from(connection: TenantConnection, *conditions: sa.ColumnElement[bool]) -> list[tuple[str, str]]:
    """Return group and method of every learned row with a source that meets the conditions, in order."""
    columns = (group_sources.c.group_id, group_sources.c.method)
    found = connection.execute(
        connection.select(group_sources, *columns).where(*conditions).distinct().order_by(*columns)
    )
    return [(group_id, method) for group_id, method in found]


def delete_learned(
    connection: TenantConnection, learned: Iterable[tuple[str, str]], *, now: datetime
) -> dict[str, int]:
    """Delete these learned rows and record that they need a refit; return the number of deleted rows by table."""
    rows = {"group_personalizations": 0, "group_sources": 0}
    for group_id, method in learned:
        rows["group_sources"] += connection.count(group_sources, *of(group_sources, group_id, method))
        where = of(group_personalizations, group_id, method)
        rows["group_personalizations"] += connection.changed(connection.delete(group_personalizations).where(*where))
        connection.insert(group_refits, {"group_id": group_id, "method": method, "since": now})
    return {table: count for table, count in rows.items() if count}


def lock_groups_of(connection: TenantConnection, user_id: str) -> None:
    """Lock the user's groups until the transaction ends, in the order of their ids, so that saving a fit must wait."""
    joined = connection.select(group_members, group_members.c.group_id).where(group_members.c.user_id == user_id)
    chosen = connection.select(groups, groups.c.id).where(groups.c.id.in_(joined)).order_by(groups.c.id)
    connection.scalars(chosen.with_for_update()).all()


def leave_groups(connection: TenantConnection, user_id: str, *, now: datetime) -> Removal:
    """Delete a user, all data learned from them, and the edits of others that began at it, from every group."""
    theirs = group_members.c.user_id == user_id
    changed = groups.c.id.in_(connection.select(group_members, group_members.c.group_id).where(theirs))
    connection.execute(connection.update(groups).where(changed).values(updated_at=now))
    started = started_with(connection, user_id)
    begun = delete_started(connection, started)
    memberships = connection.changed(connection.delete(group_members).where(theirs))
    rows = {"group_members": memberships} if memberships else {}
    learned = learned_from(connection, group_sources.c.user_id == user_id)
    return Removal(rows | delete_learned(connection, learned, now=now) | begun, begun_edits=owners(started))


def started_with(connection: TenantConnection, user_id: str) -> list[tuple[str, str]]:
    """Return owner and method of the edits of others that began at the edit of a group with the user as a source."""
    learned = learned_from(connection, group_sources.c.user_id == user_id)
    joined = connection.select(group_members, group_members.c.group_id).where(group_members.c.user_id == user_id)
    lost = _lost(connection, group_refits.c.group_id.in_(joined))
    started = (each for at in sorted({*learned, *lost}) for each in find_started(connection, *at))
    return [(owner, method) for owner, method in started if owner != user_id]


def _lost(connection: TenantConnection, condition: sa.ColumnElement[bool]) -> list[tuple[str, str]]:
    """Return group and method of edits that were deleted with a source of theirs, of the rows that meet the condition.

    Their sources are not known any more, so every member may have been one. People's edits that began at them are gone
    as well, except for those that began at a copy in a folder.
    """
    columns = (group_refits.c.group_id, group_refits.c.method)
    rows = connection.execute(connection.select(group_refits, *columns).where(condition))
    return [(group_id, method) for group_id, method in rows]


def put_group_learned(connection: TenantConnection, row: Mapping[str, Any], sources: Iterable[Member]) -> None:
    """Write the data learned for a group; replace the method's earlier data.

    Args:
        connection: a connection in a transaction that writes.
        row: a row of `group_personalizations`.
        sources: the members it was learned from, as `read_members` returned them before the fit.

    Raises:
        StoreError: one of them has left the group since, even if they are back; or edits of people began at the
            earlier data, which was learned from somebody who is not among them.
    """
    group_id, method = row["group_id"], row["method"]
    read = {member.user.id: member for member in sources}
    tokens = _tokens(connection, group_id)
    gone = sum(tokens.get(user_id) != member.token for user_id, member in read.items())
    if gone:
        raise StoreError(
            f"group {group_id!r}: {gone} of the people it was fitted on were forgotten or removed during the fit,"
            " even if they are back; the learned data was not saved, fit the group again"
        )
    _check_keeps_sources(connection, group_id, method, read)
    table, where = group_personalizations, of(group_personalizations, group_id, method)
    held = first_saved(connection, table, where)
    connection.execute(connection.delete(table).where(*where))  # cascades to its sources
    connection.execute(connection.delete(group_refits).where(*of(group_refits, group_id, method)))
    connection.insert(table, {**row, "created_at": held or row["created_at"]})
    named = {"group_id": group_id, "method": method}
    rows = [{**named, "user_id": user_id, "data_digest": data_digest(member.user)} for user_id, member in read.items()]
    connection.insert(group_sources, rows)


def _check_keeps_sources(
    connection: TenantConnection, group_id: str, method: str, sources: Mapping[str, Member]
) -> None:
    started = find_started(connection, group_id, method)
    if not started:
        return
    held = connection.select(group_sources, group_sources.c.user_id).where(*of(group_sources, group_id, method))
    if lost := sum(user_id not in sources for user_id in connection.scalars(held)):
        raise StoreError(
            f"group {group_id!r}: this fit leaves out {lost} of those whom the group's present edit was learned from,"
            f" and edits of people ({len(started)}) began at that one; the learned data was not saved, fit the group"
            " again with all its members, or remove those who are to be left out first"
        )


def is_learned_from(connection: TenantConnection, user_id: str) -> sa.ColumnElement[bool]:
    """Return the condition that a row of `group_personalizations`, of any tenant, has the tenant's user as a source."""
    table = group_personalizations
    joined = sa.and_(group_sources.c.group_id == table.c.group_id, group_sources.c.method == table.c.method)
    source = connection.select(group_sources, sa.literal(1)).where(joined, group_sources.c.user_id == user_id)
    return sa.and_(connection.theirs(table), source.exists())


def is_started_with(connection: TenantConnection, user_id: str) -> sa.ColumnElement[bool]:
    """Return the condition that a row of `personalizations`, of any tenant, began at a group's edit with that source.

    The user is the tenant's.
    """
    table, begun, sources = personalizations, personalization_groups, group_sources
    row = sa.and_(begun.c.user_id == table.c.user_id, begun.c.method == table.c.method)
    source = sa.and_(sources.c.group_id == begun.c.group_id, sources.c.method == begun.c.method)
    found = connection.select(begun, sa.literal(1)).where(row, connection.theirs(sources), source)
    return sa.and_(connection.theirs(table), found.where(sources.c.user_id == user_id).exists())


def learned_with(connection: TenantConnection, user_id: str) -> Iterator[RowMapping]:
    """Yield every learned row with the user among its sources, one at a time."""
    chosen = connection.select(group_personalizations).where(is_learned_from(connection, user_id))
    yield from connection.stream(chosen, page=1).mappings()


def read_group_learned(connection: TenantConnection, group_id: str, method: str) -> RowMapping | None:
    """Return the learned row, if there is one."""
    chosen = connection.select(group_personalizations).where(*of(group_personalizations, group_id, method))
    return connection.execute(chosen).mappings().first()


def needs_refit(connection: TenantConnection, group_id: str, method: str) -> bool:
    """Return whether the data that the method had learned for the group was deleted."""
    return connection.count(group_refits, *of(group_refits, group_id, method)) > 0


def member_ids(connection: TenantConnection, group_id: str) -> tuple[str, ...]:
    """Return the ids of the group's members, in order."""
    members = connection.select(group_members, group_members.c.user_id).where(group_members.c.group_id == group_id)
    return tuple(connection.scalars(members.order_by(group_members.c.user_id)))


def read_members(connection: TenantConnection, group_id: str) -> tuple[Member, ...]:
    """Return the group's members with their data, in the order of their ids, from one state of the database."""
    tokens = _tokens(connection, group_id)  # before the data, so that a member who rejoins in between is noticed
    found = {user.id: user for batch in _batches(tokens) for user in _users(connection, batch)}
    return tuple(Member(found[user_id], token) for user_id, token in tokens.items())


def _tokens(connection: TenantConnection, group_id: str) -> dict[str, str]:
    columns = (group_members.c.user_id, group_members.c.token)
    chosen = connection.select(group_members, *columns).where(group_members.c.group_id == group_id)
    rows = connection.execute(chosen.order_by(columns[0]))
    return {row.user_id: row.token for row in rows}


def group_ids_of(connection: TenantConnection, user_id: str) -> tuple[str, ...]:
    """Return the ids of the user's groups, in order."""
    theirs = connection.select(group_members, group_members.c.group_id).where(group_members.c.user_id == user_id)
    return tuple(connection.scalars(theirs.order_by(group_members.c.group_id)))


def page_of_groups(connection: TenantConnection, after: str | None) -> list[Group]:
    """Return the groups whose ids follow `after`, in order, at most `BATCH`."""
    page = connection.select(groups, groups.c.id).order_by(groups.c.id).limit(BATCH)
    ids = connection.scalars(page if after is None else page.where(groups.c.id > after)).all()
    return [read_group(connection, group_id) for group_id in ids]


def read_group(connection: TenantConnection, group_id: str) -> Group:
    """Return the group with its members and its fits; this reads the sources' data, but no tensors.

    Raises:
        UnknownGroupError: there is none.
    """
    row = known_group(connection, group_id)
    members = member_ids(connection, group_id)
    fits = [*_fits(connection, group_id, members), *_refits(connection, group_id)]
    return Group(
        id=group_id,
        members=members,
        fits=tuple(sorted(fits, key=lambda fit: fit.method)),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _fits(connection: TenantConnection, group_id: str, members: Sequence[str]) -> Iterator[GroupFit]:
    table = group_personalizations
    columns = (table.c.method, table.c.updated_at, table.c.digest)
    held: dict[str, str] = {}  # digests of the sources' present data
    for method, since, digest in connection.execute(
        connection.select(table, *columns).where(table.c.group_id == group_id)
    ).all():
        chosen = connection.select(group_sources, group_sources.c.user_id, group_sources.c.data_digest).where(
            *of(group_sources, group_id, method)
        )
        rows = connection.execute(chosen.order_by(group_sources.c.user_id))
        sources: dict[str, str] = {row.user_id: row.data_digest for row in rows}
        for batch in _batches(user_id for user_id in sources if user_id not in held):
            held |= {user.id: data_digest(user) for user in _users(connection, batch)}
        yield GroupFit(
            method=method,
            since=since,
            digest=digest,
            sources=tuple(sources),
            added=tuple(user_id for user_id in members if user_id not in sources),
            changed=tuple(user_id for user_id, data in sources.items() if held[user_id] != data),
        )


def _refits(connection: TenantConnection, group_id: str) -> Iterator[GroupFit]:
    columns = (group_refits.c.method, group_refits.c.since)
    rows = connection.select(group_refits, *columns).where(group_refits.c.group_id == group_id)
    for method, since in connection.execute(rows):
        yield GroupFit(method=method, since=since, digest=None)


def _users(connection: TenantConnection, user_ids: Sequence[str]) -> list[User]:
    """Return the users.

    Raises:
        StoreError: the data of one is damaged; the message names them.
    """
    try:
        return list(_read_users(connection, user_ids))
    except DAMAGE as error:
        if len(user_ids) == 1:
            raise damaged(user_ids[0], type(error).__name__) from error
        return [user for user_id in user_ids for user in _users(connection, [user_id])]


def _read_users(connection: TenantConnection, user_ids: Sequence[str]) -> Iterator[User]:
    given: dict[str, list[RowMapping]] = {}
    theirs = connection.select(opinions).where(opinions.c.user_id.in_(user_ids))
    for row in connection.execute(theirs.order_by(opinions.c.user_id, opinions.c.position)).mappings():
        given.setdefault(row["user_id"], []).append(row)
    for row in connection.execute(connection.select(users).where(users.c.id.in_(user_ids))).mappings():
        yield user_from_rows(row, given.get(row["id"], []))


def _batches(ids: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(ids)
    while batch := list(islice(rest, BATCH)):
        yield batch
