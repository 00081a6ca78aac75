"""A person's dispositions: read, struck, restored, reworded and added by the person.

Changes are stored with what Fermi learned, in compare-and-set, and no model is called. What the person changed outlives
further learning: `with_edits` carries it into a new result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from idiolect.application.arguments import check_type
from idiolect.application.names import FERMI
from idiolect.errors import DamagedError, StoreError

if TYPE_CHECKING:
    from idiolect.application.workspace import AsyncWorkspace
    from idiolect.methods.fermi.dispositions import Disposition, DispositionEdits
    from idiolect.methods.fermi.personalization import FermiPersonalization
    from idiolect.store import Store

_TRIES = 3  # attempts, because another process may save a result for the same user meanwhile


@dataclass(frozen=True, slots=True)
class PersonsDispositions:
    """The dispositions that a person is shown.

    Args:
        user_id: id of the user.
        learned: Fermi's result.
    """

    user_id: str
    learned: FermiPersonalization

    @property
    def numbered(self) -> Mapping[int, Disposition]:
        """The dispositions by their numbers, which start at 1."""
        from idiolect.methods.fermi.dispositions import shown_dispositions

        return dict(enumerate(shown_dispositions(self.learned.dispositions), start=1))

    def answers(self, one: Disposition) -> bool:
        """Return whether a disposition may be stated when a question is answered."""
        return self.learned.used and one.used and (one.own or self.learned.states_dispositions)

    @property
    def note(self) -> str:
        """Reason why some of them are not stated although they are not struck; "" if there is none."""
        if not self.learned.used:
            return f"none is stated now: {self.learned.gate}"
        unstated = [one for one in self.numbered.values() if one.used and not self.answers(one)]
        if not unstated:
            return ""
        return "those of the optimizer are not stated now, because the person's answers are met better without them"


async def dispositions(workspace: AsyncWorkspace, user_id: str) -> PersonsDispositions:
    """Return the dispositions of a user.

    Raises:
        UnknownUserError: the store has no such user.
        NotFittedError: Fermi has learned nothing for this user.
        PersonalizationError: the stored result is damaged.
        StoreError: the store cannot be read.
    """
    return dispositions_in(workspace.store, user_id)


def dispositions_in(store: Store, user_id: str) -> PersonsDispositions:
    """Return the dispositions of a user in a store, as `dispositions` does, without a workspace."""
    from idiolect.methods.fermi.personalization import FermiPersonalization

    record = store.personalization_record(user_id, FERMI)
    return PersonsDispositions(user_id, FermiPersonalization.from_json(record.payload))


async def edit_dispositions(workspace: AsyncWorkspace, user_id: str, edits: DispositionEdits) -> PersonsDispositions:
    """Change the dispositions of a user, all at once, and return them.

    Args:
        workspace: the store.
        user_id: id of the user.
        edits: the changes.

    Raises:
        TypeError: `edits` has the wrong type.
        UnknownUserError: the store has no such user.
        NotFittedError: Fermi has learned nothing for this user.
        PersonalizationError: there is no disposition with a number, or the stored result is damaged.
        StoreError: the store cannot be read or written, or other processes keep learning for this user.
    """
    return edit_in(workspace.store, user_id, edits)


def edit_in(store: Store, user_id: str, edits: DispositionEdits) -> PersonsDispositions:
    """Change the dispositions of a user in a store, as `edit_dispositions` does, without a workspace."""
    from idiolect.methods.fermi.dispositions import DispositionEdits, edited
    from idiolect.methods.fermi.personalization import FermiPersonalization

    check_type("edits", edits, DispositionEdits)
    for _ in range(_TRIES):
        record = store.personalization_record(user_id, FERMI)
        learned = FermiPersonalization.from_json(record.payload)
        after = replace(learned, dispositions=edited(learned.dispositions, edits))
        payload = after.to_json()
        if store.compare_and_save_personalization(user_id, FERMI, payload, expected_digest=record.digest):
            return PersonsDispositions(user_id, after)
    raise StoreError(f"another process learned for user {user_id!r} at the same time: nothing was changed, try again")


def save_with_edits(
    store: Store, user_id: str, payload: Mapping[str, Any], *, unless: Callable[[Mapping[str, Any]], bool] | None = None
) -> bool:
    """Save a new result of Fermi with the changes that the person made to the dispositions of the stored one.

    A damaged result is replaced, as the message about it says; what the person changed is kept if it can be read.

    Args:
        store: the store.
        user_id: id of the user.
        payload: the new result.
        unless: returns whether the stored result has to stay; None: it never has to.

    Returns:
        Whether the new result was saved.

    Raises:
        StoreError: the store cannot be read or written, or other processes keep learning for this user.
    """
    for _ in range(_TRIES):
        before: object = None
        try:
            held = store.find_personalization(user_id, FERMI)
        except DamagedError:  # any other error leaves the stored result as it is
            if unless is not None:
                raise
            expected, before = store.unverified_personalization(user_id, FERMI)
        else:
            if held is not None and unless is not None and unless(held.payload):
                return False
            expected, before = (None, None) if held is None else (held.digest, held.payload)
        merged = with_edits(before, payload)
        if store.compare_and_save_personalization(user_id, FERMI, merged, expected_digest=expected):
            return True
    raise StoreError(f"other processes learned for user {user_id!r} at the same time: the result was not saved")


def with_edits(before: object, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a new result of Fermi with the changes that the person made to an earlier one.

    Args:
        before: the earlier result as JSON, which may be damaged or of another version; None: there is none.
        payload: the new result.
    """
    if not isinstance(before, Mapping) or not before.get("dispositions"):
        return payload
    from idiolect.methods.fermi.dispositions import readable_dispositions, with_edits_of
    from idiolect.methods.fermi.personalization import FermiPersonalization

    learned = FermiPersonalization.from_json(payload)
    merged = with_edits_of(readable_dispositions(before["dispositions"]), learned.dispositions)
    return payload if merged == learned.dispositions else replace(learned, dispositions=merged).to_json()
