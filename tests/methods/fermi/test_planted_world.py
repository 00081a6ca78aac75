"""Fermi finds a hidden preference, OPRO does not, and each ablation loses what it removes. Known truth, no download.

Two things are looked at: how fast a single prompt gets better (mis-aligned context, asymmetric memory), with an
answering model that follows any number of preferences; and what the *set* of prompts is good for (retrieval), with one
that follows only eight of the twelve.
"""

from __future__ import annotations

from dataclasses import replace

from idiolect.methods.answering import Answerer
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.presets import preset
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.methods.fermi.settings import FermiSettings
from tests.planted_world import KEPT, TOPICS, AnsweringModel, Optimizer, TopicSimilarity, respondent

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
