"""Runs an evaluation: person by person, every arm, each kept as soon as it is complete.

    Benchmark, Bench, arms → learn → answer → judge → Archive

What one person's arm cannot do (nothing to learn from, a model that fails) is written down as not scored, with the
reason, and the others go on. A limit, Ctrl-C or a model that no call can succeed with ends the run; what is complete is
kept, and the same run goes on from there.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field

from idiolect.errors import (
    BudgetExceededError,
    HaltedError,
    ModelError,
    PersonalizationError,
    UnusableModelError,
)
from idiolect.evaluate.archive import Archive
from idiolect.evaluate.benchmark import Case, question_key, text_key
from idiolect.evaluate.measures import judge
from idiolect.evaluate.metering import Meter
from idiolect.evaluate.methods.bench import Bench, Desk, next_case
from idiolect.evaluate.methods.method import Examinee, Learned
from idiolect.evaluate.plan import PlannedArm
from idiolect.evaluate.records import AnswerRecord, Cost, LearningRecord
from idiolect.methods.personalization import Answer, Progress
from idiolect.people.user import Opinion

_LOGLIK = "loglik"
_NAMED = re.compile(r"user (?:'[^']*'|\"[^\"]*\")")
_FAILED = "the model failed; the next run tries again"
_TOO_FEW_CALLS = "the calls that a person may cost were spent before anything was learned"
_NO_TEXTS = "this method says nothing of texts"
_NO_NUMBER = "the log-likelihood is no number"
Told = Callable[[Progress], None]


def _nobody(progress: Progress) -> None:
    del progress


def _not_told(user: str, not_scored: int) -> None:
    del user, not_scored


@dataclass(slots=True)
class Runner:
    """One run.

    Args:
        bench: what methods work with.
        arms: what is to be done for every person.
        seeds: of the methods.
        archive: where it goes to.
        workers: people that are worked on side by side; more than one for models behind an API only.
        observer: told of every step.
        finished: told of every person that is done, with how many answers are not scored.
    """

    bench: Bench
    arms: Sequence[PlannedArm]
    seeds: Sequence[int]
    archive: Archive
    workers: int = 1
    observer: Told = _nobody
    finished: Callable[[str, int], None] = _not_told
    _learned: dict[str, dict[Hashable, tuple[Learned, Cost]]] = field(default_factory=dict)
    _failures: list[Exception] = field(default_factory=list)

    async def run(self) -> None:
        """Everybody of this shard.

        Raises:
            HaltedError: a limit of the run was reached, or it was told to stop.
            ModelError: no call of the model can succeed.
            OSError: answers cannot be written.
        """
        waiting = iter(shard_of(self.bench.benchmark.cases, self.archive.shard))
        async with asyncio.TaskGroup() as group:
            for _ in range(self.workers):
                group.create_task(self._take(waiting))
        if self._failures:  # why a model can't be called tells more than the halt that came with it
            raise next((each for each in self._failures if not isinstance(each, HaltedError)), self._failures[0])

    async def _take(self, waiting: Iterator[Case]) -> None:
        for case in waiting:
            if self._failures:
                return
            await asyncio.sleep(0)  # a model that never waits would leave Ctrl-C no chance
            try:
                not_scored = await self._person(case)
            except Exception as error:  # the others finish what is in flight: it may be paid for
                self._failures.append(error)
                return
            self.finished(case.user.id, not_scored)
            if self.workers == 1:
                self._forget(case.user.id)

    def _forget(self, user: str) -> None:
        """Let go of what was learned from somebody whom nobody asks about any more: trained networks are large."""
        for learned, _ in self._learned.pop(user, {}).values():
            if learned.close is not None:
                learned.close()

    async def _person(self, case: Case) -> int:
        not_scored, total = 0, len(self.arms) * len(self.seeds)
        for place, (seed, planned) in enumerate((s, a) for s in self.seeds for a in self.arms):
            if self.archive.done((planned.arm, seed, case.user.id)):
                continue
            self._check_halt()  # methods that make no calls would not hear of it
            self.observer(Progress(case.user.id, str(planned.arm), place, total))
            answers, learning = await self._unit(case, planned, seed)
            self.archive.add(answers, learning)
            not_scored += sum(answer.status == "not scored" for answer in answers)
        return not_scored

    async def _unit(self, case: Case, planned: PlannedArm, seed: int) -> tuple[list[AnswerRecord], LearningRecord]:
        """All answers of one arm for one person."""
        cost = _Spending()
        try:
            return await self._asked(case, planned, seed, cost)
        except PersonalizationError as error:
            reason = _NAMED.sub("this person", str(error))  # one reason, whoever it is
            return self._not_scored(case, planned, seed, reason, cost)
        except UnusableModelError:
            raise
        except ModelError as error:
            return self._not_scored(case, planned, seed, _FAILED, cost, failure=str(error))

    async def _asked(
        self, case: Case, planned: PlannedArm, seed: int, cost: _Spending
    ) -> tuple[list[AnswerRecord], LearningRecord]:
        source = next_case(self.bench.benchmark, case) if planned.arm.control == "another's" else case
        if source is None:
            raise PersonalizationError("there is nobody else whose personalization could be asked")
        if planned.arm.n_train is not None:
            source = source.learning_from(planned.arm.n_train)
        own = planned.arm.control == "own"
        learned, learning = await self._learn(source, planned, seed, cost)
        cost.learning = learning if own else Cost()
        desk = Desk(self.bench, case.user.id, seed, Meter(case.user.id))
        start = time.perf_counter()
        try:
            answers = await self._answers(case, planned, seed, planned.method.examinee(learned, desk))
        finally:
            cost.answering = desk.meter.cost(seconds=time.perf_counter() - start)
        if desk.meter.halted is not None:
            raise desk.meter.halted
        return answers, LearningRecord(
            planned.arm,
            seed,
            case.user.id,
            learning=cost.learning,
            answering=cost.answering,
            answers=len(answers),
            used=learned.used,
            notes=learned.notes if own else {},
        )

    async def _learn(self, source: Case, planned: PlannedArm, seed: int, cost: _Spending) -> tuple[Learned, Cost]:
        """What is learned from a person; once for methods that share it, and for the person whose control it is."""
        key = (planned.learning_key(self.bench), seed)
        known = self._learned.setdefault(source.user.id, {})
        if key not in known:
            desk = Desk(self.bench, source.user.id, seed, Meter(source.user.id, limit=self.bench.calls_per_person))
            start = time.perf_counter()
            try:
                learned = await planned.method.learn(source, desk)
            except BudgetExceededError as error:
                if not desk.meter.refused:
                    raise  # the run's own limit
                raise PersonalizationError(_TOO_FEW_CALLS) from error
            finally:
                cost.learning = desk.meter.cost(seconds=time.perf_counter() - start)
            if desk.meter.halted is not None:  # Fermi makes do with what it has by then, and that is not what it learns
                raise desk.meter.halted
            self._check_halt()
            known[key] = learned, cost.learning
        return known[key]

    def _check_halt(self) -> None:
        """Whether calls are made at all.

        Raises:
            HaltedError: the run was told to stop, or one of its limits is reached.
        """
        budget = self.bench.calls.budget
        if budget.exceeded is not None:
            raise budget.exceeded
        if budget.halted is not None:
            raise HaltedError(budget.halted)

    async def _answers(self, case: Case, planned: PlannedArm, seed: int, examinee: Examinee) -> list[AnswerRecord]:
        measures = self.bench.benchmark.measures
        records: list[AnswerRecord] = []
        if case.asked:
            answers = await examinee.respondent.answer([opinion.question for opinion in case.asked])
            for index, (opinion, answer) in enumerate(zip(case.asked, answers, strict=True)):
                records.append(_judged(planned, seed, case, index, opinion, answer, measures))
        if case.texts and _LOGLIK in measures:
            records += await self._texts(case, planned, seed, examinee)
        return records

    async def _texts(self, case: Case, planned: PlannedArm, seed: int, examinee: Examinee) -> list[AnswerRecord]:
        first, user = len(case.asked), case.user.id
        if examinee.log_likelihoods is None:
            return [
                AnswerRecord(planned.arm, seed, user, text_key(text), first + i, "not scored", reason=_NO_TEXTS)
                for i, text in enumerate(case.texts)
            ]
        found = await examinee.log_likelihoods(case.texts)
        return [
            AnswerRecord(planned.arm, seed, user, text_key(text), first + i, values={_LOGLIK: round(value, 6)})
            if math.isfinite(value)
            else AnswerRecord(planned.arm, seed, user, text_key(text), first + i, "not scored", reason=_NO_NUMBER)
            for i, (text, value) in enumerate(zip(case.texts, found, strict=True))
        ]

    def _not_scored(
        self, case: Case, planned: PlannedArm, seed: int, reason: str, cost: _Spending, *, failure: str = ""
    ) -> tuple[list[AnswerRecord], LearningRecord]:
        """Records without answers; `failure`: what the model said, which the next run may not hear again."""
        keys = [question_key(opinion.question) for opinion in case.asked]
        if _LOGLIK in self.bench.benchmark.measures:
            keys += [text_key(text) for text in case.texts]
        records = [
            AnswerRecord(planned.arm, seed, case.user.id, key, index, "not scored", reason=reason)
            for index, key in enumerate(keys)
        ]
        return records, LearningRecord(
            planned.arm,
            seed,
            case.user.id,
            learning=cost.learning,
            answering=cost.answering,
            answers=len(records),
            notes={"failed": True, "failure": failure} if failure else {},
        )


@dataclass(slots=True)
class _Spending:
    """What an arm has cost so far, also where it comes to nothing."""

    learning: Cost = field(default_factory=Cost)
    answering: Cost = field(default_factory=Cost)


def _judged(
    planned: PlannedArm,
    seed: int,
    case: Case,
    index: int,
    opinion: Opinion,
    answer: Answer,
    measures: Sequence[str],
) -> AnswerRecord:
    found = judge(opinion, answer, [name for name in measures if name not in (_LOGLIK, "macro_f1")])
    response = answer.response
    return AnswerRecord(
        planned.arm,
        seed,
        case.user.id,
        question_key(opinion.question),
        index,
        status=found.status,
        values={name: round(value, 6) for name, value in found.values.items()},
        answer=response.answer,
        said=None if response.text == response.answer else response.text,
        truth=opinion.answer,
        predicted_share=tuple(round(share, 6) for share in found.predicted_share),
    )


def shard_of(cases: Sequence[Case], shard: tuple[int, int]) -> Sequence[Case]:
    """A process's share: people who stand together, so that most controls are learned by the same process."""
    place, shards = shard
    return cases[len(cases) * place // shards : len(cases) * (place + 1) // shards]
