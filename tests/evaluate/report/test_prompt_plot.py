"""The plot and the tables of scores by prompt tokens, and of what an answer costs."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest

from idiolect.evaluate.prompt_limits import limit_of, limit_remark
from idiolect.evaluate.records import Arm
from idiolect.evaluate.report.cost_tables import mean_costs_table, prompt_curves_table
from idiolect.evaluate.report.curves import curves_over_iterations, iterations_of
from idiolect.evaluate.report.prompt_plot import _ticks, curves_over_prompt_tokens
from idiolect.evaluate.summary import Estimate, Summary
from tests.evaluate.report.rich_summary import arm_scores, rich_summary, small_summary


def with_tokens(tokens: float) -> Summary:
    """A curve of two points, both of which cost these tokens."""
    scored = [arm_scores(Arm(name), 0.5) for name in ("fermi", f"fermi[{limit_remark(100)}]")]
    same = Estimate(tokens, None, None, 3, 3, 3, "none: no variation")
    arms = tuple(replace(a, per_answer=replace(a.per_answer, prompt_tokens=same)) for a in scored if a.per_answer)
    return replace(small_summary(), arms=arms)


def test_the_plot_names_measured_tokens_and_scores() -> None:
    plot = curves_over_prompt_tokens(rich_summary())
    assert plot is not None
    assert plot.key == ("few-shot", "fermi")
    assert "fermi: 480 tokens: 44.4, 780 tokens: 46.9, 1,380 tokens: 48.1, 2,280 tokens: 49.4" in plot.svg
    assert "with 95 % intervals of both" in plot.caption
    assert "the baseline, vanilla" in plot.caption


def test_there_is_a_curve_only_with_limits() -> None:
    assert curves_over_prompt_tokens(small_summary()) is None
    assert prompt_curves_table(small_summary()) is None


@pytest.mark.parametrize("tokens", [3.0, 140.0])
def test_a_curve_of_equal_tokens_is_drawn_without_a_warning(tokens: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert curves_over_prompt_tokens(with_tokens(tokens)) is not None


def test_points_without_a_token_have_no_place_on_the_axis() -> None:
    assert curves_over_prompt_tokens(with_tokens(0.0)) is None


@pytest.mark.parametrize(("low", "high"), [(10, 11), (61, 812), (136, 745), (5, 90_000), (1000, 1010)])
def test_an_axis_has_round_numbers_between_its_ends(low: float, high: float) -> None:
    ticks = _ticks(low, high)
    assert 1 <= len(ticks) <= 16
    assert all(low <= tick <= high for tick in ticks)
    assert ticks == sorted(set(ticks))


def test_the_table_of_a_curve_has_each_limit_and_none() -> None:
    table = prompt_curves_table(rich_summary())
    assert table is not None
    assert [row[1].text for row in table.rows] == ["100", "200", "400", "none"] * 2
    assert [(cell.text, cell.note) for cell in table.rows[4][2:4]] == [("480", "[456, 504]"), ("44.4", "[40.3, 48.5]")]


def test_an_arm_under_a_limit_is_no_point_of_another_curve() -> None:
    arms = [Arm(f"fermi[iterations={n},{limit_remark(100)}]") for n in (1, 2)]
    assert {iterations_of(arm) for arm in arms} == {None}
    assert [limit_of(arm) for arm in arms] == [(Arm(f"fermi[iterations={n}]"), 100) for n in (1, 2)]
    summary = replace(small_summary(), arms=tuple(arm_scores(arm, 0.5) for arm in arms))
    assert curves_over_iterations(summary) is None


def test_the_table_of_mean_costs_has_every_arm_and_says_what_a_prompt_token_is() -> None:
    summary = rich_summary()
    table = mean_costs_table(summary)
    assert table is not None
    assert len(table.rows) == len(summary.arms)
    assert "by likelihood on this machine, the tokens of all choices" in table.caption
    by_arm = {(row[0].text, row[0].mark): [cell.text for cell in row[1:]] for row in table.rows}
    assert by_arm["fermi", ""][3:6] == ["3", "2,280", "4"]
    assert by_arm["fermi", "another’s"][:3] == ["–"] * 3
    assert by_arm["most-frequent", "no model"][3:5] == ["0", "0"]


def test_an_older_folder_has_no_table_of_mean_costs() -> None:
    summary = small_summary()
    assert mean_costs_table(replace(summary, arms=tuple(replace(a, per_answer=None) for a in summary.arms))) is None
