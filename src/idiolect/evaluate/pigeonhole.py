"""Intervals of measures that are not means, macro-F1 and RMSE: people and questions are resampled (the pigeonhole
bootstrap of Owen 2007), and scikit-learn computes the measure of each resample with sample weights.

    scored answers → macro_f1 | rmse → Estimate, p

An answer of a person drawn m times to a question drawn k times has the weight m k w, where w = 1 / n_u as in
`statistics`. With these weights, RMSE is never below the MAE; if all people are asked the same number of questions,
both measures are the usual ones. Several seeds are kept apart and have a weight of 1 / seeds each. Questions are drawn
only if a question has at least 1.25 answers on average: drawing both counts the part of the variance that belongs to
neither up to three times (Owen 2007), which is unnecessary if hardly any question is shared. In between, intervals are
wider than necessary.

A percentile interval is too short for few people, like a mean's interval with the normal quantile. It is widened as by
Hesterberg (2015, "What teachers should know about the bootstrap"), from the quantile α/2 to
Φ(−√(n / (n − 1)) t_{α/2, n−1}), where n is one more than the degrees of freedom in `statistics`; p is the α at which
this interval touches 0. Without scipy and scikit-learn (extra `evaluate`) a `MissingExtraError` is raised.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from idiolect.errors import MissingExtraError
from idiolect.evaluate.statistics import (
    CONFIDENCE,
    MISSING_EXTRA,
    AnswerKey,
    Clusters,
    Floats,
    Tested,
    clusters_of,
    student_t,
)
from idiolect.evaluate.summary import Estimate

RESAMPLES = 1000
_SHARED_ENOUGH = 1.25  # minimum average number of answers per question for drawing questions too

Statistic = Callable[[Floats], float]
"""A measure of all answers, given one weight per answer, at least one of them above 0."""


@dataclass(frozen=True, slots=True)
class ScoredAnswers:
    """Answers of one arm, in the form that `macro_f1` and `rmse` need.

    Args:
        keys: key of each answer; an answer from several seeds occurs several times.
        truths, answers: the person's and the arm's answers, for macro-F1; None: unparsed.
        errors: errors in steps of the scale, for RMSE.
    """

    keys: tuple[AnswerKey, ...]
    truths: tuple[str, ...] = ()
    answers: tuple[str | None, ...] = ()
    errors: tuple[float, ...] = ()


def macro_f1(scored: ScoredAnswers, labels: Sequence[str]) -> Statistic:
    """Return macro-F1: the mean F1 over all possible labels, 0 for a label that does not occur (LaMP-2).

    Raises:
        ValueError: there are no labels.
    """
    if not labels:
        raise ValueError("macro-F1 needs all possible labels")
    try:
        from sklearn.metrics import f1_score
    except ImportError as error:
        raise MissingExtraError(MISSING_EXTRA) from error
    numbers = {label: number for number, label in enumerate(labels)}
    truths = np.array([numbers.get(truth, -1) for truth in scored.truths])
    answers = np.array([-1 if answer is None else numbers.get(answer, -1) for answer in scored.answers])

    def of(weights: Floats) -> float:
        kept = weights > 0
        found = f1_score(
            truths[kept],
            answers[kept],
            labels=range(len(labels)),
            average="macro",
            zero_division=0,
            sample_weight=weights[kept],
        )
        return float(found)

    return of


def rmse(scored: ScoredAnswers) -> Statistic:
    """Return the root of the mean squared error."""
    try:
        from sklearn.metrics import root_mean_squared_error
    except ImportError as error:
        raise MissingExtraError(MISSING_EXTRA) from error
    errors = np.array(scored.errors)
    right = np.zeros_like(errors)

    def of(weights: Floats) -> float:
        return float(root_mean_squared_error(right, errors, sample_weight=weights))

    return of


def resampled(scored: ScoredAnswers, statistic: Statistic, *, seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """Return a statistic of one arm's answers, with its interval.

    Raises:
        ValueError: there are no answers.
    """
    clusters = clusters_of(scored.keys)
    return _tested(statistic, scored, clusters, seed, resamples).difference


def resampled_difference(
    a: tuple[ScoredAnswers, Statistic], b: tuple[ScoredAnswers, Statistic], *, seed: int = 0, resamples: int = RESAMPLES
) -> Tested:
    """Return the difference of two statistics, a − b, over the same people and questions drawn for both.

    Args:
        a, b: scored answers and their statistic; both have the same answer keys, but may have different seeds.
        seed: seed of the resampling.
        resamples: number of resamples.

    Raises:
        ValueError: the answer keys differ, or there are none.
    """
    if set(a[0].keys) != set(b[0].keys):
        raise ValueError("a paired difference needs the same answers on both sides")
    both = ScoredAnswers((*a[0].keys, *b[0].keys))
    n = len(a[0].keys)

    def difference(weights: Floats) -> float:
        return a[1](weights[:n]) - b[1](weights[n:])

    return _tested(difference, both, clusters_of(both.keys), seed, resamples, split=n)


def _tested(
    statistic: Statistic, scored: ScoredAnswers, clusters: Clusters, seed: int, resamples: int, split: int | None = None
) -> Tested:
    own = _own_weights(scored.keys, split)
    value, answers = statistic(own), len(set(scored.keys))
    counts = (clusters.n_users, clusters.n_questions, answers)
    crossed = clusters.shared and answers >= _SHARED_ENOUGH * clusters.n_questions
    resamples = resamples if clusters.n_users > 1 else 0
    drawn = _draw(statistic, own, clusters, np.random.default_rng(seed), resamples, crossed)
    if not len(drawn) or np.ptp(drawn) == 0:
        return Tested(Estimate(value, None, None, *counts, "none: one person, or no variation"), None)
    how = f"percentile of {len(drawn):,} resamples of people{' and questions' if crossed else ''}, widened"
    n = min(clusters.n_users, clusters.n_questions) if crossed else clusters.n_users
    low, high = _widened(drawn, n)
    return Tested(Estimate(value, low, high, *counts, how), _p_value(drawn, n))


def _own_weights(keys: Sequence[AnswerKey], split: int | None) -> Floats:
    """Return 1 / (answers of the person · seeds of the answer), each side of a difference for itself."""
    sides = [keys] if split is None else [keys[:split], keys[split:]]
    weights = []
    for side in sides:
        clusters = clusters_of(sorted(set(side)))
        of_answer = dict(zip(sorted(set(side)), clusters.weights, strict=True))
        seeds: dict[AnswerKey, int] = {}
        for key in side:
            seeds[key] = seeds.get(key, 0) + 1
        weights += [of_answer[key] / seeds[key] for key in side]
    return np.array(weights)


def _draw(
    statistic: Statistic, own: Floats, clusters: Clusters, rng: np.random.Generator, resamples: int, crossed: bool
) -> Floats:
    """Return the statistic of each resample that has an answer of a drawn person to a drawn question."""
    found = []
    for _ in range(resamples):
        weights = own * _times_drawn(clusters.n_users, rng)[clusters.users]
        if crossed:
            weights = weights * _times_drawn(clusters.n_questions, rng)[clusters.questions]
        if weights.any():
            found.append(statistic(weights))
    return np.array(found)


def _times_drawn(n: int, rng: np.random.Generator) -> Floats:
    return np.bincount(rng.integers(n, size=n), minlength=n).astype(np.float64)


def _widened(drawn: Floats, n: int) -> tuple[float, float]:
    from scipy.special import ndtr

    level = float(ndtr(-math.sqrt(n / (n - 1)) * student_t().ppf((1 + CONFIDENCE) / 2, n - 1)))
    low, high = np.quantile(drawn, (level, 1 - level))
    return float(low), float(high)


def _p_value(drawn: Floats, n: int) -> float:
    """Return the two-sided p: the inverse of `_widened` for the share of resamples below 0 (at least half of one)."""
    from scipy.special import ndtri

    share = (np.sum(drawn < 0) + np.sum(drawn == 0) / 2 + 0.5) / (len(drawn) + 1)
    return float(2 * student_t().sf(abs(ndtri(share)) * math.sqrt((n - 1) / n), n - 1))
