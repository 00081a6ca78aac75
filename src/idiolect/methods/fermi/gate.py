"""Do no harm, for Fermi: the held-out opinions are answered with the learned prompts and by the base model.

Both sides are asked once, after learning; where they tie, the base model is asked the scoring opinions too and compared
with the memory's scores on them, each under the prompt that is best without that opinion. No held-out opinion has been
scored, shown, quoted or told to the optimizer, nor any other on its question; a prompt whose text gives one away all
the same does not answer it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from idiolect.errors import SettingsError
from idiolect.methods.alignment import alignment_score
from idiolect.methods.answering import Answerer
from idiolect.methods.baselines import FixedPrompt, base
from idiolect.methods.evidence import weigh
from idiolect.methods.fermi.memory import ScoredPrompt
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.prompt import same_question
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
    """Add the evidence of the held-out opinions, and the cost of asking them; without any, nothing changes.

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
        known_scores = leave_one_out(learned.memory, learned.opinions)
        opinions = [learned.opinions[index] for index in known_scores]
        known = await base(answerer).answer([opinion.question for opinion in opinions])
        if known:
            means = (_mean(known_scores.values()), _mean(_scores(opinions, known)))
            evidence, asked = replace(evidence, learned_from=means), [*asked, *known]
    return replace(scored, answering=sum((answer.usage for answer in asked), scored.answering), evidence=evidence)


def leave_one_out(prompts: Sequence[ScoredPrompt], opinions: Sequence[Opinion]) -> dict[int, float]:
    """Estimate what choosing the best prompt is worth on opinions that had no part in the choice; no call is made.

    For each scoring opinion the prompt with the best mean on those on other questions is chosen (the older of equals),
    of the fully scored ones that may be scored on it; its score there counts.

    Args:
        prompts: to choose from; those not fully scored don't count.
        opinions: the scoring opinions.

    Returns:
        Scores in [0, 1] by index; opinions that no prompt may answer are left out.
    """
    complete = sorted((each for each in prompts if each.complete), key=lambda each: each.born)
    scores: dict[int, float] = {}
    for index, opinion in enumerate(opinions):
        others = [k for k, other in enumerate(opinions) if not same_question(other.question, opinion.question)]
        means = [
            (_mean(cell.score for k in others if (cell := each.cells[k]) is not None), each.cells[index])
            for each in complete
        ]
        answered = [(mean, cell.score) for mean, cell in means if cell is not None]
        if answered:
            scores[index] = max(answered, key=lambda pair: pair[0])[1]  # the first, that is the oldest, of equals
    return scores


def _mean(scores: Iterable[float]) -> float:
    """Return the mean; 0 where there is nothing."""
    known = list(scores)
    return math.fsum(known) / len(known) if known else 0.0


def respondent(
    learned: FermiPersonalization, answerer: Answerer, similarity: Similarity | None
) -> RetrievalOfPrompt | FixedPrompt:
    """Return what answers this user's questions: Retrieval-of-Prompt, or the base model where the evidence says so."""
    return RetrievalOfPrompt(learned, answerer, similarity) if learned.used else base(answerer)


def _scores(opinions: Sequence[Opinion], answers: Sequence[Answer]) -> list[float]:
    return [
        alignment_score(opinion.question, opinion.answer, answer.response.answer)
        for opinion, answer in zip(opinions, answers, strict=True)
    ]
