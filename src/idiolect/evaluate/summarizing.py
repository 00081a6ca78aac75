"""From the lines that an evaluation wrote to what it comes to.

    answers.jsonl, learning.jsonl, SummaryOrder → summarize → Summary → table, scores.json, report

Compared are, in the first measure: the pairs named beforehand (primary; Holm's correction is over these alone); every
arm against the baseline, and against the same arm as it learned from another person. A comparison rests on the answers
that both sides have, and what is "not scored" is in no mean, only counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from idiolect.evaluate.arm_answers import ArmAnswers, answers_by_arm, compare, estimate
from idiolect.evaluate.gains import Questions, best_and_worst, gains_per_person
from idiolect.evaluate.learned import last_lines, layers_of, spending_of, transfer_of
from idiolect.evaluate.measures import Measure, measure_named
from idiolect.evaluate.records import AnswerRecord, Arm, LearningRecord
from idiolect.evaluate.statistics import holm
from idiolect.evaluate.summary import ArmScores, Comparison, Completeness, Summary

Pair = tuple[Arm, Arm]


@dataclass(frozen=True, slots=True)
class SummaryOrder:
    """What was asked for, and what is known beside the lines.

    Args:
        task, title, config, baseline, people_asked, status, stopped_by, broken_count, broken, notes: as in `Summary`.
        measures: names, the main one first.
        labels: all answers that exist, for macro-F1.
        primary: comparisons that were named beforehand, as (a, b).
        questions: by key, text and choices; empty where people's texts are to be left out.
        model: name of the model that the arms learned with, for the table of transfer.
        learned_with: where an arm learned with another model, its name.
        replayed: models that are recordings.
        seed: of resampling, and of the choice among equal answers to show.

    Raises:
        ValueError: no measure, or one that there isn't.
    """

    task: str
    title: str
    config: Mapping[str, Any]
    measures: tuple[str, ...]
    baseline: Arm
    people_asked: int
    labels: tuple[str, ...] = ()
    primary: tuple[Pair, ...] = ()
    status: Completeness = "complete"
    stopped_by: str = ""
    broken_count: int = 0
    broken: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    questions: Questions = field(default_factory=dict)
    model: str = "this model"
    learned_with: Mapping[Arm, str] = field(default_factory=dict)
    replayed: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.measures:
            raise ValueError("a summary needs a measure")
        for name in self.measures:
            measure_named(name)


def summarize(answers: Sequence[AnswerRecord], learning: Sequence[LearningRecord], order: SummaryOrder) -> Summary:
    """What the lines come to; of a line that is there twice (a run went on), the last one counts.

    Raises:
        MissingExtraError: the extra `evaluate` is not installed.
        ValueError: macro-F1 without labels.
    """
    main = measure_named(order.measures[0])
    learning = last_lines(learning)
    arms = answers_by_arm(answers)
    for record in learning:  # arms that have learned and not answered yet
        arms.setdefault(record.arm, ArmAnswers(record.arm, ()))
    scores = [_arm_scores(found, learning, order) for found in arms.values()]
    comparisons, missing = _comparisons(arms, main, order)
    baseline = arms.get(order.baseline, ArmAnswers(order.baseline, ()))
    rivals = [found for arm, found in arms.items() if _is_rival(arm, order.baseline)]
    best, worst = best_and_worst(rivals, baseline, main, order.questions, order.seed)
    main_scores = {score.arm: score.scores[main.name] for score in scores if main.name in score.scores}
    learners = {arm: score for arm, score in main_scores.items() if arm.method != order.baseline.method}
    return Summary(
        task=order.task,
        title=order.title,
        status=order.status,
        stopped_by=order.stopped_by,
        config=order.config,
        measures=order.measures,
        baseline=order.baseline,
        people=len({record.user for found in arms.values() for record in found.records}),
        people_asked=order.people_asked,
        arms=tuple(scores),
        comparisons=comparisons,
        gains=gains_per_person(rivals, baseline, main),
        best=best,
        worst=worst,
        layers=layers_of(learning),
        transfer=transfer_of(learners, {arm: order.learned_with.get(arm, order.model) for arm in arms}, order.replayed),
        broken_count=order.broken_count,
        broken=order.broken,
        notes=(*order.notes, *missing),
    )


def _is_rival(arm: Arm, baseline: Arm) -> bool:
    """One that gains are told of: learned from the person, answered by the baseline's model."""
    return arm.control == "own" and arm.answered_by == baseline.answered_by and arm != baseline


def _arm_scores(found: ArmAnswers, learning: Sequence[LearningRecord], order: SummaryOrder) -> ArmScores:
    of_arm = [record for record in learning if record.arm == found.arm]
    estimates = {name: estimate(found, measure_named(name), order.labels, order.seed) for name in order.measures}
    spending = spending_of(of_arm)
    reasons = Counter(record.reason or "no reason given" for record in found.left_out)
    seeds = {record.seed for record in (*found.records, *found.left_out)} | {record.seed for record in of_arm}
    return ArmScores(
        arm=found.arm,
        seeds=tuple(sorted(seeds)),
        people=len({record.user for record in found.records}),
        answers=len(found.records),
        unparsed=sum(record.status == "unparsed" for record in found.records),
        not_scored=dict(sorted(reasons.items())),
        scores={name: value for name, value in estimates.items() if value is not None},
        learning=spending.learning,
        answering=spending.answering,
        learned_people=spending.learned_people,
        used=spending.used,
    )


def _comparisons(
    arms: Mapping[Arm, ArmAnswers], main: Measure, order: SummaryOrder
) -> tuple[tuple[Comparison, ...], tuple[str, ...]]:
    """Primary comparisons with Holm's p, then the others; and a sentence for each primary one that cannot be made."""
    primary = [_comparison(arms, pair, main, order) for pair in order.primary]
    adjusted = holm([None if found is None else found.p for found in primary])
    told = [
        replace(found, primary=True, p_holm=p) for found, p in zip(primary, adjusted, strict=True) if found is not None
    ]
    others = [_comparison(arms, pair, main, order) for pair in _further_pairs(list(arms), order)]
    missing = [
        f"The comparison of {a} with {b}, named beforehand, cannot be made: they have no answer in common."
        for (a, b), found in zip(order.primary, primary, strict=True)
        if found is None
    ]
    return (*told, *(found for found in others if found is not None)), tuple(missing)


def _further_pairs(arms: Sequence[Arm], order: SummaryOrder) -> list[Pair]:
    """Each arm against the baseline at the same n, then each against its control; none that is primary."""
    baseline = order.baseline
    over_baseline = [(a, baseline) for a in arms if _is_rival(a, baseline) and a.n_train == baseline.n_train]
    over_control = [(a, replace(a, control="another's")) for a in arms if a.control == "own"]
    named = {frozenset(pair) for pair in order.primary}
    return [pair for pair in (*over_baseline, *over_control) if frozenset(pair) not in named and pair[1] in arms]


def _comparison(arms: Mapping[Arm, ArmAnswers], pair: Pair, main: Measure, order: SummaryOrder) -> Comparison | None:
    if pair[0] not in arms or pair[1] not in arms:
        return None
    found = compare(arms[pair[0]], arms[pair[1]], main, order.labels, order.seed)
    return None if found is None else Comparison(*pair, main.name, found.difference, found.p)
