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
from idiolect.methods.fermi.continual import Regrouped, dealt_folds, going_on
from idiolect.methods.fermi.extension_settings import EnsembleSettings
from idiolect.methods.fermi.memory import ScoredPrompt
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.prompt import same_question
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.methods.fermi.roles import Roles
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.methods.fermi.withheld import hybrid_scorer, without_refused_examples
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
    if settings.hybrid.examples and similarity is None:
        raise SettingsError("hybrid prompts need a similarity, which chooses their examples")
    if settings.dispositions.number and similarity is None:
        raise SettingsError("dispositions need a similarity, which chooses those that bear on a question")
    if (settings.evidence.share or settings.evidence.by == "crossed") and needed and similarity is None:
        raise SettingsError("evidence needs a similarity: the opinions that judge are answered by Retrieval-of-Prompt")


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
    settings = learned.settings
    questions = [opinion.question for opinion in learned.held_out]
    plain = await base(answerer).answer(questions)
    prompts = RetrievalOfPrompt(learned, answerer, similarity, leave_one_out=True, judged=learned.held_out)
    personalized = await prompts.answer(questions)
    scored = prompts.personalization
    few_shot = await _few_shot(learned, answerer, similarity) if settings.hybrid.examples else []
    ours, base_scores = (_scores(learned.held_out, answers) for answers in (personalized, plain))
    shown = _scores(learned.held_out, few_shot) if few_shot else ()
    evidence = weigh(ours, base_scores, settings.evidence, few_shot=shown)
    asked = [*plain, *personalized, *few_shot]
    if evidence.tied and not few_shot and settings.evidence.ties == "learned":
        known_scores = leave_one_out(learned.memory, learned.opinions)
        opinions = [learned.opinions[index] for index in known_scores]
        known = await base(answerer).answer([opinion.question for opinion in opinions])
        if known:
            means = (_mean(known_scores.values()), _mean(_scores(opinions, known)))
            evidence, asked = replace(evidence, learned_from=means), [*asked, *known]
    judged = replace(scored, answering=sum((answer.usage for answer in asked), scored.answering), evidence=evidence)
    return await folded_back(judged, answerer, similarity) if settings.evidence.fold_back else judged


async def _few_shot(
    learned: FermiPersonalization, answerer: Answerer, similarity: Similarity | None
) -> Sequence[Answer]:
    """Answer the held-out opinions with `P⁰` and the nearest opinions alone."""
    shown = only_few_shot(learned)
    prompts = RetrievalOfPrompt(shown, answerer, similarity, leave_one_out=True, judged=learned.held_out)
    return await prompts.answer([opinion.question for opinion in learned.held_out])


def only_few_shot(learned: FermiPersonalization) -> FermiPersonalization:
    """Return the personalization with `P⁰` as its only prompt, which is few-shot prompting with hybrid prompts.

    Of the dispositions, it states those in the person's own words.
    """
    settings = replace(learned.settings, ensemble=EnsembleSettings())
    return replace(learned, prompts=(learned.initial,), settings=settings, dispositions_help=False)


async def folded_back(
    learned: FermiPersonalization, answerer: Answerer, similarity: Similarity | None
) -> FermiPersonalization:
    """Return the personalization with its held-out opinions among those that score prompts and are shown as examples.

    They have judged, and no more prompts are learned from them. The memory and `P⁰` are scored on them now, and again
    where they now stand behind a prompt (hybrid prompts); a lazy pool is scored when retrieval needs it.

    Raises:
        ModelError: the model could not answer.
        HaltedError: the run was halted.
    """
    settings, scoring = learned.settings, (*learned.opinions, *learned.held_out)
    places = (*range(len(learned.opinions)), *(None for _ in learned.held_out))
    groups = Regrouped(Roles(scoring, learned.examples), places, changed=True)
    state = await going_on(learned, groups, settings, similarity)
    scorer = await hybrid_scorer(learned, scoring, answerer, similarity)
    (initial,) = await scorer.complete([state.initial])
    initial = await without_refused_examples(scorer, initial)
    by_born = {each.born: each for each in state.new}
    scored = {each.born: each for each in state.memory}
    if not settings.retrieval.lazy:
        scored = by_born | scored
    scored[initial.born] = initial
    by_born |= {each.born: each for each in await scorer.complete(list(scored.values()))}
    judged = replace(
        learned,
        opinions=scoring,
        held_out=(),
        folds=dealt_folds(scoring, settings, learned.user_id, before=learned) if learned.folds else (),
        initial=by_born[learned.initial.born],
        prompts=tuple(by_born[each.born] for each in state.new),
        answering=learned.answering + scorer.usage,
        max_prompt_tokens=scorer.room.max_tokens,
    )
    return replace(judged, memory=judged.by_score(by_born[each.born] for each in state.memory))


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
            (_mean(cell.score for k in others if (cell := each.judged(k)) is not None), each.judged(index))
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
    """Return the respondent for the user: Retrieval-of-Prompt, few-shot, or the base model, as the evidence decides."""
    return RetrievalOfPrompt(answering_with(learned), answerer, similarity) if learned.used else base(answerer)


def answering_with(learned: FermiPersonalization) -> FermiPersonalization:
    """Return what answers if the personalization is used: its pool, or only `P⁰` if the evidence favours few-shot."""
    prefers_few_shot = learned.evidence is not None and learned.evidence.winner == "few-shot"
    return only_few_shot(learned) if prefers_few_shot else learned


def with_scores_of(learned: FermiPersonalization, answered: FermiPersonalization) -> FermiPersonalization:
    """Return the whole personalization, to be stored, with the scores and costs of what answered of it.

    Args:
        learned: the personalization.
        answered: what `answering_with` returned for it, after answers.
    """
    known = {each.born: each for each in answered.prompts}
    prompts = tuple(known.get(each.born, each) for each in learned.prompts)
    return replace(learned, prompts=prompts, answering=answered.answering)


def _scores(opinions: Sequence[Opinion], answers: Sequence[Answer]) -> list[float]:
    return [
        alignment_score(opinion.question, opinion.answer, answer.response.answer)
        for opinion, answer in zip(opinions, answers, strict=True)
    ]
