"""Hybrid prompts that are too long for the model: fewer examples, few refusals, and an error only without examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from idiolect import Opinion, Question, User
from idiolect.errors import ContextLengthError
from idiolect.methods.answering import Answerer
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.presets import preset
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import Completion, CompletionRequest
from idiolect.models.similarity import Bm25Similarity

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


def narrow(tokens: int) -> Narrow:
    model = Narrow(complete=lambda _: "yes")
    model.tokens = tokens
    return model


def method(model: FunctionModel) -> Fermi:
    optimizer = FunctionModel(complete=lambda request: f"[Answer as somebody who likes {request.draw} things.]")
    answerer = Answerer(model, SETTINGS.answering)
    return Fermi(answerer, SETTINGS, optimizer=optimizer, similarity=Bm25Similarity())


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
