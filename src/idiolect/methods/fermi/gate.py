"""Do no harm, for Fermi: the held-out opinions are answered with the learned prompts and by the base model.

Both sides are asked once, after learning; where they tie, the base model is asked the scoring opinions too and compared
with the best prompt's score on them. No held-out opinion has been scored, shown, quoted or told to the optimizer,
nor any other on its question; a prompt whose text gives one away all the same does not answer it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from idiolect.errors import SettingsError
from idiolect.methods.alignment import alignment_score
from idiolect.methods.answering import Answerer
from idiolect.methods.baselines import FixedPrompt, base
from idiolect.methods.evidence import weigh
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.methods.personalization import Answer
from idiolect.models.similarity import Similarity
from idiolect.people.user import Opinion


def check_gate(settings: FermiSettings, similarity: Similarity | None) -> None:
    """Refuse a gate that can't answer the held-out opinions, before anything is paid.

    Raises:
        SettingsError: opinions are to be held out, and there is no similarity to choose prompts by.
    """
    retrieval = settings.retrieval
    needed = retrieval.retrieve or retrieval.demonstration_order == "nearest_last"
    if settings.evidence.share and needed and similarity is None:
        raise SettingsError("evidence needs a similarity: the held-out opinions are answered by Retrieval-of-Prompt")


async def with_evidence(
    learned: FermiPersonalization, answerer: Answerer, similarity: Similarity | None
) -> FermiPersonalization:
    """The personalization with what its held-out opinions say, and the cost of asking them; unchanged without any.

    Raises:
        ModelError: the model could not answer.
        HaltedError: the model was told to stop.
    """
    if not learned.held_out:
        return learned
    questions = [opinion.question for opinion in learned.held_out]
    plain = await base(answerer).answer(questions)
    prompts = RetrievalOfPrompt(learned, answerer, similarity, leave_one_out=True, judged=learned.held_out)
    personalized = await prompts.answer(questions)
    scored = prompts.personalization
    settings = learned.settings.evidence
    evidence = weigh(_scores(learned.held_out, personalized), _scores(learned.held_out, plain), settings)
    asked = [*plain, *personalized]
    if evidence.tied and settings.ties == "learned":
        known = await base(answerer).answer([opinion.question for opinion in learned.opinions])
        means = (scored.best.score, math.fsum(_scores(learned.opinions, known)) / len(known))
        evidence, asked = replace(evidence, learned_from=means), [*asked, *known]
    return replace(scored, answering=sum((answer.usage for answer in asked), scored.answering), evidence=evidence)


def respondent(
    learned: FermiPersonalization, answerer: Answerer, similarity: Similarity | None
) -> RetrievalOfPrompt | FixedPrompt:
    """What answers this user's questions: Retrieval-of-Prompt, or the base model where the evidence says so.

    Raises:
        SettingsError: other answering settings than learned with, or no similarity.
    """
    return RetrievalOfPrompt(learned, answerer, similarity) if learned.used else base(answerer)


def _scores(opinions: Sequence[Opinion], answers: Sequence[Answer]) -> list[float]:
    return [
        alignment_score(opinion.question, opinion.answer, answer.response.answer)
        for opinion, answer in zip(opinions, answers, strict=True)
    ]
