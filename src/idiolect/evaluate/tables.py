"""The summary for people who read text, and for machines: a Markdown table, and `scores.json`.

Summary → table → scores.md;  to_json → scores.json
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from idiolect.evaluate.measures import Measure, measure_named
from idiolect.evaluate.records import Arm, Spent
from idiolect.evaluate.summary import ArmScores, Comparison, Estimate, Summary


def table(summary: Summary) -> str:
    """Scores with intervals, what they rest on and cost, paired differences, and what a reader has to know."""
    blocks = [
        [_status_line(summary), "", f"# {summary.title}", "", _people_line(summary)],
        _scores(summary),
        _counts_and_costs(summary),
        _differences(summary),
        _transfer(summary),
        _left_out(summary),
        [f"- {_cell(note)}" for note in summary.notes],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _status_line(summary: Summary) -> str:
    if summary.status == "complete":
        return "Complete."
    return f"**Partial: not everything that was asked for is here; stopped by {_cell(summary.stopped_by)}.**"


def _people_line(summary: Summary) -> str:
    return (
        f"{summary.people} of {summary.people_asked} people have answers. Means over people, each counting once, with "
        f"95 % intervals; baseline: {_cell(str(summary.baseline))}."
    )


def _scores(summary: Summary) -> list[str]:
    measures = [measure_named(name) for name in summary.measures]
    heads = [f"{measure.title}{_unit(measure)}, {measure.better} is better" for measure in measures]
    rows = []
    for scores in summary.arms:
        found = [scores.scores.get(measure.name) for measure in measures]
        cells = [_estimate(value, measure) for value, measure in zip(found, measures, strict=True)]
        main = next((value for value in found if value is not None), None)
        counts = (main.people, main.questions, main.answers) if main else (0, 0, 0)
        rows.append([str(scores.arm), *cells, *(f"{count:,}" for count in counts)])
    return _markdown("Scores", ["arm", *heads, "people", "questions", "answers"], rows)


def _counts_and_costs(summary: Summary) -> list[str]:
    heads = [
        "arm", "seeds", "unparsed", "not scored", "calls, learning", "calls, answering", "calls made", "tokens",
        "US dollars", "s per person, learning", "s per person, answering", "gate open",
    ]  # fmt: skip
    return _markdown("What it rests on, and what it cost", heads, [_count_row(scores) for scores in summary.arms])


def _count_row(scores: ArmScores) -> list[str]:
    both = scores.learning + scores.answering
    people = scores.learned_people
    return [
        str(scores.arm),
        ", ".join(str(seed) for seed in scores.seeds),
        f"{scores.unparsed:,} of {scores.answers:,}",
        "; ".join(f"{count:,}: {reason}" for reason, count in scores.not_scored.items()) or "0",
        f"{scores.learning.calls:,}",
        f"{scores.answering.calls:,}",
        f"{both.calls_made:,}",
        f"{both.prompt_tokens + both.completion_tokens:,}",
        "unknown" if both.money is None else f"{both.money:.4f}",
        _per_person(scores.learning, people),
        _per_person(scores.answering, people),
        "–" if scores.used is None else f"{scores.used} of {people}",
    ]


def _per_person(spent: Spent, people: int) -> str:
    return f"{spent.seconds / people:.1f}" if people else "–"


def _differences(summary: Summary) -> list[str]:
    if not summary.comparisons:
        return []
    heads = ["a − b", "measure", "difference", "p", "p, Holm", "people", "questions", "answers", "interval"]
    rows = [_difference_row(comparison) for comparison in summary.comparisons]
    told = (
        "Named beforehand are those with Holm's p, which is over these alone; the others are not corrected. Where a "
        "difference is the same in all answers there is no variance and no p; it counts as 1."
    )
    return [*_markdown("Paired differences", heads, rows), "", told]


def _difference_row(comparison: Comparison) -> list[str]:
    measure, found = measure_named(comparison.measure), comparison.difference
    return [
        f"{comparison.a} − {comparison.b}",
        f"{measure.title}{_unit(measure, difference=True)}",
        _estimate(found, measure, signed=True),
        _p(comparison.p),
        "counts as 1" if comparison.primary and comparison.p is None else _p(comparison.p_holm),
        *(f"{count:,}" for count in (found.people, found.questions, found.answers)),
        found.interval,
    ]


def _transfer(summary: Summary) -> list[str]:
    found = summary.transfer
    if found is None:
        return []
    measure = measure_named(summary.measures[0])
    rows = [
        [row, *(_estimate(found.cells.get((row, column)), measure) for column in found.models)] for row in found.models
    ]
    rows = [row for row in rows if any(cell != "–" for cell in row[1:])]
    heads = ["learned with ↓, answered by →", *found.models]
    told = [f"Recordings, not live models: {', '.join(map(_cell, found.replayed))}."] if found.replayed else []
    title = f"Transfer of {found.method} between models: {measure.title}{_unit(measure)}"
    return [*_markdown(title, heads, rows), *(["", *told] if told else [])]


def _left_out(summary: Summary) -> list[str]:
    if not summary.broken_count:
        return []
    told = [f"- {_cell(text)}" for text in summary.broken]
    beyond = summary.broken_count - len(summary.broken)
    more = [f"- and {beyond:,} more"] if beyond > 0 else []
    return ["## Records left out", "", f"{summary.broken_count:,} could not be read:", "", *told, *more]


def _unit(measure: Measure, *, difference: bool = False) -> str:
    unit = "points" if difference and measure.unit == "%" else measure.unit
    return f" ({unit})" if unit else ""


def _estimate(found: Estimate | None, measure: Measure, *, signed: bool = False) -> str:
    if found is None:
        return "–"
    value = measure.shown(found.value, signed=signed)
    if found.low is None or found.high is None:
        return f"{value} [no interval]"
    return f"{value} [{measure.shown(found.low, signed=signed)}, {measure.shown(found.high, signed=signed)}]"


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _markdown(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"## {_cell(title)}", "", *(f"| {' | '.join(map(_cell, line))} |" for line in lines)]


def _cell(text: str) -> str:
    """On one line, and no cell of its own."""
    return " ".join(text.split()).replace("|", "\\|")


def to_json(summary: Summary) -> dict[str, Any]:
    """The summary as strict JSON values: arms as their text and parts, numbers that are none as null."""
    plain = {each.name: _plain(getattr(summary, each.name)) for each in fields(summary)}
    if summary.transfer is not None:
        plain["transfer"] = {
            "method": summary.transfer.method,
            "models": list(summary.transfer.models),
            "replayed": list(summary.transfer.replayed),
            "cells": [
                {"learned_with": row, "answered_by": column, "score": _plain(found)}
                for (row, column), found in summary.transfer.cells.items()
            ],
        }
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Arm):
        return {"text": str(value), **asdict(value)}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if hasattr(value, "__dataclass_fields__"):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    return value
