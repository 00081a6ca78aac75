"""Single opinions: store one more answer of a user and learn from it, or remove an answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

from idiolect.application.arguments import check_type
from idiolect.application.checkpoints import StoredCheckpoints
from idiolect.application.names import CHAMELEON, FERMI
from idiolect.application.observers import ignore
from idiolect.application.owner import Owner
from idiolect.errors import HaltedError, StoreError
from idiolect.methods.personalization import Observer, ignore_progress
from idiolect.people.user import Opinion

# Fermi is imported where it learns: an opinion is taken back without it.
if TYPE_CHECKING:
    from idiolect.application.fermi import FermiLearner
    from idiolect.application.workspace import AsyncWorkspace
    from idiolect.methods.fermi.personalization import FermiPersonalization
    from idiolect.store import Store, UserSummary

Change = Literal["added", "replaced"]

_TRIES = 3  # attempts, because another process may save a result for the same user meanwhile
_NEAR = 3  # similar questions in an error's message
_BEGINNING = 60  # characters of each


@dataclass(frozen=True, slots=True)
class OpinionAdded:
    """Outcome of adding an opinion, which is stored in any case.

    Args:
        change: whether the opinion was added, or replaced an opinion on the same question.
        before, after: Fermi's result before and after; None if nothing was learned from the opinion.
        halted_by: reason why nothing was learned yet; adding the opinion again continues.
        edited: whether CHAMELEON has an edit for the user, which does not include the opinion.
    """

    change: Change
    before: FermiPersonalization | None = None
    after: FermiPersonalization | None = None
    halted_by: str | None = None
    edited: bool = False

    @property
    def learned(self) -> bool:
        """Whether Fermi has learned from the opinion."""
        return self.after is not None


@dataclass(frozen=True, slots=True)
class Continued:
    """Fermi's result before and after learning was continued."""

    before: FermiPersonalization
    after: FermiPersonalization


@dataclass(frozen=True, slots=True)
class _Held:
    """Fermi's stored result, and its digest."""

    learned: FermiPersonalization
    digest: str


async def add_opinion(
    workspace: AsyncWorkspace,
    user_id: str,
    opinion: Opinion,
    *,
    iterations: int | None = 1,
    observer: Observer = ignore_progress,
    on_kept: Callable[[Change], None] = ignore,
) -> OpinionAdded:
    """Store one more opinion of a user, and continue learning from it if prompts were learned.

    Args:
        workspace: store, models and run.
        user_id: id of the user.
        opinion: the opinion; it replaces an opinion on the same question.
        iterations: number of further learning rounds; 0: only score the prompts on the opinion; None: do not learn.
        observer: receives every step of learning.
        on_kept: called when the opinion is in the store, before learning.

    Raises:
        ValueError: iterations is not a whole number ≥ 0.
        TypeError: `opinion` has the wrong type.
        UnknownUserError: the store has no such user.
        StoreError: the store cannot be read or written; or other processes keep learning for this user (the opinion
            is stored then).
        ModelError, SettingsError, MissingExtraError: a model cannot be opened or cannot answer; the opinion is stored.
        CacheError: the cache cannot be opened, read or written; the opinion is stored.
    """
    check_type("opinion", opinion, Opinion)
    _check_iterations(iterations)
    store = workspace.store
    change = store.put_opinion(user_id, opinion)
    on_kept(change)
    edited = store.find_personalization(user_id, CHAMELEON) is not None
    if iterations is None:
        return OpinionAdded(change, edited=edited)
    try:
        continued = await continue_learning(workspace, user_id, iterations=iterations, observer=observer)
    except HaltedError as halted:
        return OpinionAdded(change, halted_by=workspace.run.halted_by or str(halted), edited=edited)
    if continued is None:
        return OpinionAdded(change, edited=edited)
    return OpinionAdded(change, continued.before, continued.after, edited=edited)


async def continue_learning(
    workspace: AsyncWorkspace, user_id: str, *, iterations: int = 1, observer: Observer = ignore_progress
) -> Continued | None:
    """Continue learning from a user's opinions as they are now, if prompts were learned before.

    Args:
        workspace: store, models and run.
        user_id: id of the user.
        iterations: number of further learning rounds; 0: only score the prompts again.
        observer: receives every step of learning.

    Returns:
        Fermi's result before and after; None if no prompts were learned.

    Raises:
        ValueError: iterations is not a whole number ≥ 0.
        UnknownUserError: the store has no such user.
        HaltedError: the run was halted; learning goes on from its checkpoint the next time.
        StoreError: the store cannot be read or written; or other processes keep learning for this user.
        ModelError, SettingsError, MissingExtraError: a model cannot be opened or cannot answer.
        CacheError: the cache cannot be opened, read or written.
    """
    from idiolect.application.fermi import check_fermi, open_fermi

    _check_iterations(iterations)
    store, pool = workspace.store, workspace.models
    held = _held(store, user_id)
    if held is None:
        return None
    learned = held.learned
    learner = await open_fermi(pool, learned.settings, model=learned.model, optimizer=learned.optimizer)
    await check_fermi(pool, learner)
    learner = replace(learner, calls=workspace.run.calls)
    with workspace.working_on(Owner.user(user_id)):
        continued = await _extend(store, learner, user_id, held, iterations=iterations, observer=observer)
    workspace.run.come_to_an_end()
    return continued


def _check_iterations(iterations: int | None) -> None:
    if iterations is not None and (isinstance(iterations, bool) or not isinstance(iterations, int) or iterations < 0):
        raise ValueError(f"iterations is {iterations!r}, must be a whole number from 0, or None")


async def remove_opinion(
    workspace: AsyncWorkspace, user_id: str, question: str, choices: Sequence[str] | None = None
) -> UserSummary:
    """Delete one opinion of a user without learning, and return counts of the user's remaining data.

    Args:
        workspace: the store.
        user_id: id of the user.
        question: full text of the question.
        choices: choices of the question, in order; empty: it has no choices; None: any choices.

    Raises:
        UnknownUserError: the store has no such user.
        StoreError: the user has no such opinion (the message lists similar questions), or the store cannot be written.
    """
    return remove_from(workspace.store, user_id, question, choices)


def remove_from(store: Store, user_id: str, question: str, choices: Sequence[str] | None = None) -> UserSummary:
    """Delete one opinion of a user in a store, as `remove_opinion` does, without a workspace."""
    if not store.remove_opinion(user_id, question, choices):
        near = _near(question, [opinion.question.text for opinion in store.user(user_id).opinions])
        raise StoreError(f"user {user_id!r} has no such opinion{near}")
    return store.summary(user_id)


async def _extend(
    store: Store, learner: FermiLearner, user_id: str, held: _Held, *, iterations: int, observer: Observer
) -> Continued:
    """Continue from the stored result, replace it with the new one, and return both.

    If another process has replaced the stored result meanwhile, continue from that one.
    """
    for _ in range(_TRIES):
        checkpoints = StoredCheckpoints(store, user_id, FERMI, fresh=False)
        after = await learner.extend(
            held.learned, store.user(user_id), iterations=iterations, observer=observer, checkpoints=checkpoints
        )
        if not after.finished:  # the checkpoint keeps it, and the earlier result still answers
            raise HaltedError("learning was stopped early")
        payload, expected = after.to_json(), held.digest
        if store.compare_and_save_personalization(user_id, FERMI, payload, expected_digest=expected):
            checkpoints.drop()
            return Continued(held.learned, after)
        again = _held(store, user_id)
        if again is None or not learner.learned_here(again.learned):
            break  # deleted, or learned with other models than are open here
        held = again
    raise StoreError(
        f"another process learned for user {user_id!r} at the same time; the opinion was kept, add it again to "
        "continue learning"
    )


def _held(store: Store, user_id: str) -> _Held | None:
    from idiolect.methods.fermi.personalization import FermiPersonalization

    record = store.find_personalization(user_id, FERMI)
    return None if record is None else _Held(FermiPersonalization.from_json(record.payload), record.digest)


def _near(question: str, others: Sequence[str]) -> str:
    """Return a hint with similar questions, by their beginnings; "" if there are none."""
    beginnings = dict.fromkeys(_beginning(text) for text in others)
    found = get_close_matches(_beginning(question), beginnings, n=_NEAR, cutoff=0.4)
    return f"; similar questions: {', '.join(map(repr, found))}" if found else ""


def _beginning(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _BEGINNING else line[: _BEGINNING - 1].rstrip() + "…"
