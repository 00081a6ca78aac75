"""Curves of the first measure over the prompt tokens of an answer, from arms that answer under different limits.

    Summary → prompt_curves → PromptCurve → table, scores.json, report

The limit is what the user asked for, estimated in bytes and for a prompt without its question. The prompt tokens are
those of whole answers, as the model counted them: with the question, and of all prompts that answer together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from idiolect.evaluate.prompt_limits import limit_of
from idiolect.evaluate.records import Arm
from idiolect.evaluate.summary import ArmScores, Estimate, Summary


@dataclass(frozen=True, slots=True)
class PromptPoint:
    """A point of a curve.

    Args:
        arm: the arm that answered.
        limit: limit on a prompt in tokens; None: the method without the curve's limits.
        prompt_tokens: measured number of prompt tokens of one answer.
        score: estimate of the first measure.
    """

    arm: Arm
    limit: int | None
    prompt_tokens: Estimate
    score: Estimate


@dataclass(frozen=True, slots=True)
class PromptCurve:
    """A curve of one method; its points are in the order of their limits, and the one without limit is the last.

    Args:
        arm: the arm without limit.
        points: the points; at least two.
    """

    arm: Arm
    points: tuple[PromptPoint, ...]


def prompt_curves(summary: Summary) -> tuple[PromptCurve, ...]:
    """Return the curves of all methods that answered under limits, in the order of the arms."""
    if not summary.header.measures:
        return ()
    found: dict[Arm, list[PromptPoint]] = {}
    limited = {base for scored in summary.arms if (base := _place(scored.arm)[0]) != scored.arm}
    for scored in summary.arms:
        base, limit = _place(scored.arm)
        point = _point(scored, limit, summary.header.measures[0])
        if base in limited and point is not None:
            found.setdefault(base, []).append(point)
    curves = (PromptCurve(base, tuple(sorted(points, key=_order))) for base, points in found.items())
    return tuple(curve for curve in curves if len(curve.points) > 1)


def _place(arm: Arm) -> tuple[Arm, int | None]:
    return limit_of(arm) or (arm, None)


def _order(point: PromptPoint) -> float:
    return math.inf if point.limit is None else point.limit


def _point(scored: ArmScores, limit: int | None, measure: str) -> PromptPoint | None:
    score = scored.scores.get(measure)
    if score is None or not math.isfinite(score.value) or scored.per_answer is None:
        return None
    return PromptPoint(scored.arm, limit, scored.per_answer.prompt_tokens, score)
