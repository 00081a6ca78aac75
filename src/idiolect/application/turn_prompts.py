"""The prompt that Fermi has for each turn of a conversation: what was learned is read once, and every turn chooses.

    record → read_prompts → LearnedPrompts → open_turn_prompts → TurnPrompts ─ choose(turn) → Chosen

A command reads for one turn; a server keeps `TurnPrompts` as long as the record is the same. No prompt is scored here:
the scores that are known choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from idiolect.application.asking import chosen_prompt_reason
from idiolect.application.owner import Owner
from idiolect.application.workspace import AsyncWorkspace
from idiolect.errors import MissingExtraError, ModelError, PersonalizationError
from idiolect.methods.answering import Answerer
from idiolect.methods.fermi.chosen_prompt import ChosenPrompt
from idiolect.methods.fermi.gate import answering_with
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.models.language_model import (
    ChoiceLogProbs,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    LanguageModel,
)
from idiolect.models.similarity import EmbeddingSimilarity, FloatArray, RememberedDocuments, Similarity
from idiolect.people.user import Question
from idiolect.store import PersonalizationRecord

_NOT_SAID = Question("(nothing was said)")


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

    @property
    def text(self) -> str:
        """The prompt's text; "" if none is used."""
        return "" if self.prompt is None else self.prompt.text


def why_of(prompt: Chosen, edit: Chosen, missing: str) -> str:
    """Return why prompts and edits are used or not.

    Args:
        prompt: Fermi's choice.
        edit: CHAMELEON's choice.
        missing: the reason if neither method was considered.
    """
    reasons = [f"{name}: {each.why}" for name, each in (("Fermi", prompt), ("CHAMELEON", edit)) if each.why]
    return "; ".join(reasons) if len(reasons) > 1 else prompt.why or edit.why or missing


@dataclass(frozen=True, slots=True)
class LearnedPrompts:
    """What Fermi learned for a user, as it was read from the store.

    Args:
        learned: the prompts; None if none of them is to be used.
        model: name of the model of the fit; "" if unknown.
        why: why none is used; "" if one is.
    """

    learned: FermiPersonalization | None
    model: str = ""
    why: str = ""


def read_prompts(record: PersonalizationRecord) -> LearnedPrompts:
    """Read what Fermi learned, and whether its evidence speaks for it. This takes milliseconds; threads may call it."""
    try:
        learned = FermiPersonalization.from_json(record.payload)
    except PersonalizationError as error:
        return LearnedPrompts(None, why=str(error))
    if not learned.used:
        return LearnedPrompts(None, learned.model, learned.gate)
    return LearnedPrompts(learned, learned.model)


class TurnPrompts:
    """A user's prompts, of which each turn chooses one by the scores that are known. Create it by `open_turn_prompts`.

    It keeps the embeddings of the user's opinions, and nothing of the turns.
    """

    def __init__(self, learned: FermiPersonalization, similarity: Similarity, note: str = "") -> None:
        self._learned, self._note = learned, note
        self._retrieval, self._overall = _retrieval(learned, similarity), _retrieval(learned, _Unlike())

    async def choose(self, question: Question | None) -> Chosen:
        """Return the prompt for a turn; if the similarity fails, the one with the best overall score.

        Args:
            question: the last turn with text; None if there is none.
        """
        note, asked = self._note, [question or _NOT_SAID]
        try:
            (chosen,) = await self._retrieval.prompts(asked, score=False)
        except ModelError as error:
            note = str(error)
            (chosen,) = await self._overall.prompts(asked, score=False)
        why = prompt_reason(self._learned, chosen)
        return Chosen(f"{why} ({note})" if note else why, self._learned.model, chosen)


async def open_turn_prompts(
    workspace: AsyncWorkspace, owner: Owner, learned: FermiPersonalization, *, counted: bool = True
) -> TurnPrompts:
    """Return the prompts with the similarity of the fit; without it, overall scores choose, and the reason is noted.

    Args:
        workspace: store and models.
        owner: the user.
        learned: what Fermi learned.
        counted: whether calls of a remote embedding model go through the workspace's run, with its cache and budget.
    """
    try:
        opened = await workspace.models.similarity(learned.settings.retrieval.similarity)
        await workspace.models.check(opened)
    except (MissingExtraError, ModelError) as error:
        return TurnPrompts(learned, _Unlike(), str(error))
    similarity = opened.called(workspace.run.calls if opened.remote and counted else None, owner.id)
    if isinstance(similarity, EmbeddingSimilarity):
        similarity = RememberedDocuments(similarity.embedder)
    return TurnPrompts(learned, similarity)


def prompt_reason(learned: FermiPersonalization, chosen: ChosenPrompt) -> str:
    """Return the reason why a prompt answers in a conversation, in one sentence without a stop."""
    if learned.evidence is not None and learned.evidence.winner == "few-shot":
        return f"{learned.gate}, with the person's nearest answers as examples"
    return chosen_prompt_reason(learned, chosen.explanation, together=1)


def _retrieval(learned: FermiPersonalization, similarity: Similarity) -> RetrievalOfPrompt:
    answerer = Answerer(_Unasked(learned.model), learned.settings.answering)
    return RetrievalOfPrompt(answering_with(learned), answerer, similarity)


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
