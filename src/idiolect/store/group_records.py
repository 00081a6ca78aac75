"""Groups as values: their members, and whether what was learned for them still fits these.

    never fitted → fitted ⇄ stale (refit advised)
                        ↘ needs refit: a member it was learned from is gone, and with them what was learned

`data_digest` shows whether a person's data has changed since a group was fitted on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from idiolect.people.user import User
from idiolect.store.strict_json import digest


class GroupState(StrEnum):
    """A group's state, by what was learned for it and its members now; later ones weigh more."""

    NEVER_FITTED = "never fitted"
    FITTED = "fitted"
    STALE = "stale"
    NEEDS_REFIT = "needs refit"


@dataclass(frozen=True, slots=True)
class GroupFit:
    """The state of one method's learning for a group.

    Args:
        method: the method's name.
        since: when it learned; if it needs a refit, since when it does.
        digest: SHA-256 of what it learned, tensors included; None if it needs a refit.
        sources: the members it was learned from, in the order of their ids.
        added: members who came since, in that order; they are served all the same.
        changed: sources whose profile, opinions or texts have changed since, in that order.
    """

    method: str
    since: datetime
    digest: str | None
    sources: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    @property
    def state(self) -> GroupState:
        """The state of this fit: a stale one is still served, one that needs a refit is not."""
        if self.digest is None:
            return GroupState.NEEDS_REFIT
        return GroupState.STALE if self.added or self.changed else GroupState.FITTED


@dataclass(frozen=True, slots=True)
class Group:
    """Some users, by id and in that order, for whom something is learned together; `fits` are by method."""

    id: str
    members: tuple[str, ...]
    fits: tuple[GroupFit, ...]
    created_at: datetime
    updated_at: datetime

    @property
    def state(self) -> GroupState:
        """The worst state of all fits."""
        states = {fit.state for fit in self.fits}
        return next((state for state in reversed(GroupState) if state in states), GroupState.NEVER_FITTED)


@dataclass(frozen=True, slots=True)
class Member:
    """A member as `Groups.read_members` read them: the user, and the `token` of this membership.

    A user who is forgotten or removed and comes back has another token, even with the same data.
    """

    user: User
    token: str


@dataclass(frozen=True, slots=True)
class Removal:
    """The outcome of removing members, or a whole group.

    Args:
        rows: number of rows deleted, by table.
        refit: methods that have to learn anew for the group.
        unfinished: files that may still hold bytes of deleted data, and why; the next opening of the store finishes
            them.
    """

    rows: dict[str, int]
    refit: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()


def data_digest(user: User) -> str:
    """Return the SHA-256 (hex) of the data a method may learn from: profile, opinions and texts, no unknown keys."""
    opinions = [
        [opinion.question.text, list(opinion.question.choices), opinion.question.ordinal, opinion.answer]
        for opinion in user.opinions
    ]
    return digest({"profile": dict(user.profile.attributes), "opinions": opinions, "texts": list(user.texts)})
