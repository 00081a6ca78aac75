"""Baselines and controls for personalizations, each a small respondent.

constant    always the same choice (the majority over *other* people)
own mode    the person's own most frequent answer
base        the model without personalization (vanilla)
profile     the model with the person's profile as prompt
few-shot    the model with the k nearest (or the first k) of the person's opinions as prompt
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from idiolect.errors import ContextLengthError
from idiolect.methods.answering import Answerer, PromptedQuestion, Response, asked_block, demonstration_block
from idiolect.methods.personalization import Answer
from idiolect.methods.profile_prompt import plain_prompt, profile_prompt
from idiolect.methods.shortening import CUTS, cut, first_fitting, room_after, size_of
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
    return FixedPrompt(answerer, "" if answerer.settings.form == "verbatim" else plain_prompt(answerer.settings))


def profile(answerer: Answerer, user_profile: UserProfile) -> FixedPrompt:
    """Return the model with the profile prompt, Fermi's `P⁰`; without a profile, the same as `base`."""
    return FixedPrompt(answerer, profile_prompt(user_profile, answerer.settings)) if user_profile else base(answerer)


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
        """Ask each question after its examples; if prompts are too long for the model, after fewer or shorter ones.

        Raises:
            ContextLengthError: a question alone is too long.
            ModelError: the model could not answer.
        """
        chosen = await self._choose(questions)
        asked = [self._prompted(question, shown, None) for question, shown in zip(questions, chosen, strict=True)]
        try:
            return [Answer(response) for response in await self._answerer.answer(asked)]
        except ContextLengthError:  # of one of them at least; the answers to the others are kept
            each = (self._fitted(question, shown) for question, shown in zip(questions, chosen, strict=True))
            outcomes = await asyncio.gather(*each, return_exceptions=True)
        answers = [Answer(outcome) for outcome in outcomes if not isinstance(outcome, BaseException)]
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return answers

    async def _fitted(self, question: Question, indices: Sequence[int]) -> Response:
        """Ask one question after as many examples as the model can read."""
        room: int | None = None
        while True:
            asked = self._prompted(question, indices, room)
            try:
                return (await self._answerer.answer([asked]))[0]
            except ContextLengthError as error:
                if not asked.prompt:
                    raise
                whole = size_of(asked.prompt) + size_of(asked_block(question, self._answerer.settings))
                room = room_after(error, whole, max_tokens=self._answerer.settings.max_tokens)

    def _prompted(self, question: Question, indices: Sequence[int], room: int | None) -> PromptedQuestion:
        """Return the question with as many of its examples as there is room for, in bytes; None: with all of them."""
        if room is not None:
            room = max(room - size_of(asked_block(question, self._answerer.settings)), 0)
        _, prompt = first_fitting((self._prompt(shown) for shown in self._ever_fewer(indices)), room)
        return PromptedQuestion(prompt if room is None or size_of(prompt) <= room else "", question)

    def _prompt(self, shown: Sequence[Opinion]) -> str:
        examples = demonstration_block(shown, self._answerer.settings)
        return "\n\n".join(part for part in (self._instruction, examples) if part)

    def _ever_fewer(self, indices: Sequence[int]) -> Iterator[list[Opinion]]:
        """Yield the examples, then without the farthest one, and so on to the nearest, then only its beginning."""
        shown = [self._opinions[i] for i in indices]
        while len(shown) > 1:
            yield shown
            shown = shown[1:] if self._similarity is not None else shown[:-1]
        yield shown
        for most in CUTS if shown else ():
            question = replace(shown[0].question, text=cut(shown[0].question.text, most))
            yield [replace(shown[0], question=question)]
        yield []

    async def _choose(self, questions: Sequence[Question]) -> list[list[int]]:
        if self._similarity is None or len(self._opinions) < 2:  # one has no order
            return [list(range(min(self._k, len(self._opinions))))] * len(questions)
        queries = ["\n".join((q.text, *q.choices)) for q in questions]
        documents = ["\n".join((o.question.text, *o.question.choices)) for o in self._opinions]
        matrix = await self._similarity.similarity(queries, documents)  # (questions, opinions)
        return [[int(i) for i in np.argsort(-row, kind="stable")[: self._k]][::-1] for row in matrix]
