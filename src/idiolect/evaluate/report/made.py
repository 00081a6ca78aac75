"""How the results were made, in words: models, dates, versions, commands.

RunRecord (runs.jsonl) → headline, sections, tables, `idiolect compare`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from idiolect.evaluate.provenance import RunRecord
from idiolect.evaluate.report.cells import Cell, Definitions, Entry, Table
from idiolect.evaluate.report.wording import DASH, counted, scalar

_MINUTE, _HOUR = 60, 3600


def model_text(model: Mapping[str, Any]) -> str:
    """Return a model on one line: its name, file, type and device; or its server, and the names that it reported."""
    name = scalar(model.get("name"))
    if model.get("kind") == "remote":
        reported = [each for each in _texts(model, "reported") if each != name]
        return f"{name} at {scalar(model.get('endpoint'))}" + (
            f", reported as {', '.join(reported)}" if reported else ""
        )
    if model.get("kind") == "recording":
        return f"{name}, recorded in {scalar(model.get('file'))}"
    inside = [model.get("file"), model.get("quantization"), _revision(model)]
    parts = ", ".join(str(each) for each in inside if each)
    text = name + (f" ({parts})" if parts else "")
    dtypes = dict.fromkeys(each for each in (model.get("dtype"), model.get("scoring_dtype")) if each)
    text += f", {' and '.join(dtypes)}" if dtypes else ""
    device, known_as = model.get("device"), model.get("device_name")
    return text + (f" on {device}" + (f" ({known_as})" if known_as else "") if device else "")


def _revision(model: Mapping[str, Any]) -> str:
    return f"revision {str(model['revision'])[:12]}" if model.get("revision") else ""


def models_text(runs: Sequence[RunRecord]) -> str:
    """Return the models of all runs on one line, with their roles if there are several; "" without a run."""
    roles: dict[str, dict[str, None]] = {}
    for model in _models(runs):
        roles.setdefault(model_text(model), {}).update(dict.fromkeys(_texts(model, "roles")))
    if len(roles) == 1:
        return next(iter(roles))
    return "; ".join(f"{', '.join(found)}: {text}" if found else text for text, found in roles.items())


def _models(runs: Sequence[RunRecord]) -> list[Mapping[str, Any]]:
    """Return each model of the runs; of one that several runs used, the last description, with all reported names."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for model in (each for run in runs for each in run.models):
        names = ("name", "kind", "endpoint", "fingerprint", "device", "dtype")
        key = (*(str(model.get(name)) for name in names), *_texts(model, "roles"))
        reported = {*_texts(found.get(key, {}), "reported"), *_texts(model, "reported")}
        found[key] = {**model, "reported": sorted(reported)}
    return list(found.values())


def _texts(model: Mapping[str, Any], name: str) -> list[str]:
    found = model.get(name)
    return [str(each) for each in found] if isinstance(found, list | tuple) else []


def dates_text(runs: Sequence[RunRecord]) -> str:
    """Return the first and the last day (UTC) of the runs; "" without a run."""
    days = sorted({(moment or run.started)[:10] for run in runs for moment in (run.started, run.ended)})
    if not days:
        return ""
    return days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"


def duration_text(runs: Sequence[RunRecord]) -> str:
    """Return how long the runs took together, and how many there were; "" if none has ended."""
    ended = [run.seconds for run in runs if run.seconds is not None]
    if not ended:
        return ""
    return seconds_text(sum(ended)) + (f" in {counted(len(ended), 'run', 'runs')}" if len(ended) > 1 else "")


def seconds_text(seconds: float) -> str:
    """Return a duration: "12 s", "3 min 5 s", "2 h 10 min"."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s" if whole else f"{seconds:.1f} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR:,} h {whole % _HOUR // _MINUTE} min"


def versions_text(runs: Sequence[RunRecord]) -> str:
    """Return the versions of Idiolect that made the runs."""
    return ", ".join(dict.fromkeys(run.idiolect for run in runs))


def made_line(runs: Sequence[RunRecord]) -> str:
    """Return models, dates and version on one line; "" without a run."""
    if not runs:
        return ""
    return f"{models_text(runs)}; {dates_text(runs)}, Idiolect {versions_text(runs)}"


def runs_table(runs: Sequence[RunRecord]) -> Table | None:
    """Return the table of runs."""
    if not runs:
        return None
    columns = ("Started (UTC)", "Command", "Took", "Idiolect", "Ended", "Python, system")
    caption = (
        "The runs that collected the answers. Of paths outside of the working folder, only the last part is shown."
    )
    return Table(caption, columns, tuple(_run(run) for run in runs), frozenset({2, 3}))


def _run(run: RunRecord) -> tuple[Cell, ...]:
    took = DASH if run.seconds is None else seconds_text(run.seconds)
    ended = "killed, or still running" if run.ended is None else run.ended_by or "done"
    shard = f"share {run.shard[0]}/{run.shard[1]}" if run.shard[1] > 1 else ""
    return (
        Cell(run.started.replace("T", " ").removesuffix("Z"), note=shard),
        Cell(run.command or "from Python"),
        Cell(took),
        Cell(run.idiolect),
        Cell(ended),
        Cell(f"{run.python}, {run.system}"),
    )


def made_definitions(runs: Sequence[RunRecord]) -> Definitions | None:
    """Return everything that is known of the models, and the versions of libraries."""
    entries = [Entry(", ".join(_texts(model, "roles")) or "model", entries=_entries(model)) for model in _models(runs)]
    similarities = dict.fromkeys(run.similarity for run in runs if run.similarity)
    entries += [Entry("similarity of questions", ", ".join(similarities))] if similarities else []
    libraries = {f"{name} {version}": None for run in runs for name, version in run.libraries.items()}
    entries += [Entry("libraries", ", ".join(libraries))] if libraries else []
    return Definitions(tuple(entries)) if entries else None


def _entries(model: Mapping[str, Any]) -> tuple[Entry, ...]:
    shown = {name: value for name, value in model.items() if name != "roles" and value not in (None, [], "")}
    return tuple(
        Entry(name.replace("_", " "), ", ".join(map(str, value)) if isinstance(value, list) else _number(value))
        for name, value in shown.items()
    )


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else scalar(value)
