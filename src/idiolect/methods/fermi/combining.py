"""One answer from several prompts' answers, and from the person's own answers to the same choices (ours).

    p(c)  ∝  mean_k p_k(c) · own(c)^w          p_k: prompt k's distribution, or its vote if it wrote its answer
    own(c) = (n_c + 1) / (n + |C|)             n_c: the person's answers c to questions with the choices C

The answer is the likeliest choice, or, for ordinal choices, the median of p: under it, the expected distance on the
scale is least, which is what alignment on a scale measures. All prompts count equally, because their scores on a few
opinions differ by chance. Of equally good choices, the best prompt's answer is taken.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from idiolect.methods.answering import Response
from idiolect.methods.fermi.extension_settings import EnsembleSettings
from idiolect.models.language_model import Usage
from idiolect.models.similarity import FloatArray
from idiolect.people.user import Opinion, Question

_LEAST = 1e-6  # of a choice that no prompt voted for, so that its logarithm is finite
_TIE = 1e-9
_Shares = npt.NDArray[np.float64]  # (choices,)


@dataclass(frozen=True, slots=True)
class Combined:
    """A combined answer.

    Args:
        response: the first prompt's response with the combined answer; `scores` are logarithms of the distribution, and
            `usage` is that of all responses.
        distribution: probability of each choice; empty if nothing could be combined.
    """

    response: Response
    distribution: tuple[float, ...] = ()


def combined(
    question: Question, responses: Sequence[Response], own: Sequence[Opinion], settings: EnsembleSettings
) -> Combined:
    """Return one answer for the responses of several prompts to one question.

    A question without choices keeps the first response, and so does one to which no response named a choice.

    Args:
        question: the question.
        responses: the responses, those of the best prompt first; at least one.
        own: the person's opinions, without any on the question itself.
        settings: how to combine.
    """
    usage = sum((each.usage for each in responses), Usage())
    first = replace(responses[0], usage=usage)
    told = [shares for each in responses if (shares := _shares(question, each)) is not None]
    if not question.choices or not told:
        return Combined(first)
    distribution: _Shares = np.asarray(np.mean(told, axis=0, dtype=np.float64))
    if settings.own_answers:
        logs = np.log(np.maximum(distribution, _LEAST))
        logs += settings.own_answers * np.log(own_distribution(question, own).astype(np.float64))
        weights = np.exp(logs - logs.max())
        distribution = weights / weights.sum()
    equal = _best_places(question, distribution, settings)
    named = (question.choices.index(each.answer) for each in responses if each.answer in question.choices)
    place = next((each for each in named if each in equal), equal[0])
    choice = question.choices[place]
    response = replace(
        first, text=first.text if first.answer == choice else choice, answer=choice, scores=_logarithms(distribution)
    )
    return Combined(response, tuple(float(share) for share in distribution))


def own_distribution(question: Question, own: Sequence[Opinion]) -> FloatArray:
    """Return the person's smoothed distribution of answers to questions with these choices, shape (choices,)."""
    counts = np.ones(len(question.choices), dtype=np.float32)
    for opinion in own:
        if opinion.question.choices == question.choices and opinion.answer in question.choices:
            counts[question.choices.index(opinion.answer)] += 1
    shares: FloatArray = counts / counts.sum()
    return shares


def _shares(question: Question, response: Response) -> _Shares | None:
    """Return a response's distribution over the choices, or its vote; None if it named no choice."""
    if not question.choices or response.answer not in question.choices:
        return None
    if len(response.scores) == len(question.choices):
        scores = np.asarray(response.scores, dtype=np.float64)
        weights: _Shares = np.exp(scores - scores.max())
        shares: _Shares = weights / weights.sum()
        return shares
    vote = np.zeros(len(question.choices), dtype=np.float64)
    vote[question.choices.index(response.answer)] = 1.0
    return vote


def _best_places(question: Question, distribution: _Shares, settings: EnsembleSettings) -> list[int]:
    """Return the places of the choices that are equally good answers, in order; at least one."""
    if question.ordinal and settings.decide == "median":
        below = np.cumsum(distribution)
        first = int(np.argmax(below >= 0.5 - _TIE))
        last = int(np.argmax(below > 0.5 + _TIE))
        return list(range(first, last + 1))
    return [int(place) for place in np.flatnonzero(distribution >= distribution.max() - _TIE)]


def _logarithms(distribution: _Shares) -> tuple[float, ...]:
    return tuple(math.log(max(share, _LEAST)) for share in distribution)
