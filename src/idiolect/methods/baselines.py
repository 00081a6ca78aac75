"""Baselines and controls for personalizations, each a small respondent.

constant    always the same choice (the majority over *other* people)
own mode    the person's own most frequent answer
base        the model without personalization (vanilla)
profile     the model with the person's profile as prompt
few-shot    the model with the k nearest (or the first k) of the person's opinions as prompt
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from idiolect.methods.answering import Answerer, PromptedQuestion, Response, demonstration_block
from idiolect.methods.personalization import Answer
from idiolect.methods.profile_prompt import profile_prompt
from idiolect.models.similarity import Similarity
from idiolect.people.user import Opinion, Question, UserProfile


class FrequentAnswer:
    """Respondent with the most frequent answer to questions with the same choices; ties go to the first choice.

    With the person's own opinions this is "own mode"; with other people's it is the "constant". A question whose
    choices never occurred gets its first choice, and free text gets no answer.
    """

    def __init__(self, opinions: Iterable[Opinion]) -> None:
        self._counts: dict[tuple[str, ...], Counter[str]] = {}
        for opinion in opinions:
            self._counts.setdefault(opinion.question.choices, Counter())[opinion.answer] += 1

    async def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Return one answer per question, without a call."""
        return [Answer(self._answer(question)) for question in questions]

    def _answer(self, question: Question) -> Response:
        if not question.choices:
            return Response("", None)
        counts = self._counts.get(question.choices, Counter())
        best = max(question.choices, key=lambda choice: counts[choice])
        return Response(best, best)


class FixedPrompt:
    """The model with one prompt for every question, such as "" (base) or the profile prompt."""

    def __init__(self, answerer: Answerer, prompt: str = "") -> None:
        self._answerer = answerer
        self._prompt = prompt

    async def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Ask all questions with the prompt."""
        asked = [PromptedQuestion(self._prompt, question) for question in questions]
        return [Answer(response) for response in await self._answerer.answer(asked)]


def base(answerer: Answerer) -> FixedPrompt:
    """Return the unpersonalized model, with the plain task prompt, or without a prompt for verbatim questions."""
    return FixedPrompt(answerer, "" if answerer.settings.form == "verbatim" else profile_prompt(UserProfile()))


def profile(answerer: Answerer, user_profile: UserProfile) -> FixedPrompt:
    """Return the model with the profile prompt, Fermi's `P⁰`; without a profile, the same as `base`."""
    return FixedPrompt(answerer, profile_prompt(user_profile)) if user_profile else base(answerer)


class FewShot:
    """The model with k of the person's opinions as examples.

    Args:
        answerer: asks the model.
        opinions: the person's opinions.
        k: number of examples.
        similarity: selects the k opinions nearest to each question, nearest last; None: the first k for every question.
        instruction: text before the examples.
    """

    def __init__(
        self,
        answerer: Answerer,
        opinions: Sequence[Opinion],
        *,
        k: int = 16,
        similarity: Similarity | None = None,
        instruction: str = "",
    ) -> None:
        if k < 1:
            raise ValueError(f"k is {k}, must be at least 1")
        self._answerer = answerer
        self._opinions = tuple(opinions)
        self._k = k
        self._similarity = similarity
        self._instruction = instruction

    async def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Ask each question after its examples."""
        asked = []
        for question, indices in zip(questions, await self._choose(questions), strict=True):
            shown = demonstration_block([self._opinions[i] for i in indices], self._answerer.settings)
            asked.append(PromptedQuestion("\n\n".join(p for p in (self._instruction, shown) if p), question))
        return [Answer(response) for response in await self._answerer.answer(asked)]

    async def _choose(self, questions: Sequence[Question]) -> list[list[int]]:
        if self._similarity is None or len(self._opinions) <= self._k:
            return [list(range(min(self._k, len(self._opinions))))] * len(questions)
        queries = ["\n".join((q.text, *q.choices)) for q in questions]
        documents = ["\n".join((o.question.text, *o.question.choices)) for o in self._opinions]
        matrix = await self._similarity.similarity(queries, documents)  # (questions, opinions)
        return [[int(i) for i in np.argsort(-row, kind="stable")[: self._k]][::-1] for row in matrix]
