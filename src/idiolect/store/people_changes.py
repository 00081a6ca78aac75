"""Changes of single users that programs make at the same time: a user who is new, further texts; and lists by page.

Like the methods of `Store`, each function is a transaction of its own, and raises `StoreError` if the store cannot be
read or written.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from idiolect.people.user import User
from idiolect.store.faults import damage_errors, damage_of
from idiolect.store.people_rows import BATCH, lock_known, page_of_summaries, read_user, save_batch
from idiolect.store.records import DamagedUser, UserSummary, user_row
from idiolect.store.schema import users
from idiolect.store.strict_json import checked_text
from idiolect.store.users import Store

MOST_LISTED = BATCH
"""Maximum number of users in a page."""


def add_user(store: Store, user: User) -> bool:
    """Write a new user; return False, and change nothing, if there is a user of that id.

    Raises:
        StoreError: the user contains something that cannot be stored.
    """
    now = datetime.now(UTC)
    with store.rows.writing() as connection, damage_errors(store.where):
        if not connection.insert_missing(users, [user_row(user, now=now)], users.c.id):
            return False
        save_batch(connection, {user.id: user}, now=now)
    return True


def add_texts(store: Store, user_id: str, texts: Sequence[str]) -> int:
    """Append texts that the user does not have yet; return the number of added ones.

    Raises:
        UnknownUserError: there is no such user.
        StoreError: a text cannot be stored.
    """
    for text in texts:
        checked_text(text, at="a text")
    now, theirs = datetime.now(UTC), users.c.id == user_id
    with store.rows.writing() as connection, damage_of(user_id):
        lock_known(connection, user_id)  # so that two writers cannot append to the same texts
        held = read_user(connection, user_id).texts
        new = [text for text in dict.fromkeys(texts) if text not in held]
        if new:
            connection.execute(connection.update(users).where(theirs).values(texts=[*held, *new], updated_at=now))
    return len(new)


def page_of_users(store: Store, *, after: str | None, most: int) -> list[UserSummary | DamagedUser]:
    """Return the summaries of users whose ids follow `after`, in order, at most `most` and at most `MOST_LISTED`."""
    with store.rows.reading() as connection:
        return page_of_summaries(connection, after)[:most]
