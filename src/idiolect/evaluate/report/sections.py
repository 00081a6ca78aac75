"""The sections of the report; a section without content is omitted.

Summary → sections_of → Section → templates/report.html.jinja
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from idiolect.evaluate.records import Arm
from idiolect.evaluate.report.cells import (
    Answers,
    Choice,
    Definitions,
    Entry,
    Plot,
    Prose,
    ReadAnswer,
    Section,
    section,
)
from idiolect.evaluate.report.cost_tables import mean_costs_table, prompt_curves_table
from idiolect.evaluate.report.curves import curves_over_iterations, curves_over_opinions
from idiolect.evaluate.report.evidence import few_people_note, too_few_people
from idiolect.evaluate.report.forest import differences_forest, scores_forest
from idiolect.evaluate.report.made import made_definitions, runs_table
from idiolect.evaluate.report.plots import cost_scatter, gain_bars, layer_grid
from idiolect.evaluate.report.prompt_plot import curves_over_prompt_tokens
from idiolect.evaluate.report.score_tables import (
    comparisons_table,
    costs_table,
    gains_table,
    groups_table,
    main_table,
    measures_table,
    text_gains_table,
    transfer_table,
    uncounted_table,
)
from idiolect.evaluate.report.wording import capitalized, counted, group_word, measure_of, scalar, shown
from idiolect.evaluate.summary import Header, ShownAnswer, Summary

_LINES = 7  # lines per plot: the number of colours


def sections_of(summary: Summary) -> tuple[Section, ...]:
    """Return all sections that are not empty, in order."""
    found = (
        section("notes", "Notes", [Prose(summary.header.notes, listed=True) if summary.header.notes else None]),
        section("scores", "Scores", [_few(summary), scores_forest(summary), main_table(summary)]),
        section("measures", "All measures", [measures_table(summary)]),
        section("groups", f"Scores by {group_word(summary.header)}", [groups_table(summary)]),
        _differences(summary),
        _gains(summary),
        section("texts", "Gains on texts", [text_gains_table(summary)]),
        section("opinions", "Learning from more opinions", [curves_over_opinions(summary)]),
        section("iterations", "Learning for more iterations", [curves_over_iterations(summary)]),
        section(
            "prompt-tokens",
            "Score by prompt tokens",
            [curves_over_prompt_tokens(summary), prompt_curves_table(summary)],
        ),
        section("costs", "Cost and score", [cost_scatter(summary), costs_table(summary), mean_costs_table(summary)]),
        section("layers", "Layers of the edit", _layers(summary)),
        section("transfer", "Prompts with other models", [transfer_table(summary.transfer, summary.header.measures)]),
        section("answers", "Example answers", _answers(summary)),
        section("uncounted", "Unparsed and not scored", [uncounted_table(summary)]),
        section("broken", "Broken records", _broken(summary.header)),
        section("intervals", "How the intervals are computed", _intervals(summary)),
        section(
            "made",
            "How the results were made",
            [runs_table(summary.header.runs), made_definitions(summary.header.runs)],
        ),
        section(
            "configuration",
            "Configuration",
            [Definitions(_entries(summary.header.config)) if summary.header.config else None],
        ),
    )
    return tuple(each for each in found if each is not None)


def _differences(summary: Summary) -> Section | None:
    """Return the section of differences; the plot shows primary comparisons and those in the first measure."""
    if too_few_people(summary):
        return None  # the note among the scores says why
    ordered = sorted(summary.comparisons, key=lambda comparison: not comparison.primary)
    main = summary.header.measures[:1]
    near = [c for c in ordered if c.primary or c.measure in main]
    far = [c for c in ordered if c not in near]
    parts = [
        differences_forest(near or far),
        comparisons_table(near, "Paired differences"),
        comparisons_table(far, "Differences in the other measures", folded=bool(near)),
    ]
    return section("differences", "Paired differences", parts)


def _few(summary: Summary) -> Prose | None:
    return Prose((few_people_note(summary),)) if too_few_people(summary) else None


def _gains(summary: Summary) -> Section | None:
    if too_few_people(summary):
        return None
    return section("gains", "Gains and losses per person", [gain_bars(summary), gains_table(summary)])


def _layers(summary: Summary) -> list[Plot | None]:
    layers = list(summary.layers.items())
    groups = [dict(layers[start : start + _LINES]) for start in range(0, len(layers), _LINES)]
    return [layer_grid(group, f"layers-{n}") for n, group in enumerate(groups, 1)]


def _answers(summary: Summary) -> list[Answers | Prose | None]:
    main = summary.header.measures[0] if summary.header.measures else ""
    groups = (("Largest gains over the baseline", summary.best), ("Largest losses to the baseline", summary.worst))
    parts: list[Answers | Prose | None] = [
        Answers(title, tuple(_read(answer, main, summary.header.baseline) for answer in answers)) if answers else None
        for title, answers in groups
    ]
    shown_answers = (*summary.best, *summary.worst)
    if shown_answers and not any(a.question or a.truth or a.answer or a.baseline_answer for a in shown_answers):
        return [Prose(("People's texts were left out of this report, as requested.",)), *parts]
    return parts


def _read(answer: ShownAnswer, main: str, baseline: Arm) -> ReadAnswer:
    """Return an example answer with the takers of each choice; other answers are listed below the choices."""
    speakers = (("the person", answer.truth), (str(answer.arm), answer.answer), (str(baseline), answer.baseline_answer))
    measure = measure_of(main)
    unit = "\u00a0%" if measure.unit == "%" else ""
    return ReadAnswer(
        arm=str(answer.arm),
        user=answer.user,
        question=answer.question,
        choices=tuple(Choice(c, tuple(who for who, text in speakers if text == c)) for c in answer.choices),
        said=tuple(
            (who, text or "no readable answer")
            for who, text in speakers
            if text not in answer.choices and (text or answer.question)
        ),
        score=f"{measure.title} {shown(measure, answer.value)}{unit}, baseline "
        f"{shown(measure, answer.baseline_value)}{unit}",
    )


def _broken(header: Header) -> list[Prose | None]:
    if not header.broken_count and not header.broken:
        return []
    were = "was" if header.broken_count == 1 else "were"
    first = f" The first {len(header.broken)}:" if 0 < len(header.broken) < header.broken_count else ""
    count = counted(max(header.broken_count, len(header.broken)), "record", "records")
    sentence = f"{count} of the data could not be read and {were} left out.{first}"
    return [Prose((sentence,)), Prose(header.broken, listed=True) if header.broken else None]


_GENERAL = (
    "Intervals are two-sided, at 95 %. A score is a mean over people, each counting once, unless its measure is not a "
    "mean (macro-F1, root mean squared error); answers of several seeds are averaged first. A difference is paired: it "
    "uses the answers that both arms have. An unparsed answer counts as the worst one; an answer that is not scored is "
    "in no mean, and is counted separately.",
    "Holm's p is adjusted over the primary comparisons, which were named beforehand. The other p are not adjusted: "
    "they show where to look, not what holds.",
)


def _intervals(summary: Summary) -> list[Prose | Definitions | None]:
    made: dict[str, list[str]] = {}
    for arm in summary.arms:
        for name, estimate in arm.scores.items():
            made.setdefault(estimate.interval, []).append(measure_of(name).title)
    for comparison in summary.comparisons:
        title = f"differences in {measure_of(comparison.measure).title}"
        made.setdefault(comparison.difference.interval, []).append(title)
    entries = [Entry(capitalized(how), ", ".join(dict.fromkeys(of))) for how, of in made.items() if how]
    if not made:
        return []
    sentences = _GENERAL if summary.comparisons else _GENERAL[:1]
    return [Prose(sentences), Definitions(tuple(entries)) if entries else None]


def _entries(config: Mapping[str, Any]) -> tuple[Entry, ...]:
    return tuple(_entry(str(name).replace("_", " "), value) for name, value in config.items())


def _entry(name: str, value: Any) -> Entry:
    if isinstance(value, Mapping) and value:
        return Entry(name, entries=_entries(value))
    if isinstance(value, (list, tuple)) and any(isinstance(each, (Mapping, list, tuple)) for each in value):
        return Entry(name, entries=tuple(_entry(str(n), each) for n, each in enumerate(value, 1)))
    if isinstance(value, (list, tuple)):
        return Entry(name, ", ".join(scalar(each) for each in value) or scalar(None))
    return Entry(name, scalar(None if value == {} else value))
