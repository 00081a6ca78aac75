"""CHAMELEON's insight in the prompt, without an edit."""

from __future__ import annotations

import pytest

from idiolect import Question, User
from idiolect.errors import PersonalizationError
from idiolect.methods.answering import AnsweringSettings
from idiolect.methods.chameleon.insights import InsightsInPrompt
from idiolect.methods.chameleon.preferences import Insights
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import CompletionRequest
from tests.methods.chameleon.planted import Letters

YES_NO = ("yes", "no")
WRITER = User("writer", texts=tuple(f"{'zesty ' * (i % 3 + 1)}words {i}" for i in range(8)))


def say(request: CompletionRequest) -> str:
    content = request.messages[-1].content
    if "one person wrote" in content:
        return "This person is\nzesty."
    return "A general user is plain." if "various people" in content else "yes"


def control(model: FunctionModel) -> InsightsInPrompt:
    return InsightsInPrompt(model, AnsweringSettings(prompt_role="user"), embedder=Letters())


async def test_the_personalized_insight_is_the_system_prompt() -> None:
    model = FunctionModel(complete=say)
    prompted = await control(model).fit(WRITER)
    answers = await prompted.answer([Question("Well?", YES_NO), Question("Really?", YES_NO)])
    assert [answer.response.answer for answer in answers] == ["yes", "yes"]
    for request in model.completion_requests[2:]:
        system, user = request.messages
        assert system.role == "system"
        assert system.content.startswith(
            "You are a helpfully personalized assistant. The user prefers: This person is zesty."
        )
        assert "plain" not in system.content
        assert "zesty" not in user.content


async def test_insights_are_written_greedily_of_chosen_items_and_counted() -> None:
    model = FunctionModel(complete=say)
    prompted = await control(model).fit(WRITER)
    assert prompted.insights == Insights("This person is zesty.", "A general user is plain.")
    assert prompted.usage.calls == len(model.completion_requests) == 2
    for request in model.completion_requests:
        assert request.sampling.temperature == 0
        assert sum(text in request.messages[-1].content for text in WRITER.texts) == 5


async def test_insights_that_exist_cost_nothing_more() -> None:
    model = FunctionModel(complete=say)
    prompted = control(model).prompted(Insights("This person <INS>", "anybody"))
    assert (prompted.usage.calls, model.completion_requests) == (0, [])
    assert "<INS>" not in prompted.prompt


async def test_a_model_without_insight_is_an_error() -> None:
    with pytest.raises(PersonalizationError, match="no insight"):
        await control(FunctionModel(complete=lambda _: " ")).fit(WRITER)
