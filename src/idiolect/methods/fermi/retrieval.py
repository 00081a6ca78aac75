"""Retrieval-of-Prompt (Eq. 7): a question is answered with the prompt that scores best on the opinions nearest to it.

    k* = argmax_k  mean_{i ∈ N(q)} s(a_i, M(q_i; p_k)),   N(q) = the Ñ opinions nearest to q

Scores are computed lazily (only if a question needs them) and kept: `personalization` includes all scores so far, for
the caller to save. With Ñ = 3 ties are common. Only the tied prompts are then scored on all opinions; a remaining tie
goes to the first in the pool.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from idiolect.errors import SettingsError
from idiolect.methods.answering import Answerer, Response
from idiolect.methods.fermi.chosen_prompt import ChosenPrompt, PromptVersions
from idiolect.methods.fermi.combining import bias_of, combined
from idiolect.methods.fermi.disposition_bearing import bearing_on
from idiolect.methods.fermi.dispositions import with_known
from idiolect.methods.fermi.estimates import estimates
from idiolect.methods.fermi.examples import compared_text
from idiolect.methods.fermi.grounds import Grounds
from idiolect.methods.fermi.memory import ScoredPrompt
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.prompt import quoted_opinions, render_prompt, same_question
from idiolect.methods.fermi.scoring import Cell, Room, Scorer
from idiolect.methods.fermi.withheld import hybrid_scorer, withheld_by
from idiolect.methods.personalization import Answer, Candidate, Explanation, Neighbour
from idiolect.methods.shortened_asking import answer_shortened
from idiolect.models.language_model import Usage
from idiolect.models.similarity import FloatArray, Similarity
from idiolect.people.user import Opinion, Question


class RetrievalOfPrompt:
    """Respondent with a user's set of prompts.

    Args:
        personalization: the user's prompts.
        answerer: the frozen model, with the answering settings of the prompts.
        similarity: similarity of questions; not needed if the settings do not retrieve.
        leave_one_out: exclude opinions on the asked question from retrieval, scores and demonstrations, and do not
            use prompts whose text quotes one; for judging on opinions that were learned from.
        judged: opinions that the answers will be judged on. A prompt whose text quotes one of them does not answer its
            question with that text. Empty: nothing is judged.
        answered_by: another model, which answers with the prompt that `answerer`'s scores choose, since prompts
            transfer across models (the paper, Section 4). None: `answerer` itself. `ensemble.calibrate` still divides
            by what `answerer` prefers, so it is only for a model that prefers the same, such as an edited one.
        max_prompt_tokens: limit on the prompts that answer; those that are scored keep the limit of the settings. None:
            the limit of the settings for both. A smaller limit that the model's refusals have shown holds as well.

    Raises:
        SettingsError: the prompts were learned with other answering settings, or a similarity is missing.
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
        max_prompt_tokens: int | None = None,
    ) -> None:
        settings = personalization.settings
        if {answerer.settings, (answered_by or answerer).settings} != {settings.answering}:
            raise SettingsError("the prompts were learned with other answering settings")
        self._settings, self._hybrid, self._ensemble = settings.retrieval, settings.hybrid, settings.ensemble
        self._sorts_demonstrations = self._settings.demonstration_order == "nearest_last"
        self._needs_similarity = (
            self._settings.retrieve
            or self._sorts_demonstrations
            or self._hybrid.examples > 0
            or (self._ensemble.own_answers > 0 and self._ensemble.own_nearness is not None)
        )
        if similarity is None and self._needs_similarity:
            raise SettingsError("Retrieval-of-Prompt needs a similarity")
        self._learned = personalization
        found = Room(personalization.found_limit if answered_by is None else None)
        limit = self._hybrid.max_prompt_tokens if max_prompt_tokens is None else max_prompt_tokens
        self._max_tokens = found.within(limit).max_tokens
        self._answerer = answerer
        self._answered_by = answered_by or answerer
        self._similarity = similarity
        self._leave_one_out = leave_one_out
        self._judged = tuple(judged)
        self._made_scorer: Scorer | None = None
        self._pool = list(personalization.prompts)
        self._withheld = withheld_by(personalization.initial)
        self._scoring = asyncio.Lock()

    @property
    def personalization(self) -> FermiPersonalization:
        """The personalization with all scores and costs so far."""
        return replace(
            self._learned,
            prompts=tuple(self._pool),
            answering=self._learned.answering + (self._made_scorer.usage if self._made_scorer else Usage()),
        )

    async def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Choose a prompt for each question, then ask all questions."""
        if not questions:
            return []
        chosen = await self.prompts(questions)
        asked = [
            [partial(each.asked, question) for each in one.answering]
            for question, one in zip(questions, chosen, strict=True)
        ]
        responses = iter(await answer_shortened(self._answered_by, [each for several in asked for each in several]))
        answers = []
        for question, one in zip(questions, chosen, strict=True):
            answered = [next(responses) for _ in one.answering]
            if self._ensemble.combines:
                prompts = [self._pool[each.place] for each in one.answering]
                answered = [self.combine(question, answered, prompts, one.grounds)]
            answers.append(Answer(answered[0], one.explanation))
        return answers

    async def prompts(self, questions: Sequence[Question], *, score: bool = True) -> list[ChosenPrompt]:
        """Return the prompt that is chosen for each question, for callers that ask the model themselves.

        Args:
            questions: the questions; in a conversation, the last turn of the person.
            score: whether to compute missing scores. If not, the model is not called, and the choice rests on the
                scores that are known: an opinion that a prompt was never asked counts as lost by it, and if none of
                the opinions is similar to a question (> 0), all of them count as if nothing was retrieved.

        Raises:
            ModelError: the model could not answer, or the similarity failed.
        """
        chosen = await self._choose(questions) if score else await self._choose_by_known(questions)
        return [
            ChosenPrompt(why, grounds, tuple(self._versions(question, grounds, why)))
            for question, (grounds, why) in zip(questions, chosen, strict=True)
        ]

    def combine(
        self, question: Question, responses: Sequence[Response], prompts: Sequence[ScoredPrompt], grounds: Grounds
    ) -> Response:
        """Return one response to a question for those of several prompts, the best one's first."""
        places = [i for i in range(len(self._learned.opinions)) if i not in grounds.excluded]
        own = [self._learned.opinions[i] for i in places]
        near = [grounds.similarities[i] for i in places]
        biases = None
        if self._ensemble.calibrate and question.choices:
            asked = [[prompt.judged(i) for i in places] for prompt in prompts]
            biases = [bias_of(question, own, [cell.response if cell else None for cell in row]) for row in asked]
        return combined(question, responses, own, self._ensemble, similarities=near, biases=biases).response

    def _versions(self, question: Question, grounds: Grounds, why: Explanation) -> Iterator[PromptVersions]:
        """Yield the different prompts that answer a question, by index, each with ever fewer of the nearest examples.

        These are the prompts of the ensemble, each in its orders. Texts cannot be combined, so a question without
        choices is answered by the chosen prompt alone.
        """
        several = why.answering or (why.chosen,) if question.choices else (why.chosen,)
        orders = self._ensemble.orders if question.choices else 1
        texts = {
            self._rendered(k, question, grounds, order, known=why.dispositions): (k, order)
            for order in reversed(range(orders))
            for k in reversed(several)
        }

        def shorter(k: int, order: int) -> Iterator[str]:
            examples = self._hybrid.examples
            while examples:
                examples //= 2
                yield self._rendered(k, question, grounds, order, known=why.dispositions, examples=examples)

        for text, (k, order) in reversed(texts.items()):
            yield PromptVersions(k, text, partial(shorter, k, order))

    async def explain(self, questions: Sequence[Question]) -> list[Explanation]:
        """Return the choice of a prompt for each question, after computing the scores that it needs.

        Raises:
            ModelError: the model could not answer.
        """
        return [why for _, why in await self._choose(questions)]

    async def _choose(self, questions: Sequence[Question]) -> list[tuple[Grounds, Explanation]]:
        async with self._scoring:  # one call at a time, so that each uses the scores of the one before
            all_grounds = await self.grounds(questions)
            # 1) Score every prompt on the opinions nearest to each question, or on all of them for estimates: an answer
            #    must not depend on what was asked before it.
            everything = range(len(self._pool))
            if self._settings.shrinkage:
                await self.score((k, i) for k in everything for i in self._pool[k].scoreable)
            await self.score((k, n.index) for grounds in all_grounds for n in grounds.nearest for k in everything)
            # 2) Without retrieval, or if a prompt quotes all of the nearest opinions, there is no such score, and the
            #    overall score takes its place.
            await self._score_overall(
                (grounds, [k for k in everything if grounds.score_nearby(self._pool[k]) is None])
                for grounds in all_grounds
            )
            overall = self._overall_scores(all_grounds)
            scores = [self._scores(grounds, overall[grounds.excluded]) for grounds in all_grounds]
            tied = [self._best(grounds, each) for grounds, each in zip(all_grounds, scores, strict=True)]
            # 3) Break ties by the overall score.
            if self._settings.tie_break == "complete":
                of_several = [(grounds, best) for grounds, best in zip(all_grounds, tied, strict=True) if len(best) > 1]
                await self._score_overall(of_several)
                overall = self._overall_scores(all_grounds)
            known = await self._dispositions(questions, all_grounds)
            chosen = [
                (grounds, self._explanation(grounds, each, best, overall[grounds.excluded], stated))
                for grounds, each, best, stated in zip(all_grounds, scores, tied, known, strict=True)
            ]
            # 4) What the answering prompts prefer whatever they are asked is known from all opinions.
            if self._ensemble.calibrate:
                await self._score_overall((grounds, why.answering) for grounds, why in chosen)
            return chosen

    async def _choose_by_known(self, questions: Sequence[Question]) -> list[tuple[Grounds, Explanation]]:
        """Choose like `_choose`, by the scores that are known, without a call to the answering model."""
        all_grounds = [each.if_similar for each in await self.grounds(questions)]
        overall = self._overall_scores(all_grounds)
        found = []
        for grounds, stated in zip(all_grounds, await self._dispositions(questions, all_grounds), strict=True):
            known = [grounds.least_score(prompt) for prompt in self._pool]
            scores = self._scores(grounds, overall[grounds.excluded]) if self._settings.shrinkage else known
            best = self._best(grounds, scores)
            found.append((grounds, self._explanation(grounds, scores, best, overall[grounds.excluded], stated)))
        return found

    async def _dispositions(
        self, questions: Sequence[Question], all_grounds: Sequence[Grounds]
    ) -> list[tuple[int, ...]]:
        """Return the dispositions to state for each question, by their indices."""
        learned = self._learned
        places = [k for k, each in enumerate(learned.dispositions) if each.own or learned.dispositions_help]
        candidates = [learned.dispositions[k] for k in places]
        if not any(each.used or (self._leave_one_out and each.trials) for each in candidates):
            return [()] * len(questions)
        bearing = await bearing_on(
            questions,
            candidates,
            learned.opinions,
            learned.settings.dispositions,
            self._similarity,
            with_choices=self._settings.with_choices,
        )
        found = []
        for row, (question, grounds) in enumerate(zip(questions, all_grounds, strict=True)):
            judged = [opinion for opinion in self._judged if same_question(opinion.question, question)]
            excluded = grounds.excluded
            chosen = bearing.chosen(row, learned.settings.dispositions, excluded=excluded, judged=judged)
            found.append(tuple(places[k] for k in chosen))
        return found

    async def score(self, cells: Iterable[Cell]) -> None:
        """Score prompts of the pool on opinions, given as (prompt, opinion), unless that is done or not allowed.

        Raises:
            ModelError: the model could not answer.
        """
        if self._made_scorer is None:
            learned = self._learned
            self._made_scorer = await hybrid_scorer(learned, learned.opinions, self._answerer, self._similarity)
        self._pool = await self._made_scorer.fill(self._pool, cells)

    async def _score_overall(self, wanted: Iterable[tuple[Grounds, Sequence[int]]]) -> None:
        """Score prompts, given by index for each question's grounds, on all opinions that are not excluded there."""
        cells = {
            (k, i)
            for grounds, prompts in wanted
            for k in prompts
            for i in self._pool[k].scoreable
            if i not in grounds.excluded
        }
        await self.score(sorted(cells))

    async def grounds(self, questions: Sequence[Question]) -> list[Grounds]:
        """Return what the answer to each question rests on, without a call to the answering model."""
        found = []
        for question, row in zip(questions, await self._similarities(questions), strict=True):  # row: (opinions,)
            excluded = self._opinions_on(question) if self._leave_one_out else frozenset()
            ranking = tuple(int(i) for i in np.argsort(-row, kind="stable"))
            allowed = [i for i in ranking if i not in excluded] if self._settings.retrieve else []
            nearest = tuple(Neighbour(i, float(row[i])) for i in allowed[: self._settings.neighbours])
            revealing = self._revealing_prompts(question, excluded)
            found.append(Grounds(nearest, ranking, tuple(float(each) for each in row), excluded, revealing))
        return found

    async def _similarities(self, questions: Sequence[Question]) -> FloatArray:
        """Return the similarity of questions to opinions, shape (questions, opinions); zeros if it is not needed."""
        opinions = self._learned.opinions
        if self._similarity is None or not self._needs_similarity:
            return np.zeros((len(questions), len(opinions)), dtype=np.float32)
        documents = [self._text(opinion.question) for opinion in opinions]
        return await self._similarity.similarity([self._text(question) for question in questions], documents)

    def _text(self, question: Question) -> str:
        return compared_text(question, with_choices=self._settings.with_choices)

    def _opinions_on(self, question: Question) -> frozenset[int]:
        return frozenset(i for i, o in enumerate(self._learned.opinions) if same_question(o.question, question))

    def _revealing_prompts(self, question: Question, excluded: frozenset[int]) -> frozenset[int]:
        """Return the prompts whose text quotes an excluded opinion, or an opinion that the answer is judged on."""
        judged = [opinion for opinion in self._judged if same_question(opinion.question, question)]
        return frozenset(
            k
            for k, scored in enumerate(self._pool)
            if not excluded.isdisjoint(scored.prompt.revealed) or quoted_opinions(scored.prompt.text, judged)
        )

    def _overall_scores(self, all_grounds: Iterable[Grounds]) -> dict[frozenset[int], list[float | None]]:
        """Return the overall score of every prompt (None if unknown), by the set of excluded opinions."""
        different = {grounds.excluded: grounds for grounds in all_grounds}
        return {excluded: [each.score_overall(p) for p in self._pool] for excluded, each in different.items()}

    def _scores(self, grounds: Grounds, overall: Sequence[float | None]) -> list[float]:
        """Return the score of every prompt for one question; tied prompts have equal floats."""
        if self._settings.shrinkage:
            nearest = [each.index for each in grounds.nearest]
            initial = self._learned.initial
            return estimates(self._pool, initial, nearest, grounds.excluded, self._settings.shrinkage)
        scores = []
        for prompt, score_overall in zip(self._pool, overall, strict=True):
            score = grounds.score_nearby(prompt)
            if score is None:
                score = score_overall
            scores.append(0.0 if score is None else score)  # None: there is no opinion that it may be scored on
        return scores

    def _best(self, grounds: Grounds, scores: Sequence[float]) -> list[int]:
        """Return the prompts that tie for the best score; revealing ones are included only if all are revealing."""
        everything = range(len(scores))
        candidates = [k for k in everything if k not in grounds.revealing] or list(everything)
        best = max(scores[k] for k in candidates)
        return [k for k in candidates if scores[k] == best]

    def _explanation(
        self,
        grounds: Grounds,
        scores: Sequence[float],
        tied: Sequence[int],
        overall: Sequence[float | None],
        stated: tuple[int, ...],
    ) -> Explanation:
        # An estimate includes all scores already, and overall scores of different folds cannot be compared.
        breaking = [None] * len(overall) if self._settings.shrinkage else overall
        chosen = tied[0]
        if self._settings.tie_break == "complete" and len(tied) > 1:
            chosen = max(tied, key=lambda k: (breaking[k] or 0.0, -k))
        candidates = tuple(Candidate(k, score, overall[k]) for k, score in enumerate(scores))
        least = scores[chosen] - self._ensemble.tolerance
        ranked = sorted(
            (k for k in range(len(scores)) if k != chosen and k not in grounds.revealing and scores[k] >= least),
            key=lambda k: (-scores[k], -(breaking[k] or 0.0), k),
        )
        answering = (chosen, *ranked[: self._ensemble.prompts - 1]) if self._ensemble.combines else ()
        return Explanation(grounds.nearest, candidates, chosen, len(tied), answering, stated)

    def _rendered(
        self,
        chosen: int,
        question: Question,
        grounds: Grounds,
        order: int = 0,
        *,
        known: Sequence[int] = (),
        examples: int | None = None,
    ) -> str:
        prompt = self._pool[chosen].prompt
        if chosen in grounds.revealing:
            prompt = replace(prompt, text=self._learned.initial.prompt.text)
        stated = [self._learned.dispositions[place] for place in known]
        prompt = replace(prompt, text=with_known(prompt.text, stated))
        if self._sorts_demonstrations:
            nearest_last = sorted(prompt.demonstrations, key=grounds.ranking.index, reverse=True)
            prompt = replace(prompt, demonstrations=tuple(nearest_last))
        opinions = self._learned.opinions
        # The first order is nearest last; the others are random, and the same for all prompts.
        key = f"{self._learned.settings.seed}:{self._learned.user_id}:order:{order}:{question.text}"
        return render_prompt(
            prompt,
            opinions,
            self._answerer.settings,
            asked=question if self._leave_one_out else None,
            nearest=self._behind(grounds, self._hybrid.examples if examples is None else examples),
            max_tokens=self._max_tokens,
            shuffled=random.Random(key) if order else None,
        )

    def _behind(self, grounds: Grounds, k: int) -> tuple[int, ...]:
        """Return the k nearest opinions that stand behind each prompt (hybrid prompts), nearest last."""
        left_out = grounds.excluded | self._withheld
        allowed = [index for index in grounds.ranking if index not in left_out]
        return tuple(allowed[:k])[::-1]
