"""Means over people with bootstrap intervals clustered by person, and paired differences, for one value a person.

What the scripts of `benchmarks/` report; an evaluation's answers, which people share questions of, go to `statistics`.
The unit is the person: answers of one person hang together, so people are resampled, never answers. A person's value is
the mean over their answers; the reported value is the mean over people. scipy does the resampling (extra `evaluate`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from idiolect.errors import MissingExtraError

_RESAMPLES = 9999


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over n people and its two-sided 95 % bootstrap interval (percentile)."""

    n: int
    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def mean_interval(values: Mapping[str, float], *, seed: int = 0) -> Interval:
    """Return the mean over people with its interval.

    Args:
        values: one value a person; at least two people.
        seed: of the resampling.

    Raises:
        MissingExtraError: scipy is not installed.
        ValueError: fewer than two people.
    """
    if len(values) < 2:
        raise ValueError(f"{len(values)} people: an interval needs at least two")
    try:
        from scipy.stats import bootstrap
    except ImportError as error:
        raise MissingExtraError("intervals need scipy: pip install 'idiolect[evaluate]'") from error
    sample = np.array([values[person] for person in sorted(values)])  # (people,)
    mean = math.fsum(sample) / len(sample)
    if np.ptp(sample) == 0:  # the bootstrap of a constant is that constant; scipy would warn
        return Interval(len(sample), mean, mean, mean)
    found = bootstrap(
        (sample,), np.mean, n_resamples=_RESAMPLES, method="percentile", rng=np.random.default_rng(seed)
    ).confidence_interval
    return Interval(len(sample), mean, float(found.low), float(found.high))


def paired_difference(a: Mapping[str, float], b: Mapping[str, float], *, seed: int = 0) -> Interval:
    """Return the mean over people of a − b, for the same people.

    Raises:
        ValueError: not the same people, or fewer than two.
    """
    if a.keys() != b.keys():
        raise ValueError("a paired difference needs the same people on both sides")
    return mean_interval({person: a[person] - b[person] for person in a}, seed=seed)
