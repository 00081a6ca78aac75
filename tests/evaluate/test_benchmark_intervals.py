"""The intervals of the benchmarks' scripts: the percentile bootstrap of scipy, without scipy."""

from __future__ import annotations

import numpy as np
import pytest
from intervals import Interval, mean_interval, paired_difference
from scipy.stats import bootstrap


@pytest.mark.parametrize("n", [2, 7, 40])
def test_an_interval_is_scipys(n: int) -> None:
    sample = np.random.default_rng(n).random(n)
    theirs = bootstrap((sample,), np.mean, n_resamples=9999, method="percentile", rng=np.random.default_rng(3))
    ours = mean_interval({f"{place:02}": float(value) for place, value in enumerate(sample)}, seed=3)
    expected = (sample.mean(), *theirs.confidence_interval)
    assert (ours.mean, ours.low, ours.high) == pytest.approx(expected, abs=1e-12)


def test_equal_values_have_an_interval_without_width() -> None:
    found = mean_interval({"a": 0.1, "b": 0.1, "c": 0.1})
    assert found.low == found.high == found.mean == pytest.approx(0.1)


def test_a_difference_is_paired_and_needs_the_same_people() -> None:
    assert paired_difference({"a": 0.75, "b": 0.5}, {"b": 0.25, "a": 0.5}) == Interval(2, 0.25, 0.25, 0.25)
    with pytest.raises(ValueError, match="the same people"):
        paired_difference({"a": 1.0, "b": 1.0}, {"a": 1.0, "c": 1.0})
    with pytest.raises(ValueError, match="at least two"):
        mean_interval({"a": 1.0})
