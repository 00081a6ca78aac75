"""Retrieval-of-Prompt (Eq. 7): the prompt that does best on the opinions nearest to the question answers it.

    k* = argmax_k  mean_{i ∈ N(q)} s(a_i, M(q_i; p_k)),   N(q) = the Ñ opinions nearest to q

Scores are asked for lazily (only where a question needs them) and kept: `personalization` returns the value with
all that has been scored since, for the caller to save. With Ñ = 3 ties are the rule: the tied prompts, and only
they, are then scored on all opinions; what still ties goes to the first in the pool.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from idiolect.errors import SettingsError
from idiolect.methods.answering import Answerer, PromptedQuestion
from idiolect.methods.fermi.memory import ScoredPrompt
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.prompt import render_prompt
from idiolect.methods.fermi.scoring import Cell, Scorer
from idiolect.methods.personalization import Answer, Candidate, Explanation, Neighbour
from idiolect.models.similarity import Similarity
from idiolect.people.user import Question


class RetrievalOfPrompt:
    """Answers questions with a user's set of prompts.

    Args:
        personalization: what was learned.
        answerer: the frozen model, with the settings that it was learned with.
        similarity: nearness of questions; not needed where the settings don't retrieve.
        leave_one_out: opinions on the very question that is asked are left out of retrieval and of demonstrations;
            for judging on opinions that were learned from.

    Raises:
        SettingsError: other answering settings than learned with, or no similarity.
    """

    def __init__(
        self,
        personalization: FermiPersonalization,
        answerer: Answerer,
        similarity: Similarity | None,
        *,
        leave_one_out: bool = False,
    ) -> None:
        settings = personalization.settings
        if answerer.settings != settings.answering:
            raise SettingsError("the prompts were learned with other answering settings")
        if similarity is None and settings.retrieval.retrieve:
            raise SettingsError("Retrieval-of-Prompt needs a similarity")
        self._learned = personalization
        self._answerer = answerer
        self._similarity = similarity
        self._leave_one_out = leave_one_out
        self._settings = settings.retrieval
        self._scorer = Scorer(personalization.opinions, answerer)
        self._pool = list(personalization.prompts)

    @property
    def personalization(self) -> FermiPersonalization:
        """What was learned, with all that has been scored and spent since."""
        return replace(
            self._learned,
            prompts=tuple(self._pool),
            answering=self._learned.answering + self._scorer.usage,
        )

    async def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Choose a prompt for each question, then ask all of them.

        Raises:
            ModelError: the model could not answer.
        """
        if not questions:
            return []
        explanations = await self.explain(questions)
        asked = [
            PromptedQuestion(self._rendered(self._pool[why.chosen], question), question)
            for question, why in zip(questions, explanations, strict=True)
        ]
        responses = await self._answerer.answer(asked)
        return [Answer(response, why) for response, why in zip(responses, explanations, strict=True)]

    async def explain(self, questions: Sequence[Question]) -> list[Explanation]:
        """Which prompt answers each question, and why; scores what that needs.

        Raises:
            ModelError: the model could not answer.
        """
        if not self._settings.retrieve:
            self._pool = await self._scorer.complete(self._pool)
            return [self._explain(()) for _ in questions]
        nearest = await self._nearest(questions)
        await self._score((k, n.index) for near in nearest for n in near for k in range(len(self._pool)))
        # A prompt that quotes all of the nearest opinions has no score on them: its overall score stands in.
        blind = {k for near in nearest for k, p in enumerate(self._pool) if _mean(p, near) is None}
        await self._complete(blind)
        if self._settings.tie_break == "complete":
            await self._complete({k for near in nearest for k in self._tied(near) if len(self._tied(near)) > 1})
        return [self._explain(near) for near in nearest]

    async def _score(self, cells: Iterable[Cell]) -> None:
        self._pool = await self._scorer.fill(self._pool, cells)

    async def _complete(self, prompts: set[int]) -> None:
        await self._score([(k, i) for k in sorted(prompts) for i in self._pool[k].scoreable])

    async def _nearest(self, questions: Sequence[Question]) -> list[tuple[Neighbour, ...]]:
        assert self._similarity is not None
        queries = [self._text(question) for question in questions]
        documents = [self._text(opinion.question) for opinion in self._learned.opinions]
        matrix = await self._similarity.similarity(queries, documents)  # (questions, opinions)
        nearest = []
        for row, question in zip(matrix, questions, strict=True):
            order = np.argsort(-row, kind="stable")
            allowed = [int(i) for i in order if not (self._leave_one_out and self._same(int(i), question))]
            nearest.append(tuple(Neighbour(i, float(row[i])) for i in allowed[: self._settings.neighbours]))
        return nearest

    def _same(self, index: int, question: Question) -> bool:
        return self._learned.opinions[index].question.text.split() == question.text.split()

    def _text(self, question: Question) -> str:
        """Choices included: survey batteries share a stem."""
        if not self._settings.with_choices:
            return question.text
        return "\n".join((question.text, *question.choices))

    def _scores(self, near: tuple[Neighbour, ...]) -> list[float]:
        """Per prompt, its score for a question with these neighbours; ties show as equal floats."""
        scores = []
        for prompt in self._pool:
            mean = _mean(prompt, near)
            scores.append(prompt.bound(0.0) if mean is None else mean)
        return scores

    def _tied(self, near: tuple[Neighbour, ...]) -> list[int]:
        scores = self._scores(near)
        best = max(scores)
        return [k for k, score in enumerate(scores) if score == best]

    def _explain(self, near: tuple[Neighbour, ...]) -> Explanation:
        scores, tied = self._scores(near), self._tied(near)
        overall = [prompt.score if prompt.complete else None for prompt in self._pool]
        chosen = tied[0]
        if self._settings.tie_break == "complete":
            chosen = max(tied, key=lambda k: (self._pool[k].bound(0.0), -k)) if len(tied) > 1 else tied[0]
        candidates = tuple(Candidate(k, score, overall[k]) for k, score in enumerate(scores))
        return Explanation(near, candidates, chosen, len(tied))

    def _rendered(self, prompt: ScoredPrompt, question: Question) -> str:
        asked = question if self._leave_one_out else None
        return render_prompt(prompt.prompt, self._learned.opinions, self._answerer.settings, asked=asked)


def _mean(prompt: ScoredPrompt, near: Sequence[Neighbour]) -> float | None:
    """Mean alignment on the neighbours that the prompt may be scored on; None where there are none."""
    known = [cell.score for cell in (prompt.cells[n.index] for n in near) if cell is not None]
    return math.fsum(known) / len(known) if known else None
