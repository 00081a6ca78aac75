"""Enrichment of the input, after LLM-Rec: the model first writes more about a question, then answers with that text.

    engagement       what the items of a person's history have in common       once per person, during the fit
    recommendation   what matters to this person in a question                 once per question, before the answer
    combined         both

Lyu et al., "LLM-Rec", Findings of NAACL 2024 (arXiv 2307.15780), Section 2: engagement-guided prompts show the model
neighbours of an item, recommendation-driven prompts state the purpose of the text. In the paper, items are enriched and
a recommender ranks them. Here, questions are enriched, their neighbours are the nearest items of the history, and the
model itself answers. If the model cannot answer, a `ModelError` is raised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from idiolect.methods.answering import Answerer, PromptedQuestion
from idiolect.methods.personalization import Answer, Observer, Progress, ignore_progress
from idiolect.methods.profile_prompt import plain_prompt
from idiolect.methods.retrieval_augmented import Item, nearest_items
from idiolect.methods.setting_checks import require, require_one_of
from idiolect.methods.templating import render
from idiolect.models.language_model import CompletionModel, CompletionRequest, Message, SamplingParams, Usage
from idiolect.models.similarity import Bm25Similarity, Similarity
from idiolect.people.user import Question, User

Strategy = Literal["engagement", "recommendation", "combined"]


@dataclass(frozen=True, slots=True)
class EnrichmentSettings:
    """Settings of the enrichment, whose texts are generated greedily.

    Args:
        strategy: texts to write, see the module's docstring.
        person_items: number of history items, evenly spread, for the text about the person.
        question_items: number of history items, nearest first, for the text about a question; 0: none.
        max_chars: maximum length of an item; longer items are cut between words.
        max_tokens: maximum number of tokens in a text.

    Raises:
        SettingsError: a value is invalid.
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
    """Enrichment of a person's questions.

    Args:
        answerer: asks the model.
        writer: model that writes the enrichment; as in LLM-Rec, usually the same model.
        settings: None: the defaults.
        similarity: finds the history items nearest to a question; None: BM25.
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
        """Write the text about the person, with one call, if the strategy includes it."""
        observer(Progress(user.id, "writing about the person", 0, 1))
        history: tuple[Item, ...] = (*user.opinions, *user.texts)
        about, usage = await self._writer.about_person(history)
        observer(Progress(user.id, "done", 1, 1, usage=usage))
        return Enriched(self._answerer, self._writer, history, about, usage)


class Enriched:
    """Respondent for one person with enriched questions, created by `Enrichment.fit`.

    Attributes:
        about: text about the person; "" if the strategy has none, or the model wrote nothing.
        usage: cost of that text. The cost of a question's text is part of the usage of its first answer.
    """

    def __init__(self, answerer: Answerer, writer: _Writer, history: Sequence[Item], about: str, usage: Usage) -> None:
        self.about, self.usage = about, usage
        self._answerer, self._writer, self._history = answerer, writer, tuple(history)
        self._written: dict[Question, str] = {}
        self._unpaid: dict[Question, Usage] = {}

    async def enrich(self, questions: Sequence[Question]) -> None:
        """Write the texts about new questions, with one call each; `answer` does this too."""
        missing = [question for question in dict.fromkeys(questions) if question not in self._written]
        written = await self._writer.about_questions(missing, self._history)
        for question, (text, usage) in zip(missing, written, strict=True):
            self._written[question], self._unpaid[question] = text, usage

    async def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Ask each question after its enrichment."""
        prompts = await self.prompts(questions)
        asked = [PromptedQuestion(prompt, question) for prompt, question in zip(prompts, questions, strict=True)]
        responses = await self._answerer.answer(asked)
        return [
            Answer(replace(response, usage=response.usage + self._unpaid.pop(question, Usage())))
            for response, question in zip(responses, questions, strict=True)
        ]

    async def prompts(self, questions: Sequence[Question]) -> list[str]:
        """Return the prompt for each question, in order, after writing missing texts."""
        await self.enrich(questions)
        shared = {"person": self.about, "plain": plain_prompt(self._answerer.settings)}
        return [render("enriched_prompt.jinja", {**shared, "question": self._written[q]}) for q in questions]


class _Writer:
    """Writer of the two kinds of text, if the strategy includes them."""

    def __init__(self, model: CompletionModel, settings: EnrichmentSettings, similarity: Similarity) -> None:
        self._model, self._settings, self._similarity = model, settings, similarity

    async def about_person(self, history: Sequence[Item]) -> tuple[str, Usage]:
        """Return a text about the person's interests, with its cost; "" without a call if the strategy has none."""
        if self._settings.strategy == "recommendation":
            return "", Usage()
        items = _spread(history, self._settings.person_items)
        written = await self._write([{"kind": "engagement", "items": [_as_text(item) for item in items]}])
        return written[0]

    async def about_questions(self, questions: Sequence[Question], history: Sequence[Item]) -> list[tuple[str, Usage]]:
        """Return a text, with its cost, on what matters to the person in each question; its answer is never shown."""
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
    """Return n items at even distances, starting with the first; all items if there are no more than n."""
    step = max(len(history) / n, 1.0)
    return [history[int(i * step)] for i in range(min(n, len(history)))]


def _as_text(item: Item) -> str:
    return item if isinstance(item, str) else f"{item.question.text} → {item.answer}"
