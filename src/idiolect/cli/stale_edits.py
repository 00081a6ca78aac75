"""Whether an edit was learned from what is in the store now: a note beside it, which refuses nothing.

A card holds `learned_from`, a hash of the user's data (`data_digest`); of a group the store knows it by itself.
"""

from __future__ import annotations

from idiolect.people.user import User
from idiolect.store import PersonalizationRecord, Store
from idiolect.store.group_records import GroupState, data_digest

METHOD = "chameleon"
LEARNED_FROM = "learned_from"

USER_NOTE = "profile, opinions or texts have changed since the edit was learned; fit again to include them"
GROUP_NOTE = "members, or what is known of them, have changed since the edit was learned; fit again to include them"


def stale(record: PersonalizationRecord, user: User) -> bool:
    """Whether the user's data has changed since; False where the card doesn't say what it was learned from."""
    learned_from = record.payload.get(LEARNED_FROM)
    return learned_from is not None and learned_from != data_digest(user)


def stale_note(store: Store, record: PersonalizationRecord, *, user: str | None, group: str | None) -> str:
    """One sentence where a user's or a group's edit is stale, "" where it isn't.

    Raises:
        StoreError: there is no such user or group, or the store cannot be read.
    """
    if user is not None:
        return USER_NOTE if stale(record, store.user(user)) else ""
    fits = store.groups.get(group or "").fits
    return GROUP_NOTE if any(fit.method == METHOD and fit.state is GroupState.STALE for fit in fits) else ""
