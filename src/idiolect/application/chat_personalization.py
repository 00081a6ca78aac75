"""What of that which was learned for somebody applies to a conversation, and the reason; a part of `chats`.

store → learned_for → choose_prompt (Fermi's gate, Retrieval-of-Prompt) | choose_edit (CHAMELEON's gate) → Chosen
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from idiolect.application.asking import chosen_prompt_reason, keep_scores, opened_learner
from idiolect.application.chameleon import read_edit, stale_note, under_edit
from idiolect.application.names import CHAMELEON, FERMI, AskedMethod
from idiolect.application.owner import Owner
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
from idiolect.methods.answering import Answerer
from idiolect.methods.fermi.chosen_prompt import ChosenPrompt
from idiolect.methods.fermi.gate import answering_with, with_scores_of
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.models.catalog import lasting_name
from idiolect.models.language_model import (
    ChoiceLogProbs,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    LanguageModel,
)
from idiolect.models.similarity import FloatArray, Similarity
from idiolect.people.user import Question
from idiolect.store import PersonalizationRecord, Store

_NOT_SAID = Question("(nothing was said)")


@dataclass(frozen=True, slots=True)
class LearnedFor:
    """The records that are to personalize a conversation; `missing` is the reason if there is none."""

    fermi: PersonalizationRecord | None = None
    chameleon: PersonalizationRecord | None = None
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What one method has for a conversation.

    Args:
        why: why it is used or not, in a sentence; "": the method was not considered.
        model: name of the model of the fit; "" if unknown.
        prompt: the prompt; None if none is used.
        edited: the model under the edit; None if no edit is used.
        digest: digest of the edit.
        stale: one sentence if the data has changed since the edit was learned, otherwise "".
    """

    why: str = ""
    model: str = ""
    prompt: ChosenPrompt | None = None
    edited: LanguageModel | None = None
    digest: str = ""
    stale: str = ""


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
    try:
        learned = FermiPersonalization.from_json(record.payload)
    except PersonalizationError as error:
        return Chosen(why=str(error))
    if not learned.used:
        return Chosen(why=learned.gate, model=learned.model)
    note = ""
    if score and question is not None:
        chosen = await _with_scores(workspace, owner, record, learned, question)
    else:
        similarity, note = await _open_similarity(workspace, owner, learned)
        answerer = Answerer(_Unasked(learned.model), learned.settings.answering)
        try:
            chosen = await _chosen(RetrievalOfPrompt(answering_with(learned), answerer, similarity), question)
        except ModelError as error:
            note = str(error)
            chosen = await _chosen(RetrievalOfPrompt(answering_with(learned), answerer, _Unlike()), question)
    why = _why(learned, chosen)
    return Chosen(f"{why} ({note})" if note else why, learned.model, chosen)


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


async def _chosen(retrieval: RetrievalOfPrompt, question: Question | None) -> ChosenPrompt:
    (chosen,) = await retrieval.prompts([question or _NOT_SAID], score=False)
    return chosen


async def _open_similarity(
    workspace: AsyncWorkspace, owner: Owner, learned: FermiPersonalization
) -> tuple[Similarity, str]:
    """Return the similarity of the fit, or one that finds nothing alike, with the reason."""
    try:
        opened = await workspace.models.similarity(learned.settings.retrieval.similarity)
        await workspace.models.check(opened)
    except (MissingExtraError, ModelError) as error:
        return _Unlike(), str(error)
    return opened.called(workspace.run.calls if opened.remote else None, owner.id), ""


def _why(learned: FermiPersonalization, chosen: ChosenPrompt) -> str:
    if learned.evidence is not None and learned.evidence.winner == "few-shot":
        return f"{learned.gate}, with the person's nearest answers as examples"
    return chosen_prompt_reason(learned, chosen.explanation, together=1)


class _Unlike:
    """A similarity in which nothing is alike, where there is no other: the overall scores choose."""

    name = "none"

    async def similarity(self, queries: Sequence[str], documents: Sequence[str]) -> FloatArray:
        return np.zeros((len(queries), len(documents)), dtype=np.float32)


class _Unasked:
    """A model that must not be called: prompts are chosen by the scores that are known."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        raise AssertionError(f"{len(requests)} prompts were to be scored in a conversation")

    async def choice_logprobs(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceLogProbs]:
        raise AssertionError(f"{len(requests)} prompts were to be scored in a conversation")
