"""The summary as text and as data: a Markdown table, and `scores.json`.

Summary → table → scores.md;  to_json → scores.json
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from idiolect.evaluate.measures import Measure, measure_named
from idiolect.evaluate.prompt_curves import prompt_curves
from idiolect.evaluate.records import Arm, MethodCost
from idiolect.evaluate.report.evidence import few_people_note, too_few_people
from idiolect.evaluate.report.made import models_text
from idiolect.evaluate.report.wording import (
    COST_NOTE,
    CURVE_NOTE,
    NEUTRAL_NOTE,
    amount,
    cleaned,
    group_word,
    probability,
    tokens_text,
)
from idiolect.evaluate.schema import SCHEMA_VERSION, VERSION_KEY
from idiolect.evaluate.summary import ArmScores, Comparison, Estimate, Header, Summary

_KEYS = (
    VERSION_KEY, "task", "title", "status", "stopped_by", "config", "measures", "baseline", "people", "people_asked",
    "arms", "by_group", "comparisons", "gains", "text_gains", "prompt_curves", "readings", "best", "worst", "layers",
    "transfer", "broken_count", "broken", "notes", "kinds", "runs",
)  # fmt: skip
"""Keys of `scores.json`, in order."""


_TAG = re.compile("<(?=[A-Za-z/!?])")


def table(summary: Summary) -> str:
    """Return the Markdown tables: scores with intervals, counts and costs, paired differences, and notes."""
    summary = cleaned(summary)
    blocks = [
        _head(summary),
        _scores(summary),
        _scores_by_group(summary),
        _counts_and_costs(summary),
        _mean_costs(summary),
        _prompt_curves(summary),
        _differences(summary),
        _text_gains(summary),
        _transfer(summary),
        _left_out(summary.header),
        [f"- {_cell(note)}" for note in summary.header.notes],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _head(summary: Summary) -> list[str]:
    header = summary.header
    status = "Complete."
    if header.status != "complete":
        status = f"**Partial: the evaluation is not complete; stopped by {_cell(header.stopped_by)}.**"
    people = (
        f"{summary.people} of {header.people_asked} people have answers. Means over people, each counting once, with "
        f"95 % intervals; baseline: {_cell(str(header.baseline))}."
    )
    model = models_text(header.runs)
    return [status, "", f"# {header.title}", "", people, *(["", f"Model: {_cell(model)}."] if model else [])]


def _scores(summary: Summary) -> list[str]:
    measures = [measure_named(name) for name in summary.header.measures]
    heads = [f"{measure.title}{_unit(measure)}, {measure.better} is better" for measure in measures]
    rows = []
    for scores in summary.arms:
        found = [scores.scores.get(measure.name) for measure in measures]
        cells = [_estimate(value, measure) for value, measure in zip(found, measures, strict=True)]
        main = next((value for value in found if value is not None), None)
        counts = (main.people, main.questions, main.answers) if main else (0, 0, 0)
        rows.append([str(scores.arm), *cells, *(f"{count:,}" for count in counts)])
    return _markdown("Scores", ["arm", *heads, "people", "questions", "answers"], rows)


def _scores_by_group(summary: Summary) -> list[str]:
    if not summary.by_group:
        return []
    measures = [measure for name in summary.header.measures if (measure := measure_named(name)).kind == "mean"]
    heads = [f"{measure.title}{_unit(measure)}, {measure.better} is better" for measure in measures]
    rows = []
    for of_group in summary.by_group:
        found = [of_group.scores.get(measure.name) for measure in measures]
        main = next(value for value in found if value is not None)
        cells = [_estimate(value, measure) for value, measure in zip(found, measures, strict=True)]
        rows.append([of_group.group, str(of_group.arm), *cells, f"{main.people:,}", f"{main.answers:,}"])
    what = group_word(summary.header)
    return _markdown(f"Scores by {what}", [what, "arm", *heads, "people", "answers"], rows)


def _counts_and_costs(summary: Summary) -> list[str]:
    heads = [
        "arm", "seeds", "unparsed", "not scored", "calls, learning", "calls, answering", "calls made", "tokens",
        "US dollars", "s per person, learning", "s per person, answering", "gate open",
    ]  # fmt: skip
    return _markdown("Counts and costs", heads, [_count_row(scores) for scores in summary.arms])


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
        f"{both.tokens:,}",
        "unknown" if both.money is None else f"{both.money:.4f}",
        _per_person(scores.learning, people),
        _per_person(scores.answering, people),
        "–" if scores.used is None else f"{scores.used} of {people}",
    ]


def _mean_costs(summary: Summary) -> list[str]:
    if not summary.arms:
        return []
    heads = [
        "arm", "calls to learn, per person", "tokens to learn, per person", "US dollars to learn, per person",
        "calls per answer", "prompt tokens per answer", "completion tokens per answer", "US dollars per answer",
    ]  # fmt: skip
    rows = [_mean_cost_row(scores) for scores in summary.arms]
    return [*_markdown("Learning per person, and one answer", heads, rows), "", COST_NOTE]


def _mean_cost_row(scores: ArmScores) -> list[str]:
    learning, answer = scores.learning_per_person, scores.per_answer
    cells = [str(scores.arm)]
    cells += (
        ["–"] * 3 if learning is None else [amount(learning.calls), amount(learning.tokens), _money(learning.money)]
    )
    if answer is None:
        return [*cells, *["unknown"] * 4]
    tokens = tokens_text(answer.prompt_tokens)
    return [*cells, amount(answer.calls), tokens, amount(answer.completion_tokens), _money(answer.money)]


def _money(money: float | None) -> str:
    return "unknown" if money is None else amount(money)


def _prompt_curves(summary: Summary) -> list[str]:
    curves = prompt_curves(summary)
    if not curves:
        return []
    measure = measure_named(summary.header.measures[0])
    rows = [
        [
            str(curve.arm),
            "none" if point.limit is None else f"{point.limit:,}",
            tokens_text(point.prompt_tokens),
            _estimate(point.score, measure),
            f"{point.score.answers:,}",
        ]
        for curve in curves
        for point in curve.points
    ]
    heads = ["method", "limit", "prompt tokens per answer", f"{measure.title}{_unit(measure)}", "answers"]
    return [*_markdown("Score by prompt tokens", heads, rows), "", CURVE_NOTE]


def _per_person(cost: MethodCost, people: int) -> str:
    return f"{cost.seconds / people:.1f}" if people else "–"


def _differences(summary: Summary) -> list[str]:
    if not summary.comparisons:
        return []
    if too_few_people(summary):
        return ["## Paired differences", "", few_people_note(summary)]
    heads = ["a − b", "measure", "difference", "p", "p, Holm", "people", "questions", "answers", "interval"]
    rows = [_difference_row(comparison) for comparison in summary.comparisons]
    explanation = (
        "Only the primary comparisons, which were named beforehand, have Holm's p, which is adjusted over these; the "
        "other p are not adjusted. If a difference is the same in all answers, there is no variance and no p; it "
        "counts as 1."
    )
    return [*_markdown("Paired differences", heads, rows), "", explanation]


def _difference_row(comparison: Comparison) -> list[str]:
    measure, found = measure_named(comparison.measure), comparison.difference
    return [
        f"{comparison.a} − {comparison.b}",
        f"{measure.title}{_unit(measure, difference=True)}",
        _estimate(found, measure, signed=True),
        probability(comparison.p),
        "counts as 1" if comparison.primary and comparison.p is None else probability(comparison.p_holm),
        *(f"{count:,}" for count in (found.people, found.questions, found.answers)),
        found.interval,
    ]


def _text_gains(summary: Summary) -> list[str]:
    if not summary.text_gains:
        return []
    likelihood, neutral = measure_named("loglik"), measure_named("neutral")
    rows = [
        [
            str(each.arm),
            _estimate(each.gain, likelihood, signed=True),
            _estimate(each.neutral, neutral, signed=True),
            *(f"{count:,}" for count in (each.gain.people, each.gain.answers)),
        ]
        for each in summary.text_gains
    ]
    gain = f"gain over {summary.header.baseline}{_unit(likelihood)}"
    heads = ["arm", gain, f"{neutral.title}{_unit(neutral)}", "people", "texts"]
    return [*_markdown("Gains on texts", heads, rows), "", NEUTRAL_NOTE]


def _transfer(summary: Summary) -> list[str]:
    found = summary.transfer
    if found is None:
        return []
    measure = measure_named(summary.header.measures[0])
    rows = [
        [row, *(_estimate(found.cells.get((row, column)), measure) for column in found.models)] for row in found.models
    ]
    rows = [row for row in rows if any(cell != "–" for cell in row[1:])]
    heads = ["learned with ↓, answered by →", *found.models]
    recordings = [f"Recordings, not live models: {', '.join(map(_cell, found.replayed))}."] if found.replayed else []
    title = f"Transfer of {found.method} between models: {measure.title}{_unit(measure)}"
    return [*_markdown(title, heads, rows), *(["", *recordings] if recordings else [])]


def _left_out(header: Header) -> list[str]:
    if not header.broken_count:
        return []
    first = [f"- {_cell(text)}" for text in header.broken]
    beyond = header.broken_count - len(header.broken)
    more = [f"- and {beyond:,} more"] if beyond > 0 else []
    return ["## Records left out", "", f"{header.broken_count:,} could not be read:", "", *first, *more]


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


def _markdown(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"## {_cell(title)}", "", *(f"| {' | '.join(map(_cell, line))} |" for line in lines)]


def _cell(text: str) -> str:
    """Return the text on one line, with the character that ends a cell escaped, and those that begin a tag of HTML."""
    return _TAG.sub("&lt;", " ".join(text.split()).replace("|", "\\|"))


def to_json(summary: Summary) -> dict[str, Any]:
    """Return the summary as strict JSON values: an arm as its text and fields, NaN and infinity as null."""
    parts: dict[str, Any] = {VERSION_KEY: SCHEMA_VERSION}
    parts |= {part.name: getattr(whole, part.name) for whole in (summary.header, summary) for part in fields(whole)}
    parts["prompt_curves"] = prompt_curves(summary)
    if summary.transfer is not None:
        parts["transfer"] = {
            "method": summary.transfer.method,
            "models": summary.transfer.models,
            "replayed": summary.transfer.replayed,
            "cells": [
                {"learned_with": row, "answered_by": column, "score": found}
                for (row, column), found in summary.transfer.cells.items()
            ],
        }
    return {name: as_json(parts[name]) for name in _KEYS}


def as_json(value: Any) -> Any:
    """Return a value of the summary as strict JSON values."""
    if isinstance(value, Arm):
        return {"text": str(value), **asdict(value)}
    if isinstance(value, MethodCost):
        return as_json(value.to_json())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): as_json(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(each) for each in value]
    if hasattr(value, "__dataclass_fields__"):
        return {each.name: as_json(getattr(value, each.name)) for each in fields(value)}
    return value
