"""Scores of answers against what a person said, as the demo shows them: one record per answer, aggregates apart from
it. What is measured stands in `measures`; an evaluation goes on to `statistics`.

An answer that could not be parsed is wrong, and counted as such beside the score ("unparsed"). Absolute error exists
for ordinal questions only, in steps of the scale; an unparsed answer gets the worst error possible for its question.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from idiolect.evaluate.measures import absolute_error, is_correct
from idiolect.methods.alignment import alignment_score
from idiolect.methods.personalization import Answer
from idiolect.people.user import Opinion


@dataclass(frozen=True, slots=True)
class AnswerScore:
    """One answer, judged.

    Args:
        user_id: whose opinion it was.
        correct: the answer is the person's; None for free text, where exact match says nothing.
        alignment: `s(a, â)` in [0, 1].
        absolute_error: in steps of the scale, ≥ 0; None where the question is not ordinal.
        parsed: a choice could be read from the answer.
    """

    user_id: str
    correct: bool | None
    alignment: float
    absolute_error: float | None
    parsed: bool


@dataclass(frozen=True, slots=True)
class Scores:
    """Means over answers; None where no answer has that measure."""

    n: int
    accuracy: float | None
    alignment: float | None
    mae: float | None
    unparsed: int


def score_answer(user_id: str, opinion: Opinion, answer: Answer) -> AnswerScore:
    """Judge one answer against what the person said."""
    question, said = opinion.question, answer.response.answer
    return AnswerScore(
        user_id,
        is_correct(question, opinion.answer, said),
        alignment_score(question, opinion.answer, said),
        absolute_error(question, opinion.answer, said),
        said is not None,
    )


def score_answers(user_id: str, opinions: Sequence[Opinion], answers: Sequence[Answer]) -> list[AnswerScore]:
    """Judge answers against opinions, pairwise; both in the same order."""
    return [score_answer(user_id, o, a) for o, a in zip(opinions, answers, strict=True)]


def aggregate(scores: Iterable[AnswerScore]) -> Scores:
    """Means over all answers (not over people)."""
    kept = list(scores)
    return Scores(
        n=len(kept),
        accuracy=_mean([float(s.correct) for s in kept if s.correct is not None]),
        alignment=_mean([s.alignment for s in kept]),
        mae=_mean([s.absolute_error for s in kept if s.absolute_error is not None]),
        unparsed=sum(not s.parsed for s in kept),
    )


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
