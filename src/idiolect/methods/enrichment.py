"""Enrichment of the input, LLM-Rec's way: the model first writes more about it, and answers with that in front.

    engagement       what the items of a person's history have in common       once a person, when it is fitted
    recommendation   what matters to this person in a question                 once a question, before it is answered
    combined         both

Lyu et al., "LLM-Rec", Findings of NAACL 2024 (arXiv 2307.15780), Section 2: engagement-guided prompts show the model
neighbours of an item, recommendation-driven ones say what the text is for. There items are enriched and a recommender
ranks them; here a question is, its neighbours are the nearest items of the history, and the model itself answers. A
model that cannot answer is a `ModelError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from idiolect.methods.answering import Answerer, PromptedQuestion
from idiolect.methods.personalization import Answer, Observer, Progress, ignore_progress
from idiolect.methods.retrieval_augmented import Item, nearest_items
from idiolect.methods.setting_checks import require, require_one_of
from idiolect.methods.templating import render
from idiolect.models.language_model import CompletionModel, CompletionRequest, Message, SamplingParams, Usage
from idiolect.models.similarity import Bm25Similarity, Similarity
from idiolect.people.user import Question, User

Strategy = Literal["engagement", "recommendation", "combined"]


@dataclass(frozen=True, slots=True)
class EnrichmentSettings:
    """How the input is enriched; what is written is greedy.

    Args:
        strategy: what is written, see the module.
        person_items: how many items of the history the text about the person is written from, evenly spread over it.
        question_items: how many the text about a question is written from, the nearest to it; 0: none.
        max_chars: longer items are cut between words.
        max_tokens: of a text.

    Raises:
        SettingsError: a value that makes no sense.
    """

    strategy: Strategy = "combined"
    person_items: int = 12
    question_items: int = 4
    max_chars: int = 300
    max_tokens: int = 80

    def __post_init__(self) -> None:
        require_one_of(Strategy, "enrichment.strategy", self.strategy)
        require(self.person_items >= 1, "enrichment.person_items", self.person_items, "at least 1")
        require(self.question_items >= 0, "enrichment.question_items", self.question_items, "at least 0")
        require(self.max_chars >= 20, "enrichment.max_chars", self.max_chars, "at least 20")
        require(self.max_tokens >= 1, "enrichment.max_tokens", self.max_tokens, "at least 1")


class Enrichment:
    """Enriches what a person is asked.

    Args:
        answerer: asks the model.
        writer: writes the enrichment; in LLM-Rec's spirit the same model.
        similarity: which items of the history are near a question; None: BM25.
    """

    def __init__(
        self,
        answerer: Answerer,
        writer: CompletionModel,
        settings: EnrichmentSettings | None = None,
        *,
        similarity: Similarity | None = None,
    ) -> None:
        self._answerer = answerer
        self._writer = _Writer(writer, settings or EnrichmentSettings(), similarity or Bm25Similarity())

    async def fit(self, user: User, *, observer: Observer = ignore_progress) -> Enriched:
        """Write about the person, where the strategy has that; one call."""
        observer(Progress(user.id, "writing about the person", 0, 1))
        history: tuple[Item, ...] = (*user.opinions, *user.texts)
        about, usage = await self._writer.about_person(history)
        observer(Progress(user.id, "done", 1, 1, usage=usage))
        return Enriched(self._answerer, self._writer, history, about, usage)


class Enriched:
    """Answers one person's questions with what was written for them; made by `Enrichment.fit`.

    Attributes:
        about: what was written about the person; "" where the strategy has none, or the model wrote nothing.
        usage: cost of that. What is written about a question is part of the usage of its first answer.
    """

    def __init__(self, answerer: Answerer, writer: _Writer, history: Sequence[Item], about: str, usage: Usage) -> None:
        self.about, self.usage = about, usage
        self._answerer, self._writer, self._history = answerer, writer, tuple(history)
        self._written: dict[Question, str] = {}
        self._unpaid: dict[Question, Usage] = {}

    async def enrich(self, questions: Sequence[Question]) -> None:
        """Write about those questions that nothing has been written about, one call each; `answer` does it as well."""
        missing = [question for question in dict.fromkeys(questions) if question not in self._written]
        written = await self._writer.about_questions(missing, self._history)
        for question, (text, usage) in zip(missing, written, strict=True):
            self._written[question], self._unpaid[question] = text, usage

    async def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Ask each question behind what was written."""
        prompts = await self.prompts(questions)
        asked = [PromptedQuestion(prompt, question) for prompt, question in zip(prompts, questions, strict=True)]
        responses = await self._answerer.answer(asked)
        return [
            Answer(replace(response, usage=response.usage + self._unpaid.pop(question, Usage())))
            for response, question in zip(responses, questions, strict=True)
        ]

    async def prompts(self, questions: Sequence[Question]) -> list[str]:
        """What stands in front of each question, in order; writes what is missing."""
        await self.enrich(questions)
        return [
            render("enriched_prompt.jinja", {"person": self.about, "question": self._written[question]})
            for question in questions
        ]


class _Writer:
    """Asks for the two kinds of text, as far as the strategy has them."""

    def __init__(self, model: CompletionModel, settings: EnrichmentSettings, similarity: Similarity) -> None:
        self._model, self._settings, self._similarity = model, settings, similarity

    async def about_person(self, history: Sequence[Item]) -> tuple[str, Usage]:
        """What they care about; "" for nothing, at no cost, where the strategy has no such text."""
        if self._settings.strategy == "recommendation":
            return "", Usage()
        items = _spread(history, self._settings.person_items)
        written = await self._write([{"kind": "engagement", "items": [_as_text(item) for item in items]}])
        return written[0]

    async def about_questions(self, questions: Sequence[Question], history: Sequence[Item]) -> list[tuple[str, Usage]]:
        """What matters to them in each question, its own answer never being shown; likewise."""
        if self._settings.strategy == "engagement" or not questions:
            return [("", Usage())] * len(questions)
        shown: list[list[Item]] = [[] for _ in questions]
        if self._settings.question_items:
            shown = await nearest_items(questions, history, self._similarity, k=self._settings.question_items)
        return await self._write(
            [
                {"kind": "recommendation", "text": q.text, "choices": q.choices, "items": [_as_text(i) for i in items]}
                for q, items in zip(questions, shown, strict=True)
            ]
        )

    async def _write(self, asked: Sequence[dict[str, object]]) -> list[tuple[str, Usage]]:
        sampling = SamplingParams(self._settings.max_tokens)
        limit = {"max_chars": self._settings.max_chars}
        requests = [
            CompletionRequest((Message("user", render("enrichment_request.jinja", values | limit)),), sampling)
            for values in asked
        ]
        return [(" ".join(each.text.split()), each.usage) for each in await self._model.complete(requests)]


def _spread(history: Sequence[Item], n: int) -> list[Item]:
    """n items at even distances, the first among them; all of them where there are no more."""
    step = max(len(history) / n, 1.0)
    return [history[int(i * step)] for i in range(min(n, len(history)))]


def _as_text(item: Item) -> str:
    return item if isinstance(item, str) else f"{item.question.text} → {item.answer}"
