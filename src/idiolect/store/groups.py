"""`Groups` (as `Store.groups`): users for whom a method learns together, kept between runs.

    create → read_members → fit → save_personalization → personalization   (served to members, and to people never seen)
    a source is forgotten or removed → the group's row is deleted → GroupNeedsRefitError until it is fitted again

Every call is its own transaction. Deleted rows are scrubbed from a SQLite file like those of an erased person.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from idiolect.errors import GroupNeedsRefitError, NotFittedError
from idiolect.people.user import unstorable_part
from idiolect.store.faults import damage_errors
from idiolect.store.group_records import Group, Member, Removal
from idiolect.store.group_rows import (
    delete_group,
    delete_members,
    group_ids_of,
    insert_group,
    insert_members,
    known_group,
    needs_refit,
    page_of_groups,
    put_group_learned,
    read_group,
    read_group_learned,
    read_members,
    started_with,
)
from idiolect.store.people_rows import check_known
from idiolect.store.records import PersonalizationRecord, learned_columns, personalization_from_row
from idiolect.store.scrubbing import finish, mark
from idiolect.store.started_rows import find_started, owners
from idiolect.store.tenant_rows import TenantDatabase


class Groups:
    """The groups of a tenant in an opened store.

    Methods that read or write raise `StoreError` if the store cannot be read or written, or is damaged, and
    `UnknownGroupError` or `UnknownUserError` for an id of a group or user that the store does not have.
    """

    def __init__(self, rows: TenantDatabase) -> None:
        self._rows = rows

    def create(self, group_id: str, members: Iterable[str] = ()) -> Group:
        """Create a group of users of the store; nothing is learned for it yet.

        Raises:
            ValueError: the id is blank.
            UnknownUserError: the store has no such user; in this case no group is created.
            StoreError: there is already a group with that id, or the store cannot be written.
        """
        if not group_id.strip():
            raise ValueError("the group's id is blank")
        now, members = datetime.now(UTC), list(members)
        with self._rows.writing() as connection, damage_errors(self._rows.where):
            insert_group(connection, group_id, now=now)
            insert_members(connection, group_id, members, now=now)
            return read_group(connection, group_id)

    def get(self, group_id: str) -> Group:
        """Return the group with its members and the state of the data learned for it."""
        with self._rows.reading() as connection:
            return read_group(connection, group_id)

    def list(self) -> Iterator[Group]:
        """Yield every group, in the order of their ids; read page by page."""
        return self._rows.pages(page_of_groups, key=lambda group: group.id)

    def read_members(self, group_id: str) -> tuple[Member, ...]:
        """Return the members with their data, in the order of their ids; the fit's result is saved with them."""
        with self._rows.reading() as connection:
            known_group(connection, group_id)
            return read_members(connection, group_id)

    def add_members(self, group_id: str, members: Iterable[str]) -> int:
        """Add users; the data learned for the group is served to them too, even before the next fit includes them.

        Returns:
            The number of users who were not in the group before.

        Raises:
            UnknownUserError: the store has no such user; in this case none is added.
        """
        members = list(members)
        with self._rows.writing() as connection, damage_errors(self._rows.where):
            known_group(connection, group_id, lock=True)
            return insert_members(connection, group_id, members, now=datetime.now(UTC))

    def remove_members(self, group_id: str, members: Iterable[str]) -> Removal:
        """Remove users from the group, and delete the data that was learned for it from any of them.

        People's own edits that began at that data contain it, and are deleted as well (`Removal.begun_edits`).

        Raises:
            StoreError: one is not in the group (in this case all stay), or the store cannot be written.
        """
        members = list(members)
        with self._rows.writing() as connection, damage_errors(self._rows.where):
            known_group(connection, group_id, lock=True)
            removal = delete_members(connection, group_id, members, now=datetime.now(UTC))
            name = mark(connection.whole) if removal.refit or removal.begun_edits else None
        return removal if name is None else dataclasses.replace(removal, unfinished=finish(self._rows.database, name))

    def forget(self, group_id: str) -> Removal:
        """Delete the group, all data learned for it, and people's own edits that began at it; its members stay."""
        with self._rows.writing() as connection, damage_errors(self._rows.where):
            known_group(connection, group_id, lock=True)
            removal = delete_group(connection, group_id)
            name = mark(connection.whole)
        return dataclasses.replace(removal, unfinished=finish(self._rows.database, name))

    def begun_edits(self, group_id: str) -> tuple[str, ...]:
        """Return the ids of the people whose own edits began at the group's, in order; they go when it is forgotten."""
        with self._rows.reading() as connection:
            known_group(connection, group_id)
            return owners(find_started(connection, group_id))

    def begun_edits_with(self, user_id: str) -> tuple[str, ...]:
        """Return the ids of the others, in order, whose edits began at what a group learned from the user.

        They go when the user is forgotten.
        """
        with self._rows.reading() as connection:
            check_known(connection, user_id)
            return owners(started_with(connection, user_id))

    def save_personalization(
        self,
        group_id: str,
        method: str,
        payload: Mapping[str, Any],
        tensors: bytes | None = None,
        *,
        fitted_on: Iterable[Member],
    ) -> None:
        """Save the data that a method learned for the group; replace its earlier data. It can then be served again.

        Args:
            group_id: the group's id.
            method: the method's name.
            payload: the learned data, as JSON.
            tensors: as for `Store.save_personalization`.
            fitted_on: all members whose data went into the fit, as `read_members` returned them before it, including
                those without usable data. If a member's data changes afterwards, the fit is stale.

        Raises:
            ValueError: the method is blank, the payload is not a mapping, the tensors have no bytes, or `fitted_on` is
                empty.
            StoreError: a member of `fitted_on` was forgotten or removed in the meantime, even if they are back, or
                edits of people began at the earlier data, and `fitted_on` lacks somebody whom that was learned from (in
                both cases nothing is saved); or the payload, the tensors or the store as for
                `Store.save_personalization`.
        """
        at, now = f"data learned by {method} for group {group_id!r}", datetime.now(UTC)
        row = {"group_id": group_id, **learned_columns(method, payload, tensors, at=at, now=now)}
        sources = tuple(fitted_on)
        if not sources:
            raise ValueError("fitted_on is empty; expected the members that the method learned from")
        with self._rows.writing() as connection, damage_errors(self._rows.where):
            known_group(connection, group_id, lock=True)
            put_group_learned(connection, row, sources)

    def personalization(self, group_id: str, method: str) -> PersonalizationRecord:
        """Return the data that the method learned for the group, whether stale or not.

        Raises:
            GroupNeedsRefitError: a member it was learned from was forgotten or removed; the group has to be fitted
                again.
            NotFittedError: the method has learned nothing for this group.
        """
        with self._rows.reading() as connection:
            known_group(connection, group_id)
            if unstorable_part(method) is None:
                row = read_group_learned(connection, group_id, method)
                if row is not None:
                    return personalization_from_row(row)
                if needs_refit(connection, group_id, method):
                    raise GroupNeedsRefitError(method, group_id)
        raise NotFittedError(method, group_id, kind="group")

    def groups_of(self, user_id: str) -> tuple[str, ...]:
        """Return the ids of the user's groups, in order."""
        with self._rows.reading() as connection:
            check_known(connection, user_id)
            return group_ids_of(connection, user_id)
