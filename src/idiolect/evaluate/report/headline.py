"""The top of the report: what was evaluated, with which models, on how many people, and whether it is complete.

Summary → headline_of → Headline → templates/report.html.jinja
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from idiolect.evaluate.report.made import dates_text, duration_text, models_text, versions_text
from idiolect.evaluate.report.wording import capitalized, counted, headed, measure_of, scalar
from idiolect.evaluate.summary import Summary


@dataclass(frozen=True, slots=True)
class Headline:
    """The top of the report."""

    title: str
    task: str
    facts: tuple[tuple[str, str], ...]
    warning: str


def headline_of(summary: Summary) -> Headline:
    """Return the top of the report."""
    header = summary.header
    facts = {
        "Task": header.task,
        "Model": models_text(header.runs) or models_line(header.config),
        "People": _people(summary),
        "Answers": _answers(summary),
        "Arms": f"{len(summary.arms):,}" if summary.arms else "",
        "Seed": seed_line(summary),
        "Main measure": headed(measure_of(header.measures[0])) if header.measures else "",
        "Baseline": str(header.baseline),
        "Made on": dates_text(header.runs),
        "Took": duration_text(header.runs),
        "Version": f"Idiolect {versions_text(header.runs)}" if header.runs else "",
    }
    kept = tuple((name, text) for name, text in facts.items() if text)
    return Headline(header.title or header.task, header.task, kept, _warning(summary))


def seed_line(summary: Summary) -> str:
    """Return the seed of people and questions, and those of the methods, each named as a value; "" if unknown."""
    split, methods = summary.header.config.get("split"), sorted({seed for arm in summary.arms for seed in arm.seeds})
    drawn = split.get("seed") if isinstance(split, Mapping) else None
    named = [f"people and questions {drawn}"] if isinstance(drawn, int) else []
    named += [f"methods {', '.join(map(str, methods))}"] if methods else []
    return "; ".join(named)


def models_line(config: Mapping[str, Any]) -> str:
    """Return the configuration's models on one line: one name, several, or names by role."""
    found = config.get("models", config.get("model", ""))
    if isinstance(found, Mapping):
        return "; ".join(f"{role}: {_one(model)}" for role, model in found.items() if model)
    return _one(found) if found else ""


def _one(model: Any) -> str:
    if isinstance(model, Mapping):
        return _one(model["name"]) if "name" in model else ", ".join(scalar(value) for value in model.values())
    return ", ".join(_one(each) for each in model) if isinstance(model, (list, tuple)) else scalar(model)


def _people(summary: Summary) -> str:
    if summary.people == summary.header.people_asked:
        return f"{summary.people:,}"
    return f"{summary.people:,} of {summary.header.people_asked:,}"


def _answers(summary: Summary) -> str:
    counts = [arm.answers for arm in summary.arms]
    if not counts:
        return "0"
    most = f"{max(counts):,}" if min(counts) == max(counts) else f"{min(counts):,} to {max(counts):,}"
    return f"{sum(counts):,} ({most} per arm)"


def _warning(summary: Summary) -> str:
    header = summary.header
    if header.status == "complete":
        return ""
    why = f"stopped by {header.stopped_by}" if header.stopped_by else "stopped early"
    people = counted(header.people_asked, "person", "people")
    return f"{capitalized(why)}; {summary.people:,} of {people} so far. Numbers and intervals may still change."
