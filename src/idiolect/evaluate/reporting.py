"""The report of an evaluation's folder, which needs neither its data nor a model.

    outline.json, config.json, runs.jsonl, answers.jsonl, learning.jsonl → summarize_folder → Summary
        → write_report → table.md, scores.json, report.html;  → write_answers → results.csv, LaMP's predictions

Folders of version 1 have no outline; for these, the data are read once more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from idiolect.application.observers import Waiting, wait_quietly
from idiolect.errors import SettingsError
from idiolect.evaluate.archive import Archive
from idiolect.evaluate.config_file import check_config, read_config_of
from idiolect.evaluate.configuration import EvaluationConfig, as_kept
from idiolect.evaluate.flat import results_csv
from idiolect.evaluate.group_scores import scores_by_group
from idiolect.evaluate.kept import kept_config, kept_settings
from idiolect.evaluate.lamp_predictions import write_lamp_predictions
from idiolect.evaluate.learned import training_notes
from idiolect.evaluate.lines import replace_file
from idiolect.evaluate.outline import Outline, read_outline
from idiolect.evaluate.preparing import outline_of, prepare
from idiolect.evaluate.provenance import read_runs
from idiolect.evaluate.records import AnswerRecord, Arm
from idiolect.evaluate.schema import version_of
from idiolect.evaluate.summarizing import summarize
from idiolect.evaluate.summary import Header, Summary
from idiolect.evaluate.tables import table, to_json

_BUNDLED = "people"  # the task whose data are always there


def outline_for_report(
    out: Path, config: EvaluationConfig | None = None, *, waiting: Waiting = wait_quietly
) -> Outline:
    """Return the outline of the evaluation in a folder, from the folder alone if it has one.

    Args:
        out: the evaluation's folder.
        config: settings that the folder must have; if it names data, the folder's answers must be about these data.
            None: any evaluation.
        waiting: see `EvaluationEvents`.

    Raises:
        SettingsError: the folder contains no evaluation, or a different one; or its version needs the data.
        DatasetError, UsersFileError, MissingExtraError: see `prepare`; only if the data are read.
    """
    held = read_config_of(out)
    outline = read_outline(out)
    if config is not None and config.task != held["task"]:
        raise SettingsError(
            f"{out} contains a different evaluation (it differs in task): its task is {held['task']}, not {config.task}"
        )
    if not any(out.glob("answers*.jsonl")):
        raise SettingsError(
            f"{out} has no answers.jsonl, from which a report is made; its tables and its report are left as they are"
        )
    if outline is not None and (config is None or config.data is None):
        if config is not None:
            _check_same(out, config, held)
        return outline
    config = config or EvaluationConfig(task=held["task"])
    if config.data is None and config.task != _BUNDLED:
        first = "was made by an earlier Idiolect, which kept no outline.json"
        why = first if version_of(held) == 1 else "has lost its outline.json, or was published without it"
        raise SettingsError(f"{out} {why}: its report needs the data once more; name them with --data")
    prepared = prepare(as_kept(config, held), waiting=waiting)
    Archive.read(out, kept_config(prepared.config, prepared.benchmark, None)).check_people(prepared.benchmark)
    return outline_of(prepared)


def _check_same(out: Path, config: EvaluationConfig, held: Mapping[str, Any]) -> None:
    """Check the settings of a report without data, which cannot choose other people or plan other methods."""
    wanted = kept_settings(as_kept(config, held))
    check_config(out, held, {**held, **wanted})
    for name in ("people", "methods"):
        if name in config.model_fields_set and wanted[name] != held.get(name):
            raise SettingsError(f"{out} has other {name}: leave --{name} out, or choose anew from the data (--data)")


def summarize_folder(
    outline: Outline, out: Path, *, stopped_by: str = "", texts: bool = True, waiting: Waiting = wait_quietly
) -> Summary:
    """Summarize the answers of all processes in a folder.

    Args:
        outline: outline of the evaluation.
        out: folder of the evaluation.
        stopped_by: reason why asking ended early; "" if it did not.
        texts: whether to include questions and answers in the summary.
        waiting: see `EvaluationEvents`.

    Raises:
        SettingsError: the folder cannot be read.
    """
    archive = Archive.read(out)
    people, places = set(outline.people), _places(outline)
    answers = _in_tables(archive, outline)
    learning = [each for each in archive.learning if each.user in people and each.arm in places]
    questions = archive.questions() if texts else {}
    if texts and not archive.has_questions:
        archive.damage.append("questions.jsonl is missing, so no example answer has its texts")
    with waiting("summarizing"):
        summary = summarize(
            answers,
            learning,
            _header(outline, archive, read_config_of(out), stopped_by or _missing(archive, outline)),
            questions=questions,
            learned_with={arm: outline.learned_with.get(str(arm), "") for arm in outline.arms},
            replayed=outline.replayed,
            seed=outline.seed,
        )
        return replace(summary, by_group=scores_by_group(answers, outline.measures, outline.groups))


def write_report(summary: Summary, out: Path, *, waiting: Waiting = wait_quietly) -> None:
    """Write a summary into the evaluation's folder: table.md, scores.json and report.html.

    Raises:
        SettingsError: the folder cannot be written.
    """
    from idiolect.evaluate.report.report import render

    scores = json.dumps(to_json(summary), indent=1, allow_nan=False) + "\n"
    with waiting("drawing the report"):
        report = render(summary)
    files = {"table.md": table(summary), "scores.json": scores, "report.html": report}
    _write(out, files)


def write_answers(outline: Outline, out: Path, *, texts: bool = True) -> None:
    """Write all answers of an evaluation's folder as one flat table, results.csv, and for LaMP in its own format.

    Args:
        outline: outline of the evaluation.
        out: folder of the evaluation.
        texts: whether to include what people and models said.

    Raises:
        SettingsError: the folder cannot be read or written.
    """
    archive = Archive.read(out)
    answers = _in_tables(archive, outline)
    _write(out, {"results.csv": results_csv(answers, outline, archive.questions(), texts=texts)})
    try:
        write_lamp_predictions(out, read_config_of(out), answers)
    except OSError as error:
        raise SettingsError(f"{out} cannot be written: {error.strerror}") from error


def _in_tables(archive: Archive, outline: Outline) -> list[AnswerRecord]:
    """Return the answers of the outline's people and arms, in the order of the plan, which the tables follow."""
    people, places = set(outline.people), _places(outline)
    answers = [each for each in archive.answers if each.user in people and each.arm in places]
    return sorted(answers, key=lambda each: places[each.arm])


def _places(outline: Outline) -> dict[Arm, int]:
    return {arm: place for place, arm in enumerate(outline.arms)}


def _write(out: Path, files: Mapping[str, str]) -> None:
    try:
        for name, text in files.items():
            replace_file(out / name, text)
    except OSError as error:
        raise SettingsError(f"{out} cannot be written: {error.strerror}") from error


def _header(outline: Outline, archive: Archive, config: Mapping[str, Any], stopped_by: str) -> Header:
    return Header(
        task=outline.task,
        title=outline.title,
        config=config,
        measures=outline.measures,
        baseline=outline.baseline,
        people_asked=len(outline.people),
        labels=outline.labels,
        primary=outline.primary,
        status="stopped" if stopped_by else "complete",
        stopped_by=stopped_by,
        broken_count=outline.broken_count,
        broken=outline.broken,
        notes=(*archive.damage, *outline.notes, *_notes(config), *training_notes(archive.learning)),
        kinds=outline.kinds,
        runs=read_runs(archive.folder),
    )


def _missing(archive: Archive, outline: Outline) -> str:
    """Return the amount of missing work in a few words; "" if there is none."""
    units = [(arm, seed, user) for arm in outline.arms for seed in outline.seeds for user in outline.people]
    left = sum(not archive.tried(unit) for unit in units)
    return f"{left:,} of {len(units):,} pairs of arm and person are missing" if left else ""


def _notes(config: Mapping[str, Any]) -> list[str]:
    """Return notes for readers on methods and people that were added later."""
    first = config.get("first")
    first = first if isinstance(first, Mapping) else {}
    added = [name for name in config.get("methods", ()) if "methods" in first and name not in first["methods"]]
    notes = [f"added after the first answers: {', '.join(added)}"] if added else []
    if "people" in first and first["people"] != config.get("people"):
        whose = (
            "some of the first people have" if config.get("controls_by_kind") else "the last of the first people has"
        )
        notes.append(
            f"people were added after the first answers (at first {first['people']}): {whose} "
            "a different control, and their last group has different members, than if all had been asked at once"
        )
    return notes
