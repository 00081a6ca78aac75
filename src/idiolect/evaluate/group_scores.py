"""Scores by group of people, such as OpinionQA's topics.

answers.jsonl, group of each person → scores_by_group → Summary.by_group → table, scores.json
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

from idiolect.evaluate.arm_answers import ArmAnswers, answers_by_arm, estimate
from idiolect.evaluate.measures import measure_named
from idiolect.evaluate.records import AnswerRecord
from idiolect.evaluate.summary import GroupScores


def scores_by_group(
    answers: Sequence[AnswerRecord], measures: Sequence[str], groups: Mapping[str, str]
) -> tuple[GroupScores, ...]:
    """Return the means of each group and arm, in the order of the groups' names and of the arms.

    Args:
        answers: the answers of an evaluation.
        measures: names of the measures; those that are no means over people (macro-F1, RMSE) are left out.
        groups: group of each person; "" for people without one.

    Returns:
        The scores; () if there are fewer than two groups.
    """
    names = sorted({group for group in groups.values() if group})
    if len(names) < 2:
        return ()
    means = [measure for name in measures if (measure := measure_named(name)).kind == "mean"]
    found = []
    for group, of_arm in product(names, answers_by_arm(answers).values()):
        of_group = ArmAnswers(of_arm.arm, tuple(r for r in of_arm.records if groups.get(r.user) == group))
        estimates = {measure.name: estimate(of_group, measure, labels=(), seed=0) for measure in means}
        if scores := {name: value for name, value in estimates.items() if value is not None}:
            found.append(GroupScores(group, of_arm.arm, scores))
    return tuple(found)
