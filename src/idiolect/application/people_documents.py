"""Results about people as JSON, beside `documents`: the same for the command line and the gateway."""

from __future__ import annotations

from collections.abc import Sequence

from idiolect.application.documents import Document, user_summary_document
from idiolect.store import DamagedUser, UserSummary


def listed_user_document(user: UserSummary | DamagedUser) -> Document:
    """Return the document for a user in a list."""
    return {"id": user.id, "damaged": True} if isinstance(user, DamagedUser) else user_summary_document(user)


def users_page_document(users: Sequence[UserSummary | DamagedUser], *, has_more: bool) -> Document:
    """Return the document for a page of users.

    Args:
        users: the users of the page.
        has_more: whether further users follow.
    """
    return {
        "object": "list",
        "data": [listed_user_document(user) for user in users],
        "first_id": users[0].id if users else None,
        "last_id": users[-1].id if users else None,
        "has_more": has_more,
    }


def opinion_removed_document(left: UserSummary) -> Document:
    """Return the document for the removal of an opinion, given what is left of the user."""
    return {"user": left.id, "removed": True, "opinions": left.n_opinions}


def texts_added_document(left: UserSummary, added: int) -> Document:
    """Return the document for texts that were added, given the user's data with them."""
    return {"user": left.id, "added": added, "texts": left.n_texts}
