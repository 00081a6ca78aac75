"""Hybrid prompts that are too long for the model: fewer examples, few refusals, and an error only without examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from idiolect import Opinion, Question, User
from idiolect.errors import ContextLengthError
from idiolect.methods.answering import Answerer
from idiolect.methods.fermi.extension_settings import HybridSettings
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.presets import preset
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import Completion, CompletionRequest
from idiolect.models.similarity import Bm25Similarity
from tests.methods.fermi.interrupting import Pages

SETTINGS = replace(preset("api"), iterations=1)
USER = User(
    "ann",
    opinions=tuple(Opinion(Question(f"Is thing {n} good? {'word ' * 200}", ("yes", "no")), "yes") for n in range(10)),
)


class Narrow(FunctionModel):
    """A model that reads so many tokens, at four characters each; all requests of a refused call fail."""

    tokens = 1200
    refused = 0

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        longest = max(len(request.messages[-1].content) for request in requests) // 4
        if longest > self.tokens:
            self.refused += len(requests)
            raise ContextLengthError(f"{longest} tokens", limit=self.tokens)
        return await super().complete(requests)


def narrow(tokens: int, reply: Callable[[CompletionRequest], str] = lambda _: "yes") -> Narrow:
    model = Narrow(complete=reply)
    model.tokens = tokens
    return model


def method(model: FunctionModel, settings: FermiSettings = SETTINGS) -> Fermi:
    optimizer = FunctionModel(complete=lambda request: f"[Answer as somebody who likes {request.draw} things.]")
    answerer = Answerer(model, settings.answering)
    return Fermi(answerer, settings, optimizer=optimizer, similarity=Bm25Similarity())


def limited(tokens: int) -> FermiSettings:
    return replace(SETTINGS, hybrid=HybridSettings(16, max_prompt_tokens=tokens))


async def test_fewer_examples_stand_behind_the_prompts_and_hardly_any_request_is_refused() -> None:
    model = narrow(1200)
    learned = await method(model).fit(USER)
    assert learned.initial.score == 1.0
    assert 1 <= model.refused <= 4
    shown = [request.messages[-1].content.count("Is thing") - 1 for request in model.completion_requests]
    assert max(shown) >= 1, "some examples still fit"
    model.refused = 0
    respondent = RetrievalOfPrompt(learned, Answerer(model, SETTINGS.answering), Bm25Similarity())
    (answer,) = await respondent.answer([Question("Is thing 12 good?", ("yes", "no"))])
    assert answer.response.answer == "yes"
    assert model.completion_requests[-1].messages[-1].content.count("Is thing") > 1


async def test_a_question_that_is_too_long_by_itself_is_an_error() -> None:
    with pytest.raises(ContextLengthError):
        await method(narrow(150)).fit(USER)


def by_length(request: CompletionRequest) -> str:
    """An answer that depends on the whole prompt, so that one example more or less is noticed."""
    return ("yes", "no")[len(request.messages[-1].content) // 300 % 2]


async def test_a_run_goes_on_from_every_page_to_the_undisturbed_end_with_the_limit_that_was_found() -> None:
    pages = Pages()
    undisturbed = await method(narrow(1200, by_length)).fit(USER, checkpoints=pages)
    assert undisturbed.max_prompt_tokens is not None
    assert undisturbed.max_prompt_tokens < 1200
    for page in pages.pages:
        model = narrow(1200, by_length)
        assert await method(model).fit(USER, checkpoints=Pages(page)) == undisturbed
        assert model.refused == 0, "the limit is known"


async def test_what_answers_and_what_extends_knows_the_limit() -> None:
    learned = await method(narrow(1200)).fit(USER)
    model = narrow(1200)
    respondent = RetrievalOfPrompt(learned, Answerer(model, SETTINGS.answering), Bm25Similarity())
    await respondent.answer([opinion.question for opinion in USER.opinions])
    more = replace(USER, opinions=(*USER.opinions, Opinion(Question("Is thing 99 good?", ("yes", "no")), "yes")))
    extended = await method(model).extend(learned, more)
    assert model.refused == 0
    assert extended.max_prompt_tokens == learned.max_prompt_tokens
    assert type(learned).from_json(learned.to_json()) == learned


async def test_another_model_that_answers_has_its_own_limit() -> None:
    learned = await method(narrow(1200)).fit(USER)
    wide = FunctionModel(complete=lambda _: "yes")
    answerers = (Answerer(narrow(1200), SETTINGS.answering), Answerer(wide, SETTINGS.answering))
    respondent = RetrievalOfPrompt(learned, answerers[0], Bm25Similarity(), answered_by=answerers[1])
    await respondent.answer([Question("Is thing 12 good?", ("yes", "no"))])
    assert wide.completion_requests[-1].messages[-1].content.count("Is thing") == 11


async def test_a_limit_of_the_settings_ends_with_them_and_one_that_was_found_does_not() -> None:
    more = replace(USER, opinions=(*USER.opinions, Opinion(Question("Is thing 99 good?", ("yes", "no")), "yes")))
    wide = FunctionModel(complete=lambda _: "yes")
    learned = await method(wide, limited(600)).fit(USER)
    assert (learned.max_prompt_tokens, learned.found_limit) == (600, None)
    before = len(wide.completion_requests)
    extended = await method(wide).extend(learned, more)
    assert extended.max_prompt_tokens is None
    assert max(each.messages[-1].content.count("Is thing") for each in wide.completion_requests[before:]) == 11
    learned = await method(narrow(1200), limited(5000)).fit(USER)
    assert learned.found_limit == learned.max_prompt_tokens
    assert (await method(narrow(1200)).extend(learned, more)).max_prompt_tokens == learned.found_limit


@pytest.mark.parametrize(("answers_with", "examples"), [(300, 1), (900, 3), (5000, 10)])
async def test_answers_may_have_a_greater_limit_than_that_of_the_settings(answers_with: int, examples: int) -> None:
    wide = FunctionModel(complete=lambda _: "yes")
    learned = await method(wide, limited(600)).fit(USER)
    answerer = Answerer(wide, SETTINGS.answering)
    limited_to = RetrievalOfPrompt(learned, answerer, Bm25Similarity(), max_prompt_tokens=answers_with)
    await limited_to.answer([Question("Is thing 12 good?", ("yes", "no"))])
    assert wide.completion_requests[-1].messages[-1].content.count("Is thing") == examples + 1


async def test_answers_with_a_greater_limit_keep_to_what_the_model_can_read() -> None:
    learned = await method(narrow(1200)).fit(USER)
    model = narrow(1200)
    answerer = Answerer(model, SETTINGS.answering)
    respondent = RetrievalOfPrompt(learned, answerer, Bm25Similarity(), max_prompt_tokens=5000)
    await respondent.answer([Question("Is thing 12 good?", ("yes", "no"))])
    assert model.refused == 0
