import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import pytest

from idiolect import Opinion, Question
from idiolect.methods.answering import Answerer, AnsweringSettings, PromptedQuestion
from idiolect.methods.chameleon.evidence import TextEvidence
from idiolect.methods.chameleon.judging import (
    ItemScores,
    fluency,
    held_out_scores,
    judge,
    log_likelihoods,
    mean_gain,
)
from idiolect.methods.chameleon.own_words import windows
from idiolect.methods.chameleon.settings import ChameleonSettings, GenerationSettings
from idiolect.methods.evidence import Evidence, EvidenceSettings
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import ChoiceRequest, Message, Usage

LIKELIHOOD = AnsweringSettings(mode="likelihood", show_choices=False)
SETTINGS = ChameleonSettings(answering=LIKELIHOOD, evidence=EvidenceSettings(share=0.2))
STARS = Question("How was it?", ("1", "2", "3"), ordinal=True)


def scored(request: ChoiceRequest) -> list[float]:
    return [math.log(0.2), math.log(0.6), math.log(0.2)] if len(request.choices) == 3 else [-6.0]


async def test_log_likelihoods_are_per_token_for_texts_and_among_choices_for_opinions() -> None:
    model = FunctionModel(choice_logprobs=scored)
    found = await log_likelihoods([Opinion(STARS, "2"), "three words here"], model, LIKELIHOOD)
    assert found.scores == pytest.approx((math.log(0.6), -2.0))
    assert found.usage.calls == 2
    texts = [request for request in model.choice_requests if request.choices == ("three words here",)]
    assert [message.content for message in texts[0].messages] == ["Write a short paragraph."]


async def test_opinions_are_judged_as_the_model_is_asked() -> None:
    for form in ("labelled", "verbatim"):
        model, settings = FunctionModel(choice_logprobs=scored), replace(LIKELIHOOD, form=form)
        await log_likelihoods([Opinion(STARS, "2")], model, settings)
        await Answerer(model, settings).answer([PromptedQuestion("", STARS)])
        judged, asked = model.choice_requests
        assert judged == asked
        assert judged.choices == (("1", "2", "3") if form == "verbatim" else (" 1", " 2", " 3"))


async def test_held_out_scores_are_per_token_for_texts_and_alignment_for_opinions() -> None:
    model = FunctionModel(choice_logprobs=scored)
    found = await held_out_scores(["three words here", Opinion(STARS, "1"), "and more"], model, LIKELIHOOD)
    assert (found.texts, found.opinions) == ((-2.0, -3.0), (0.5,))
    assert found.tokens == (3, 2)
    assert found.usage.calls == 3


def gaining(nat: float, stars: Sequence[float] = (0.2, 0.6, 0.2)) -> FunctionModel:
    """Texts are `nat` likelier in all than -6, and the stars have these probabilities."""
    return FunctionModel(
        choice_logprobs=lambda asked: [math.log(p) for p in stars] if len(asked.choices) == 3 else [-6.0 + nat]
    )


async def test_judge_compares_texts_and_opinions_on_their_own_scales() -> None:
    items = ["three words here", Opinion(STARS, "1")]
    evidence, usage = await judge(items, gaining(0.0), gaining(0.6, (0.6, 0.2, 0.2)), SETTINGS)
    assert evidence.texts == TextEvidence((-1.8,), (-2.0,), (3,))
    assert evidence.opinions == Evidence((1.0,), (0.5,), SETTINGS.evidence.margin)
    assert evidence.used
    assert usage.calls == 4


async def test_judge_takes_base_scores_that_were_computed_before() -> None:
    items = ["three words here", Opinion(STARS, "1")]
    base, edited = gaining(0.0), gaining(0.6)
    scores = await held_out_scores(items, base, LIKELIHOOD)
    evidence, usage = await judge(items, base, edited, SETTINGS, base_scores=scores)
    again, _ = await judge(items, gaining(0.0), edited, SETTINGS)
    assert evidence == again
    assert (usage.calls, len(base.choice_requests)) == (2, 2)


async def test_judge_scores_known_items_only_where_opinions_tie() -> None:
    known = ["three words here"]
    for item, ties, decides in (
        (Opinion(STARS, "1"), "learned", True),
        (Opinion(STARS, "1"), "base", False),
        ("other words", "learned", False),
    ):
        settings = replace(SETTINGS, evidence=EvidenceSettings(share=0.2, ties=ties))
        evidence, usage = await judge([item], gaining(0.0), gaining(0.6), settings, known=known)
        assert (evidence.known is not None) is decides
        assert usage.calls == (4 if decides else 2)
        assert evidence.used is (ties == "learned")


@pytest.mark.parametrize(("stars", "used"), [((0.3, 0.5, 0.2), True), ((0.1, 0.7, 0.2), False)])
async def test_opinions_that_tie_are_decided_by_their_likelihood(stars: tuple[float, ...], used: bool) -> None:
    """The answer stays 2, but the person's own answer 1 becomes more or less likely."""
    items = [Opinion(STARS, "1")]
    evidence, usage = await judge(items, gaining(0.0), gaining(0.0, stars), SETTINGS)
    assert evidence.likelihood == pytest.approx(math.log(stars[0] / 0.2))
    assert (evidence.tied, evidence.used, usage.calls) == (True, used, 4)
    none, usage = await judge(items, gaining(0.0), gaining(0.0, (0.7, 0.2, 0.1)), SETTINGS)
    assert (none.likelihood, none.used, usage.calls) == (None, True, 2), "no tie"


async def test_a_long_text_is_judged_whole() -> None:
    text = " ".join(f"word{i}" for i in range(400))
    found = await held_out_scores([text, "three words here"], FunctionModel(choice_logprobs=scored), LIKELIHOOD)
    assert found.tokens == (400, 3)
    parts = len(windows(text))
    assert parts > 1
    assert found.texts == pytest.approx((-6.0 * parts / 400, -2.0))


async def test_judge_without_items_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing is held out"):
        await judge([], gaining(0.0), gaining(0.0), SETTINGS)


def test_the_gain_that_chooses_counts_each_kind_once() -> None:
    items = ["a", "b", "c", Opinion(STARS, "1"), Opinion(Question("Why?"), "because")]
    base = ItemScores((-4.0, -4.0, -4.0, -1.0, -3.0), Usage())
    edited = ItemScores((-3.9, -3.9, -3.9, -1.3, -2.9), Usage())
    assert mean_gain(items, edited, base) == pytest.approx((0.1 - 0.3) / 2)
    texts = (ItemScores(scores.scores[:3], Usage()) for scores in (edited, base))
    assert mean_gain(items[:3], *texts) == pytest.approx(0.1)
    assert mean_gain([], ItemScores((), Usage()), ItemScores((), Usage())) is None


@pytest.mark.parametrize(
    ("temperature", "personalized", "unbiased"),
    [(1.0, "own", True), (0.7, "own", False), (1.0, "generated", False), (0.0, "own", False)],
)
def test_the_fluency_cost_is_a_kl_divergence_only_on_unguided_draws_at_temperature_1(
    temperature: float, personalized: Literal["own", "generated"], unbiased: bool
) -> None:
    settings = GenerationSettings(temperature=temperature, personalized=personalized)
    assert settings.draws_are_unbiased is unbiased


async def test_fluency_is_per_token() -> None:
    model = FunctionModel(choice_logprobs=scored)
    found = await fluency([((Message("user", "q"),), "three words here")], model)
    assert found.scores == (-2.0,)
    assert found.mean == -2.0


async def test_nothing_to_judge_costs_nothing() -> None:
    model = FunctionModel(choice_logprobs=scored)
    assert (await log_likelihoods([], model, LIKELIHOOD)).mean == 0.0
    assert (await held_out_scores([], model, LIKELIHOOD)).usage.calls == 0
    assert model.choice_requests == []
