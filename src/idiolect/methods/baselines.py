"""Baselines and controls for personalizations, each a small respondent.

constant    always the same choice (the majority over *other* people)
own mode    the person's own most frequent answer
base        the model without personalization (vanilla)
profile     the model with the person's profile as prompt
few-shot    the model with the k nearest (or the first k) of the person's opinions as prompt
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from idiolect.methods.answering import Answerer, PromptedQuestion, Response, demonstration_block
from idiolect.methods.personalization import Answer
from idiolect.methods.profile_prompt import plain_prompt, profile_prompt, shorter_profile_prompts
from idiolect.methods.shortened_asking import answer_shortened
from idiolect.methods.shortening import CUTS, cut, fits
from idiolect.models.similarity import Similarity
from idiolect.people.user import Opinion, Question, UserProfile

Prompts = Callable[[], Iterable[str]]


def no_prompts() -> tuple[str, ...]:
    """Return no shorter prompts."""
    return ()


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
    """The model with one prompt for every question, such as "" (base) or the profile prompt.

    Args:
        answerer: asks the model.
        prompt: the prompt.
        shorter: returns ever shorter prompts, for a question that is too long for the model with the prompt.
    """

    def __init__(self, answerer: Answerer, prompt: str = "", *, shorter: Prompts = no_prompts) -> None:
        self._answerer = answerer
        self._prompt = prompt
        self._shorter = shorter

    async def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Ask all questions with the prompt; where that is too long for the model, with a shorter one.

        Raises:
            ContextLengthError: a question with the shortest prompt is too long.
            ModelError: the model could not answer.
        """
        responses = await answer_shortened(self._answerer, [partial(self._versions, each) for each in questions])
        return [Answer(response) for response in responses]

    def _versions(self, question: Question) -> Iterator[PromptedQuestion]:
        yield PromptedQuestion(self._prompt, question)
        for prompt in self._shorter():
            yield PromptedQuestion(prompt, question)


def base(answerer: Answerer) -> FixedPrompt:
    """Return the unpersonalized model, with the plain task prompt, or without a prompt for verbatim questions."""
    return FixedPrompt(answerer, "" if answerer.settings.form == "verbatim" else plain_prompt(answerer.settings))


def profile(answerer: Answerer, user_profile: UserProfile) -> FixedPrompt:
    """Return the model with the profile prompt, Fermi's `P⁰`; without a profile, the same as `base`."""
    if not user_profile:
        return base(answerer)
    settings = answerer.settings
    shorter = partial(shorter_profile_prompts, user_profile, settings)
    return FixedPrompt(answerer, profile_prompt(user_profile, settings), shorter=shorter)


class FewShot:
    """The model with k of the person's opinions as examples.

    Args:
        answerer: asks the model.
        opinions: the person's opinions.
        k: number of examples.
        similarity: selects the k opinions nearest to each question, nearest last; None: the first k for every question.
        instruction: text before the examples.
        shorter: returns ever shorter instructions, for a question that is too long even without examples.
        max_prompt_tokens: limit on the length of instruction and examples in tokens, estimated as 4 bytes each; the
            farthest examples are left out until they fit, but never the instruction. None: no limit.
    """

    def __init__(
        self,
        answerer: Answerer,
        opinions: Sequence[Opinion],
        *,
        k: int = 16,
        similarity: Similarity | None = None,
        instruction: str = "",
        shorter: Prompts = no_prompts,
        max_prompt_tokens: int | None = None,
    ) -> None:
        if k < 1:
            raise ValueError(f"k is {k}, must be at least 1")
        if max_prompt_tokens is not None and max_prompt_tokens < 1:
            raise ValueError(f"max_prompt_tokens is {max_prompt_tokens}, must be at least 1")
        self._answerer = answerer
        self._opinions = tuple(opinions)
        self._k = k
        self._similarity = similarity
        self._instruction, self._shorter = instruction, shorter
        self._max_tokens = max_prompt_tokens

    async def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Ask each question after its examples; if prompts are too long for the model, after fewer or shorter ones.

        Raises:
            ContextLengthError: a question alone is too long.
            ModelError: the model could not answer.
        """
        chosen = await self._choose(questions)
        versions = [partial(self._versions, *each) for each in zip(questions, chosen, strict=True)]
        return [Answer(response) for response in await answer_shortened(self._answerer, versions)]

    def _versions(self, question: Question, indices: Sequence[int]) -> Iterator[PromptedQuestion]:
        for shown in self._ever_fewer(indices):
            yield PromptedQuestion(self._prompt(shown), question)
        for prompt in (*self._shorter(), ""):
            yield PromptedQuestion(prompt, question)

    def _prompt(self, shown: Sequence[Opinion]) -> str:
        examples = demonstration_block(shown, self._answerer.settings)
        return "\n\n".join(part for part in (self._instruction, examples) if part)

    def _ever_fewer(self, indices: Sequence[int]) -> Iterator[list[Opinion]]:
        """Yield the examples, then without the farthest one, and so on to the nearest, then only its beginning."""
        shown = [self._opinions[i] for i in indices]
        if self._max_tokens is not None:
            while shown and not fits(self._prompt(shown), self._max_tokens):
                shown = self._without_farthest(shown)
        while len(shown) > 1:
            yield shown
            shown = self._without_farthest(shown)
        if shown:
            yield shown
            for most in CUTS:
                question = replace(shown[0].question, text=cut(shown[0].question.text, most))
                yield [replace(shown[0], question=question)]
        yield []

    def _without_farthest(self, shown: list[Opinion]) -> list[Opinion]:
        """Return the examples without the farthest from the question; in a fixed order, without the last."""
        return shown[1:] if self._similarity is not None else shown[:-1]

    async def _choose(self, questions: Sequence[Question]) -> list[list[int]]:
        if self._similarity is None or len(self._opinions) < 2:  # one has no order
            return [list(range(min(self._k, len(self._opinions))))] * len(questions)
        queries = ["\n".join((q.text, *q.choices)) for q in questions]
        documents = ["\n".join((o.question.text, *o.question.choices)) for o in self._opinions]
        matrix = await self._similarity.similarity(queries, documents)  # (questions, opinions)
        return [[int(i) for i in np.argsort(-row, kind="stable")[: self._k]][::-1] for row in matrix]
