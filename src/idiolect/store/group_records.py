"""Groups as values: their members, and whether the data learned for them is up to date.

    never fitted → fitted ⇄ stale (refit advised)
                        ↘ needs refit: a member it was learned from is gone, so the learned data was deleted

`data_digest` shows whether a person's data has changed since a group was fitted on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from idiolect.people.user import User
from idiolect.store.strict_json import digest


class GroupState(StrEnum):
    """A group's state, by the data learned for it and its present members; later states take precedence."""

    NEVER_FITTED = "never fitted"
    FITTED = "fitted"
    STALE = "stale"
    NEEDS_REFIT = "needs refit"


@dataclass(frozen=True, slots=True)
class GroupFit:
    """The state of one method's learning for a group.

    Args:
        method: the method's name.
        since: the time of learning or, if a refit is needed, the time since when it is.
        digest: SHA-256 of the learned data, tensors included; None if a refit is needed.
        sources: the members whose data was learned from, in the order of their ids.
        added: members who joined afterwards, in that order; they are served nevertheless.
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
        """The state of this fit. A stale fit is still served; one that needs a refit is not."""
        if self.digest is None:
            return GroupState.NEEDS_REFIT
        return GroupState.STALE if self.added or self.changed else GroupState.FITTED


@dataclass(frozen=True, slots=True)
class Group:
    """Users for whom methods learn together. `members` are in the order of their ids, `fits` of their methods."""

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
    """A member as returned by `Groups.read_members`: the user, and the `token` of this membership.

    A user who is forgotten or removed and joins again has another token, even with the same data.
    """

    user: User
    token: str


@dataclass(frozen=True, slots=True)
class Removal:
    """The outcome of removing members from a group, a user from all groups, or a whole group.

    Args:
        rows: number of rows deleted, by table.
        refit: methods that have to learn for the group again.
        begun_edits: ids of the people, in order, whose own edits were deleted because they began at the group's; these
            people can be fitted again.
        unfinished: files that may still contain bytes of deleted data, with the reason; the next opening of the store
            scrubs them.
    """

    rows: dict[str, int]
    refit: tuple[str, ...] = ()
    begun_edits: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()


def data_digest(user: User) -> str:
    """Return the SHA-256 (hex) of the data that methods may learn from: profile, opinions and texts, not `extra`."""
    opinions = [
        [opinion.question.text, list(opinion.question.choices), opinion.question.ordinal, opinion.answer]
        for opinion in user.opinions
    ]
    return digest({"profile": dict(user.profile.attributes), "opinions": opinions, "texts": list(user.texts)})
