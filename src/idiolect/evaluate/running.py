"""The runner of an evaluation: every arm, person by person, each saved as soon as it is complete.

    Benchmark, Bench, arms → learn → answer → judge → Archive

If an arm fails for one person (nothing to learn from, or a failing model), its answers are recorded as not scored, with
the reason, and the others continue. A limit, Ctrl-C, or a model with which no call can succeed ends the run. Complete
arms are kept, and a later run continues from there.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from idiolect.application.observers import ignore
from idiolect.errors import (
    BudgetExceededError,
    HaltedError,
    ModelError,
    PersonalizationError,
    UnusableModelError,
)
from idiolect.evaluate.archive import Archive
from idiolect.evaluate.benchmark import Case, question_key, text_key
from idiolect.evaluate.control_cases import ControlCases
from idiolect.evaluate.measures import NEUTRAL, judge
from idiolect.evaluate.metering import Meter
from idiolect.evaluate.methods.bench import Bench, Desk
from idiolect.evaluate.methods.method import Examinee, Learned
from idiolect.evaluate.neutral_texts import neutral_changes
from idiolect.evaluate.plan import PlannedArm
from idiolect.evaluate.records import AnswerCost, AnswerRecord, LearningRecord, MethodCost
from idiolect.methods.answering import Response
from idiolect.methods.neutral_texts import NeutralText
from idiolect.methods.personalization import Answer, Observer, Progress, ignore_progress
from idiolect.models.calls.prices import Price
from idiolect.models.language_model import Usage
from idiolect.people.user import Opinion, Question

_LOGLIK = "loglik"
_NAMED = re.compile(r"user (?:'[^']*'|\"[^\"]*\")")
_FAILED = "the model failed; the next run tries again"
_TOO_FEW_CALLS = "the calls that a person may cost were spent before anything was learned"
_NO_TEXTS = "this method says nothing of texts"
_NO_NUMBER = "the log-likelihood is no number"
_NO_NOTES: Mapping[str, Any] = {}
_NO_CONTROL: Mapping[str, str] = {
    "another's of the same kind": "there is nobody else of the same kind whose personalization could be asked",
    "another's of another kind": "there is nobody of another kind whose personalization could be asked",
}
_KEPT_NETWORKS = 4  # trained networks that wait for their next use as a control

Records = tuple[list[AnswerRecord], LearningRecord]


@dataclass(slots=True)
class Runner:
    """One run of an evaluation.

    Args:
        bench: models and other resources of the methods.
        arms: arms to run for every person.
        seeds: seeds of the methods.
        archive: where records are saved.
        workers: number of people evaluated concurrently; more than one only for models behind an API.
        observer: receives every step.
        finished: receives the id of each finished person, and the number of their answers that are not scored.
    """

    bench: Bench
    arms: Sequence[PlannedArm]
    seeds: Sequence[int]
    archive: Archive
    workers: int = 1
    observer: Observer = ignore_progress
    finished: Callable[[str, int], None] = ignore
    _learned: dict[str, dict[Hashable, tuple[Learned, MethodCost]]] = field(default_factory=dict)
    _failures: list[Exception] = field(default_factory=list)
    _sources: ControlCases = field(init=False)
    _uses: dict[str, list[int]] = field(init=False)  # places of the people for whom somebody is learned from

    def __post_init__(self) -> None:
        self._sources, self._uses = ControlCases(self.bench.benchmark), {}

    async def run(self) -> None:
        """Run all arms for everybody in this shard.

        Raises:
            HaltedError: a limit of the run was reached, or the run was stopped.
            ModelError: no call of the model can succeed.
            OSError: answers cannot be written.
        """
        cases = shard_of(self.bench.benchmark.cases, self.archive.shard)
        controls = dict.fromkeys(each.arm.control for each in self.arms)
        for place, case in enumerate(cases):
            for source in (self._sources.of(case, control) for control in controls):
                if source is not None:
                    self._uses.setdefault(source.user.id, []).append(place)
        waiting = iter(enumerate(cases))
        async with asyncio.TaskGroup() as group:
            for _ in range(self.workers):
                group.create_task(self._take(waiting))
        if self._failures:  # an error that is not a halt explains the halts of the other workers
            raise next((each for each in self._failures if not isinstance(each, HaltedError)), self._failures[0])

    async def _take(self, waiting: Iterator[tuple[int, Case]]) -> None:
        for place, case in waiting:
            if self._failures:
                return
            await asyncio.sleep(0)  # with a model that never awaits, Ctrl-C would otherwise not get through
            try:
                not_scored = await self._person(case)
                self.finished(case.user.id, not_scored)
            except Exception as error:  # the other workers finish their calls in flight, which may be paid for
                self._failures.append(error)
                return
            if self.workers == 1:
                self._forget(place)

    def _forget(self, place: int) -> None:
        """Release what is not needed after a place; of trained networks, which are large, keep those needed next."""
        next_use = {user: min((n for n in self._uses[user] if n > place), default=math.inf) for user in self._learned}
        networks = 0
        for user, use in sorted(next_use.items(), key=lambda each: each[1]):
            for key, (learned, _) in list(self._learned[user].items()):
                close = learned.close
                if use < math.inf and (close is None or networks < _KEPT_NETWORKS):
                    networks += close is not None
                    continue
                del self._learned[user][key]
                if close is not None:
                    close()
            if not self._learned[user]:
                del self._learned[user]

    async def _person(self, case: Case) -> int:
        """Run all arms for one person, and return the number of their answers that are not scored."""
        not_scored, total = 0, len(self.arms) * len(self.seeds)
        for place, (seed, planned) in enumerate((s, a) for s in self.seeds for a in self.arms):
            if self.archive.done((planned.arm, seed, case.user.id)):
                continue
            self._check_halt()  # methods without calls would not notice a halt
            self.observer(Progress(case.user.id, str(planned.arm), place, total))
            answers, learning = await self._attempt(_Unit(case, planned, seed))
            self.archive.add(answers, learning)
            not_scored += sum(answer.status == "not scored" for answer in answers)
        return not_scored

    async def _attempt(self, unit: _Unit) -> Records:
        """Learn and ask; if this fails for this person, return records without answers."""
        try:
            return await self._learn_and_ask(unit)
        except PersonalizationError as error:
            return self._without_answers(unit, self._reason(error, unit))
        except UnusableModelError:
            raise
        except ModelError as error:
            return self._without_answers(unit, _FAILED, {"failed": True, "failure": str(error)})

    def _reason(self, error: PersonalizationError, unit: _Unit) -> str:
        """Return why nobody was learned from, without names, so that the reason is the same for all people."""
        reason = _NAMED.sub("this person", str(error))
        for case in (unit.case, self._sources.of(unit.case, unit.planned.arm.control)):
            reason = reason if case is None else reason.replace(repr(case.user.id), "this person")
        return reason

    async def _learn_and_ask(self, unit: _Unit) -> Records:
        arm = unit.planned.arm
        own = arm.control == "own"
        source = self._sources.of(unit.case, arm.control)
        if source is None:
            reason = _NO_CONTROL.get(arm.control, "there is nobody else whose personalization could be asked")
            raise PersonalizationError(reason)
        if arm.n_train is not None:
            source = source.learning_from(arm.n_train)
        learned, learning_cost = await self._learn(source, unit)
        unit.learning_cost = learning_cost if own else MethodCost()
        desk = Desk(self.bench, unit.user, unit.seed, Meter(unit.user))
        start = time.perf_counter()
        try:
            answers = await self._ask(unit, unit.planned.method.examinee(learned, desk), desk)
        finally:
            unit.answering_cost = desk.meter.cost(seconds=time.perf_counter() - start)
        if desk.meter.halted is not None:
            raise desk.meter.halted
        answers += await self._measure_neutral_texts(unit, learned)
        notes = learned.notes if own else {"learned_from": source.user.id}
        return answers, unit.finished(len(answers), used=learned.used, notes=notes)

    async def _learn(self, source: Case, unit: _Unit) -> tuple[Learned, MethodCost]:
        """Learn from a person, only once for all arms that share the result, including another person's control."""
        key = (unit.planned.learning_key(self.bench), unit.seed)
        known = self._learned.setdefault(source.user.id, {})
        if key not in known:
            meter = Meter(source.user.id, limit=self.bench.calls_per_person)
            start = time.perf_counter()
            try:
                learned = await unit.planned.method.learn(source, Desk(self.bench, source.user.id, unit.seed, meter))
            except BudgetExceededError as error:
                if not meter.refused:
                    raise  # the run's own limit
                raise PersonalizationError(_TOO_FEW_CALLS) from error
            finally:
                unit.learning_cost = meter.cost(seconds=time.perf_counter() - start)
            if meter.halted is not None:  # Fermi then returns an unfinished result, which must not be scored
                raise meter.halted
            self._check_halt()
            known[key] = replace(learned, source=source.user), unit.learning_cost
        return known[key]

    def _check_halt(self) -> None:
        """Raise the error that halted the run, if it was halted."""
        budget = self.bench.calls.budget
        if budget.exceeded is not None:
            raise budget.exceeded
        if budget.halted is not None:
            raise HaltedError(budget.halted)

    async def _ask(self, unit: _Unit, examinee: Examinee, desk: Desk) -> list[AnswerRecord]:
        asked, measures = unit.case.asked, self.bench.benchmark.measures
        records: list[AnswerRecord] = []
        if asked:
            questions = [opinion.question for opinion in asked]
            await _prepare(unit, examinee, desk, questions)
            answers = await examinee.respondent.answer(questions)
            price = (examinee.answered_by or self.bench.model).price
            for index, (opinion, answer) in enumerate(zip(asked, answers, strict=True)):
                record = replace(unit.record(index), cost=_cost(answer.usage, price))
                records.append(_scored(record, opinion, answer, measures))
        if unit.case.texts and _LOGLIK in measures:
            records += await _measure_texts(unit, examinee)
        return records

    async def _measure_neutral_texts(self, unit: _Unit, learned: Learned) -> list[AnswerRecord]:
        """Score the base model's texts at a desk of their own, because this cost is not the method's.

        A method that says nothing of texts, or whose answers are another model's, has no records of them.
        """
        texts, desk = self.bench.neutral, Desk(self.bench, unit.user, unit.seed, Meter(unit.user))
        examinee = unit.planned.method.examinee(learned, desk) if texts else None
        if examinee is None or examinee.log_likelihoods is None or examinee.answered_by is not None:
            return []
        changes = await neutral_changes(texts, examinee.log_likelihoods)
        if desk.meter.halted is not None:
            raise desk.meter.halted
        return [
            unit.neutral(number, text, change) for number, (text, change) in enumerate(zip(texts, changes, strict=True))
        ]

    def _without_answers(self, unit: _Unit, reason: str, notes: Mapping[str, Any] = _NO_NOTES) -> Records:
        n = len(unit.case.asked)
        if _LOGLIK in self.bench.benchmark.measures:
            n += len(unit.case.texts)
        return [unit.not_scored(index, reason) for index in range(n)], unit.finished(n, notes=notes)


@dataclass(slots=True)
class _Unit:
    """One arm for one person in progress, with its incomplete records and its cost, even if it fails."""

    case: Case
    planned: PlannedArm
    seed: int
    learning_cost: MethodCost = field(default_factory=MethodCost)
    answering_cost: MethodCost = field(default_factory=MethodCost)
    scoring_cost: MethodCost = field(default_factory=MethodCost)

    @property
    def user(self) -> str:
        """Id of the person."""
        return self.case.user.id

    def record(self, index: int) -> AnswerRecord:
        """Return the record of an answer without its result; texts come after the questions."""
        asked, texts = self.case.asked, self.case.texts
        key = question_key(asked[index].question) if index < len(asked) else text_key(texts[index - len(asked)])
        item = str(asked[index].extra.get("id", "")) if index < len(asked) else ""
        return AnswerRecord(self.planned.arm, self.seed, self.user, key, index, item=item)

    def not_scored(self, index: int, reason: str) -> AnswerRecord:
        """Return the record of a missing answer."""
        return replace(self.record(index), status="not scored", reason=reason)

    def neutral(self, number: int, text: NeutralText, change: float) -> AnswerRecord:
        """Return the record of a text of the base model, which comes after the person's own."""
        index = len(self.case.asked) + len(self.case.texts) + number
        record = AnswerRecord(
            self.planned.arm, self.seed, self.user, text_key(text.text), index, item=f"{NEUTRAL}-{number + 1}"
        )
        if not math.isfinite(change):
            return replace(record, status="not scored", reason=_NO_NUMBER)
        return replace(record, values={NEUTRAL: round(change, 6)})

    def finished(
        self, answers: int, *, used: bool | None = None, notes: Mapping[str, Any] = _NO_NOTES
    ) -> LearningRecord:
        """Return the record of learning, with all costs."""
        return LearningRecord(
            self.planned.arm,
            self.seed,
            self.user,
            learning=self.learning_cost,
            answering=self.answering_cost,
            scoring=self.scoring_cost,
            answers=answers,
            used=used,
            notes=notes,
        )


async def _prepare(unit: _Unit, examinee: Examinee, desk: Desk, questions: Sequence[Question]) -> None:
    """Make the calls that the method put off until the questions are known, and note their cost."""
    if examinee.prepare is None:
        return
    start = time.perf_counter()
    try:
        await examinee.prepare(questions)
    finally:
        unit.scoring_cost = desk.meter.cost(seconds=time.perf_counter() - start)


def _cost(usage: Usage, price: Price | None) -> AnswerCost:
    money = None if price is None else float(price.cost(usage.prompt_tokens, usage.completion_tokens))
    return AnswerCost(usage.calls, usage.prompt_tokens, usage.completion_tokens, money)


def _scored(record: AnswerRecord, opinion: Opinion, answer: Answer, measures: Sequence[str]) -> AnswerRecord:
    found, response = judge(opinion, answer, measures), answer.response
    return replace(
        record,
        status=found.status,
        values={name: round(value, 6) for name, value in found.values.items()},
        answer=response.answer,
        said=None if response.text == response.answer else response.text,
        truth=opinion.answer,
        predicted_share=tuple(round(share, 6) for share in found.predicted_share),
        logprobs=_logprobs(opinion, response),
        prompt=tuple({"role": message.role, "content": message.content} for message in response.messages),
    )


def _logprobs(opinion: Opinion, response: Response) -> dict[str, float]:
    """Return the log-probability of each choice; one that is not finite is left out."""
    found = zip(opinion.question.choices, response.logprobs, strict=False)
    return {choice: round(logprob, 6) for choice, logprob in found if math.isfinite(logprob)}


async def _measure_texts(unit: _Unit, examinee: Examinee) -> list[AnswerRecord]:
    texts, first = unit.case.texts, len(unit.case.asked)
    if examinee.log_likelihoods is None:
        return [unit.not_scored(first + place, _NO_TEXTS) for place in range(len(texts))]
    found = await examinee.log_likelihoods(texts)
    return [
        replace(unit.record(index), values={_LOGLIK: round(value, 6)})
        if math.isfinite(value)
        else unit.not_scored(index, _NO_NUMBER)
        for index, (_, value) in enumerate(zip(texts, found, strict=True), first)
    ]


def shard_of(cases: Sequence[Case], shard: tuple[int, int]) -> Sequence[Case]:
    """Return a process's share of the people: adjacent ones, so that the same process learns most controls."""
    place, shards = shard
    return cases[len(cases) * place // shards : len(cases) * (place + 1) // shards]
