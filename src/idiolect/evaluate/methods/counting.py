"""Methods that count answers and use no model: the minimum that a personalization must beat.

uniform              a random choice
constant             the most frequent answer of other people to questions with the same choices
majority-own         the person's own most frequent answer to questions with the same choices
majority-population  the most frequent answer of other people to the same question
majority-group       the most frequent answer of other people in the person's group (a topic, a continent)

Other people are those in `Benchmark.others`, never the reported ones. If none of them answered a question, the answers
to questions with the same choices decide, then the first choice.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from idiolect.errors import PersonalizationError
from idiolect.evaluate.benchmark import Benchmark, Case, question_key
from idiolect.evaluate.methods.bench import Desk
from idiolect.evaluate.methods.method import Examinee, Learned
from idiolect.methods.answering import Response
from idiolect.methods.baselines import FrequentAnswer
from idiolect.methods.personalization import Answer, Respondent
from idiolect.people.user import Opinion, Question

Whose = Literal["own", "population", "group", "constant"]


class UniformChoice:
    """Respondent with a random choice for every seed, person and question; free text gets no answer."""

    def __init__(self, seed: int, person: str) -> None:
        self._seed, self._person = seed, person

    async def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Return one answer a question; costs nothing."""
        return [Answer(self._answer(question)) for question in questions]

    def _answer(self, question: Question) -> Response:
        if not question.choices:
            return Response("", None)
        drawn = random.Random(f"{self._seed}:{self._person}:{question_key(question)}").choice(question.choices)
        return Response(drawn, drawn, scores=(0.0,) * len(question.choices))


class CountedAnswers:
    """Respondent with the most frequent answer to the same question; its shares are the counts of answers plus one."""

    def __init__(self, opinions: Iterable[Opinion]) -> None:
        kept = list(opinions)
        self._counts: dict[str, Counter[str]] = {}
        for opinion in kept:
            self._counts.setdefault(question_key(opinion.question), Counter())[opinion.answer] += 1
        self._by_choices = FrequentAnswer(kept)

    async def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Return one answer a question; costs nothing."""
        return [await self._answer(question) for question in questions]

    async def _answer(self, question: Question) -> Answer:
        counts = self._counts.get(question_key(question))
        if counts is None or not question.choices:
            return (await self._by_choices.answer([question]))[0]
        best = max(question.choices, key=lambda choice: counts[choice])
        shares = tuple(math.log(counts[choice] + 1) for choice in question.choices)
        return Answer(Response(best, best, scores=shares))


@dataclass(frozen=True, slots=True)
class Uniform:
    """The method "uniform"."""

    async def learn(self, _case: Case, _desk: Desk) -> Learned:
        """Learn nothing."""
        return Learned(None)

    def examinee(self, _learned: Learned, desk: Desk) -> Examinee:
        """Return a respondent with random choices."""
        return Examinee(UniformChoice(desk.seed, desk.person))


@dataclass(frozen=True, slots=True)
class Majority:
    """The methods that count answers.

    Args:
        whose: answers to count: the person's own, other people's to the same question, those of the person's group, or
            other people's to questions with the same choices ("constant").
    """

    whose: Whose

    async def learn(self, case: Case, desk: Desk) -> Learned:
        """Count answers; other people's answers are counted once for everybody."""
        if self.whose == "own":
            return Learned(FrequentAnswer(case.user.opinions))
        key = ("majority", self.whose, case.group if self.whose == "group" else "")
        shared = desk.bench.shared
        if key not in shared:
            shared[key] = self._count_others(case, desk.bench.benchmark)
        return Learned(shared[key])

    def _count_others(self, case: Case, benchmark: Benchmark) -> Respondent:
        groups = benchmark.other_groups
        people = [u for u in benchmark.others if self.whose != "group" or groups.get(u.id, "") == case.group]
        opinions = [opinion for user in people for opinion in user.opinions]
        if not opinions:
            raise PersonalizationError("there is nobody else whose answers could be counted")
        return FrequentAnswer(opinions) if self.whose == "constant" else CountedAnswers(opinions)

    def examinee(self, learned: Learned, _desk: Desk) -> Examinee:
        """Return the respondent with the counted answers."""
        return Examinee(learned.value)
