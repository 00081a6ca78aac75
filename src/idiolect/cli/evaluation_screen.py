"""Output of `idiolect evaluate`: the main scores, the primary comparisons, and the list of tasks and methods."""

from __future__ import annotations

from idiolect.cli.terminal import err, one_line, out, print_json, print_table
from idiolect.evaluate.measures import Measure, measure_named
from idiolect.evaluate.methods.table import METHODS
from idiolect.evaluate.report.evidence import few_people_note, too_few_people
from idiolect.evaluate.report.made import models_text
from idiolect.evaluate.summary import ArmScores, Comparison, Estimate, Summary
from idiolect.evaluate.tasks.table import TASKS
from idiolect.methods.unread import too_many_unread

_SHOWN_UNREAD = 5


def print_summary(summary: Summary) -> None:
    """Print the scores and the primary comparisons in the first measure."""
    measure = measure_named(summary.header.measures[0])
    console = out()
    state = f"PARTIAL: {summary.header.stopped_by}" if summary.header.stopped_by else "complete"
    people = f"{summary.people} of {summary.header.people_asked} people"
    console.print(one_line(f"{summary.header.title}: {people}, {state}"), markup=False)
    model = models_text(summary.header.runs)
    if model:
        console.print(one_line(f"Model: {model}"), markup=False)
    unit = f" ({measure.unit})" if measure.unit else ""
    intervals = "" if too_few_people(summary) else ", 95 % intervals"
    console.print(f"{measure.title}{unit}, {measure.better} is better{intervals}\n", markup=False)
    rows = [_scores_row(scores, measure) for scores in summary.arms]
    print_table(
        ("ARM", "SCORE", "INTERVAL", "ANSWERS", "NOT SCORED", "CALLS"), rows, numbers=("SCORE", "ANSWERS", "CALLS")
    )
    primary = [comparison for comparison in summary.comparisons if comparison.primary]
    if too_few_people(summary):
        console.print(f"\n{few_people_note(summary)}", markup=False)
    elif primary:
        console.print("\nPrimary comparisons:", markup=False)
        rows = [_difference_row(comparison, measure) for comparison in primary]
        print_table(("DIFFERENCE", "VALUE", "INTERVAL", "P (HOLM)"), rows, numbers=("VALUE",))


def print_unread(summary: Summary) -> None:
    """Print for whom many answers could not be read; they count as wrong."""
    many = [each for each in summary.readings if each.failed or too_many_unread(each.unparsed, each.answers)]
    for each in many[:_SHOWN_UNREAD]:
        failed = f"; nearly none by {', '.join(each.failed)}, whose scores mean nothing" if each.failed else ""
        counts = f"{each.unparsed:,} of {each.answers:,} answers could not be read"
        err().print(f"{one_line(each.user)}: {counts}{one_line(failed)}", markup=False)
    if len(many) > _SHOWN_UNREAD:
        err().print(f"and {len(many) - _SHOWN_UNREAD:,} more people with many such answers", markup=False)
    if any(each.failed for each in many):
        advice = "use --answering likelihood, or another --model; a model that thinks needs --set max_tokens=4000"
        err().print(f"to have answers that can be read, {advice}", markup=False)


def _scores_row(scores: ArmScores, measure: Measure) -> tuple[str, ...]:
    found = scores.scores.get(measure.name)
    missing = sum(scores.not_scored.values())
    learning, people = scores.learning.calls, max(scores.learned_people, 1)
    calls = (learning + scores.answering.calls) / people
    shown = ("–", "") if found is None else (measure.shown(found.value), interval(found, measure))
    return str(scores.arm), *shown, f"{scores.answers:,}", f"{missing:,}" if missing else "", f"{calls:,.0f}"


def _difference_row(comparison: Comparison, measure: Measure) -> tuple[str, ...]:
    found, p = comparison.difference, comparison.p_holm
    p_holm = "–" if comparison.p is None or p is None else f"{p:.3f}"
    value = measure.shown(found.value, signed=True)
    return f"{comparison.a} − {comparison.b}", value, interval(found, measure, signed=True), p_holm


def interval(found: Estimate, measure: Measure, *, signed: bool = False) -> str:
    """Return an interval as text, or "none"."""
    if found.low is None or found.high is None:
        return "none"
    return f"[{measure.shown(found.low, signed=signed)}, {measure.shown(found.high, signed=signed)}]"


def print_tasks_and_methods(*, json: bool) -> None:
    """Print the names and descriptions of all tasks and methods."""
    tasks = [(task.name, task.help) for task in TASKS.values()]
    methods = [(name, entry.help) for name, entry in METHODS.items()]
    if json:
        print_json({"tasks": dict(tasks), "methods": dict(methods)})
        return
    print_table(("TASK", "DATA"), tasks)
    print_table(("METHOD", "DESCRIPTION"), methods)
