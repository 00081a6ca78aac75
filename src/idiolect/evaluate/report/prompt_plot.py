"""The plot of the first measure over the measured prompt tokens of one answer, a curve for each method.

    Summary → prompt_curves → curves_over_prompt_tokens → Plot → sections

Both coordinates are measured, so both have intervals. The axis of tokens is logarithmic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from idiolect.evaluate.measures import Measure
from idiolect.evaluate.prompt_curves import PromptCurve, prompt_curves
from idiolect.evaluate.report.cells import Plot
from idiolect.evaluate.report.curves import draw_line, draw_whisker
from idiolect.evaluate.report.drawing import MARKERS, MUTED, SERIES, EndLabel, drawn_twice, label_at_right, plain_axes
from idiolect.evaluate.report.wording import (
    amount,
    capitalized,
    finite,
    headed,
    measure_of,
    plotted,
    short_labels,
    shown,
)
from idiolect.evaluate.summary import Estimate, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _HEIGHT = 930, 380
_MARGIN = 1.12  # factor from the outermost points to the ends of the axis
_FEW_TICKS = 3


def curves_over_prompt_tokens(summary: Summary) -> Plot | None:
    """Draw the curves of methods that answered under different limits; None if there are none."""
    curves = _drawable(summary)
    if not curves:
        return None
    measure = measure_of(summary.header.measures[0])
    baseline = next((a.scores.get(measure.name) for a in summary.arms if a.arm == summary.header.baseline), None)
    reference = baseline.value if baseline is not None and finite(baseline.value) else None
    height = max(_HEIGHT, 90 + 16 * len(curves))
    svg, narrow = drawn_twice(
        lambda figure, narrow: _draw(figure.add_subplot(), curves, (measure, reference), height - 60, narrow),
        "curves-prompt-tokens",
        label=_label(curves, measure),
        wide=(_WIDTH, height),
        height=height,
    )
    intervals = any(point.score.low is not None for curve in curves for point in curve.points)
    caption = f"{capitalized(measure.title)} over the measured prompt tokens of one answer, on a logarithmic scale"
    caption += ", with 95 % intervals of both." if intervals else "."
    caption += " Each mark is a limit on the prompts that answer, and the last one is the method without a limit."
    caption += f" The dotted line is the baseline, {summary.header.baseline}." if reference is not None else ""
    return Plot(svg, narrow, caption, key=tuple(str(curve.arm) for curve in curves))


def _drawable(summary: Summary) -> list[PromptCurve]:
    """Return the curves without points that cost no token, which have no place on a logarithmic axis."""
    kept = (
        replace(curve, points=tuple(point for point in curve.points if point.prompt_tokens.value > 0))
        for curve in prompt_curves(summary)
    )
    return [curve for curve in kept if len(curve.points) > 1]


def _label(curves: Sequence[PromptCurve], measure: Measure) -> str:
    points = (
        f"{curve.arm}: "
        + ", ".join(f"{amount(p.prompt_tokens.value)} tokens: {shown(measure, p.score.value)}" for p in curve.points)
        for curve in curves[:8]
    )
    return f"Curves of {measure.title} over prompt tokens per answer. " + "; ".join(points) + "."


def _draw(
    axes: Axes, curves: Sequence[PromptCurve], scale: tuple[Measure, float | None], height: int, narrow: bool
) -> None:
    measure, reference = scale
    tokens = [point.prompt_tokens.value for curve in curves for point in curve.points]
    ends = (min(tokens) / _MARGIN, max(tokens) * _MARGIN)
    axes.set_xlim(*ends)  # before the scale: autoscaling warns if all numbers are equal
    axes.set_xscale("log")
    if reference is not None:
        axes.axhline(plotted(measure, reference), color=MUTED, linewidth=1, linestyle=(0, (1, 2)))
    names, labels = short_labels((str(curve.arm) for curve in curves), most=34), []
    for n, curve in enumerate(curves):
        colour, marker = SERIES[n % len(SERIES)], MARKERS[n % len(MARKERS)]
        line = [(point.prompt_tokens.value, plotted(measure, point.score.value)) for point in curve.points]
        draw_line(axes, line, colour, (marker, False))
        for (x, y), point in zip(line, curve.points, strict=True):
            draw_whisker(axes, x, (point.score, measure), colour)
            _draw_across(axes, y, point.prompt_tokens, colour)
        labels.append(EndLabel(*line[-1], str(n + 1) if narrow else names[str(curve.arm)], colour))
    ticks = _ticks(*ends)
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlim(*ends)
    axes.set_xlabel("Prompt tokens per answer, measured")
    axes.set_ylabel(headed(measure))
    axes.margins(y=0.06)
    plain_axes(axes, grid="y")
    label_at_right(axes, labels, height)


def _draw_across(axes: Axes, y: float, tokens: Estimate, colour: str) -> None:
    """Draw the interval of a number of tokens to the left and right of its point, if it has one."""
    if tokens.low is None or tokens.high is None or not tokens.low > 0:
        return
    axes.plot([tokens.low, tokens.high], [y, y], color=colour, linewidth=1, alpha=0.6, zorder=2)


def _ticks(low: float, high: float) -> list[int]:
    """Return round numbers between the ends, at least some, from the coarsest steps that give enough."""
    steps: Sequence[Sequence[int]] = ((10,), (10, 20, 50), (10, 15, 20, 30, 40, 50, 70), range(10, 100))
    for factors in steps:
        found = [n for power in range(8) for f in factors if low <= (n := f * 10**power) <= high]
        if len(found) >= _FEW_TICKS:
            return found[:: max(1, len(found) // 8)]
    return [round((low * high) ** 0.5)]
