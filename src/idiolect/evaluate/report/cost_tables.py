"""The report's tables of mean costs: of learning from a person, of one answer, and scores by prompt tokens.

Summary → mean_costs_table, prompt_curves_table → Table → sections
"""

from __future__ import annotations

from collections.abc import Sequence

from idiolect.evaluate.measures import Measure
from idiolect.evaluate.prompt_curves import PromptPoint, prompt_curves
from idiolect.evaluate.report.cells import Cell, Table
from idiolect.evaluate.report.score_tables import arm_cell
from idiolect.evaluate.report.wording import (
    COST_NOTE,
    CURVE_NOTE,
    DASH,
    amount,
    finite,
    headed,
    measure_of,
    shown,
    shown_interval,
    tokens_text,
)
from idiolect.evaluate.summary import ArmScores, Estimate, Header, Summary


def mean_costs_table(summary: Summary) -> Table | None:
    """Return the table of what learning from a person and one answer cost, by arm; None if no arm asks a model."""
    rows = [_row(scored, summary.header) for scored in summary.arms if scored.per_answer is not None]
    if all(cell.text in ("0", DASH) for row in rows for cell in row[1:]):
        return None
    columns = (
        "Arm",
        "Calls to learn",
        "Tokens to learn",
        "US dollars to learn",
        "Calls per answer",
        "Prompt tokens per answer",
        "Completion tokens per answer",
        "US dollars per answer",
    )
    caption = f"Learning from one person, and one answer: means over people. {COST_NOTE}"
    if any(cell.text == DASH for row in rows for cell in row[1:]):
        caption += f" {DASH}: a control, which learns nothing of its own, or a price is unknown."
    return Table(caption, columns, tuple(rows), frozenset(range(1, len(columns))))


def _row(scored: ArmScores, header: Header) -> tuple[Cell, ...]:
    learning, answer = scored.learning_per_person, scored.per_answer
    assert answer is not None
    learned = (None,) * 3 if learning is None else (learning.calls, learning.tokens, learning.money)
    return (
        arm_cell(scored.arm, header),
        *map(_number, learned),
        _number(answer.calls),
        _tokens(answer.prompt_tokens),
        _number(answer.completion_tokens),
        _number(answer.money),
    )


def prompt_curves_table(summary: Summary) -> Table | None:
    """Return the table of scores by limit and by measured prompt tokens; None if no method answered under limits."""
    curves = prompt_curves(summary)
    if not curves:
        return None
    measure = measure_of(summary.header.measures[0])
    rows = tuple((Cell(str(curve.arm)), *_point(point, measure)) for curve in curves for point in curve.points)
    columns = ("Method", "Limit", "Prompt tokens per answer", headed(measure), "Answers")
    caption = f"{CURVE_NOTE} “none” is the method without the curve’s limits."
    return Table(caption, columns, rows, frozenset(range(1, len(columns))))


def _point(point: PromptPoint, measure: Measure) -> Sequence[Cell]:
    score = point.score
    return (
        Cell("none", order="1e12") if point.limit is None else Cell(f"{point.limit:,}", order=str(point.limit)),
        _tokens(point.prompt_tokens),
        Cell(shown(measure, score.value), shown_interval(measure, score), order=repr(score.value)),
        Cell(f"{score.answers:,}", order=str(score.answers)),
    )


def _tokens(found: Estimate) -> Cell:
    text, _, interval = tokens_text(found).partition(" ")
    return Cell(text, interval, order=_order(found.value))


def _number(value: float | None) -> Cell:
    return Cell(amount(value), order=_order(value))


def _order(value: float | None) -> str:
    return repr(value) if value is not None and finite(value) else ""
