"""Answering by several prompts: which ones, in which orders, what is paid, and what the estimates rest on."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from idiolect import Opinion, Question
from idiolect.errors import SettingsError
from idiolect.methods.answering import Answerer, AnsweringSettings
from idiolect.methods.fermi.extension_settings import EnsembleSettings, HybridSettings
from idiolect.methods.fermi.memory import ScoredPrompt
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.prompt import Prompt
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.methods.fermi.settings import RetrievalSettings
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import Completion, CompletionRequest, Usage
from tests.methods.people import TableSimilarity, asked_question, number, paper, scored

CHOICES = ("low", "middle", "high")
OPINIONS = tuple(Opinion(Question(f"Is item {n} good?", CHOICES, ordinal=True), "low") for n in range(5))
NEW = Question("Is item 9 good?", CHOICES, ordinal=True)
NEAR = TableSimilarity(lambda _, d: float(d.split()[2] in "234"))


def learned_with(
    scores: dict[str, Sequence[float]], ensemble: EnsembleSettings, *, hybrid: int = 0, **retrieval: object
) -> FermiPersonalization:
    pool = tuple(scored(text, row, born=born) for born, (text, row) in enumerate(scores.items()))
    settings = paper(
        retrieval=RetrievalSettings(pool="memory", **retrieval),  # type: ignore[arg-type]
        ensemble=ensemble,
        hybrid=HybridSettings(hybrid),
    )
    return FermiPersonalization(
        "ann", "m", None, settings, OPINIONS, (), pool[0], pool, pool, (), Usage(7), Usage()
    )  # fmt: skip


RIGHT = {"P0": [0.0] * 5, "A": [1.0] * 5, "B": [1.0, 1.0, 1.0, 1.0, 0.0], "C": [1.0, 0.0, 0.0, 0.0, 1.0]}


def saying(**answers: str) -> FunctionModel:
    """A model that answers with what is given for the first line of the prompt."""

    def complete(request: CompletionRequest) -> Completion:
        return Completion(answers[request.messages[-1].content.split("\n")[0]], "stop", Usage(1, 10, 2, 10))

    return FunctionModel(complete=complete)


def first_lines(model: FunctionModel) -> list[str]:
    return [request.messages[-1].content.split("\n")[0] for request in model.completion_requests]


def asking(learned: FermiPersonalization, model: FunctionModel, **options: bool) -> RetrievalOfPrompt:
    return RetrievalOfPrompt(learned, Answerer(model, learned.settings.answering), NEAR, **options)


@pytest.mark.parametrize(
    ("ensemble", "asked", "answer"),
    [
        (EnsembleSettings(), ["A"], "low"),
        (EnsembleSettings(prompts=3), ["A", "B", "C"], "high"),
        (EnsembleSettings(prompts=2), ["A", "B"], "low"),
        (EnsembleSettings(prompts=99), ["A", "B", "C", "P0"], "high"),
        (EnsembleSettings(prompts=3, tolerance=0.4), ["A", "B"], "low"),
        (EnsembleSettings(prompts=3, tolerance=0.0), ["A"], "low"),
        (EnsembleSettings(prompts=4, decide="median"), ["A", "B", "C", "P0"], "high"),
        (EnsembleSettings(own_answers=2.0), ["A"], "low"),
    ],
)
async def test_the_best_prompts_answer_together(ensemble: EnsembleSettings, asked: list[str], answer: str) -> None:
    model = saying(P0="middle", A="low", B="high", C="high")
    learned = learned_with(RIGHT, ensemble)
    retrieval = asking(learned, model)
    (found,) = await retrieval.answer([NEW])
    assert first_lines(model) == asked
    assert found.response.answer == answer
    assert found.usage == Usage(len(asked), 10 * len(asked), 2 * len(asked), 10 * len(asked))
    assert found.explanation is not None
    assert found.explanation.chosen == 1
    names = [learned.prompts[k].prompt.text for k in found.explanation.answering]
    assert names == (asked if ensemble.combines else [])
    assert retrieval.personalization == learned  # answers are no cost of learning


async def test_each_answer_belongs_to_its_question() -> None:
    """Several questions are asked at once, by different numbers of prompts."""

    def complete(request: CompletionRequest) -> str:
        return CHOICES[int(asked_question(request).split()[2]) % 3]

    learned = learned_with(RIGHT, EnsembleSettings(prompts=3))
    questions = [replace(NEW, text=f"Is item {n} good?") for n in range(20, 27)]
    questions.insert(3, Question("Why?"))
    model = FunctionModel(complete=lambda r: "because" if "Why?" in r.messages[-1].content else complete(r))
    near = TableSimilarity(lambda q, d: float(number(q + d) % 5))
    retrieval = RetrievalOfPrompt(learned, Answerer(model, learned.settings.answering), near)
    found = await retrieval.answer(questions)
    expected = ["because" if q.text == "Why?" else CHOICES[int(q.text.split()[2]) % 3] for q in questions]
    assert [each.response.answer for each in found] == expected
    assert [each.usage.calls for each in found] == [3, 3, 3, 1, 3, 3, 3, 3]  # texts cannot be combined


def orders_of(model: FunctionModel) -> list[tuple[str, ...]]:
    return [tuple(re.findall(r"item (\d)", r.messages[-1].content))[:-1] for r in model.completion_requests]


async def test_the_orders_of_the_examples_differ() -> None:
    learned = learned_with(RIGHT, EnsembleSettings(prompts=2, orders=3), hybrid=5)
    model = FunctionModel(complete=lambda _: "low")
    (found,) = await asking(learned, model).answer([NEW])
    orders = orders_of(model)
    assert found.usage.calls == len(orders) == 6
    assert first_lines(model) == ["A", "B"] * 3
    assert orders[0] == orders[1]
    assert orders[2] == orders[3]  # the same for both prompts
    assert len(set(orders)) == 3
    assert {frozenset(each) for each in orders} == {frozenset("01234")}
    again = FunctionModel(complete=lambda _: "low")
    await asking(learned, again).answer([NEW])
    assert orders_of(again) == orders
    seeded = replace(learned, settings=replace(learned.settings, seed=1))
    await asking(seeded, other := FunctionModel(complete=lambda _: "low")).answer([NEW])
    assert orders_of(other) != orders


@pytest.mark.parametrize(("examples", "calls"), [(0, 1), (1, 1), (2, 2)])
async def test_a_prompt_that_is_the_same_is_asked_once(examples: int, calls: int) -> None:
    """Without examples there is one order, with two there are two."""
    learned = learned_with({"P0": [1.0] * 5}, EnsembleSettings(orders=8), hybrid=examples)
    model = FunctionModel(complete=lambda _: "low")
    (found,) = await asking(learned, model).answer([NEW])
    assert found.usage.calls == len(model.completion_requests) == calls


async def test_prompts_that_know_the_answer_do_not_vote() -> None:
    knowing = replace(scored("A", [None] + [1.0] * 4, born=1), prompt=Prompt("A", seen=(0, 1), fold=1))
    learned = learned_with(RIGHT, EnsembleSettings(prompts=4))
    pool = (learned.prompts[0], knowing, *learned.prompts[2:])
    model = saying(P0="middle", A="low", B="high", C="high")
    (found,) = await asking(replace(learned, prompts=pool), model, leave_one_out=True).answer([OPINIONS[0].question])
    assert "A" not in first_lines(model)
    assert found.explanation is not None
    assert 1 not in found.explanation.answering
    assert 0 not in [each.index for each in found.explanation.nearest]


async def test_an_unread_answer_of_one_prompt_does_not_spoil_the_others() -> None:
    model = saying(P0="middle", A="I cannot know.", B="high", C="high")
    (found,) = await asking(learned_with(RIGHT, EnsembleSettings(prompts=3)), model).answer([NEW])
    assert (found.response.answer, found.usage.calls) == ("high", 3)


async def test_own_answers_outweigh_a_single_vote() -> None:
    learned = learned_with(RIGHT, EnsembleSettings(prompts=3, own_answers=1.0))  # five times "low"
    for votes, expected in ((("low", "high", "high"), "low"), (("high", "high", "high"), "high")):
        model = saying(P0="middle", A=votes[0], B=votes[1], C=votes[2])
        (found,) = await asking(learned, model).answer([NEW])
        assert found.response.answer == expected


async def test_own_answers_near_the_question_decide() -> None:
    """Similarity is 1 to the last three items, and 0 to the others."""
    answers = ("low", "low", "high", "high", "middle")
    opinions = tuple(replace(each, answer=answer) for each, answer in zip(OPINIONS, answers, strict=True))
    for nearness, expected in ((None, "low"), (0.1, "high")):
        ensemble = EnsembleSettings(sharpness=0.1, own_answers=3.0, own_nearness=nearness)
        learned = replace(learned_with({"P0": [1.0] * 5}, ensemble, retrieve=False), opinions=opinions)
        (found,) = await asking(learned, saying(P0="low")).answer([NEW])
        assert found.response.answer == expected


async def test_calibration_asks_what_it_needs_once_and_takes_off_what_a_prompt_prefers() -> None:
    """P0 says "high" to all of the person's questions, so that its "high" to a new one counts for less."""
    initial = scored("P0", [None] * 5)
    ensemble = EnsembleSettings(calibrate=True, own_answers=0.5)
    learned = replace(learned_with({"P0": [1.0] * 5}, ensemble), initial=initial, prompts=(initial,))
    model = saying(P0="high")
    respondent = asking(learned, model)
    first, second = [(await respondent.answer([NEW]))[0] for _ in range(2)]
    assert (first.response, len(model.completion_requests)) == (second.response, 5 + 2)
    shares = np.exp(first.response.scores)
    bias = np.array([1 / 3, 1 / 3, 5 + 1 / 3]) / 6
    own = (np.array([6.0, 1.0, 1.0]) / 8) ** 0.5
    expected = np.array([1e-6, 1e-6, 1.0]) / bias * own
    assert shares == pytest.approx(expected / expected.sum(), abs=1e-5)


# Estimates


def lazy_pool(shrinkage: float) -> tuple[FermiPersonalization, FunctionModel]:
    """Prompts that are not scored yet, on which the model answers at random."""
    unasked: tuple[None, ...] = (None,) * 5
    initial = scored("P0", [1.0, 0.0, 1.0, 0.0, 0.0])
    pool = (initial, *(ScoredPrompt(Prompt(name), born, unasked) for born, name in enumerate("ABCD", 1)))
    learned = replace(
        learned_with(RIGHT, EnsembleSettings(), shrinkage=shrinkage, neighbours=1), initial=initial, prompts=pool
    )
    return learned, FunctionModel(complete=lambda r: CHOICES[number(r.messages[-1].content) % 3])


async def test_estimates_do_not_depend_on_earlier_questions() -> None:
    near = TableSimilarity(lambda q, d: float(number(q + d) % 97))
    questions = [replace(NEW, text=f"Is item {n} good?") for n in range(10, 30)]
    learned, model = lazy_pool(1.0)
    answerer = Answerer(model, AnsweringSettings())
    rng = random.Random(0)
    alone = {q: (await RetrievalOfPrompt(learned, answerer, near).explain([q]))[0] for q in questions}
    together = RetrievalOfPrompt(learned, answerer, near)
    for question in rng.sample(questions, len(questions)):
        (why,) = await together.explain([question])
        assert why == alone[question]
    assert len({why.chosen for why in alone.values()}) > 1


async def test_estimates_choose_where_the_mean_of_one_neighbour_is_luck() -> None:
    """A is right on the nearest opinion and nowhere else; B is right everywhere but there."""
    near = TableSimilarity(lambda _, d: float("item 4" in d))
    scores = {"P0": [0.0] * 5, "A": [0.0, 0.0, 0.0, 0.0, 1.0], "B": [1.0, 1.0, 1.0, 1.0, 0.0]}
    for shrinkage, chosen in ((0.0, 1), (0.1, 1), (9.0, 2)):
        learned = learned_with(scores, EnsembleSettings(), shrinkage=shrinkage, neighbours=1)
        answerer = Answerer(saying(P0="low", A="low", B="low"), AnsweringSettings())
        (why,) = await RetrievalOfPrompt(learned, answerer, near).explain([NEW])
        assert why.chosen == chosen


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"prompts": 0}, "prompts"),
        ({"orders": 0}, "orders"),
        ({"orders": 1_000_000}, "orders"),
        ({"tolerance": -0.1}, "tolerance"),
        ({"tolerance": float("nan")}, "tolerance"),
        ({"sharpness": 0.0}, "sharpness"),
        ({"sharpness": 1e308}, "sharpness"),
        ({"own_nearness": 0.0}, "own_nearness"),
        ({"own_nearness": 1e-320}, "own_nearness"),
        ({"own_nearness": float("nan")}, "own_nearness"),
        ({"own_answers": -1.0}, "own_answers"),
        ({"own_answers": float("inf")}, "own_answers"),
        ({"own_answers": 1e308}, "own_answers"),
        ({"decide": "coin"}, "decide"),
    ],
)
def test_ensembles_that_make_no_sense_are_refused(settings: dict[str, float], named: str) -> None:
    with pytest.raises(SettingsError, match=rf"^ensemble\.{named} is "):
        EnsembleSettings(**settings)  # type: ignore[arg-type]
