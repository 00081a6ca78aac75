"""Mean costs of an arm: of learning from one person, and of one answer.

LearningRecord → learning_per_person → LearningCost;  AnswerRecord → cost_per_answer → CostPerAnswer → summary
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from idiolect.evaluate.arm_answers import LEAST_PEOPLE, ArmAnswers, answer_key, without_interval
from idiolect.evaluate.records import AnswerCost, Arm, LearningRecord, MethodCost
from idiolect.evaluate.statistics import AnswerKey, averaged_over_seeds, mean_over_people
from idiolect.evaluate.summary import CostPerAnswer, Estimate, LearningCost


def learning_per_person(arm: Arm, records: Sequence[LearningRecord]) -> LearningCost | None:
    """Return the mean cost of learning, with the scores that were put off; None for a control, or without people.

    Args:
        arm: the arm.
        records: its records of learning for people with an answer that counts, each once per seed.
    """
    if arm.control != "own" or not records:
        return None
    people = len(records)
    total = sum((record.learning + record.scoring for record in records), MethodCost())
    return LearningCost(
        total.calls / people, total.tokens / people, None if total.price is None else total.price / people
    )


def cost_per_answer(found: ArmAnswers) -> CostPerAnswer | None:
    """Return the mean cost of one answer, over the answers that count and whose cost is known; None without any.

    Raises:
        MissingExtraError: the extra `evaluate` is not installed.
    """
    costs = [(answer_key(record), record.cost) for record in found.records if record.cost is not None]
    if not costs:
        return None

    def averaged(count: Callable[[AnswerCost], float]) -> dict[AnswerKey, float]:
        return averaged_over_seeds((key, count(cost)) for key, cost in costs)

    money = None if any(cost.money is None for _, cost in costs) else _mean(averaged(lambda cost: cost.money or 0.0))
    return CostPerAnswer(
        _mean(averaged(lambda cost: cost.calls)),
        _with_interval(averaged(lambda cost: cost.prompt_tokens)),
        _mean(averaged(lambda cost: cost.completion_tokens)),
        money,
    )


def _with_interval(tokens: Mapping[AnswerKey, float]) -> Estimate:
    """Return the mean over people with its interval, which has no negative numbers of tokens."""
    found = mean_over_people(tokens)
    if found.people < LEAST_PEOPLE:
        return without_interval(found, f"fewer than {LEAST_PEOPLE} people")
    return found if found.low is None else replace(found, low=max(found.low, 0.0))


def _mean(values: Mapping[AnswerKey, float]) -> float:
    """Return the mean over people, each counting once."""
    by_person: dict[str, list[float]] = {}
    for (person, _, _), value in values.items():
        by_person.setdefault(person, []).append(value)
    return math.fsum(math.fsum(each) / len(each) for each in by_person.values()) / len(by_person)
