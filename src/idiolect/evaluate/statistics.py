"""Means of answers with intervals, and paired differences.

    AnswerRecord values, averaged over seeds → mean_over_people | paired_difference → Estimate, p → Comparison

The estimate is the mean over people, where each person's own mean counts once: answer i of person u has the weight
w_i = 1 / n_u. People are asked the same questions, so answers are correlated by person and by question, and the
variance is clustered by both (Cameron, Gelbach & Miller 2011), with e_i = w_i (y_i − mean) / Σ w:

    V_c = G_c / (G_c − 1) · Σ_{clusters g of c} (Σ_{i in g} e_i)²          c: users, questions, or their intersections
    V   = max(V_users + V_questions − V_answers, V_users, V_questions, V_answers)

The maximum is taken because the sum of three noisy terms may be too small, or below 0. The interval is mean ± t · √V.
The t quantile has one degree of freedom less than the number of users or questions, whichever is smaller; if no two
people share a question, one less than the number of users (then V_questions is V_answers, and only users count).
statsmodels computes V. docs/results/interval-coverage.md shows how often these intervals contain the truth. Measures
that are not means (macro-F1, RMSE) are in `pigeonhole`. Without scipy and statsmodels (extra `evaluate`) a
`MissingExtraError` is raised.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idiolect.errors import MissingExtraError
from idiolect.evaluate.summary import Estimate

AnswerKey = tuple[str, str, int]
"""Key of an answer: user, question, and index among the questions of this user."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MISSING_EXTRA = "statistics need scipy, statsmodels and scikit-learn: pip install 'idiolect[evaluate]'"
CONFIDENCE = 0.95
_ROUNDING = 1e-12  # a smaller relative difference comes from the order of summation


@dataclass(frozen=True, slots=True)
class Clusters:
    """Users and questions of answers, by which the variance is clustered.

    Args:
        users, questions: index of each answer's user and question, from 0.
        weights: 1 / number of this user's answers; they sum to the number of users.
        n_users, n_questions: number of users and of questions.
    """

    users: Integers
    questions: Integers
    weights: Floats
    n_users: int
    n_questions: int

    @property
    def shared(self) -> bool:
        """Whether any question is asked of two people."""
        return len(np.unique(self.users * self.n_questions + self.questions)) > self.n_questions > 1


@dataclass(frozen=True, slots=True)
class Tested:
    """A difference and its two-sided p; None if there is too little evidence."""

    difference: Estimate
    p: float | None


def clusters_of(keys: Sequence[AnswerKey]) -> Clusters:
    """Return the users and questions of answers, in the order of the keys.

    Raises:
        ValueError: there are no answers.
    """
    if not keys:
        raise ValueError("no answers: nothing to estimate")
    names, users, asked = np.unique([key[0] for key in keys], return_inverse=True, return_counts=True)
    questions, numbers = np.unique([key[1] for key in keys], return_inverse=True)
    return Clusters(users.astype(np.int64), numbers.astype(np.int64), 1.0 / asked[users], len(names), len(questions))


def averaged_over_seeds(values: Iterable[tuple[AnswerKey, float]]) -> dict[AnswerKey, float]:
    """Return one value per answer: the mean over seeds, independent of their order."""
    gathered: dict[AnswerKey, list[float]] = {}
    for key, value in values:
        gathered.setdefault(key, []).append(value)
    return {key: math.fsum(gathered[key]) / len(gathered[key]) for key in sorted(gathered)}


def mean_over_people(values: Mapping[AnswerKey, float]) -> Estimate:
    """Return the mean over people, each counting once, with its interval.

    Raises:
        ValueError: there are no values.
    """
    return _tested(values).difference


def paired_difference(a: Mapping[AnswerKey, float], b: Mapping[AnswerKey, float]) -> Tested:
    """Return the mean over people of a − b, on the answers that both have.

    Raises:
        ValueError: they have no answer in common.
    """
    return _tested({key: a[key] - b[key] for key in a if key in b})


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjust p values by Holm's method; a p that could not be computed counts as 1, and stays None."""
    if not p_values:
        return []
    try:
        from statsmodels.stats.multitest import multipletests
    except ImportError as error:
        raise MissingExtraError(MISSING_EXTRA) from error
    adjusted = multipletests([1.0 if p is None else p for p in p_values], method="holm")[1]
    return [None if p is None else float(new) for p, new in zip(p_values, adjusted, strict=True)]


def _tested(values: Mapping[AnswerKey, float]) -> Tested:
    keys = sorted(values)
    clusters = clusters_of(keys)
    y = np.array([values[key] for key in keys], dtype=np.float64)
    mean, variance = mean_and_variance(y, clusters)
    counts = (clusters.n_users, clusters.n_questions, len(keys))
    if variance is None:
        return Tested(Estimate(mean, None, None, *counts, "none: one person, or no variation"), None)
    fewest = min(clusters.n_users, clusters.n_questions) if clusters.shared else clusters.n_users
    error, df = math.sqrt(variance), fewest - 1
    student = student_t()
    half = float(student.ppf((1 + CONFIDENCE) / 2, df)) * error
    how = f"t with {df} degrees of freedom, clustered by person{' and question' if clusters.shared else ''}"
    p = float(2 * student.sf(abs(mean) / error, df))
    return Tested(Estimate(mean, mean - half, mean + half, *counts, how), p)


def student_t() -> Any:
    """Return scipy's t distribution."""
    try:
        from scipy.stats import t
    except ImportError as error:
        raise MissingExtraError(MISSING_EXTRA) from error
    return t


def mean_and_variance(y: Floats, clusters: Clusters) -> tuple[float, float | None]:
    """Return the mean over people and its variance, which is None with one person or if all values are equal."""
    if np.ptp(y) <= _ROUNDING * max(1.0, float(np.max(np.abs(y)))):
        return float(y[0]), None
    mean = math.fsum(clusters.weights * y) / clusters.n_users
    if clusters.n_users == 1:
        return mean, None
    try:
        from statsmodels.regression.linear_model import WLS
        from statsmodels.stats.sandwich_covariance import (
            cov_cluster,
            cov_cluster_2groups,
        )
    except ImportError as error:
        raise MissingExtraError(MISSING_EXTRA) from error
    fitted = WLS(y, np.ones_like(y), weights=clusters.weights).fit()
    by_answer = cov_cluster(fitted, np.arange(len(y)))
    if not clusters.shared:
        return mean, float(np.max([cov_cluster(fitted, clusters.users), by_answer]))
    found = cov_cluster_2groups(fitted, clusters.users, clusters.questions)
    return mean, float(np.max([*found, by_answer]))
