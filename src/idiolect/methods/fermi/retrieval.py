"""Retrieval-of-Prompt (Eq. 7): the prompt that does best on the opinions nearest to the question answers it.

    k* = argmax_k  mean_{i ∈ N(q)} s(a_i, M(q_i; p_k)),   N(q) = the Ñ opinions nearest to q

Scores are asked for lazily (only where a question needs them) and kept: `personalization` returns the value with
all that has been scored since, for the caller to save. With Ñ = 3 ties are the rule: the tied prompts, and only
they, are then scored on all opinions; what still ties goes to the first in the pool.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from idiolect.errors import SettingsError
from idiolect.methods.answering import Answerer, PromptedQuestion
from idiolect.methods.fermi.memory import Judged, ScoredPrompt
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.prompt import quoted_opinions, render_prompt, same_question
from idiolect.methods.fermi.scoring import Cell, Scorer
from idiolect.methods.personalization import Answer, Candidate, Explanation, Neighbour
from idiolect.models.similarity import Similarity
from idiolect.people.user import Opinion, Question


class RetrievalOfPrompt:
    """Answers questions with a user's set of prompts.

    Args:
        personalization: what was learned.
        answerer: the frozen model, with the settings that it was learned with.
        similarity: nearness of questions; not needed where the settings don't retrieve.
        leave_one_out: opinions on the very question that is asked are left out of retrieval, of scores, of
            demonstrations and of what texts quote; for judging on opinions that were learned from.
        judged: the opinions that answers will be judged on: where a prompt's text quotes one, it is not answered under
            that text. Empty where nothing is judged.
        answered_by: another model, which is asked under the prompt that `answerer`'s scores choose: prompts transfer
            across models (the paper, Section 4). None: `answerer` itself.

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
        judged: Sequence[Opinion] = (),
        answered_by: Answerer | None = None,
    ) -> None:
        settings = personalization.settings
        if {answerer.settings, (answered_by or answerer).settings} != {settings.answering}:
            raise SettingsError("the prompts were learned with other answering settings")
        by_nearness = settings.retrieval.demonstration_order == "nearest_last"
        if similarity is None and (settings.retrieval.retrieve or by_nearness):
            raise SettingsError("Retrieval-of-Prompt needs a similarity")
        self._learned = personalization
        self._answerer = answerer
        self._answered_by = answered_by or answerer
        self._similarity = similarity
        self._leave_one_out = leave_one_out
        self._judged = tuple(judged)
        self._settings = settings.retrieval
        self._scorer = Scorer(personalization.opinions, answerer)
        self._pool = list(personalization.prompts)
        self._scoring = asyncio.Lock()

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
        chosen = await self._choose(questions)
        asked = [
            PromptedQuestion(self._rendered(why.chosen, question, view), question)
            for question, (view, why) in zip(questions, chosen, strict=True)
        ]
        responses = await self._answered_by.answer(asked)
        return [Answer(response, why) for response, (_, why) in zip(responses, chosen, strict=True)]

    async def explain(self, questions: Sequence[Question]) -> list[Explanation]:
        """Which prompt answers each question, and why; scores what that needs.

        Raises:
            ModelError: the model could not answer.
        """
        return [why for _, why in await self._choose(questions)]

    async def _choose(self, questions: Sequence[Question]) -> list[tuple[_View, Explanation]]:
        async with self._scoring:  # one call at a time, each goes on from the scores of the one before
            views = await self._views(questions)
            await self._score((k, n.index) for view in views for n in view.near for k in range(len(self._pool)))
            # A prompt that quotes all of the nearest opinions has no score on them: its overall score stands in.
            await self._complete(
                (view, [k for k, p in enumerate(self._pool) if view.mean(p) is None]) for view in views
            )
            overall = self._overall(views)
            scores = [self._scores(view, overall[view.left_out]) for view in views]
            tied = [self._tied(view, of_view) for view, of_view in zip(views, scores, strict=True)]
            if self._settings.tie_break == "complete":
                await self._complete((view, best) for view, best in zip(views, tied, strict=True) if len(best) > 1)
                overall = self._overall(views)
            return [
                (view, self._explain(view, of_view, best, overall[view.left_out]))
                for view, of_view, best in zip(views, scores, tied, strict=True)
            ]

    async def _score(self, cells: Iterable[Cell]) -> None:
        self._pool = await self._scorer.fill(self._pool, cells)

    async def _complete(self, wanted: Iterable[tuple[_View, Sequence[int]]]) -> None:
        """Score prompts on all opinions that their view doesn't leave out."""
        by_left_out: dict[frozenset[int], set[int]] = {}
        for view, prompts in wanted:
            by_left_out.setdefault(view.left_out, set()).update(prompts)
        await self._score(
            (k, i)
            for left_out, prompts in by_left_out.items()
            for k in sorted(prompts)
            for i in self._pool[k].scoreable
            if i not in left_out
        )

    async def _views(self, questions: Sequence[Question]) -> list[_View]:
        left_out = [self._left_out(question) for question in questions]
        unfair = [self._unfair(question, out) for question, out in zip(questions, left_out, strict=True)]
        by_nearness = self._settings.demonstration_order == "nearest_last"
        if not self._settings.retrieve and not by_nearness:
            return [_View((), out, barred) for out, barred in zip(left_out, unfair, strict=True)]
        assert self._similarity is not None
        queries = [self._text(question) for question in questions]
        documents = [self._text(opinion.question) for opinion in self._learned.opinions]
        matrix = await self._similarity.similarity(queries, documents)  # (questions, opinions)
        views = []
        for row, out, barred in zip(matrix, left_out, unfair, strict=True):
            ranking = [int(i) for i in np.argsort(-row, kind="stable")]
            allowed = [i for i in ranking if i not in out] if self._settings.retrieve else []
            near = tuple(Neighbour(i, float(row[i])) for i in allowed[: self._settings.neighbours])
            views.append(_View(near, out, barred, tuple(ranking) if by_nearness else ()))
        return views

    def _left_out(self, question: Question) -> frozenset[int]:
        """The opinions that must not play a part when this question is asked."""
        if not self._leave_one_out:
            return frozenset()
        return frozenset(i for i, o in enumerate(self._learned.opinions) if same_question(o.question, question))

    def _unfair(self, question: Question, left_out: frozenset[int]) -> frozenset[int]:
        """The prompts of the pool whose text gives away the answer to this question."""
        judged = [opinion for opinion in self._judged if same_question(opinion.question, question)]
        return frozenset(
            k
            for k, scored in enumerate(self._pool)
            if not left_out.isdisjoint(scored.prompt.quotes) or quoted_opinions(scored.prompt.text, judged)
        )

    def _text(self, question: Question) -> str:
        """Choices included: survey batteries share a stem."""
        if not self._settings.with_choices:
            return question.text
        return "\n".join((question.text, *question.choices))

    def _overall(self, views: Iterable[_View]) -> dict[frozenset[int], list[float | None]]:
        """Per set of opinions that is left out, the overall score of each prompt; None where it isn't known."""
        by_left_out = {view.left_out: view for view in views}
        return {left_out: [view.overall(prompt) for prompt in self._pool] for left_out, view in by_left_out.items()}

    def _scores(self, view: _View, overall: Sequence[float | None]) -> list[float]:
        """Per prompt, its score for a question with this view; ties show as equal floats."""
        means = [view.mean(prompt) for prompt in self._pool]
        return [instead or 0.0 if mean is None else mean for mean, instead in zip(means, overall, strict=True)]

    def _tied(self, view: _View, scores: Sequence[float]) -> list[int]:
        """The best prompts; one that gives the answer away can't be among them, unless all do."""
        fair = [k for k in range(len(scores)) if k not in view.unfair] or list(range(len(scores)))
        best = max(scores[k] for k in fair)
        return [k for k in fair if scores[k] == best]

    def _explain(
        self, view: _View, scores: Sequence[float], tied: Sequence[int], overall: Sequence[float | None]
    ) -> Explanation:
        chosen = tied[0]
        if self._settings.tie_break == "complete" and len(tied) > 1:
            chosen = max(tied, key=lambda k: (overall[k] or 0.0, -k))
        candidates = tuple(Candidate(k, score, overall[k]) for k, score in enumerate(scores))
        return Explanation(view.near, candidates, chosen, len(tied))

    def _rendered(self, chosen: int, question: Question, view: _View) -> str:
        prompt = self._pool[chosen].prompt
        if chosen in view.unfair:
            prompt = replace(prompt, text=self._learned.initial.prompt.text)
        if view.ranking:
            prompt = replace(prompt, demonstrations=tuple(sorted(prompt.demonstrations, key=view.farness)))
        asked = question if self._leave_one_out else None
        return render_prompt(prompt, self._learned.opinions, self._answerer.settings, asked=asked)


@dataclass(frozen=True, slots=True)
class _View:
    """What may be looked at to choose a prompt for one question: the nearest opinions, and all but those left out.

    `unfair` holds the prompts that give the answer away; `ranking` holds all opinions, nearest first, where
    demonstrations stand in that order, else it is empty.
    """

    near: tuple[Neighbour, ...]
    left_out: frozenset[int]
    unfair: frozenset[int]
    ranking: tuple[int, ...] = ()

    def farness(self, index: int) -> int:
        """Sorts demonstrations so that the nearest stands last."""
        return -self.ranking.index(index)

    def mean(self, prompt: ScoredPrompt) -> float | None:
        """Mean alignment on the neighbours that the prompt may be scored on; None where there are none."""
        return _mean([prompt.cells[n.index] for n in self.near])

    def overall(self, prompt: ScoredPrompt) -> float | None:
        """Mean alignment on all opinions that count, None where there are none or one of them wasn't asked."""
        cells = [prompt.cells[i] for i in prompt.scoreable if i not in self.left_out]
        return None if None in cells else _mean(cells)


def _mean(cells: Iterable[Judged | None]) -> float | None:
    known = [cell.score for cell in cells if cell is not None]
    return math.fsum(known) / len(known) if known else None
