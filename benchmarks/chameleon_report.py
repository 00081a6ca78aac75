"""The report of `chameleon_people`: from a folder of scores to OUT.md with tables, and OUT/*.svg with plots."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from intervals import Interval, mean_interval, paired_difference

_TITLES = {
    "writers": "log-probability of the writers' own unseen texts, nat per token",
    "stars": "log-probability of the stars that the reviewers gave, nat",
}


@dataclass(frozen=True)
class Scores:
    """Per arm and person: mean gain on their held-out items, and mean change on neutral text, against base."""

    gain: Mapping[str, Mapping[str, float]]
    neutral: Mapping[str, Mapping[str, float]]

    @classmethod
    def read(cls, out: Path, people: Sequence[str]) -> Scores:
        """Of the people given."""
        rows = [json.loads(line) for line in (out / "scores.jsonl").read_text().splitlines()]
        base = {row["person"]: row for row in rows if row["arm"] == "base"}
        gain: dict[str, dict[str, float]] = {}
        neutral: dict[str, dict[str, float]] = {}
        for row in rows:
            person = row["person"]
            if person in people:
                gain.setdefault(row["arm"], {})[person] = _mean(row["items"]) - _mean(base[person]["items"])
                neutral.setdefault(row["arm"], {})[person] = _mean(row["neutral"]) - _mean(base[person]["neutral"])
        return cls(gain, neutral)


def write_report(out: Path, task: str) -> None:
    """Write OUT.md and its plots."""
    people = json.loads((out / "people.json").read_text())
    chosen = json.loads((out / "chosen.json").read_text())
    reported, development = Scores.read(out, people["reported"]), Scores.read(out, people["development"])
    arms = [arm for arm in reported.gain if arm != "base" and len(reported.gain[arm]) == len(people["reported"])]
    _plot_trade_off(out / "trade-off.svg", reported, [arm for arm in arms if "another" not in arm])
    _plot_people(out / "people.svg", reported, [arm for arm in chosen if arm in arms])
    text = [
        f"# CHAMELEON on the embedded model: {task}",
        "",
        f"The gain is the {_TITLES[task]}, against the base model. Neutral is the change of the log-probability per "
        f"token of other people's plain prose. {len(people['reported'])} people are reported; "
        f"{len(people['development'])} others chose layers and strengths. Intervals are 95 % bootstrap intervals over "
        "people.",
        "",
        *_table(arms, chosen, reported),
        "",
        f"![gain against neutral change]({out.name}/trade-off.svg)",
        f"![gain by person]({out.name}/people.svg)",
        "",
        "## Own directions against another person's",
        "",
        *_controls(reported),
        "",
        "## Variants that the development people chose from",
        "",
        "| | gain | neutral |",
        "|---|---|---|",
        *(
            f"| {arm.removeprefix('development ')} | {_mean(list(development.gain[arm].values())):+.3f} "
            f"| {_mean(list(development.neutral[arm].values())):+.3f} |"
            for arm in development.gain
            if arm.startswith("development")
        ),
        "",
    ]
    out.with_suffix(".md").write_text("\n".join(text))


def _table(arms: Sequence[str], chosen: Mapping[str, str], scores: Scores) -> list[str]:
    rows = ["| | gain | neutral | people who gain |", "|---|---|---|---|"]
    for arm in arms:
        gain, neutral = mean_interval(scores.gain[arm]), mean_interval(scores.neutral[arm])
        better = sum(value > 0 for value in scores.gain[arm].values())
        what = f"{arm} ({chosen[arm].partition(', ')[2]})" if arm in chosen else arm
        rows.append(f"| {what} | {_signed(gain)} | {_signed(neutral)} | {better} of {gain.n} |")
    return rows


def _controls(scores: Scores) -> list[str]:
    rows = ["| | own minus another's of the same kind | own minus another's of another kind |", "|---|---|---|"]
    compared = [arm for arm in scores.gain if any(other.startswith(f"{arm} · another") for other in scores.gain)]
    for arm in compared:
        cells = []
        for kind in ("same kind", "other kind"):
            other = scores.gain.get(f"{arm} · another's θ ({kind})")
            cells.append("-" if other is None else _signed(paired_difference(scores.gain[arm], other)))
        rows.append(f"| {arm} | {' | '.join(cells)} |")
    return rows


def _plot_trade_off(path: Path, scores: Scores, arms: Sequence[str]) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(10, 5.5))
    for number, arm in enumerate(arms, start=1):
        x, y = _mean(list(scores.neutral[arm].values())), _mean(list(scores.gain[arm].values()))
        axes.scatter(x, y, s=16, label=f"{number}  {arm}")
        axes.annotate(str(number), (x, y), fontsize=8, xytext=(4, 2), textcoords="offset points")
    axes.axhline(0, color="grey", linewidth=0.5)
    axes.axvline(0, color="grey", linewidth=0.5)
    axes.set_xlabel("change on neutral text (nat per token)")
    axes.set_ylabel("gain on the person's own")
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _plot_people(path: Path, scores: Scores, arms: Sequence[str]) -> None:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 5))
    for at, arm in enumerate(arms):
        values = list(scores.gain[arm].values())
        axes.scatter([at] * len(values), values, s=10, alpha=0.6)
        axes.hlines(_mean(values), at - 0.25, at + 0.25)
    axes.axhline(0, color="grey", linewidth=0.5)
    axes.set_xticks(range(len(arms)), arms, rotation=30, ha="right", fontsize=7)
    axes.set_ylabel("gain on the person's own")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _signed(interval: Interval) -> str:
    return f"{interval.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
