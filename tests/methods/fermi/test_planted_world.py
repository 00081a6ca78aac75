"""Fermi finds a hidden preference, OPRO does not, and each ablation loses what it removes. Known truth, no download.

Two things are looked at: how fast a single prompt gets better (mis-aligned context, asymmetric memory), with an
answering model that follows any number of preferences; and what the *set* of prompts is good for (retrieval), with one
that follows only eight of the twelve.
"""

from __future__ import annotations

from dataclasses import replace

from idiolect.methods.answering import Answerer
from idiolect.methods.evidence import EvidenceSettings
from idiolect.methods.fermi.extension_settings import SearchSettings
from idiolect.methods.fermi.gate import respondent as respondent_of
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.presets import preset
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.methods.fermi.settings import FermiSettings
from tests.planted_world import (
    KEPT,
    TOPICS,
    AnsweringModel,
    MemorizingOptimizer,
    Optimizer,
    TopicSimilarity,
    respondent,
)

SEEDS = range(8)


def settings(**meta: object) -> FermiSettings:
    paper = preset("paper")
    return replace(
        paper,
        iterations=5,
        proposals=3,
        meta_prompt=replace(paper.meta_prompt, **meta),  # type: ignore[arg-type]
        retrieval=replace(paper.retrieval, tie_break="complete", pool="last+memory"),
    )


async def learned_score(chosen: FermiSettings, optimizer: Optimizer) -> float:
    """Score of the best prompt after five iterations, mean over the seeds."""
    total = 0.0
    for seed in SEEDS:
        answerer = Answerer(AnsweringModel(keeps=len(TOPICS)), chosen.answering)
        total += (await Fermi(answerer, chosen, optimizer=optimizer).fit(respondent(seed).user)).best.score
    return total / len(SEEDS)


async def accuracy(chosen: FermiSettings) -> float:
    """Held-out accuracy, mean over the seeds."""
    right = asked = 0
    for seed in SEEDS:
        person = respondent(seed)
        answerer = Answerer(AnsweringModel(), chosen.answering)
        learned = await Fermi(answerer, chosen, optimizer=Optimizer()).fit(person.user)
        answers = await RetrievalOfPrompt(learned, answerer, TopicSimilarity()).answer(
            [opinion.question for opinion in person.test]
        )
        right += sum(a.response.answer == o.answer for a, o in zip(answers, person.test, strict=True))
        asked += len(answers)
    return right / asked


async def test_fermi_finds_the_hidden_preferences() -> None:
    assert await learned_score(settings(), Optimizer()) >= 0.8
    assert await accuracy(settings()) >= 0.9


async def test_opro_does_not_find_them() -> None:
    opro = settings(failures="none")
    assert await learned_score(opro, Optimizer()) <= 0.2
    assert await accuracy(opro) <= 0.2


async def test_without_common_failures_learning_is_slower() -> None:
    slower = await learned_score(settings(failures="first_only"), Optimizer())
    assert slower <= await learned_score(settings(), Optimizer()) - 0.2


async def test_symmetric_memory_is_longer_and_overflows_the_reader() -> None:
    reader_of_symmetric, reader = Optimizer(), Optimizer()
    symmetric = await learned_score(settings(failures="symmetric"), reader_of_symmetric)
    asymmetric = await learned_score(settings(), reader)
    assert reader.longest <= 0.5 * reader_of_symmetric.longest
    assert symmetric <= asymmetric - 0.15


async def test_without_retrieval_one_prompt_can_not_serve_all_topics() -> None:
    chosen = settings()
    alone = await accuracy(replace(chosen, retrieval=replace(chosen.retrieval, retrieve=False)))
    assert alone <= KEPT / len(TOPICS)
    assert alone <= await accuracy(chosen) - 0.2


async def test_demonstrations_find_them_without_an_optimizer() -> None:
    assert await accuracy(replace(settings(), proposers=("demonstrations",))) >= 0.6


async def test_the_world_is_deterministic() -> None:
    assert await accuracy(settings()) == await accuracy(settings())


async def crossing(folds: int, optimizer: Optimizer | MemorizingOptimizer) -> tuple[float, float, int, int]:
    """Return the mean score of the best written prompt, the accuracy of answers, and how often the prompts are used."""
    evidence = EvidenceSettings(by="crossed") if folds > 1 else EvidenceSettings()
    # The optimizer that infers reads the form of the paper only.
    base = settings(form="paper" if isinstance(optimizer, Optimizer) else "diagnosis")
    chosen = replace(
        base,
        scoring_share=1.0,
        pruning=True,
        search=SearchSettings(crossing=folds),
        retrieval=replace(base.retrieval, pool="memory"),
        evidence=evidence,
    )
    best, right, asked, used = 0.0, 0, 0, 0
    for seed in SEEDS:
        person = respondent(seed)
        answerer = Answerer(AnsweringModel(), chosen.answering)
        learned = await Fermi(answerer, chosen, optimizer=optimizer, similarity=TopicSimilarity()).fit(person.user)
        best += max(each.score for each in learned.memory if each.prompt.origin == "llm") / len(SEEDS)
        used += learned.used
        answers = await respondent_of(learned, answerer, TopicSimilarity()).answer(
            [each.question for each in person.test]
        )
        right += sum(a.response.answer == o.answer for a, o in zip(answers, person.test, strict=True))
        asked += len(answers)
    return best, right / asked, used, len(SEEDS)


async def test_an_optimizer_that_memorizes_fools_scores_that_are_not_crossed() -> None:
    best, accurate, used, n = await crossing(1, MemorizingOptimizer())
    assert best >= 0.9
    assert (accurate, used) == (0.0, n)


async def test_an_optimizer_that_memorizes_does_not_fool_crossed_scores() -> None:
    assert await crossing(2, MemorizingOptimizer()) == (0.0, 0.0, 0, len(SEEDS))


async def test_an_optimizer_that_infers_is_found_by_crossed_scores() -> None:
    best, accurate, used, n = await crossing(2, Optimizer())
    assert best >= 0.5
    assert accurate >= 0.8
    assert used == n
