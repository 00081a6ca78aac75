"""Do no harm, for Fermi: the held-out opinions are answered with the learned prompts and by the base model.

Both sides are asked once, after learning. In a tie, the base model also answers the scoring opinions, and is compared
with the memory's scores on them, where each opinion is scored with the prompt that is best without it. No held-out
opinion was scored, shown, quoted or given to the optimizer, nor was any other opinion on its question. If the text of
a prompt reveals one nevertheless, that prompt does not answer it.
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
    """Check that the held-out opinions can be answered, before any call is made.

    Raises:
        SettingsError: opinions are held out, but there is no similarity to choose prompts.
    """
    retrieval = settings.retrieval
    needed = retrieval.retrieve or retrieval.demonstration_order == "nearest_last"
    if settings.evidence.share and needed and similarity is None:
        raise SettingsError("evidence needs a similarity: the held-out opinions are answered by Retrieval-of-Prompt")


async def with_evidence(
    learned: FermiPersonalization, answerer: Answerer, similarity: Similarity | None
) -> FermiPersonalization:
    """Add the evidence from the held-out opinions, with its cost; if there are none, nothing changes.

    Raises:
        ModelError: the model could not answer.
        HaltedError: the run was halted.
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
    """Estimate the score of choosing the best prompt on opinions that had no part in the choice, without a call.

    For each scoring opinion, this chooses the prompt with the best mean on the opinions on other questions (the older
    of equals), among the fully scored prompts that may be scored on this opinion. The score is that prompt's score on
    it.

    Args:
        prompts: prompts to choose from; incompletely scored ones are ignored.
        opinions: the scoring opinions.

    Returns:
        Scores in [0, 1] by index, without the opinions that no prompt may answer.
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
            scores[index] = max(answered, key=lambda pair: pair[0])[1]  # the first of equals, which is the oldest
    return scores


def _mean(scores: Iterable[float]) -> float:
    """Return the mean; 0 without scores."""
    known = list(scores)
    return math.fsum(known) / len(known) if known else 0.0


def respondent(
    learned: FermiPersonalization, answerer: Answerer, similarity: Similarity | None
) -> RetrievalOfPrompt | FixedPrompt:
    """Return the respondent for the user: Retrieval-of-Prompt, or the base model if the evidence favours it."""
    return RetrievalOfPrompt(learned, answerer, similarity) if learned.used else base(answerer)


def _scores(opinions: Sequence[Opinion], answers: Sequence[Answer]) -> list[float]:
    return [
        alignment_score(opinion.question, opinion.answer, answer.response.answer)
        for opinion, answer in zip(opinions, answers, strict=True)
    ]
