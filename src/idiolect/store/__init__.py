"""The store of users and of the data learned for them, in SQLite by default; any SQLAlchemy URL works.

    with Store.open("./people") as store:
        store.save_users(users)
        store.save_personalization("u1", "fermi", payload)

It takes and returns values of `idiolect.people` and plain JSON, and depends on neither methods nor models.
"""

from __future__ import annotations

from idiolect.store.group_records import Group, GroupFit, GroupState, Member
from idiolect.store.records import CheckpointRecord, DamagedUser, PersonalizationRecord, SavedUsers, UserSummary
from idiolect.store.users import Store

__all__ = [
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
