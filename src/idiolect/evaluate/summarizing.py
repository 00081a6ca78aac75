"""The summary of an evaluation, from the lines that it wrote.

    answers.jsonl, learning.jsonl, Header → summarize → Summary → table, scores.json, report

Comparisons are in the first measure: the primary pairs, which were named beforehand (only these are corrected by Holm's
method); and every arm against the baseline, and against its control, which learned from another person. A comparison
uses the answers that both sides have. Answers that are "not scored" are in no mean; they are only counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from idiolect.evaluate.arm_answers import ArmAnswers, answers_by_arm, compare, estimate
from idiolect.evaluate.gains import Questions, best_and_worst, gains_per_person
from idiolect.evaluate.learned import last_lines, layers_of, transfer_of
from idiolect.evaluate.mean_costs import cost_per_answer, learning_per_person
from idiolect.evaluate.measures import Measure, measure_named
from idiolect.evaluate.records import AnswerRecord, Arm, LearningRecord, MethodCost
from idiolect.evaluate.statistics import holm
from idiolect.evaluate.summary import ArmScores, Comparison, Header, PersonReadings, Summary
from idiolect.evaluate.text_gains import text_gains
from idiolect.methods.unread import nearly_all_unread

Pair = tuple[Arm, Arm]
_NO_QUESTIONS: Questions = {}
_ONE_MODEL: Mapping[Arm, str] = {}


def summarize(
    answers: Sequence[AnswerRecord],
    learning: Sequence[LearningRecord],
    header: Header,
    *,
    questions: Questions = _NO_QUESTIONS,
    learned_with: Mapping[Arm, str] = _ONE_MODEL,
    replayed: tuple[str, ...] = (),
    seed: int = 0,
) -> Summary:
    """Summarize the lines of an evaluation; if a line occurs twice (after a resumed run), the last one counts.

    Args:
        answers, learning: the lines.
        header: header of the summary; a note is added for each primary comparison that cannot be made.
        questions: text and choices by key; empty: people's texts are left out.
        learned_with: name of the model that each arm learned with; required if another model answers.
        replayed: names of models that are recordings.
        seed: seed of resampling, and of the selection among equal example answers.

    Raises:
        MissingExtraError: the extra `evaluate` is not installed.
        ValueError: there is no measure, a measure is unknown, or macro-F1 has no labels.
    """
    if not header.measures:
        raise ValueError("a summary needs a measure")
    measures = [measure_named(name) for name in header.measures]
    main = measures[0]
    learning = last_lines(learning)
    arms = answers_by_arm(answers)
    for record in learning:  # include arms that have learned but not answered yet
        arms.setdefault(record.arm, ArmAnswers(record.arm, ()))
    scores = [_arm_scores(found, learning, measures, header.labels, seed) for found in arms.values()]
    comparisons, missing = _comparisons(arms, main, header, seed)
    baseline = arms.get(header.baseline, ArmAnswers(header.baseline, ()))
    rivals = [found for arm, found in arms.items() if _is_rival(arm, header.baseline)]
    best, worst = best_and_worst(rivals, baseline, main, questions=questions, seed=seed)
    main_scores = {score.arm: score.scores[main.name] for score in scores if main.name in score.scores}
    learners = {arm: score for arm, score in main_scores.items() if arm.method != header.baseline.method}
    return Summary(
        header=replace(header, notes=(*header.notes, *missing)),
        people=len({record.user for found in arms.values() for record in found.about_people}),
        arms=tuple(scores),
        comparisons=comparisons,
        gains=gains_per_person(rivals, baseline, main),
        best=best,
        worst=worst,
        layers=layers_of(learning),
        transfer=transfer_of(learners, learned_with, replayed),
        readings=_readings(arms),
        text_gains=text_gains(arms, header.baseline, header.measures),
    )


def _readings(arms: Mapping[Arm, ArmAnswers]) -> tuple[PersonReadings, ...]:
    """Return how many answers were read, by person, and the arms for which nearly none was."""
    answers, unparsed = Counter[str](), Counter[str]()
    failed: dict[str, list[str]] = {}
    for arm, found in arms.items():
        of_arm = Counter(record.user for record in found.about_people)
        lost = Counter(record.user for record in found.about_people if record.status == "unparsed")
        answers += of_arm
        unparsed += lost
        for user, count in lost.items():
            if nearly_all_unread(count, of_arm[user]):
                failed.setdefault(user, []).append(str(arm))
    return tuple(PersonReadings(user, n, unparsed[user], tuple(failed.get(user, ()))) for user, n in answers.items())


def _is_rival(arm: Arm, baseline: Arm) -> bool:
    """Return whether an arm is compared with the baseline: not a control, and with the baseline's answering model."""
    return arm.control == "own" and arm.answered_by == baseline.answered_by and arm != baseline


def _arm_scores(
    found: ArmAnswers,
    learning: Sequence[LearningRecord],
    measures: Sequence[Measure],
    labels: Sequence[str],
    seed: int,
) -> ArmScores:
    of_arm = [record for record in learning if record.arm == found.arm]
    of_arm.sort(key=lambda record: (record.user, record.seed))  # so that sums do not depend on the order of lines
    counted = found.about_people
    answered = {(record.user, record.seed) for record in counted}
    learned = [record for record in of_arm if (record.user, record.seed) in answered]
    gates = [record.used for record in learned if record.used is not None]
    estimates = {measure.name: estimate(found, measure, labels=labels, seed=seed) for measure in measures}
    reasons = Counter(record.reason or "no reason given" for record in found.left_out)
    seeds = {record.seed for record in (*found.records, *found.left_out)} | {record.seed for record in of_arm}
    return ArmScores(
        arm=found.arm,
        seeds=tuple(sorted(seeds)),
        people=len({record.user for record in counted}),
        answers=len(counted),
        unparsed=sum(record.status == "unparsed" for record in counted),
        not_scored=dict(sorted(reasons.items())),
        scores={name: value for name, value in estimates.items() if value is not None},
        learning=sum((record.learning for record in of_arm), MethodCost()),
        answering=sum((record.answering for record in of_arm), MethodCost()),
        learned_people=len(learned),
        used=sum(gates) if gates else None,
        scoring=sum((record.scoring for record in of_arm), MethodCost()),
        learning_per_person=learning_per_person(found.arm, learned),
        per_answer=cost_per_answer(found),
    )


def _comparisons(
    arms: Mapping[Arm, ArmAnswers], main: Measure, header: Header, seed: int
) -> tuple[tuple[Comparison, ...], tuple[str, ...]]:
    """Return the primary comparisons with Holm's p, then the others; and a note for each primary one left out."""
    primary = [_comparison(arms, pair, main, header.labels, seed) for pair in header.primary]
    adjusted = holm([None if found is None else found.p for found in primary])
    made = [
        replace(found, primary=True, p_holm=p) for found, p in zip(primary, adjusted, strict=True) if found is not None
    ]
    others = [_comparison(arms, pair, main, header.labels, seed) for pair in _further_pairs(list(arms), header)]
    missing = [
        f"The comparison of {a} with {b}, named beforehand, cannot be made: they have no answer in common."
        for (a, b), found in zip(header.primary, primary, strict=True)
        if found is None
    ]
    return (*made, *(found for found in others if found is not None)), tuple(missing)


def _further_pairs(arms: Sequence[Arm], header: Header) -> list[Pair]:
    """Pair each arm with the baseline of the same n, then each arm with its control, except for the primary pairs."""
    baseline = header.baseline
    over_baseline = [(a, baseline) for a in arms if _is_rival(a, baseline) and a.n_train == baseline.n_train]
    over_control = [
        (a, b)
        for a in arms
        if a.control == "own"
        for b in arms
        if b.control != "own" and replace(b, control="own") == a
    ]
    named = {frozenset(pair) for pair in header.primary}
    return [pair for pair in (*over_baseline, *over_control) if frozenset(pair) not in named and pair[1] in arms]


def _comparison(
    arms: Mapping[Arm, ArmAnswers], pair: Pair, main: Measure, labels: Sequence[str], seed: int
) -> Comparison | None:
    if pair[0] not in arms or pair[1] not in arms:
        return None
    found = compare(arms[pair[0]], arms[pair[1]], main, labels=labels, seed=seed)
    return None if found is None else Comparison(*pair, main.name, found.difference, found.p)
