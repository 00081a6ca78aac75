from __future__ import annotations

import pytest

from idiolect.evaluate.records import Arm
from idiolect.evaluate.report.curves import curves_over_iterations, curves_over_opinions, iterations_of
from tests.evaluate.report.rich_summary import rich_summary, small_summary


@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("fermi[iterations=3]", "fermi"),
        ("fermi[iterations=3, memory=none]", "fermi[memory=none]"),
        ("fermi[memory=none,iterations=3]", "fermi[memory=none]"),
        ("fermi[a=1, iterations=3, b=2]", "fermi[a=1, b=2]"),
    ],
)
def test_iterations_are_read_from_a_methods_name(method: str, rest: str) -> None:
    assert iterations_of(Arm(method, "another's")) == (Arm(rest, "another's"), 3)


@pytest.mark.parametrize("method", ["fermi", "fermi[warm_iterations=3]", "fermi iterations=3"])
def test_other_names_tell_no_iterations(method: str) -> None:
    assert iterations_of(Arm(method)) is None


def test_curves_need_two_points() -> None:
    assert curves_over_opinions(small_summary()) is None
    assert curves_over_iterations(small_summary()) is None


def test_curves_name_their_numbers() -> None:
    plot = curves_over_opinions(rich_summary())
    assert plot is not None
    assert "fermi: 5: 44.4, 10: 46.9, 20: 48.1, all: 49.4" in plot.svg
    assert "learned from another person" in plot.caption
