"""Gains and losses of people against the baseline, and example answers with the largest gains and losses.

    ArmAnswers, baseline → gains_per_person → Gain;  best_and_worst → ShownAnswer

A gain is positive if the answer is better, even if the main measure is an error.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from idiolect.evaluate.arm_answers import ArmAnswers, answer_key, gain_of_answers, single_value
from idiolect.evaluate.measures import Measure
from idiolect.evaluate.records import AnswerRecord
from idiolect.evaluate.summary import Gain, ShownAnswer

_SHOWN = 10
_OF_ONE_ARM = 3

Questions = Mapping[str, tuple[str, tuple[str, ...]]]
"""Text and choices of a question, by key."""


def gains_per_person(arms: Iterable[ArmAnswers], baseline: ArmAnswers, measure: Measure) -> tuple[Gain, ...]:
    """Return each person's mean gain over the answers that arm and baseline have in common, by arm, then by person."""
    values = baseline.single_values(measure)
    gains = []
    for answers in arms:
        of_person: dict[str, list[float]] = {}
        for key, gain in gain_of_answers(answers, values, measure).items():
            of_person.setdefault(key[0], []).append(gain)
        gains += [Gain(answers.arm, user, math.fsum(g) / len(g), len(g)) for user, g in of_person.items()]
    return tuple(gains)


@dataclass(frozen=True, slots=True)
class _Pair:
    """An answer and the baseline's answer to the same question for the same person, each from its first seed."""

    ours: AnswerRecord
    baseline: AnswerRecord
    value: float
    baseline_value: float

    @property
    def difference(self) -> float:
        return self.value - self.baseline_value


def best_and_worst(
    arms: Iterable[ArmAnswers], baseline: ArmAnswers, measure: Measure, *, questions: Questions, seed: int
) -> tuple[tuple[ShownAnswer, ...], tuple[ShownAnswer, ...]]:
    """Return the answers that gain most and lose most against the baseline: at most ten of each, and three per arm.

    Equal answers are selected by a hash of the seed, so that neither the order of people nor anybody's preference
    matters. Texts are "" if `questions` does not contain the question.
    """
    pairs = [pair for answers in arms for pair in _pairs(answers, baseline, measure)]
    ends = []
    for sign in (measure.sign, -measure.sign):
        ranked = sorted(
            (pair for pair in pairs if sign * pair.difference > 0),
            key=lambda pair: (-sign * pair.difference, _drawn(pair.ours, seed)),
        )
        ends.append(tuple(_shown_answer(pair, questions) for pair in _few_of_each_arm(ranked)))
    return ends[0], ends[1]


def _pairs(answers: ArmAnswers, baseline: ArmAnswers, measure: Measure) -> list[_Pair]:
    theirs = {answer_key(record): record for record in reversed(baseline.records)}  # keeps the first seed
    ours = {answer_key(record): record for record in reversed(answers.records)}
    pairs = []
    for key, record in ours.items():
        value = single_value(record, measure)
        other = single_value(theirs[key], measure) if key in theirs else None
        if value is not None and other is not None:
            pairs.append(_Pair(record, theirs[key], value, other))
    return pairs


def _few_of_each_arm(ranked: Sequence[_Pair]) -> list[_Pair]:
    kept: list[_Pair] = []
    for pair in ranked:
        if len(kept) < _SHOWN and sum(other.ours.arm == pair.ours.arm for other in kept) < _OF_ONE_ARM:
            kept.append(pair)
    return kept


def _drawn(record: AnswerRecord, seed: int) -> bytes:
    identity = "\0".join((str(seed), str(record.arm), record.user, record.question, str(record.index)))
    return blake2b(identity.encode(), digest_size=8).digest()


def _shown_answer(pair: _Pair, questions: Questions) -> ShownAnswer:
    ours = pair.ours
    values = (pair.value, pair.baseline_value)
    if ours.question not in questions:
        return ShownAnswer(ours.arm, ours.user, "", (), "", "", "", *values)
    answers = (ours.truth or "", _answer_text(ours), _answer_text(pair.baseline))
    return ShownAnswer(ours.arm, ours.user, *questions[ours.question], *answers, *values)


def _answer_text(record: AnswerRecord) -> str:
    """Return the answer, or the model's text if no answer could be read from it."""
    return record.answer if record.answer is not None else record.said or ""
