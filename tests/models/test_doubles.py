from __future__ import annotations

import pytest

from idiolect.errors import ModelError
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import (
    ChoiceLogProbs,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    LanguageModel,
    Usage,
)
from tests.models import tiny


async def test_function_model_answers_with_its_functions_and_remembers() -> None:
    model: LanguageModel = FunctionModel(
        "double",
        complete=lambda request: request.messages[0].content.upper(),
        choice_logprobs=lambda request: [-float(len(choice)) for choice in request.choices],
    )
    said = CompletionRequest(tiny.ask("two words"))
    assert await model.complete([said]) == [Completion("TWO WORDS", "stop", Usage(1, 2, 2, 2))]
    scored = ChoiceRequest(tiny.ask("two words"), ("a", "b c"))
    assert await model.choice_logprobs([scored]) == [ChoiceLogProbs((-1.0, -3.0), (1, 2), Usage(1, 5, 0, 5))]
    assert isinstance(model, FunctionModel)
    assert (model.completion_requests, model.choice_requests) == ([said], [scored])


async def test_function_model_passes_whole_results_on() -> None:
    completion = Completion("x", "length", Usage(7))
    logprobs = ChoiceLogProbs((-1.0,), (3,), Usage(8))
    model = FunctionModel(complete=lambda _: completion, choice_logprobs=lambda _: logprobs)
    assert await model.complete([CompletionRequest(tiny.ask("x"))]) == [completion]
    assert await model.choice_logprobs([ChoiceRequest(tiny.ask("x"), ("a",))]) == [logprobs]


async def test_function_model_without_a_function_refuses() -> None:
    model = FunctionModel("mute")
    with pytest.raises(ModelError, match="'mute' cannot write text"):
        await model.complete([CompletionRequest(tiny.ask("x"))])
    with pytest.raises(ModelError, match="'mute' cannot score choices"):
        await model.choice_logprobs([ChoiceRequest(tiny.ask("x"), ("a",))])


async def test_function_model_checks_the_number_of_scores() -> None:
    model = FunctionModel(choice_logprobs=lambda _: [-1.0])
    with pytest.raises(ValueError, match="expected 2 log-probabilities, one per choice, found 1"):
        await model.choice_logprobs([ChoiceRequest(tiny.ask("x"), ("a", "b"))])
