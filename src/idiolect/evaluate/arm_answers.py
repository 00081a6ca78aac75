"""The answers of one arm, and their estimate with its interval: a mean, or another statistic.

AnswerRecord, by arm → ArmAnswers → estimate, compare → Estimate, p
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from idiolect.evaluate.measures import NEUTRAL, Measure
from idiolect.evaluate.pigeonhole import ScoredAnswers, Statistic, macro_f1, resampled, resampled_difference, rmse
from idiolect.evaluate.records import AnswerRecord, Arm
from idiolect.evaluate.statistics import (
    AnswerKey,
    Tested,
    averaged_over_seeds,
    mean_over_people,
    paired_difference,
)
from idiolect.evaluate.summary import Estimate

ANSWERS_A_LABEL = 100
"""Minimum average number of answers per label for an interval of macro-F1 (docs/results/macro-f1-coverage.md)."""

LEAST_PEOPLE = 6
"""Minimum number of people for an interval or a p value. If all of n people change for the better, the exact sign test
gives p = 2 / 2ⁿ: 0.031 for 6 people, but 0.063 for 5. With fewer than 6, a 95 % interval could exclude 0 only because
normality was assumed, which so few people cannot show."""


@dataclass(frozen=True, slots=True)
class ArmAnswers:
    """All answers of one arm, ordered by key and seed.

    Args:
        arm: the arm.
        records: answers that count, scored or unparsed.
        left_out: answers that are not scored.
    """

    arm: Arm
    records: tuple[AnswerRecord, ...]
    left_out: tuple[AnswerRecord, ...] = ()

    @property
    def about_people(self) -> tuple[AnswerRecord, ...]:
        """The answers that count, without scores of the model's own texts, which are about nobody."""
        return tuple(record for record in self.records if NEUTRAL not in record.values)

    def single_values(self, measure: Measure) -> dict[AnswerKey, float]:
        """Return one value per answer, averaged over seeds; for macro-F1, whether the answer is right."""
        found = ((answer_key(record), single_value(record, measure)) for record in self.records)
        return averaged_over_seeds((key, value) for key, value in found if value is not None)

    def scored(self, measure: Measure, keys: Iterable[AnswerKey]) -> ScoredAnswers:
        """Return the answers with certain keys, in the form for statistics other than the mean."""
        wanted = set(keys)
        kept = [(r, v) for r in self.records if answer_key(r) in wanted and (v := single_value(r, measure)) is not None]
        return ScoredAnswers(
            tuple(answer_key(record) for record, _ in kept),
            tuple(record.truth or "" for record, _ in kept),
            tuple(record.answer for record, _ in kept),
            tuple(value for _, value in kept),
        )


def answer_key(record: AnswerRecord) -> AnswerKey:
    """Return the key of an answer, which does not depend on the arm."""
    return record.user, record.question, record.index


def single_value(record: AnswerRecord, measure: Measure) -> float | None:
    """Return the value of a measure for one answer; None if it has none."""
    if measure.kind == "macro_f1":
        return None if record.truth is None else float(record.answer == record.truth)
    return record.values.get(measure.name)


def answers_by_arm(answers: Sequence[AnswerRecord]) -> dict[Arm, ArmAnswers]:
    """Return answers by arm, in order of first appearance; if an answer occurs twice (resumed run), the last counts."""
    last = {(record.arm, *answer_key(record), record.seed): record for record in answers}
    gathered: dict[Arm, list[AnswerRecord]] = {record.arm: [] for record in answers}
    for record in last.values():
        gathered[record.arm].append(record)
    return {arm: _in_order(arm, records) for arm, records in gathered.items()}


def _in_order(arm: Arm, records: list[AnswerRecord]) -> ArmAnswers:
    records.sort(key=lambda record: (*answer_key(record), record.seed))
    counted = tuple(record for record in records if record.status != "not scored")
    return ArmAnswers(arm, counted, tuple(record for record in records if record.status == "not scored"))


def estimate(answers: ArmAnswers, measure: Measure, *, labels: Sequence[str], seed: int) -> Estimate | None:
    """Return the estimate of a measure for one arm; None if none of its answers has a value.

    Raises:
        MissingExtraError: the extra `evaluate` is not installed.
        ValueError: macro-F1 has no labels.
    """
    values = answers.single_values(measure)
    if not values:
        return None
    if measure.kind == "mean":
        found = mean_over_people(values)
    else:
        scored = answers.scored(measure, values)
        found = resampled(scored, _statistic(scored, measure, labels), seed=seed)
    reason = _too_few_for(measure, found, labels)
    return without_interval(found, reason) if reason else measure.within(found)


def compare(a: ArmAnswers, b: ArmAnswers, measure: Measure, *, labels: Sequence[str], seed: int) -> Tested | None:
    """Return a − b on the answers that both have; None if they have none in common. See `estimate`."""
    of_a, of_b = a.single_values(measure), b.single_values(measure)
    common = of_a.keys() & of_b.keys()
    if not common:
        return None
    if measure.kind == "mean":
        found = paired_difference(of_a, of_b)
    else:
        sides = [answers.scored(measure, common) for answers in (a, b)]
        first, second = ((scored, _statistic(scored, measure, labels)) for scored in sides)
        found = resampled_difference(first, second, seed=seed)
    reason = _too_few_for(measure, found.difference, labels)
    return Tested(without_interval(found.difference, reason), None) if reason else found


def without_interval(found: Estimate, reason: str) -> Estimate:
    """Return the estimate without its interval, and with the reason for that."""
    return replace(found, low=None, high=None, interval=f"none: {reason}")


def _too_few_for(measure: Measure, found: Estimate, labels: Sequence[str]) -> str:
    """Return why there is too little evidence for an interval, in a few words; "" if there is enough.

    Resamples of few answers would lack labels, whose F1 of 0 would make macro-F1 and its interval too low.
    """
    if found.people < LEAST_PEOPLE:
        return f"fewer than {LEAST_PEOPLE} people"
    if measure.kind == "macro_f1" and found.answers < ANSWERS_A_LABEL * len(labels):
        return f"fewer than {ANSWERS_A_LABEL} answers a label"
    return ""


def _statistic(scored: ScoredAnswers, measure: Measure, labels: Sequence[str]) -> Statistic:
    return macro_f1(scored, labels) if measure.kind == "macro_f1" else rmse(scored)


def gain_of_answers(
    answers: ArmAnswers, baseline: Mapping[AnswerKey, float], measure: Measure
) -> dict[AnswerKey, float]:
    """Return the gain of each answer that the baseline has too: positive if better, even if the measure is an error."""
    values = answers.single_values(measure)
    return {key: measure.sign * (value - baseline[key]) for key, value in values.items() if key in baseline}
