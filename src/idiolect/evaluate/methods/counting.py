"""Methods that count answers and ask no model: the least that a personalization has to beat.

uniform              any choice, all alike
constant             the most frequent answer of other people to questions with the same choices
majority-own         the person's own most frequent answer to questions with the same choices
majority-population  the most frequent answer of other people to this very question
majority-group       the same of other people of the person's group (a topic, a continent)

Other people are those of `Benchmark.others`, never the reported ones. Where a question was never answered by any of
them, the answers to questions with the same choices decide, then the first choice.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from idiolect.errors import PersonalizationError
from idiolect.evaluate.benchmark import Case, question_key
from idiolect.evaluate.methods.bench import Bench, Desk
from idiolect.evaluate.methods.method import Learned, NoTexts
from idiolect.methods.answering import Response
from idiolect.methods.baselines import FrequentAnswer
from idiolect.methods.personalization import Answer
from idiolect.people.user import Opinion, Question, User

Whose = Literal["own", "population", "group", "constant"]


class UniformChoice(NoTexts):
    """Any of the choices; free text gets no answer."""

    def __init__(self, seed: int, person: str) -> None:
        self._seed, self._person = seed, person

    async def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """One answer a question; costs nothing."""
        return [Answer(self._answer(question)) for question in questions]

    def _answer(self, question: Question) -> Response:
        if not question.choices:
            return Response("", None)
        drawn = random.Random(f"{self._seed}:{self._person}:{question_key(question)}").choice(question.choices)
        return Response(drawn, drawn, scores=(0.0,) * len(question.choices))


class CountedAnswers(NoTexts):
    """The most frequent answer to the same question; its shares are the answers', each choice counted once more."""

    def __init__(self, opinions: Iterable[Opinion]) -> None:
        kept = list(opinions)
        self._counts: dict[str, Counter[str]] = {}
        for opinion in kept:
            self._counts.setdefault(question_key(opinion.question), Counter())[opinion.answer] += 1
        self._otherwise = FrequentAnswer(kept)

    async def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """One answer a question; costs nothing."""
        return [await self._answer(question) for question in questions]

    async def _answer(self, question: Question) -> Answer:
        counts = self._counts.get(question_key(question))
        if counts is None or not question.choices:
            return (await self._otherwise.answer([question]))[0]
        best = max(question.choices, key=lambda choice: counts[choice])
        shares = tuple(math.log(counts[choice] + 1) for choice in question.choices)
        return Answer(Response(best, best, scores=shares))


class FrequentChoice(NoTexts):
    """`FrequentAnswer` in an evaluation: by the choices, whatever the question."""

    def __init__(self, opinions: Iterable[Opinion]) -> None:
        self._frequent = FrequentAnswer(opinions)

    async def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """One answer a question; costs nothing."""
        return await self._frequent.answer(questions)


@dataclass(frozen=True, slots=True)
class Uniform:
    """The method "uniform"."""

    async def learn(self, case: Case, desk: Desk) -> Learned:
        """Nothing."""
        del case, desk
        return Learned(None)

    def respondent(self, learned: Learned, desk: Desk) -> UniformChoice:
        """Draws anew for every seed, person and question."""
        del learned
        return UniformChoice(desk.seed, desk.person)

    def shares_learning(self, bench: Bench) -> Hashable:
        """With nobody."""
        del bench
        return None


@dataclass(frozen=True, slots=True)
class Majority:
    """The methods that count.

    Args:
        whose: answers are counted: the person's own, other people's to the same question, those of the person's group,
            or other people's to questions with the same choices ("constant").
    """

    whose: Whose

    async def learn(self, case: Case, desk: Desk) -> Learned:
        """Counts."""
        if self.whose == "own":
            return Learned(FrequentChoice(case.user.opinions))
        key = ("majority", self.whose, case.group if self.whose == "group" else "")
        shared = desk.bench.shared
        if key not in shared:
            opinions = [opinion for user in self._people(case, desk.bench) for opinion in user.opinions]
            if not opinions:
                raise PersonalizationError("there is nobody else whose answers could be counted")
            shared[key] = FrequentChoice(opinions) if self.whose == "constant" else CountedAnswers(opinions)
        return Learned(shared[key])

    def _people(self, case: Case, bench: Bench) -> Iterable[User]:
        groups = bench.benchmark.other_groups
        for user in bench.benchmark.others:
            if self.whose != "group" or groups.get(user.id, "") == case.group:
                yield user

    def respondent(self, learned: Learned, desk: Desk) -> FrequentChoice | CountedAnswers:
        """The counts."""
        del desk
        found: FrequentChoice | CountedAnswers = learned.value
        return found

    def shares_learning(self, bench: Bench) -> Hashable:
        """With nobody."""
        del bench
        return None
