"""What of that which was learned for somebody applies to a conversation, and the reason; a part of `chats`.

    store → learned_for → choose_prompt (Fermi's gate, Retrieval-of-Prompt) | choose_edit (CHAMELEON's gate) → Chosen

Fermi's part is in `turn_prompts`: what was learned is read once, and every turn chooses from it.
"""

from __future__ import annotations

from dataclasses import dataclass

from idiolect.application.asking import keep_scores, opened_learner
from idiolect.application.chameleon import read_edit, stale_note, under_edit
from idiolect.application.names import CHAMELEON, FERMI, AskedMethod
from idiolect.application.owner import Owner
from idiolect.application.turn_prompts import Chosen, open_turn_prompts, prompt_reason, read_prompts
from idiolect.application.workspace import AsyncWorkspace
from idiolect.errors import (
    DamagedError,
    MissingExtraError,
    ModelError,
    NotFittedError,
    PersonalizationError,
    UnknownGroupError,
    UnknownUserError,
)
from idiolect.methods.fermi.chosen_prompt import ChosenPrompt
from idiolect.methods.fermi.gate import answering_with, with_scores_of
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.models.catalog import lasting_name
from idiolect.people.user import Question
from idiolect.store import PersonalizationRecord, Store


@dataclass(frozen=True, slots=True)
class LearnedFor:
    """The records that are to personalize a conversation; `missing` is the reason if there is none."""

    fermi: PersonalizationRecord | None = None
    chameleon: PersonalizationRecord | None = None
    missing: str = ""


def learned_for(store: Store, owner: Owner, method: AskedMethod | None) -> LearnedFor:
    """Return the records of the method; None: of the one that has learned, or of Fermi if both have.

    Raises:
        StoreError: the store cannot be read.
    """
    try:
        if owner.kind == "group":
            return LearnedFor(chameleon=store.groups.personalization(owner.id, CHAMELEON))
        learned = {record.method: record for record in store.personalizations(owner.id)}
    except (UnknownUserError, UnknownGroupError, NotFittedError, DamagedError) as error:
        return LearnedFor(missing=str(error))
    if method is None and not learned:
        return LearnedFor(missing=f"nothing has been learned for {owner.kind} {owner.id!r} yet")
    chosen = method or (FERMI if FERMI in learned else CHAMELEON)
    needed = (FERMI, CHAMELEON) if chosen == "both" else (chosen,)
    absent = [each for each in needed if each not in learned]
    if absent:
        return LearnedFor(missing=str(NotFittedError(absent[0], owner.id)))
    fermi, chameleon = (learned[each] if each in needed else None for each in (FERMI, CHAMELEON))
    return LearnedFor(fermi, chameleon)


async def choose_prompt(
    workspace: AsyncWorkspace, owner: Owner, record: PersonalizationRecord, question: Question | None, *, score: bool
) -> Chosen:
    """Return the prompt that Fermi's evidence and Retrieval-of-Prompt choose for the last turn.

    Args:
        workspace: store and models.
        owner: the user.
        record: what Fermi learned.
        question: the last turn with text; None if there is none, so that the overall scores choose.
        score: whether to compute missing scores, and keep them.

    Raises:
        ModelError: with `score`, the model of the fit could not answer.
        HaltedError: the run makes no further calls.
    """
    prompts = read_prompts(record)
    if prompts.learned is None:
        return Chosen(prompts.why, prompts.model)
    if score and question is not None:
        chosen = await _with_scores(workspace, owner, record, prompts.learned, question)
        return Chosen(prompt_reason(prompts.learned, chosen), prompts.model, chosen)
    return await (await open_turn_prompts(workspace, owner, prompts.learned)).choose(question)


async def choose_edit(
    workspace: AsyncWorkspace, owner: Owner, record: PersonalizationRecord, *, model: str | None
) -> Chosen:
    """Return the model under the edit, if CHAMELEON's evidence speaks for it and it is the model that answers.

    Args:
        workspace: store and models.
        owner: the user or group.
        record: what CHAMELEON learned.
        model: name of the model that is to answer; None: that of the edit.
    """
    try:
        learned = read_edit(record)
    except (PersonalizationError, MissingExtraError) as error:
        return Chosen(why=str(error))
    stale = stale_note(workspace.store, record, owner)
    if not learned.used:
        return Chosen(learned.gate, learned.model, stale=stale)
    if model is not None and learned.model not in (model, lasting_name(model)):
        return Chosen(f"the edit is for the model {learned.model!r}, and {model!r} is to answer", learned.model)
    try:
        opened = await workspace.models.model(learned.model)
        edited = under_edit(opened, learned, owner)
    except (ModelError, MissingExtraError) as error:  # other weights, or none here
        return Chosen(why=str(error))
    return Chosen(learned.gate, learned.model, edited=edited, digest=learned.edit.digest, stale=stale)


async def _with_scores(
    workspace: AsyncWorkspace,
    owner: Owner,
    record: PersonalizationRecord,
    learned: FermiPersonalization,
    question: Question,
) -> ChosenPrompt:
    learner = await opened_learner(workspace, learned)
    similarity = learner.similarity.called(learner.calls, owner.id)
    retrieval = RetrievalOfPrompt(answering_with(learned), learner.answerer(owner.id), similarity)
    (chosen,) = await retrieval.prompts([question])
    keep_scores(workspace.store, record, learned, with_scores_of(learned, retrieval.personalization))
    return chosen
