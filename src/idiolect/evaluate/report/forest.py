"""Forest plots, with one estimate and its interval per row.

Summary → scores_forest (arms, with their controls), differences_forest (around 0) → Plot → sections
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from idiolect.evaluate.measures import Measure
from idiolect.evaluate.records import Arm
from idiolect.evaluate.report.cells import Meaning, Plot
from idiolect.evaluate.report.drawing import MUTED, OWN, PAPER, drawn_twice, plain_axes, wrapped
from idiolect.evaluate.report.looks import legend_of_arms, look_of
from idiolect.evaluate.report.wording import (
    capitalized,
    finite,
    headed,
    is_control,
    measure_of,
    plotted,
    short_labels,
    shown,
    shown_interval,
)
from idiolect.evaluate.summary import Comparison, Estimate, Header, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 930
_IN_THE_LABEL = 12
_NARROW_ROW = 42


@dataclass(frozen=True, slots=True)
class _Mark:
    row: float  # from the top
    estimate: Estimate
    colour: str
    hollow: bool = False
    shape: str = "o"


def scores_forest(summary: Summary) -> Plot | None:
    """Draw arms by the first measure; an arm and its control share a row."""
    measure = measure_of(summary.header.measures[0]) if summary.header.measures else None
    found = [(a.arm, a.scores[measure.name]) for a in summary.arms if measure and measure.name in a.scores]
    found = [(arm, estimate) for arm, estimate in found if finite(estimate.value)]
    if measure is None or not found:
        return None
    rows = list(dict.fromkeys(str(replace(arm, control="own")) for arm, _ in found))
    both = {str(replace(arm, control="own")) for arm, _ in found if is_control(arm)}
    marks = [_score_mark(arm, estimate, rows, (summary.header, both)) for arm, estimate in found]
    baseline = next((estimate.value for arm, estimate in found if arm == summary.header.baseline), None)
    labels = short_labels(rows)
    label = f"Forest plot of {measure.title} with 95 % intervals. " + _as_sentence(
        (str(arm), shown(measure, e.value), shown_interval(measure, e)) for arm, e in found
    )
    scale = (measure, baseline, headed(measure))
    svg, narrow = drawn_twice(
        lambda figure, narrow: _forest(figure.add_subplot(), marks, [labels[row] for row in rows], scale, narrow),
        "scores",
        label=label,
        wide=(_WIDTH, 70 + 26 * len(rows)),
        height=70 + _NARROW_ROW * len(rows),
    )
    intervals = any(estimate.low is not None for _, estimate in found)
    caption = f"{capitalized(measure.title)}{' and its 95 % interval' if intervals else ', without intervals'}."
    caption += f" The dashed line is the baseline, {summary.header.baseline}." if baseline is not None else ""
    return Plot(svg, narrow, caption, legend_of_arms((arm for arm, _ in found), summary.header))


def _score_mark(arm: Arm, estimate: Estimate, rows: Sequence[str], known: tuple[Header, set[str]]) -> _Mark:
    name, control = str(replace(arm, control="own")), is_control(arm)
    row, (header, both) = rows.index(name), known
    nudge = 0.16 if name in both else 0.0
    look = look_of(arm, header)
    return _Mark(row + (nudge if control else -nudge), estimate, look.colour, look.hollow, look.marker)


def differences_forest(comparisons: Sequence[Comparison]) -> Plot | None:
    """Draw paired differences around 0, with one panel per measure, because measures have different scales."""
    kept = [c for c in comparisons if finite(c.difference.value)]
    panels = {name: [c for c in kept if c.measure == name] for name in dict.fromkeys(c.measure for c in kept)}
    if not panels:
        return None
    label = "Forest plot of paired differences with 95 % intervals. " + _as_sentence(
        (f"{pair_of(c)}, {measure_of(c.measure).title}", *_signed(c)) for c in kept
    )
    labels = short_labels((pair_of(c) for c in kept), most=52)
    heights = [64 + 26 * len(panel) for panel in panels.values()]

    def draw(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots(len(panels), squeeze=False, height_ratios=heights)
        for ax, (name, panel) in zip(axes.flat, panels.items(), strict=True):
            measure = measure_of(name)
            marks = [_Mark(n, c.difference, OWN if c.primary else MUTED) for n, c in enumerate(panel)]
            scale = (measure, 0.0, _difference_head(measure))
            _forest(ax, marks, [labels[pair_of(c)] for c in panel], scale, narrow)

    tall = sum(80 + _NARROW_ROW * len(panel) for panel in panels.values())
    svg, narrow = drawn_twice(draw, "differences", label=label, wide=(_WIDTH, sum(heights)), height=tall)
    return Plot(
        svg,
        narrow,
        "Paired differences and their 95 % intervals; the dashed line marks no difference.",
        (Meaning("own", "primary", "circle"), Meaning("muted", "secondary", "circle"))
        if len({c.primary for c in kept}) == 2
        else (),
    )


def pair_of(comparison: Comparison) -> str:
    """Return `a − b`."""
    return f"{comparison.a} − {comparison.b}"


def _difference_head(measure: Measure) -> str:
    unit = {"%": " (percentage points)", "": ""}.get(measure.unit, f" ({measure.unit})")
    side = "above" if measure.better == "higher" else "below"
    return f"Difference in {measure.title}{unit}; {side} 0, the first is better"


def _signed(comparison: Comparison) -> tuple[str, str]:
    measure, difference = measure_of(comparison.measure), comparison.difference
    return shown(measure, difference.value, signed=True), shown_interval(measure, difference, signed=True)


def _forest(
    axes: Axes,
    marks: Sequence[_Mark],
    labels: Sequence[str],
    scale: tuple[Measure, float | None, str],
    narrow: bool,
) -> None:
    """Draw marks with their intervals; on a phone, the name of a row stands above it."""
    measure, reference, title = scale
    if reference is not None:
        axes.axvline(plotted(measure, reference), color=MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    for mark in marks:
        value = plotted(measure, mark.estimate.value)
        low, high = mark.estimate.low, mark.estimate.high
        if low is not None and high is not None and finite(low) and finite(high):
            ends = [plotted(measure, low), plotted(measure, high)]
            axes.plot(ends, [mark.row, mark.row], color=mark.colour, linewidth=1.6, solid_capstyle="butt")
        axes.plot(
            value, mark.row, mark.shape, color=mark.colour, markersize=6, zorder=3,
            markerfacecolor=PAPER if mark.hollow else mark.colour, markeredgewidth=1.5,
        )  # fmt: skip
    if narrow:
        axes.set_yticks([])
        for row, label in enumerate(labels):
            axes.text(
                0, row - 0.3, label, transform=axes.get_yaxis_transform(), va="bottom", fontsize=11, zorder=2,
                bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.5},
            )  # fmt: skip
        axes.set_ylim(len(labels) - 0.5, -0.8)
    else:
        axes.set_yticks(range(len(labels)), labels)
        axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlabel(wrapped(title, narrow))
    axes.margins(x=0.04)
    plain_axes(axes)


def _as_sentence(estimates: Iterable[tuple[str, str, str]]) -> str:
    marks = [f"{name}: {value} {interval}".rstrip() for name, value, interval in estimates]
    more = f"; and {len(marks) - _IN_THE_LABEL} more, which are in the table" if len(marks) > _IN_THE_LABEL else ""
    return "; ".join(marks[:_IN_THE_LABEL]) + more + "."
