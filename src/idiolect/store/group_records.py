"""Groups as values: who is in one, and how what was learned for it stands to its members now.

    never fitted → fitted ⇄ stale (refit advised)
                        ↘ needs refit: a member it was learned from is gone, and with them what was learned

`data_digest` tells whether a person's data is what a group was fitted on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from idiolect.people.user import User
from idiolect.store.strict_json import digest


class GroupState(StrEnum):
    """How what was learned for a group stands to its members now; later ones weigh more."""

    NEVER_FITTED = "never fitted"
    FITTED = "fitted"
    STALE = "stale"
    NEEDS_REFIT = "needs refit"


@dataclass(frozen=True, slots=True)
class GroupFit:
    """What one method learned for a group, or that it has to learn anew.

    Args:
        method: which method.
        since: when it was learned; where it needs a refit, since when.
        digest: of what was learned, tensors included; None: it needs a refit.
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
        """Stale ones are served; one that needs a refit is not."""
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
        """That of the fit which is worst off."""
        states = {fit.state for fit in self.fits}
        return next((state for state in reversed(GroupState) if state in states), GroupState.NEVER_FITTED)


@dataclass(frozen=True, slots=True)
class Member:
    """A member as `Groups.read_members` read them: the user, and the `token` of this membership.

    Whoever is forgotten or removed and comes back has another token, also with the same data.
    """

    user: User
    token: str


@dataclass(frozen=True, slots=True)
class Removal:
    """What the removal of members, or of a whole group, took with it.

    Args:
        rows: rows deleted, by table.
        refit: methods that have to learn anew for the group.
        unfinished: what is deleted, but whose bytes may still be in the files, and why; whoever opens the store next
            finishes it.
    """

    rows: dict[str, int]
    refit: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()


def data_digest(user: User) -> str:
    """SHA-256 (hex) of what a method may learn from: profile, opinions and texts; unknown keys are none of it."""
    opinions = [
        [opinion.question.text, list(opinion.question.choices), opinion.question.ordinal, opinion.answer]
        for opinion in user.opinions
    ]
    return digest({"profile": dict(user.profile.attributes), "opinions": opinions, "texts": list(user.texts)})
