"""Means over people with intervals clustered by person, bootstrap or t, and paired differences, for one value a person.

What the scripts of `benchmarks/` report; an evaluation's answers, which people share questions of, go to `statistics`.
The unit is the person: answers of one person hang together, so people are resampled, never answers. A person's value is
the mean over their answers; the reported value is the mean over people. numpy does the resampling, so that scripts
need no extra for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np

_RESAMPLES = 9999
_OUTSIDE = (1 - 0.95) / 2  # share of the resampled means on each side of the interval


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over n people and its two-sided 95 % interval."""

    n: int
    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"

    @property
    def signed(self) -> str:
        """The same with signs, for differences."""
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def mean_interval(values: Mapping[str, float], *, seed: int = 0) -> Interval:
    """Return the mean over people with its bootstrap interval (percentile).

    Args:
        values: one value a person; at least two people.
        seed: of the resampling.

    Raises:
        ValueError: fewer than two people.
    """
    if len(values) < 2:
        raise ValueError(f"{len(values)} people: an interval needs at least two")
    sample = np.array([values[person] for person in sorted(values)])  # (people,)
    n = len(sample)
    mean = math.fsum(sample) / n
    drawn = np.random.default_rng(seed).integers(0, n, (_RESAMPLES, n))
    low, high = np.percentile(sample[drawn].mean(axis=1), [100 * _OUTSIDE, 100 * (1 - _OUTSIDE)])
    if np.ptp(sample) == 0:  # rounding would give a constant a width
        low = high = mean
    return Interval(n, mean, float(low), float(high))


def t_interval(values: Sequence[float]) -> Interval:
    """Return the mean over people with Student's t interval.

    Args:
        values: one value a person; at least two people.
    """
    from scipy.stats import t as student_t  # an extra, which other scripts do without

    n, mean = len(values), fmean(values)
    half = float(student_t.ppf(1 - _OUTSIDE, n - 1)) * stdev(values) / n**0.5
    return Interval(n, mean, mean - half, mean + half)


def paired_difference(a: Mapping[str, float], b: Mapping[str, float], *, seed: int = 0) -> Interval:
    """Return the mean over people of a − b, for the same people.

    Raises:
        ValueError: not the same people, or fewer than two.
    """
    if a.keys() != b.keys():
        raise ValueError("a paired difference needs the same people on both sides")
    return mean_interval({person: a[person] - b[person] for person in a}, seed=seed)
