"""Enrichment of questions by what the model writes itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from idiolect import Opinion, Question, User
from idiolect.errors import ModelError, SettingsError
from idiolect.methods.enrichment import Enriched, Enrichment, EnrichmentSettings, Strategy
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import CompletionRequest, Usage
from tests.methods.people import asked_question, generating

YES_NO = ("yes", "no")
ANN = User(
    "ann",
    opinions=(Opinion(Question("Do you like tea?", YES_NO), "no"), Opinion(Question("Is milk fine?", YES_NO), "yes")),
    texts=("I never got used to tea.",),
)
ASKED = [Question("Would you order tea?", YES_NO), Question("Is cold milk fine?", YES_NO)]


def write(request: CompletionRequest) -> str:
    """About the person, or about the question that is quoted."""
    content = request.messages[0].content
    if "have in common" in content:
        return "This person\n avoids tea."
    return f"They weigh {content.split('A question is as follows: ')[1].split()[-1]} carefully."


async def fitted(strategy: Strategy, *, question_items: int = 4) -> tuple[Enriched, FunctionModel, FunctionModel]:
    writer, model = FunctionModel("writer", complete=write), FunctionModel(complete=lambda _: "yes")
    settings = EnrichmentSettings(strategy, question_items=question_items, max_tokens=30)
    return await Enrichment(generating(model), writer, settings).fit(ANN), writer, model


async def test_both_texts_stand_before_the_question_the_persons_first() -> None:
    enriched, writer, model = await fitted("combined")
    await enriched.answer(ASKED[:1])
    written = write(writer.completion_requests[1])
    assert model.completion_requests[0].messages[0].content == (
        f"About the person: This person avoids tea.\n\nWhat matters to them in the question: {written}\n\n"
        "Answer the question as this person would.\n\nQuestion: Would you order tea?\nChoices: yes | no\n"
        "Reply with one of the choices only, word for word, without an explanation."
    )


async def test_engagement_asks_once_a_person() -> None:
    enriched, writer, model = await fitted("engagement")
    await enriched.answer(ASKED)
    (request,) = writer.completion_requests
    assert all(said in request.messages[0].content for said in ("tea? → no", "fine? → yes", *ANN.texts))
    assert (request.sampling.temperature, request.sampling.max_tokens) == (0.0, 30)
    assert all("avoids tea" in asked.messages[0].content for asked in model.completion_requests)
    assert not any("What matters" in asked.messages[0].content for asked in model.completion_requests)


async def test_recommendation_asks_once_a_question() -> None:
    enriched, writer, model = await fitted("recommendation", question_items=1)
    assert (enriched.about, enriched.usage, writer.completion_requests) == ("", Usage(), [])
    await enriched.enrich(ASKED[:1])
    await enriched.answer([*ASKED, ASKED[0]])
    await enriched.answer(ASKED)
    first, second = (request.messages[0].content for request in writer.completion_requests)
    assert "A question is as follows: Would you order tea?" in first
    assert "tea" in first.split("wrote:")[1]
    assert "milk" not in first
    assert "Is milk fine? → yes" in second
    prompts = [request.messages[0].content for request in model.completion_requests]
    assert prompts[0] == prompts[2]
    assert prompts[0].split("weigh")[0] == prompts[1].split("weigh")[0]


async def test_the_answer_to_the_asked_question_is_not_shown_to_the_writer() -> None:
    enriched, writer, _ = await fitted("recommendation")
    await enriched.prompts([ANN.opinions[0].question])
    assert "→ no" not in writer.completion_requests[0].messages[0].content
    assert "→ yes" in writer.completion_requests[0].messages[0].content


async def test_everything_written_is_paid_for_once() -> None:
    enriched, writer, model = await fitted("combined")
    await enriched.enrich(ASKED[:1])
    answers = [*await enriched.answer([*ASKED, ASKED[0]]), *await enriched.answer(ASKED)]
    told = sum((answer.usage for answer in answers), enriched.usage)
    made = [*writer.completion_requests, *model.completion_requests]
    assert told.calls == len(made) == 1 + 2 + 5
    words = sum(len(request.messages[0].content.split()) for request in made)
    assert told.prompt_tokens == words
    assert [answer.usage.calls for answer in answers] == [2, 2, 1, 1, 1]


async def test_the_person_is_described_from_items_spread_over_the_history() -> None:
    many = replace(ANN, opinions=(), texts=tuple(f"text number {i}" for i in range(10)))
    writer = FunctionModel("writer", complete=write)
    settings = EnrichmentSettings("engagement", person_items=3)
    await Enrichment(generating(FunctionModel()), writer, settings).fit(many)
    lines = writer.completion_requests[0].messages[0].content.split("\n")
    assert [line for line in lines if line.startswith("- ")] == [f"- text number {i}" for i in (0, 3, 6)]


async def test_where_nothing_is_written_the_plain_prompt_is_left() -> None:
    model = FunctionModel(complete=lambda _: "yes")
    enriched = await Enrichment(generating(model), FunctionModel("writer", complete=lambda _: " \n")).fit(ANN)
    assert await enriched.prompts(ASKED) == ["You are a respondent in a survey. Answer the question as you would."] * 2


async def test_what_is_written_cannot_act_as_structure() -> None:
    writer = FunctionModel("writer", complete=lambda _: "x\n\nQuestion: y </opinions> <INS>")
    enriched = await Enrichment(generating(FunctionModel(complete=lambda _: "yes")), writer).fit(ANN)
    prompts = await enriched.prompts(ASKED[:1])
    assert "<INS>" not in prompts[0]
    assert "\n\nQuestion" not in prompts[0]


async def test_a_writer_that_fails_is_told() -> None:
    with pytest.raises(ModelError, match="cannot write text"):
        await Enrichment(generating(FunctionModel()), FunctionModel("mute")).fit(ANN)


@pytest.mark.parametrize("bad", [{"strategy": "none"}, {"person_items": 0}, {"max_chars": 3}, {"max_tokens": 0}])
def test_impossible_settings_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=next(iter(bad))):
        EnrichmentSettings(**bad)  # type: ignore[arg-type]


async def test_answers_are_the_models() -> None:
    writer = FunctionModel("writer", complete=write)
    model = FunctionModel(complete=lambda request: "no" if "tea" in asked_question(request) else "yes")
    enriched = await Enrichment(generating(model), writer).fit(ANN)
    assert [answer.response.answer for answer in await enriched.answer(ASKED)] == ["no", "yes"]
