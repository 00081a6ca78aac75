"""Axes of the report's plots."""

from __future__ import annotations

import warnings

import pytest
from matplotlib.figure import Figure

from idiolect.evaluate.report.plots import _log_axis


@pytest.mark.parametrize("costs", [[0.02, 0.02], [1.0], [0.0, 3.0, 3.0], [0.5, 4000.0]])
def test_an_axis_of_costs_holds_all_of_them_without_a_warning(costs: list[float]) -> None:
    axes = Figure().subplots()
    for cost in costs:
        axes.plot(cost, 0.5, "o")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _log_axis(axes, costs)
    first, last = axes.get_xlim()
    assert all(first < cost < last for cost in costs)
