"""The report's tables: scores, differences, gains, costs, transfer, and unparsed or not scored answers.

Summary → Table → sections
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from idiolect.evaluate.records import Arm
from idiolect.evaluate.report.cells import Cell, Table
from idiolect.evaluate.report.evidence import too_few_people
from idiolect.evaluate.report.forest import pair_of
from idiolect.evaluate.report.looks import kind_of
from idiolect.evaluate.report.plots import better_same_worse, cost_of, gains_by_arm
from idiolect.evaluate.report.wording import (
    DASH,
    NEUTRAL_NOTE,
    amount,
    capitalized,
    finite,
    group_word,
    headed,
    is_control,
    measure_of,
    probability,
    shown,
    shown_interval,
    typographic,
)
from idiolect.evaluate.summary import ArmScores, Comparison, Estimate, Gain, Header, Summary, Transfer

_NO_MODEL = "no model"
_FEW = 10  # maximum number of arms for which several people are named


def main_table(summary: Summary) -> Table | None:
    """Return the table of arms by the first measure."""
    if not summary.arms or not summary.header.measures:
        return None
    measure = measure_of(summary.header.measures[0])
    gated = any(a.used is not None for a in summary.arms)
    few = too_few_people(summary)
    columns = [
        "Arm",
        headed(measure),
        *([] if few else ["95 % interval"]),
        "People",
        "Questions",
        "Answers",
        "Unparsed",
    ]
    columns += ["Gate open"] if gated else []
    rows = []
    for scored in summary.arms:
        estimate = scored.scores.get(measure.name)
        row = [
            arm_cell(scored.arm, summary.header),
            *_estimate(measure.name, estimate)[: 1 if few else 2],
            _count(scored.people),
            _count(estimate.questions) if estimate else Cell(DASH),
            _count(scored.answers),
            _share(scored.unparsed, scored.answers),
        ]
        rows.append((*row, *([_gate(scored)] if gated else [])))
    caption = "Every arm in the main measure, with the counts behind its score."
    if any(kind_of(a.arm, summary.header) == _NO_MODEL for a in summary.arms):
        caption += f" “{_NO_MODEL}” marks methods that count or draw answers, and ask no model."
    return Table(caption, tuple(columns), tuple(rows), frozenset(range(1, len(columns))))


def measures_table(summary: Summary) -> Table | None:
    """Return the table of arms by every measure; None if there is only one measure."""
    names = [name for name in summary.header.measures if any(name in arm.scores for arm in summary.arms)]
    if len(names) < 2:
        return None
    rows = []
    for scored in summary.arms:
        cells = [_joined(name, scored.scores.get(name)) for name in names]
        rows.append((arm_cell(scored.arm, summary.header), *cells))
    columns = ("Arm", *(headed(measure_of(name)) for name in names))
    caption = f"Every measure{'' if too_few_people(summary) else ', with its 95 % interval'}. "
    caption += "Arrows point to the better side."
    return Table(caption, columns, tuple(rows), frozenset(range(1, len(columns))))


def groups_table(summary: Summary) -> Table | None:
    """Return the table of arms by group of people and by every measure that is a mean over people."""
    names = [name for name in summary.header.measures if any(name in each.scores for each in summary.by_group)]
    if not names:
        return None
    what = group_word(summary.header)
    rows = []
    for each in summary.by_group:
        main = next(each.scores[name] for name in names if name in each.scores)
        cells = [_joined(name, each.scores.get(name)) for name in names]
        arm = arm_cell(each.arm, summary.header)
        rows.append((Cell(each.group), arm, *cells, _count(main.people), _count(main.answers)))
    columns = (capitalized(what), "Arm", *(headed(measure_of(name)) for name in names), "People", "Answers")
    caption = f"Every arm by {what}, as means over its people. These scores show where to look: no {what} was named "
    caption += "beforehand."
    return Table(caption, columns, tuple(rows), frozenset(range(2, len(columns))))


def comparisons_table(comparisons: Sequence[Comparison], caption: str, *, folded: bool = False) -> Table | None:
    """Return the table of paired differences with their p values."""
    if not comparisons:
        return None
    holm = any(c.primary for c in comparisons)
    measures = dict.fromkeys(c.measure for c in comparisons)
    several = len(measures) > 1
    columns = ["Difference", *(["Measure"] if several else []), "Estimate", "95 % interval", "p"]
    columns += ["Holm’s p"] if holm else []
    columns += ["People", "Answers"]
    rows = tuple(_comparison(c, several, holm) for c in comparisons)
    units = {measure_of(name).unit for name in measures} & {"%"}
    title = caption + (" in " + measure_of(next(iter(measures))).title if len(measures) == 1 and not folded else "")
    title += ", first arm minus second" + ("; differences of percentages are in percentage points." if units else ".")
    numeric = frozenset(range(2 if several else 1, len(columns)))
    return Table(title, tuple(columns), rows, numeric, folded)


def _comparison(comparison: Comparison, several: bool, holm: bool) -> tuple[Cell, ...]:
    measure, difference = measure_of(comparison.measure), comparison.difference
    cells = [Cell(pair_of(comparison), mark="primary" if comparison.primary else "")]
    cells += [Cell(headed(measure))] if several else []
    cells += [
        Cell(shown(measure, difference.value, signed=True), order=_order(difference.value)),
        Cell(shown_interval(measure, difference, signed=True) or DASH, order=_order(difference.low)),
        Cell(probability(comparison.p), order=_order(comparison.p)),
    ]
    cells += [Cell(probability(comparison.p_holm), order=_order(comparison.p_holm))] if holm else []
    return (*cells, _count(difference.people), _count(difference.answers))


def gains_table(summary: Summary) -> Table | None:
    """Return the table of the numbers of people who gain and lose, with the extreme ones."""
    gains = gains_by_arm(summary.gains)
    if not gains or not summary.header.measures:
        return None
    measure = measure_of(summary.header.measures[0])
    unit = " (points)" if measure.unit == "%" else ""
    named = 3 if len(gains) <= _FEW else 1
    columns = ("Arm", "Better", "Same", "Worse", f"Median gain{unit}", "Largest gains", "Largest losses")
    rows = []
    for arm, each in gains.items():
        middle = median(gain.gain for gain in each)
        gaining = [gain for gain in each if gain.gain > 0][:named]
        losing = [gain for gain in reversed(each) if gain.gain < 0][:named]
        median_gain = Cell(shown(measure, middle, signed=True), order=_order(middle))
        names = [_people(measure.name, people) for people in (gaining, losing)]
        rows.append((arm_cell(arm, summary.header), *(_count(n) for n in better_same_worse(each)), median_gain, *names))
    caption = f"People by their gain over {summary.header.baseline} in {measure.title}; above 0 is better."
    return Table(caption, columns, tuple(rows), frozenset(range(1, 5)))


def _people(measure: str, gains: Sequence[Gain]) -> Cell:
    names = [f"{gain.user}\u00a0({shown(measure_of(measure), gain.gain, signed=True)})" for gain in gains]
    return Cell(", ".join(names) or DASH)


def text_gains_table(summary: Summary) -> Table | None:
    """Return the table of gains on texts and changes on the model's own; None if no neutral texts were scored."""
    if not summary.text_gains:
        return None
    rows = tuple(
        (
            arm_cell(each.arm, summary.header),
            _joined("loglik", each.gain, signed=True),
            _joined("neutral", each.neutral, signed=True),
            _count(each.gain.people),
            _count(each.gain.answers),
        )
        for each in summary.text_gains
    )
    neutral = typographic(headed(measure_of("neutral")))
    gain = f"Gain over {summary.header.baseline} ({measure_of('loglik').unit})\u00a0↑"
    columns = ("Arm", gain, neutral, "People", "Texts")
    return Table(f"Held-out texts. {NEUTRAL_NOTE}", columns, rows, frozenset(range(1, 5)))


def costs_table(summary: Summary) -> Table | None:
    """Return the table of the cost per person, by arm, without controls, which learn nothing of their own."""
    rows = []
    for scored in summary.arms:
        cost = cost_of(scored)
        if is_control(scored.arm) or not scored.people:
            continue
        numbers = (cost.learning_calls, cost.answering_calls, cost.tokens, cost.seconds, cost.money)
        cells = [Cell(amount(number), order=_order(number)) for number in numbers]
        rows.append((arm_cell(scored.arm, summary.header), *cells))
    if all(cell.text in ("0", DASH) for row in rows for cell in row[1:]):
        return None
    columns = ("Arm", "Calls to learn", "Calls to answer", "Tokens", "Seconds", "US dollars")
    caption = (
        "Cost per person: means over people and seeds. Calls are counted even if their answers were known already."
    )
    caption += f" {DASH}: a price is unknown." if any(row[-1].text == DASH for row in rows) else ""
    return Table(caption, columns, tuple(rows), frozenset(range(1, 6)))


def transfer_table(transfer: Transfer | None, measures: Sequence[str]) -> Table | None:
    """Return the table of models that learned prompts (rows) by models that answered (columns), tinted by score."""
    if transfer is None or not transfer.cells or not measures:
        return None
    measure = measure_of(measures[0])
    values = [e.value for e in transfer.cells.values() if finite(e.value)]
    low, high = (min(values), max(values)) if values else (0.0, 0.0)

    def cell(estimate: Estimate | None) -> Cell:
        if estimate is None or not finite(estimate.value):
            return Cell(DASH)
        share = (estimate.value - low) / (high - low) if high > low else 0.5
        shade = share if measure.better == "higher" else 1 - share
        return Cell(shown(measure, estimate.value), shown_interval(measure, estimate), shade=round(shade, 3))

    rows = tuple(
        (
            Cell(learned, mark="replayed" if learned in transfer.replayed else ""),
            *(cell(transfer.cells.get((learned, answered))) for answered in transfer.models),
        )
        for learned in transfer.models
    )
    columns = ("Learned with", *(f"{m} (replayed)" if m in transfer.replayed else m for m in transfer.models))
    caption = (
        f"{capitalized(headed(measure))} of {transfer.method}: the row's model learned the prompts, the column's model "
        "answered with them."
    )
    caption += " A replayed model is a recording of its answers, not a live model." if transfer.replayed else ""
    return Table(caption, columns, rows, frozenset(range(1, len(columns))))


def uncounted_table(summary: Summary) -> Table | None:
    """Return the table of unparsed answers, and of those that are not scored, by reason."""
    reasons = list(dict.fromkeys(reason for arm in summary.arms for reason, n in arm.not_scored.items() if n))
    shown_arms = [arm for arm in summary.arms if arm.unparsed or any(arm.not_scored.values())]
    if not shown_arms:
        return None
    rows = tuple(
        (
            arm_cell(arm.arm, summary.header),
            _share(arm.unparsed, arm.answers),
            *(_count(arm.not_scored.get(reason, 0)) for reason in reasons),
        )
        for arm in shown_arms
    )
    columns = ("Arm", "Unparsed", *(f"Not scored: {reason}" for reason in reasons))
    caption = "Unparsed answers, which count as the worst, and answers that are not scored, which are in no mean."
    return Table(caption, columns, rows, frozenset(range(1, len(columns))))


def arm_cell(arm: Arm, header: Header) -> Cell:
    """Return an arm's name, with a mark if it is a control, the baseline, or asks no model."""
    marks = [typographic(arm.control)] if is_control(arm) else ["baseline"] if arm == header.baseline else []
    marks += [_NO_MODEL] if kind_of(arm, header) == _NO_MODEL else []
    return Cell(str(replace(arm, control="own")), mark=", ".join(marks))


def _estimate(name: str, estimate: Estimate | None) -> tuple[Cell, Cell]:
    if estimate is None:
        return Cell(DASH), Cell(DASH)
    measure = measure_of(name)
    value = Cell(shown(measure, estimate.value), order=_order(estimate.value))
    return value, Cell(shown_interval(measure, estimate) or DASH, order=_order(estimate.low))


def _joined(name: str, estimate: Estimate | None, *, signed: bool = False) -> Cell:
    if estimate is None:
        return Cell(DASH)
    measure = measure_of(name)
    value, interval = shown(measure, estimate.value, signed=signed), shown_interval(measure, estimate, signed=signed)
    return Cell(value, interval, order=_order(estimate.value))


def _count(n: int) -> Cell:
    return Cell(f"{n:,}", order=str(n))


def _share(n: int, total: int) -> Cell:
    share = f"{100 * n / total:.1f} %" if n and total else ""
    return Cell(f"{n:,}", share, order=str(n))


def _gate(scored: ArmScores) -> Cell:
    if scored.used is None:
        return Cell(DASH)
    return Cell(f"{scored.used:,} of {scored.learned_people:,}", order=str(scored.used))


def _order(value: float | None) -> str:
    return repr(value) if value is not None and finite(value) else ""
