"""The method "lamp-rag": LaMP's retrieval-augmented prompts, in the words of its authors, for its own tasks.

    x̄ = φ_p(x, R(φ_q(x), history, k))        Salemi et al., "LaMP", arXiv 2304.11406, k = 4, R = BM25

φ_q and φ_p are `people.lamp_prompts`. The prompt is all that the model is shown: its questions stand verbatim whatever
the run says, and nothing of ours stands before them. Departures: BM25 is Lucene's, on words without case, where the
authors' is Okapi's on what stands between blanks; items are cut to characters instead of tokens; and the history is
what every method of the run learns from, not all of it. `rag` does the same for any task.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from idiolect.errors import Remedy, SettingsError
from idiolect.evaluate.benchmark import Benchmark, Case
from idiolect.evaluate.methods.bench import Bench, Desk
from idiolect.evaluate.methods.method import Examinee, Learned
from idiolect.evaluate.methods.prompting import Nearness, nearness
from idiolect.methods.answering import Answerer, PromptedQuestion
from idiolect.methods.personalization import Answer
from idiolect.methods.setting_checks import require, require_one_of
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
    """The model behind LaMP's prompts."""

    def __init__(
        self, answerer: Answerer, task: str, user: User, settings: LampRetrieval, similarity: Similarity
    ) -> None:
        self._answerer, self._task, self._settings, self._similarity = answerer, task, settings, similarity
        self._items = (
            *(history_item(task, opinion) for opinion in user.opinions),
            *(history_item_of_text(task, text) for text in user.texts),
        )

    async def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Return one answer a question."""
        asked = [PromptedQuestion("", await self._augmented(question)) for question in questions]
        return [Answer(response) for response in await self._answerer.answer(asked)]

    async def _augmented(self, question: Question) -> Question:
        form, query = form_of(self._task, question.text), retrieval_query(self._task, question.text)
        items = [item for item in self._items if _flat(item.text) != _flat(query)]  # what is asked, spaced otherwise
        shown = [shortened(item, form, self._settings.max_chars) for item in await self._nearest(query, items)]
        return replace(question, text=profile_prompt(self._task, question.text, shown))

    async def _nearest(self, query: str, items: Sequence[HistoryItem]) -> list[HistoryItem]:
        """Return the nearest items, nearest first; of equally near ones the earlier."""
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
        k: how many items.
        max_chars: longer texts of items (titles in LaMP-1) are cut between words.
        nearness: how they are found.

    Raises:
        SettingsError: a value that makes no sense.
    """

    k: int = 4
    max_chars: int = 600
    nearness: Nearness = "bm25"

    def __post_init__(self) -> None:
        require(self.k >= 1, "k", self.k, "at least 1")
        require(self.max_chars >= 20, "max_chars", self.max_chars, "at least 20")
        require_one_of(Nearness, "nearness", self.nearness)

    async def learn(self, case: Case, _desk: Desk) -> Learned:
        """Remember the person's history."""
        return Learned(case.user)

    def examinee(self, learned: Learned, desk: Desk) -> Examinee:
        """Return the model behind the nearest items."""
        answerer = Answerer(desk.model, replace(desk.bench.answering, form="verbatim"))
        similarity = nearness(desk.bench, self.nearness)
        task = lamp_task(desk.bench.benchmark)
        return Examinee(LampAugmented(answerer, task, learned.value, self, similarity))

    def learning_key(self, bench: Bench) -> Hashable:
        """Return the method's settings and its task.

        Raises:
            SettingsError: the task is none of LaMP's, or its histories lack what the prompt quotes.
        """
        return (self, lamp_task(bench.benchmark))


def lamp_task(benchmark: Benchmark) -> str:
    """Return the published name of a task whose prompts can be made.

    Raises:
        SettingsError: the task is none of LaMP's, or its histories are texts without the scores that prompts quote.
    """
    if benchmark.task not in _TASKS:
        raise SettingsError(
            f"lamp-rag has the prompts of LaMP's tasks, and {benchmark.task} is none: rag asks anything"
        )
    form = forms_of(_TASKS[benchmark.task])[0]
    texts = any(case.user.texts for case in benchmark.cases)
    if texts and form.asks_of_history and form.label_key != "title":
        raise SettingsError(
            f"lamp-rag quotes what people gave the items of {benchmark.task}, and histories of texts don't hold it",
            remedy=Remedy("history", "opinions"),
        )
    return _TASKS[benchmark.task]
