"""Learning curves: the first measure over the number of opinions that were learned from, and over iterations.

    Summary → curves_over_opinions, curves_over_iterations → Plot → sections

A curve has one method, one control and one answering model; only the number differs along it. Numbers are spaced by
their logarithm. An arm that learned from all opinions is placed separately at the end, because their number differs
from person to person.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from idiolect.evaluate.measures import Measure
from idiolect.evaluate.prompt_limits import limit_of
from idiolect.evaluate.records import Arm
from idiolect.evaluate.report.cells import Plot
from idiolect.evaluate.report.drawing import (
    MARKERS,
    MUTED,
    PAPER,
    SERIES,
    EndLabel,
    drawn_twice,
    label_at_right,
    plain_axes,
)
from idiolect.evaluate.report.wording import (
    capitalized,
    finite,
    headed,
    is_control,
    measure_of,
    plotted,
    short_labels,
    shown,
)
from idiolect.evaluate.summary import Estimate, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _HEIGHT = 930, 380
_ITERATIONS = re.compile(r"(?<=[\[,;])\s*iterations=(\d+)\s*(?=[\],;])")
_ALL = math.inf


@dataclass(frozen=True, slots=True)
class _Curve:
    arm: Arm  # without the number that varies
    points: tuple[tuple[float, Estimate], ...]


def curves_over_opinions(summary: Summary) -> Plot | None:
    """Draw the curves of methods that learned from different numbers of opinions."""

    def opinions(arm: Arm) -> tuple[Arm, float] | None:
        if limit_of(arm) is not None:
            return None
        return replace(arm, n_train=None), _ALL if arm.n_train is None else arm.n_train

    return _curves(summary, opinions, ("curves-opinions", "number of opinions learned from"))


def curves_over_iterations(summary: Summary) -> Plot | None:
    """Draw the curves of methods that learned for different numbers of iterations."""
    return _curves(summary, iterations_of, ("curves-iterations", "number of iterations"))


def iterations_of(arm: Arm) -> tuple[Arm, float] | None:
    """Return the arm without its number of iterations, and the number; None if the arm's name has none.

    An arm that answers under a limit is a point of another curve.
    """
    found = _ITERATIONS.search(arm.method)
    if found is None or limit_of(arm) is not None:
        return None
    rest = arm.method[: found.start()] + arm.method[found.end() :]
    rest = re.sub(r"\[[,;]\s*", "[", re.sub(r"[,;](?=\])|(?<=[,;])[,;]", "", rest)).replace("[]", "")
    return replace(arm, method=rest), int(found[1])


def _curves(summary: Summary, place: Callable[[Arm], tuple[Arm, float] | None], named: tuple[str, str]) -> Plot | None:
    measure = measure_of(summary.header.measures[0]) if summary.header.measures else None
    curves = _found(summary, measure.name, place) if measure is not None else []
    if measure is None or not curves:
        return None
    name, along = named
    baseline = next((a.scores.get(measure.name) for a in summary.arms if a.arm == summary.header.baseline), None)
    reference = baseline.value if baseline is not None and finite(baseline.value) else None
    height = max(_HEIGHT, 90 + 16 * len(curves))
    svg, narrow = drawn_twice(
        lambda figure, narrow: _draw(figure.add_subplot(), curves, (measure, reference, along), height - 60, narrow),
        name,
        label=_label(curves, measure, along),
        wide=(_WIDTH, height),
        height=height,
    )
    intervals = any(estimate.low is not None for curve in curves for _, estimate in curve.points)
    caption = f"{capitalized(measure.title)} over {along}{', with 95 % intervals' if intervals else ''}."
    if any(is_control(curve.arm) for curve in curves):
        caption += " Dashed, with hollow marks: learned from another person."
    caption += f" The dotted line is the baseline, {summary.header.baseline}." if reference is not None else ""
    return Plot(svg, narrow, caption, key=tuple(str(curve.arm) for curve in curves))


def _found(summary: Summary, measure: str, place: Callable[[Arm], tuple[Arm, float] | None]) -> list[_Curve]:
    points: dict[Arm, dict[float, Estimate]] = {}
    for scored in summary.arms:
        placed = place(scored.arm)
        if placed is not None and measure in scored.scores and finite(scored.scores[measure].value):
            points.setdefault(placed[0], {})[placed[1]] = scored.scores[measure]
    return [_Curve(arm, tuple(sorted(found.items()))) for arm, found in points.items() if len(found) > 1]


def _label(curves: Sequence[_Curve], measure: Measure, along: str) -> str:
    points = (
        f"{curve.arm}: " + ", ".join(f"{_number(n)}: {shown(measure, estimate.value)}" for n, estimate in curve.points)
        for curve in curves[:8]
    )
    return f"Learning curves of {measure.title} over {along}. " + "; ".join(points) + "."


def _number(n: float) -> str:
    return "all" if n == _ALL else f"{n:g}"


def _draw(
    axes: Axes, curves: Sequence[_Curve], scale: tuple[Measure, float | None, str], height: int, narrow: bool
) -> None:
    measure, reference, along = scale
    numbers = sorted({n for curve in curves for n, _ in curve.points})
    places = _places(numbers)
    if reference is not None:
        axes.axhline(plotted(measure, reference), color=MUTED, linewidth=1, linestyle=(0, (1, 2)))
    methods = list(dict.fromkeys((curve.arm.method, curve.arm.answered_by) for curve in curves))
    names, ends = short_labels((str(curve.arm) for curve in curves), most=34), []
    for n, curve in enumerate(curves):
        style = methods.index((curve.arm.method, curve.arm.answered_by))
        aside = 0.02 * (n - (len(curves) - 1) / 2)
        line = [(places[x] + aside, plotted(measure, estimate.value)) for x, estimate in curve.points]
        draw_line(axes, line, SERIES[style % len(SERIES)], (MARKERS[style % len(MARKERS)], is_control(curve.arm)))
        for (x, _), (_, estimate) in zip(line, curve.points, strict=True):
            draw_whisker(axes, x, (estimate, measure), SERIES[style % len(SERIES)])
        end = str(n + 1) if narrow else names[str(curve.arm)]
        ends.append(EndLabel(*line[-1], end, SERIES[style % len(SERIES)]))
    axes.set_xticks([places[n] for n in numbers], [_number(n) for n in numbers])
    axes.set_xlabel(capitalized(along))
    axes.set_ylabel(headed(measure))
    axes.margins(x=0.06, y=0.06)
    plain_axes(axes, grid="y")
    label_at_right(axes, ends, height)


def _places(numbers: Sequence[float]) -> dict[float, float]:
    places = {n: math.log2(n) if n > 0 else -1.0 for n in numbers if n != _ALL}
    return places | {_ALL: max(places.values(), default=0.0) + 1}


def draw_line(axes: Axes, points: Sequence[tuple[float, float]], colour: str, look: tuple[str, bool]) -> None:
    """Draw a curve; its look is the marker, and whether it is dashed with hollow marks."""
    marker, hollow = look
    xs, ys = [x for x, _ in points], [y for _, y in points]
    axes.plot(
        xs, ys, marker=marker, color=colour, linewidth=1.5, markersize=6, markeredgewidth=1.4, zorder=3,
        linestyle=(0, (4, 2)) if hollow else "-", markerfacecolor=PAPER if hollow else colour,
    )  # fmt: skip


def draw_whisker(axes: Axes, x: float, points: tuple[Estimate, Measure], colour: str) -> None:
    """Draw the interval of an estimate above and below its point, if it has one."""
    estimate, measure = points
    if estimate.low is None or estimate.high is None or not (finite(estimate.low) and finite(estimate.high)):
        return
    ends = [plotted(measure, estimate.low), plotted(measure, estimate.high)]
    axes.plot([x, x], ends, color=colour, linewidth=1, alpha=0.6, zorder=2)
