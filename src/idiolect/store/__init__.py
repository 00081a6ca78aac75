"""The store of users and of the data learned for them, in SQLite by default, or in PostgreSQL by a URL.

    with Store.open("./people", tenant=DEFAULT_TENANT) as store:
        store.save_users(users)
        store.save_personalization("u1", "fermi", payload)

A store is bound to one tenant, in which the ids of users and groups live.

It takes and returns values of `idiolect.people` and plain JSON, and depends on neither methods nor models.
"""

from __future__ import annotations

from idiolect.store.group_records import Group, GroupFit, GroupState, Member
from idiolect.store.records import CheckpointRecord, DamagedUser, PersonalizationRecord, SavedUsers, UserSummary
from idiolect.store.tenancy import DEFAULT_TENANT
from idiolect.store.users import Store

__all__ = [
    "DEFAULT_TENANT",
    "CheckpointRecord",
    "DamagedUser",
    "Group",
    "GroupFit",
    "GroupState",
    "Member",
    "PersonalizationRecord",
    "SavedUsers",
    "Store",
    "UserSummary",
]
