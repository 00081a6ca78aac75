import math
from dataclasses import replace

import pytest

from idiolect import Opinion, Question
from idiolect.methods.answering import Answerer, AnsweringSettings, PromptedQuestion
from idiolect.methods.chameleon.judging import evidence_scores, fluency, log_likelihoods
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import ChoiceRequest, Message

LIKELIHOOD = AnsweringSettings(mode="likelihood", show_choices=False)
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


async def test_evidence_scores_are_alignment_and_probability_per_token_in_order() -> None:
    model = FunctionModel(choice_logprobs=scored)
    found = await evidence_scores(["three words here", Opinion(STARS, "1")], model, LIKELIHOOD)
    assert found.scores == pytest.approx((math.exp(-2.0), 0.5))
    assert all(0 <= score <= 1 for score in found.scores)


async def test_fluency_is_per_token() -> None:
    model = FunctionModel(choice_logprobs=scored)
    found = await fluency([((Message("user", "q"),), "three words here")], model)
    assert found.scores == (-2.0,)
    assert found.mean == -2.0


async def test_nothing_to_judge_costs_nothing() -> None:
    model = FunctionModel(choice_logprobs=scored)
    assert (await log_likelihoods([], model, LIKELIHOOD)).mean == 0.0
    assert (await evidence_scores([], model, LIKELIHOOD)).usage.calls == 0
    assert model.choice_requests == []
