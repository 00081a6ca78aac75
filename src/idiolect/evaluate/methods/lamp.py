"""The method "lamp-rag": LaMP's retrieval-augmented prompts, in the words of its authors, for its own tasks.

    x̄ = φ_p(x, R(φ_q(x), history, k))        Salemi et al., "LaMP", arXiv 2304.11406, k = 4, R = BM25

φ_q and φ_p are in `people.lamp_prompts`. The model sees only this prompt: its questions are verbatim whatever the run's
settings are, without any text of ours. Departures: BM25 is Lucene's, on words without case, while the authors use
Okapi's on text between blanks; items are cut by characters instead of tokens; and the history is the part that every
method of the run learns from, not all of it. `rag` does the same for any task.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from idiolect.errors import Remedy, SettingsError
from idiolect.evaluate.benchmark import Benchmark, Case
from idiolect.evaluate.methods.bench import Bench, Desk
from idiolect.evaluate.methods.method import Examinee, Learned
from idiolect.evaluate.methods.prompting import Nearness, nearness
from idiolect.methods.answering import Answerer, PromptedQuestion
from idiolect.methods.personalization import Answer
from idiolect.methods.setting_checks import require, require_one_of
from idiolect.methods.shortened_asking import answer_shortened
from idiolect.methods.shortening import CUTS
from idiolect.models.similarity import Similarity
from idiolect.people.lamp_forms import LAMP_TASKS, HistoryItem, forms_of
from idiolect.people.lamp_prompts import (
    form_of,
    history_item,
    history_item_of_text,
    profile_prompt,
    retrieval_document,
    retrieval_query,
    shortened,
)
from idiolect.people.user import Question, User

_TASKS = {task.lower(): task for task in LAMP_TASKS}


class LampAugmented:
    """The model with LaMP's prompts."""

    def __init__(
        self, answerer: Answerer, task: str, user: User, settings: LampRetrieval, similarity: Similarity
    ) -> None:
        self._answerer, self._task, self._settings, self._similarity = answerer, task, settings, similarity
        self._items = (
            *(history_item(task, opinion) for opinion in user.opinions),
            *(history_item_of_text(task, text) for text in user.texts),
        )

    async def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Return one answer per question; with fewer or shorter items, if the model reads no more."""
        nearest = [await self._nearest(question) for question in questions]
        versions = [partial(self._versions, *each) for each in zip(questions, nearest, strict=True)]
        return [Answer(response) for response in await answer_shortened(self._answerer, versions)]

    def _versions(self, question: Question, items: Sequence[HistoryItem]) -> Iterator[PromptedQuestion]:
        """Yield the question after its items, then without the farthest, and so on, and after a part of one."""
        most = self._settings.max_chars
        for n in range(len(items), 0, -1):
            yield self._augmented(question, items[:n], most)
        for fewer in CUTS:
            if items and fewer < most:
                yield self._augmented(question, items[:1], fewer)
        yield self._augmented(question, (), most)

    def _augmented(self, question: Question, items: Sequence[HistoryItem], most: int) -> PromptedQuestion:
        form = form_of(self._task, question.text)
        shown = [shortened(item, form, most) for item in items]
        return PromptedQuestion("", replace(question, text=profile_prompt(self._task, question.text, shown)))

    async def _nearest(self, question: Question) -> list[HistoryItem]:
        """Return the nearest items, nearest first; of equally near items, the earlier comes first."""
        query = retrieval_query(self._task, question.text)
        items = [item for item in self._items if _flat(item.text) != _flat(query)]  # excludes the question itself
        if not items:
            return []
        form = forms_of(self._task)[0]
        (row,) = await self._similarity.similarity([query], [retrieval_document(item, form) for item in items])
        return [items[int(index)] for index in np.argsort(-row, kind="stable")[: self._settings.k]]


def _flat(text: str) -> str:
    return " ".join(text.split()).casefold()


@dataclass(frozen=True, slots=True)
class LampRetrieval:
    """The method "lamp-rag".

    Args:
        k: number of items.
        max_chars: maximum length of an item's text (titles in LaMP-1); longer texts are cut between words.
        nearness: similarity that finds the items.

    Raises:
        SettingsError: a value is invalid.
    """

    k: int = 4
    max_chars: int = 600
    nearness: Nearness = "bm25"

    def __post_init__(self) -> None:
        require(self.k >= 1, "k", self.k, "at least 1")
        require(self.max_chars >= 20, "max_chars", self.max_chars, "at least 20")
        require_one_of(Nearness, "nearness", self.nearness)

    async def learn(self, case: Case, _desk: Desk) -> Learned:
        """Keep the person's history."""
        return Learned(case.user)

    def examinee(self, learned: Learned, desk: Desk) -> Examinee:
        """Return the model with the nearest items in its prompt."""
        answerer = desk.answerer_of(desk.model, replace(desk.bench.answering, form="verbatim"))
        similarity = nearness(desk.bench, self.nearness)
        task = lamp_task(desk.bench.benchmark)
        return Examinee(LampAugmented(answerer, task, learned.value, self, similarity))

    def learning_key(self, bench: Bench) -> Hashable:
        """Return a key: the method's settings and the task.

        Raises:
            SettingsError: the task is not one of LaMP's, or its histories lack data that the prompt quotes.
        """
        return (self, lamp_task(bench.benchmark))


def lamp_task(benchmark: Benchmark) -> str:
    """Return the published name of a LaMP task whose prompts can be made.

    Raises:
        SettingsError: the task is not one of LaMP's, or its histories are texts without the answers that prompts quote.
    """
    if benchmark.task not in _TASKS:
        raise SettingsError(
            f"lamp-rag has only the prompts of LaMP's tasks, and {benchmark.task} is not one: use rag for other tasks"
        )
    form = forms_of(_TASKS[benchmark.task])[0]
    texts = any(case.user.texts for case in benchmark.cases)
    if texts and form.asks_of_history and form.label_key != "title":
        raise SettingsError(
            f"lamp-rag quotes people's answers to the items of {benchmark.task}, which histories of texts do not have",
            remedy=Remedy("history", "opinions"),
        )
    return _TASKS[benchmark.task]
