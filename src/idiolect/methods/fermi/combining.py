"""One answer from several prompts' answers, and from the person's own answers to the same choices (ours).

    p(c)  ∝  mean_k q_k(c) · own(c)^w
    q_k(c) ∝ (p_k(c) / b_k(c))^γ               p_k: prompt k's distribution, or its vote if it wrote its answer
    b_k(c) = (Σ_i p_k(c | q_i) + 1/|C|) / (n + 1)          over the person's n own questions q_i with the choices C
    own(c) = (Σ_i w_i [a_i = c] + 1) / (n + |C|)           w_i ∝ exp(sim(q, q_i) / τ), with the sum n

b_k is only used if `calibrate` is set, and the weights w_i are 1 unless `own_nearness` sets τ.

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
    question: Question,
    responses: Sequence[Response],
    own: Sequence[Opinion],
    settings: EnsembleSettings,
    *,
    similarities: Sequence[float] | None = None,
    biases: Sequence[FloatArray] | None = None,
) -> Combined:
    """Return one answer for the responses of several prompts to one question.

    A question without choices keeps the first response, and so does one to which no response named a choice.

    Args:
        question: the question.
        responses: the responses, those of the best prompt first; at least one.
        own: the person's opinions, without any on the question itself.
        settings: how to combine.
        similarities: similarity of the question to each of `own`, for `own_nearness`; None: all are equally near.
        biases: for each response, what its prompt prefers whatever it is asked (`bias_of`), shape (choices,); None: the
            responses are not calibrated.
    """
    usage = sum((each.usage for each in responses), Usage())
    first = replace(responses[0], usage=usage)
    told = [
        _weighed(shares, None if biases is None else biases[place], settings.sharpness)
        for place, each in enumerate(responses)
        if (shares := _shares(question, each)) is not None
    ]
    if not question.choices or not told:
        return Combined(first)
    distribution: _Shares = np.asarray(np.mean(told, axis=0, dtype=np.float64))
    if settings.own_answers:
        nearness = settings.own_nearness
        near = None if nearness is None or similarities is None else [each / nearness for each in similarities]
        logs = np.log(np.maximum(distribution, _LEAST))
        logs += settings.own_answers * np.log(own_distribution(question, own, near).astype(np.float64))
        distribution = _normalized(logs)
    equal = _best_places(question, distribution, settings)
    named = (question.choices.index(each.answer) for each in responses if each.answer in question.choices)
    place = next((each for each in named if each in equal), equal[0])
    choice = question.choices[place]
    response = replace(
        first, text=first.text if first.answer == choice else choice, answer=choice, scores=_logarithms(distribution)
    )
    return Combined(response, tuple(float(share) for share in distribution))


def own_distribution(question: Question, own: Sequence[Opinion], logits: Sequence[float] | None = None) -> FloatArray:
    """Return the person's smoothed distribution of answers to questions with these choices, shape (choices,).

    Args:
        question: the question.
        own: the person's opinions.
        logits: logarithm of each opinion's weight, up to a constant; None: all weigh the same.
    """
    counts = np.ones(len(question.choices), dtype=np.float64)
    same = [k for k, each in enumerate(own) if _has_choices(each, question)]
    if same:
        weights = _normalized(np.asarray([logits[k] if logits is not None else 0.0 for k in same], dtype=np.float64))
        places = [question.choices.index(own[k].answer) for k in same]
        np.add.at(counts, places, weights * len(same))
    shares: FloatArray = (counts / counts.sum()).astype(np.float32)
    return shares


def bias_of(question: Question, own: Sequence[Opinion], responses: Sequence[Response | None]) -> FloatArray:
    """Return what a prompt prefers whatever it is asked: its smoothed mean distribution, shape (choices,).

    Args:
        question: the question, whose choices count.
        own: the person's opinions, without any on the question itself.
        responses: the prompt's response to each of them; None if it was not asked.
    """
    total = np.full(len(question.choices), 1 / len(question.choices))
    n = 1
    for opinion, response in zip(own, responses, strict=True):
        if response is None or opinion.question.choices != question.choices:
            continue
        shares = _shares(question, response)
        if shares is not None:
            total, n = total + shares, n + 1
    bias: FloatArray = (total / n).astype(np.float32)
    return bias


def _has_choices(opinion: Opinion, question: Question) -> bool:
    return opinion.question.choices == question.choices and opinion.answer in question.choices


def _weighed(shares: _Shares, bias: FloatArray | None, sharpness: float) -> _Shares:
    """Return q: a prompt's distribution less its bias, to the power of the sharpness."""
    if bias is None and sharpness == 1:
        return shares  # exact, so that votes that are equally many stay equal
    logs = np.log(np.maximum(shares, _LEAST))
    if bias is not None:
        logs = logs - np.log(bias.astype(np.float64))
    return _normalized(sharpness * logs)


def _normalized(logs: _Shares) -> _Shares:
    weights = np.exp(logs - logs.max())
    shares: _Shares = weights / weights.sum()
    return shares


def _shares(question: Question, response: Response) -> _Shares | None:
    """Return a response's distribution over the choices, or its vote; None if it named no choice."""
    if not question.choices or response.answer not in question.choices:
        return None
    if len(response.scores) == len(question.choices):
        return _normalized(np.asarray(response.scores, dtype=np.float64))
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
