"""The other plots: gains and losses of people, costs of answers, and CHAMELEON's layers.

Summary → gain_bars, cost_scatter, layer_grid → Plot → sections
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from idiolect.evaluate.measures import Measure
from idiolect.evaluate.records import Arm
from idiolect.evaluate.report.cells import Meaning, Plot
from idiolect.evaluate.report.drawing import (
    ANOTHER,
    GRID,
    MARKERS,
    MUTED,
    OWN,
    SERIES,
    EndLabel,
    drawn_twice,
    label_at_right,
    plain_axes,
)
from idiolect.evaluate.report.looks import legend_of_arms, look_of
from idiolect.evaluate.report.wording import (
    amount,
    capitalized,
    finite,
    headed,
    is_control,
    measure_of,
    plotted,
    short_labels,
    shortened,
    shown,
)
from idiolect.evaluate.summary import ArmScores, Gain, Header, LayerProfile, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 930
_FEW_PEOPLE = 60  # maximum number of bars that can be distinguished


# -- gain per person


def gain_bars(summary: Summary) -> Plot | None:
    """Draw the people of each arm from the largest gain to the largest loss: one row per arm, one bar per person."""
    gains = gains_by_arm(summary.gains)
    if not gains or not summary.header.measures:
        return None
    measure = measure_of(summary.header.measures[0])
    row = 58 if len(gains) <= 8 else 42
    largest = max((abs(g.gain) for each in gains.values() for g in each), default=0.0)
    counts = {arm: better_same_worse(each) for arm, each in gains.items()}
    parts = (f"{arm}: {better} gain, {same} same, {worse} lose" for arm, (better, same, worse) in counts.items())
    label = f"Gain in {measure.title} of every person over the baseline, by arm. " + "; ".join(list(parts)[:12]) + "."
    svg, narrow = drawn_twice(
        lambda figure, narrow: _gain_rows(figure.add_subplot(), gains, largest or 1.0, narrow),
        "gains",
        label=label,
        wide=(_WIDTH, 34 + row * len(gains)),
        height=20 + 74 * len(gains),
    )
    unit = {"%": " percentage points", "": ""}.get(measure.unit, f" {measure.unit}")
    caption = (
        "Every bar is a person: up is better and down is worse than with the baseline, "
        f"{summary.header.baseline}, in {measure.title}. Each row is sorted by gain; half a row's height is "
        f"{shown(measure, largest)}{unit}."
    )
    return Plot(svg, narrow, caption, (Meaning("own", "better"), Meaning("another", "worse")))


def gains_by_arm(gains: Sequence[Gain]) -> dict[Arm, list[Gain]]:
    """Return gains by arm, largest first."""
    found: dict[Arm, list[Gain]] = {}
    for gain in gains:
        if finite(gain.gain):
            found.setdefault(gain.arm, []).append(gain)
    return {arm: sorted(each, key=lambda g: (-g.gain, g.user)) for arm, each in found.items()}


def better_same_worse(gains: Sequence[Gain]) -> tuple[int, int, int]:
    """Return the numbers of people who gain, stay the same and lose."""
    better, worse = sum(g.gain > 0 for g in gains), sum(g.gain < 0 for g in gains)
    return better, len(gains) - better - worse, worse


def _gain_rows(axes: Axes, gains: Mapping[Arm, Sequence[Gain]], largest: float, narrow: bool) -> None:
    labels = short_labels(str(arm) for arm in gains)
    for row, (arm, each) in enumerate(gains.items()):
        axes.plot([0, 1], [row, row], color=GRID, linewidth=0.8)
        _gain_row(axes, row, [gain.gain / largest for gain in each], 0.34 if narrow else 0.44)
        better, same, worse = better_same_worse(each)
        if narrow:  # the name and the counts stand above the row
            axes.text(0, row - 0.42, labels[str(arm)], va="bottom", fontsize=11)
            counts = f"{better} better, {same} same, {worse} worse"
            axes.text(1, row - 0.42, counts, va="bottom", ha="right", fontsize=10, color=MUTED)
        else:
            counts = f"{better} better\n{same} same, {worse} worse"
            axes.text(1.02, row, counts, va="center", fontsize=10.5, color=MUTED)
    axes.set_yticks([] if narrow else range(len(gains)), [] if narrow else [labels[str(arm)] for arm in gains])
    axes.set_xticks([])
    axes.set_ylim(len(gains) - 0.5, -0.75 if narrow else -0.5)
    axes.set_xlim(0, 1)
    plain_axes(axes)
    axes.spines["bottom"].set_visible(False)


def _gain_row(axes: Axes, row: int, heights: Sequence[float], tallest: float) -> None:
    """Draw all bars of one colour as one shape; if there are many, equal adjacent bars are one rectangle."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    bars = _bars(heights)
    for colour, sign in ((OWN, 1), (ANOTHER, -1)):
        corners = [
            [(left, row), (right, row), (right, row - tallest * height), (left, row - tallest * height)]
            for left, right, height in bars
            if sign * height > 0
        ]
        if corners:
            shape = Path.make_compound_path_from_polys(np.array(corners))  # (bars, 4, 2)
            axes.add_patch(PathPatch(shape, facecolor=colour, linewidth=0))


def _bars(heights: Sequence[float]) -> list[tuple[float, float, float]]:
    """Return left, right and height of each bar; the row has a width of 1."""
    width, start, bars = 1 / len(heights), 0, []
    apart = len(heights) <= _FEW_PEOPLE
    for height, block in groupby(heights):
        alike = len(list(block))
        if apart:
            bars += [((start + n) * width, (start + n + 0.85) * width, height) for n in range(alike)]
        else:
            bars.append((start * width, (start + alike) * width, height))
        start += alike
    return bars


# -- cost against score


@dataclass(frozen=True, slots=True)
class CostPerPerson:
    """Cost per person, with separate calls for learning and answering."""

    learning_calls: float
    answering_calls: float
    tokens: float
    seconds: float
    money: float | None

    @property
    def calls(self) -> float:
        """Calls for learning and answering together."""
        return self.learning_calls + self.answering_calls


def cost_of(scored: ArmScores) -> CostPerPerson:
    """Return the mean cost over the people who were learned from and answered for, each once per seed."""
    people = scored.learned_people or max(1, scored.people * len(scored.seeds))
    both = scored.learning + scored.answering
    return CostPerPerson(
        scored.learning.calls / people,
        scored.answering.calls / people,
        both.tokens / people,
        both.seconds / people,
        None if both.money is None else both.money / people,
    )


def cost_scatter(summary: Summary) -> Plot | None:
    """Draw the first measure over calls and seconds per person, without controls, whose learning is another arm's."""
    measure = measure_of(summary.header.measures[0]) if summary.header.measures else None
    own = [a for a in summary.arms if not is_control(a.arm)]
    found = [a for a in own if measure and measure.name in a.scores and finite(a.scores[measure.name].value)]
    scales = {
        "Calls per person, learning and answering": [cost_of(a).calls for a in found],
        "Seconds per person, learning and answering": [cost_of(a).seconds for a in found],
    }
    scales = {title: costs for title, costs in scales.items() if any(cost > 0 for cost in costs)}
    if measure is None or not scales:
        return None
    panel = max(300, 70 + 16 * len(found))
    parts = (
        f"{a.arm}: {amount(cost_of(a).calls)} calls, {shown(measure, a.scores[measure.name].value)}" for a in found
    )
    label = f"Cost per person and {measure.title}. " + "; ".join(list(parts)[:12]) + "."

    def draw(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots(len(scales), squeeze=False, gridspec_kw={"hspace": 0.08})
        for ax, (title, costs) in zip(axes.flat, scales.items(), strict=True):
            _cost_panel(ax, found, costs, (measure, summary.header))
            ax.set_xlabel(title)
            label_at_right(ax, _cost_labels(found, costs, measure, narrow), panel - 60)

    size = (_WIDTH, panel * len(scales))
    svg, narrow = drawn_twice(draw, "costs", label=label, wide=size, height=panel * len(scales))
    caption = f"{capitalized(measure.title)} over the cost per person, on a logarithmic scale."
    legend = legend_of_arms((a.arm for a in found), summary.header)
    return Plot(svg, narrow, caption, legend, tuple(str(a.arm) for a in found))


def _cost_labels(found: Sequence[ArmScores], costs: Sequence[float], measure: Measure, narrow: bool) -> list[EndLabel]:
    names = short_labels((str(a.arm) for a in found), most=36)
    return [
        EndLabel(cost, plotted(measure, a.scores[measure.name].value), str(n) if narrow else names[str(a.arm)], MUTED)
        for n, (a, cost) in enumerate(zip(found, costs, strict=True), 1)
    ]


def _cost_panel(
    axes: Axes, found: Sequence[ArmScores], costs: Sequence[float], compared: tuple[Measure, Header]
) -> None:
    measure, header = compared
    for scored, cost in zip(found, costs, strict=True):
        look = look_of(scored.arm, header)
        value = plotted(measure, scored.scores[measure.name].value)
        axes.plot(cost, value, look.marker, color=look.colour, markersize=6.5, zorder=3)
    _log_axis(axes, costs)
    axes.set_ylabel(headed(measure))
    axes.margins(y=0.08)
    plain_axes(axes, grid="y")


def _log_axis(axes: Axes, costs: Sequence[float]) -> None:
    """Scale the axis by powers of ten, with a separate place for zero cost."""
    positive = [cost for cost in costs if cost > 0]
    first, last = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
    last = max(last, first + 1)
    nothing = len(positive) < len(costs)
    ends = (-0.25 * 10.0**first if nothing else 10.0**first * 0.8, 10.0**last * 1.25)
    axes.set_xlim(*ends)  # before the scale: autoscaling warns if all costs are equal
    if nothing:
        axes.set_xscale("symlog", linthresh=10.0**first, linscale=0.35)
    else:
        axes.set_xscale("log")
    ticks = [10.0**power for power in range(first, last + 1)]
    ticks = [0.0, *ticks] if nothing else ticks
    axes.set_xticks(ticks, [f"{tick:,g}" if tick < 1e6 else f"{tick:.0e}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlim(*ends)


# -- layers of CHAMELEON

_LAYER_TITLES = {
    "loss": "CCS loss",
    "agreement": "agreement on the pairs",
    "held_out": "agreement on held-out pairs",
    "cos_mean": "|cos(θ_P, mean activation)|",
    "cos_directions": "|cos(θ_P, θ_N)|",
    "edit_size": "size of the edit, ‖Δx‖ / ‖x‖",
}


def layer_grid(profiles: Mapping[str, tuple[LayerProfile, ...]], name: str) -> Plot | None:
    """Draw small multiples, with one panel per diagnostic and one line per arm."""
    kept = {arm: layers for arm, layers in profiles.items() if layers}
    there = {key for layers in kept.values() for layer in layers for key, v in layer.values.items() if finite(v)}
    keys = [key for key in _LAYER_TITLES if key in there] + sorted(there - set(_LAYER_TITLES))
    if not keys:
        return None
    across, narrow_across = min(3, len(keys)), min(2, len(keys))
    label = f"Diagnostics by layer ({', '.join(keys)}) of {', '.join(kept)}."

    def draw(figure: Figure, narrow: bool) -> None:
        columns = narrow_across if narrow else across
        axes = figure.subplots(math.ceil(len(keys) / columns), columns, squeeze=False, sharex=True)
        for ax, key in zip(axes.flat, keys, strict=False):
            _layer_panel(ax, kept, key, narrow)
        for ax in list(axes.flat)[len(keys) :]:
            ax.set_visible(False)
        for ax in axes[-1]:
            ax.set_xlabel("Layer")

    tall, taller = (30 + 200 * math.ceil(len(keys) / columns) for columns in (across, narrow_across))
    svg, narrow = drawn_twice(draw, name, label=label, wide=(_WIDTH, tall), height=taller)
    legend = tuple(Meaning(f"series-{n % len(SERIES) + 1}", arm) for n, arm in enumerate(kept))
    return Plot(svg, narrow, "Means over people, by layer of the model.", legend)


def _layer_panel(axes: Axes, profiles: Mapping[str, Sequence[LayerProfile]], key: str, narrow: bool) -> None:
    for n, layers in enumerate(profiles.values()):
        points = [(layer.layer, layer.values[key]) for layer in layers if finite(layer.values.get(key))]
        colour, marker = SERIES[n % len(SERIES)], MARKERS[n % len(MARKERS)]
        axes.plot(
            [x for x, _ in points], [y for _, y in points], color=colour, linewidth=1.4, marker=marker, markersize=3.2
        )
    title = shortened(_LAYER_TITLES.get(key, key))
    axes.set_title(textwrap.fill(title, 24) if narrow else title, fontsize=10.5 if narrow else 11.5)
    axes.locator_params(axis="y", nbins=5)
    plain_axes(axes, grid="y")
