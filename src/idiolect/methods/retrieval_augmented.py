"""Retrieval-augmented personalization, after LaMP: the nearest items of the history precede the input.

    x̄ = φ_p(x, R(φ_q(x), history, k))        Salemi et al. 2023, "LaMP", arXiv 2304.11406

R is BM25 or an embedding similarity. φ_p renders each item in one of LaMP's patterns and joins the items by ", and ":
answers as in LaMP-2 (or as in LaMP-3, on a scale of numbers), texts as in LaMP-7. Here any question can be asked; the
prompts of LaMP's own tasks are in `people.lamp_prompts`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from idiolect.methods.answering import Answerer, PromptedQuestion, are_numbers
from idiolect.methods.personalization import Answer
from idiolect.methods.profile_prompt import plain_prompt
from idiolect.methods.shortened_asking import answer_shortened
from idiolect.methods.shortening import CUTS
from idiolect.methods.templating import render
from idiolect.models.similarity import Bm25Similarity, Similarity
from idiolect.people.user import Opinion, Question

Item = Opinion | str  # an item of a history: an answer or a text


class RetrievalAugmented:
    """The model with the k nearest items of the person's history as prompt.

    An opinion on the same question is never shown, because it would reveal the answer.

    Args:
        answerer: asks the model.
        opinions: the person's opinions; may be empty.
        texts: the person's texts; may be empty. If both are empty, the prompt is the plain task prompt.
        k: number of items, opinions and texts together; 4 in LaMP.
        similarity: finds the nearest items; None: BM25.
        max_chars: maximum length of a question, an answer or a text; longer ones are cut between words.

    Raises:
        ValueError: `k` is less than 1, or `max_chars` is less than 20.
    """

    def __init__(
        self,
        answerer: Answerer,
        opinions: Sequence[Opinion],
        texts: Sequence[str] = (),
        *,
        k: int = 4,
        similarity: Similarity | None = None,
        max_chars: int = 600,
    ) -> None:
        for name, value, least in (("k", k, 1), ("max_chars", max_chars, 20)):
            if value < least:
                raise ValueError(f"{name} is {value}, must be at least {least}")
        self._answerer = answerer
        self._history: tuple[Item, ...] = (*opinions, *texts)
        self._k, self._max_chars = k, max_chars
        self._similarity = Bm25Similarity() if similarity is None else similarity

    async def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Ask each question after the items nearest to it; after fewer or shorter ones, if the model reads no more.

        Raises:
            ContextLengthError: a question alone is too long.
            ModelError: the model could not answer.
        """
        nearest = await self._nearest(questions)
        versions = [partial(self._versions, *each) for each in zip(questions, nearest, strict=True)]
        return [Answer(response) for response in await answer_shortened(self._answerer, versions)]

    async def prompts(self, questions: Sequence[Question]) -> list[str]:
        """Return the prompt for each question, in order."""
        return [self._prompt(items, self._max_chars) for items in await self._nearest(questions)]

    async def _nearest(self, questions: Sequence[Question]) -> list[list[Item]]:
        return await nearest_items(questions, self._history, self._similarity, k=self._k)

    def _versions(self, question: Question, items: Sequence[Item]) -> Iterator[PromptedQuestion]:
        """Yield the question after its items, then without the farthest, and so on, and after a part of one."""
        for n in range(len(items), 0, -1):
            yield PromptedQuestion(self._prompt(items[:n], self._max_chars), question)
        for most in CUTS:
            if items and most < self._max_chars:
                yield PromptedQuestion(self._prompt(items[:1], most), question)
        yield PromptedQuestion(self._prompt((), self._max_chars), question)

    def _prompt(self, items: Sequence[Item], max_chars: int) -> str:
        opinions = [
            {"question": item.question, "answer": item.answer, "rates": _rates(item.question)}
            for item in items
            if isinstance(item, Opinion)
        ]
        texts = [item for item in items if isinstance(item, str)]
        plain = plain_prompt(self._answerer.settings)
        values = {"opinions": opinions, "texts": texts, "max_chars": max_chars, "plain": plain}
        return render("retrieval_augmented.jinja", values)


async def nearest_items(
    questions: Sequence[Question], history: Sequence[Item], similarity: Similarity, *, k: int
) -> list[list[Item]]:
    """Return the k items nearest to each question, nearest first, without opinions on that same question.

    Of equally near items, the earlier one comes first.

    Raises:
        ModelError: the similarity could not answer.
    """
    if not questions or not history:
        return [[] for _ in questions]
    documents = [item if isinstance(item, str) else _asked(item.question) for item in history]
    matrix = await similarity.similarity([_asked(q) for q in questions], documents)
    return [
        [history[int(i)] for i in np.argsort(-row, kind="stable") if not _answers(history[int(i)], question)][:k]
        for row, question in zip(matrix, questions, strict=True)  # row: (items,)
    ]


def _asked(question: Question) -> str:
    return "\n".join((question.text, *question.choices))


def _answers(item: Item, question: Question) -> bool:
    """Return whether the item is an answer to this question, ignoring whitespace, case and choices."""
    return isinstance(item, Opinion) and _flat(item.question.text) == _flat(question.text)


def _flat(text: str) -> str:
    return " ".join(text.split()).casefold()


def _rates(question: Question) -> bool:
    """Return whether the choices are a scale of numbers, such as stars."""
    return question.ordinal and are_numbers(question.choices)
