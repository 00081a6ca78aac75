"""The flow of `idiolect ask`: what was learned for whom, by which method, and hence who answers.

fermi → `asking_prompted`      chameleon, both, and groups → `asking_edited`
"""

from __future__ import annotations

from dataclasses import dataclass

from idiolect.cli.terminal import out
from idiolect.errors import NotFittedError
from idiolect.people.user import Question
from idiolect.store import PersonalizationRecord, Store

FERMI, CHAMELEON = "fermi", "chameleon"


@dataclass(frozen=True, slots=True)
class AskOrder:
    """What is asked, and in whose place: a user's, or anybody's under what was learned for a group.

    Args:
        question: what is asked.
        user, group: one of them is given.
        method: "fermi", "chameleon" or "both"; None: what was learned, prompts before the edit.
        store: where they are; None: the default store.
        with_base: show beside it what the model answers without anything learned.
        json: print JSON.
    """

    question: Question
    user: str | None = None
    group: str | None = None
    method: str | None = None
    store: str | None = None
    with_base: bool = False
    json: bool = False


def answer(order: AskOrder) -> None:
    """Answer the question, and print answer and reasons.

    Raises:
        NotFittedError: nothing was learned by that method.
        GroupNeedsRefitError: what was learned for the group is deleted, because a member is gone.
        ModelError, SettingsError, MissingExtraError: the model that was learned with cannot be opened or answer.
        StoreError: no such user or group, or the store cannot be read or written.
    """
    with Store.open(order.store, create=False) as store:
        if order.user is None:
            from idiolect.cli.asking_edited import ask_edited

            ask_edited(order, store, store.groups.personalization(order.group or "", CHAMELEON))
            return
        learned = {record.method: record for record in store.personalizations(order.user)}
        method = order.method or (CHAMELEON if CHAMELEON in learned and FERMI not in learned else FERMI)
        for needed in (FERMI, CHAMELEON):
            if method in (needed, "both") and needed not in learned:
                raise NotFittedError(needed, order.user)
        _ask(order, store, learned, method)
        if order.method is None and {FERMI, CHAMELEON} <= set(learned) and not order.json:
            out().print("\nCHAMELEON has learned for them too: --method chameleon, or --method both")


def _ask(order: AskOrder, store: Store, learned: dict[str, PersonalizationRecord], method: str) -> None:
    if method == FERMI:
        from idiolect.cli.asking_prompted import ask_prompted

        ask_prompted(order, store, learned[FERMI])
        return
    from idiolect.cli.asking_edited import ask_both, ask_edited

    if method == CHAMELEON:
        ask_edited(order, store, learned[CHAMELEON])
    else:
        ask_both(order, store, learned[FERMI], learned[CHAMELEON])
