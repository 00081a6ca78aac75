"""One evaluation: benchmark → models → folder → answers → summary → table, scores.json, report.

    prepare ─→ ask_people (the folder keeps every answer) ─→ summarize_folder ─→ write_report

An evaluation that is stopped, by a limit or a halt, still summarizes its answers so far, and states that it is partial;
asking again continues it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from idiolect.application.model_pool import ModelPool
from idiolect.application.observers import Waiting, ignore, wait_quietly
from idiolect.application.portal import STOPPED_BY_HAND, Portal, run_blocking
from idiolect.application.run import CallSettings, Run, Spending, open_run
from idiolect.errors import HaltedError, MissingExtraError, SettingsError
from idiolect.evaluate.archive import Archive, read_config_of, writing_alone
from idiolect.evaluate.benchmark import Benchmark, question_key
from idiolect.evaluate.configuration import EvaluationConfig, as_kept
from idiolect.evaluate.group_scores import scores_by_group
from idiolect.evaluate.kept import kept_config
from idiolect.evaluate.lamp_predictions import write_lamp_predictions
from idiolect.evaluate.learned import training_notes
from idiolect.evaluate.methods.bench import Bench
from idiolect.evaluate.opening import calling, open_bench
from idiolect.evaluate.plan import EvaluationOptions, PlannedArm, entry_of, planned
from idiolect.evaluate.records import Arm
from idiolect.evaluate.running import Runner, shard_of
from idiolect.evaluate.summarizing import summarize
from idiolect.evaluate.summary import Header, Summary
from idiolect.evaluate.tables import table, to_json
from idiolect.evaluate.tasks.table import TASKS
from idiolect.methods.personalization import Observer, ignore_progress

_AT_THE_END = ("scipy", "statsmodels", "sklearn", "matplotlib")
_WHOLE = (0, 1)


@dataclass(frozen=True, slots=True)
class EvaluationStart:
    """Start of the questions.

    Args:
        run: calls of the evaluation; `run.halt` ends it early.
        people: number of people for this process.
        side_by_side: whether several people are evaluated at a time.
    """

    run: Run
    people: int
    side_by_side: bool


@dataclass(frozen=True, slots=True)
class EvaluationEvents:
    """Observers of an evaluation. They are called in its event loop, and must return quickly.

    Args:
        waiting: receives a few words, and returns a context manager that shows them during work that takes seconds.
        uncertain: receives the number of calls that earlier runs left in flight.
        started: called before the first question.
        progress: receives every step of learning.
        finished: receives every person's id, and the number of their answers that were not scored.
    """

    waiting: Waiting = wait_quietly
    uncertain: Callable[[int], None] = ignore
    started: Callable[[EvaluationStart], None] = ignore
    progress: Observer = ignore_progress
    finished: Callable[[str, int], None] = ignore


NO_EVALUATION_EVENTS = EvaluationEvents()
_DEFAULT_CALLS = CallSettings()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A checked configuration with its benchmark and its arms."""

    config: EvaluationConfig
    benchmark: Benchmark
    options: EvaluationOptions
    arms: list[PlannedArm]


@dataclass(frozen=True, slots=True)
class AskedPeople:
    """Outcome of asking all people.

    Args:
        stopped_by: reason why it ended early; "" if it did not.
        share_done: whether this process, one of several, has done its share.
        spending: cost of this run.
        notes: notes of the models on how they handled their requests.
    """

    stopped_by: str = ""
    share_done: bool = False
    spending: Spending = field(default_factory=Spending)
    notes: tuple[str, ...] = ()


def run_evaluation(
    config: EvaluationConfig,
    out: str | Path,
    *,
    calls: CallSettings = _DEFAULT_CALLS,
    shard: tuple[int, int] = _WHOLE,
    texts: bool = True,
    events: EvaluationEvents = NO_EVALUATION_EVENTS,
) -> Summary:
    """Run or continue an evaluation, and write its report. This blocks, and works inside a running event loop.

    Args:
        config: configuration of the evaluation.
        out: folder of the evaluation.
        calls: settings for calls of models.
        shard: (i, n): this process takes the i-th of n parts of the people.
        texts: whether the report shows questions and answers.
        events: observers.

    Raises:
        SettingsError, DatasetError, UsersFileError, MissingExtraError, ModelError: see `prepare` and `ask_people`.
        KeyboardInterrupt: Ctrl-C was pressed; every answer was kept, and the same call continues.
    """
    out = Path(out)
    prepared = prepare(config, waiting=events.waiting)
    asked = ask_blocking(prepared, out, calls=calls, shard=shard, events=events)
    summary = summarize_folder(prepared, out, stopped_by=asked.stopped_by, texts=texts, waiting=events.waiting)
    write_report(summary, out, waiting=events.waiting)
    return summary


def prepare(config: EvaluationConfig, *, waiting: Waiting = wait_quietly) -> Prepared:
    """Check a configuration, read its data and plan its arms, without a call.

    Raises:
        SettingsError: there is no such task, or a setting is invalid.
        DatasetError, UsersFileError: the data cannot be read.
        MissingExtraError: a required package is not installed.
    """
    if config.task not in TASKS:
        raise SettingsError(f"unknown task {config.task!r}: choose one of {', '.join(TASKS)}")
    options = config.evaluation_options()
    _check_extras(options)
    with waiting("reading the data"):
        benchmark = TASKS[config.task].load(config.task_options())
    return Prepared(config, benchmark, options, planned(options))


def prepare_report(config: EvaluationConfig, out: Path, *, waiting: Waiting = wait_quietly) -> Prepared:
    """Prepare the report of a folder, with unset settings taken from the folder's configuration.

    Raises:
        SettingsError: the folder contains no evaluation, or a different one.
        DatasetError, UsersFileError, MissingExtraError: see `prepare`.
    """
    prepared = prepare(as_kept(config, read_config_of(out)), waiting=waiting)
    Archive.read(out, kept_config(prepared.config, prepared.benchmark, None)).check_people(prepared.benchmark)
    return prepared


def ask_blocking(
    prepared: Prepared,
    out: Path,
    *,
    calls: CallSettings,
    shard: tuple[int, int] = _WHOLE,
    events: EvaluationEvents = NO_EVALUATION_EVENTS,
    interrupted: Callable[[int], None] = ignore,
) -> AskedPeople:
    """Run `ask_people` in a new event loop. Ctrl-C halts the calls first.

    Args:
        prepared, out, calls, shard, events: see `ask_people`.
        interrupted: receives the number of calls in flight when Ctrl-C is pressed.

    Raises:
        Interrupted, KeyboardInterrupt: Ctrl-C was pressed; every answer was kept.
    """
    runs: list[Run] = []

    def start(start: EvaluationStart) -> None:
        runs.append(start.run)
        events.started(start)

    def halt(portal: Portal) -> bool:
        for run in runs:  # empty while the models are being opened
            interrupted(run.in_flight)
            portal.soon(partial(run.halt, STOPPED_BY_HAND))
        return bool(runs)

    ask = partial(ask_people, prepared, out, calls=calls, shard=shard, events=replace(events, started=start))
    return run_blocking(ask, interrupted=halt)


async def ask_people(
    prepared: Prepared,
    out: Path,
    *,
    calls: CallSettings,
    shard: tuple[int, int] = _WHOLE,
    events: EvaluationEvents = NO_EVALUATION_EVENTS,
) -> AskedPeople:
    """Let every arm learn and answer for every person, and save each answer. Answers in the folder are not repeated.

    Args:
        prepared: the prepared evaluation.
        out: folder of the evaluation.
        calls: settings for calls of models; the type of weights comes from the configuration instead.
        shard: (i, n): this process takes the i-th of n parts of the people.
        events: observers.

    Raises:
        SettingsError: the folder contains a different evaluation, another process is using it, or a price is unknown.
        ModelError, MissingExtraError: a model is not available, or no call of it can succeed.
    """
    if not 0 <= shard[0] < shard[1]:
        raise SettingsError(f"shard is {shard}, must be (i, n) with 0 ≤ i < n")
    config, benchmark = prepared.config, prepared.benchmark
    pool = ModelPool(replace(calls, dtype=config.dtype), events.waiting)
    try:
        bench = await open_bench(pool, config, prepared.options, benchmark)
        pool.check_prices(*pool.opened())
        with writing_alone(out, shard):
            archive = Archive.open(out, kept_config(config, benchmark, bench), shard=shard)
            archive.keep_people(benchmark)
            archive.add_questions(benchmark)
            await pool.check(*pool.opened_models())
            with open_run(calls, out / "cache" / "calls.db", on_uncertain=events.uncertain) as run:
                called = await calling(bench, run.calls, pool)
                stopped_by = await _asked(prepared, called, archive, run, shard=shard, events=events)
                run.come_to_an_end()
                notes = tuple(pool.notes())
                share_done = shard != _WHOLE and not stopped_by
                return AskedPeople(stopped_by, share_done, run.spending(), notes)
    finally:
        await pool.aclose()


async def _asked(
    prepared: Prepared, bench: Bench, archive: Archive, run: Run, *, shard: tuple[int, int], events: EvaluationEvents
) -> str:
    """Ask all people, and return the reason why this ended early; "" if it did not."""
    people, many = len(shard_of(bench.benchmark.cases, shard)), bench.model.remote
    events.started(EvaluationStart(run, people, many))
    workers = min(people, bench.calls.turns.concurrency) if many else 1
    seeds, arms = prepared.options.seeds, prepared.arms
    runner = Runner(bench, arms, seeds, archive, max(workers, 1), events.progress, events.finished)
    try:
        await runner.run()
    except HaltedError as halted:
        return run.halted_by or str(halted)
    return run.halted_by or ""


def summarize_folder(
    prepared: Prepared, out: Path, *, stopped_by: str = "", texts: bool = True, waiting: Waiting = wait_quietly
) -> Summary:
    """Summarize the answers of all processes in a folder.

    Args:
        prepared: the prepared evaluation.
        out: folder of the evaluation.
        stopped_by: reason why asking ended early; "" if it did not.
        texts: whether to include questions and answers in the summary.
        waiting: see `EvaluationEvents`.

    Raises:
        SettingsError: the folder cannot be read.
    """
    archive = Archive.read(out)
    benchmark, arms, options = prepared.benchmark, prepared.arms, prepared.options
    people = {case.user.id for case in benchmark.cases}
    places = {arm.arm: place for place, arm in enumerate(arms)}  # tables follow the order of the plan
    answers = [each for each in archive.answers if each.user in people and each.arm in places]
    answers.sort(key=lambda each: places[each.arm])
    learning = [each for each in archive.learning if each.user in people and each.arm in places]
    model = prepared.config.model
    with waiting("summarizing"):
        summary = summarize(
            answers,
            learning,
            _header(prepared, archive, read_config_of(out), stopped_by or _missing(archive, benchmark, arms, options)),
            questions=_questions(benchmark) if texts else {},
            learned_with={arm.arm: arm.learns_with or model for arm in arms},
            replayed=tuple(name for name in (model, *prepared.config.transfer) if name.startswith("replay:")),
            seed=prepared.config.seed,
        )
        groups = {case.user.id: case.group for case in benchmark.cases}
        return replace(summary, by_group=scores_by_group(answers, benchmark.measures, groups))


def write_report(summary: Summary, out: Path, *, waiting: Waiting = wait_quietly) -> None:
    """Write a summary into the evaluation's folder: table.md, scores.json, report.html and LaMP's predictions.

    Raises:
        SettingsError: the folder cannot be written.
    """
    from idiolect.evaluate.report.report import render

    scores = json.dumps(to_json(summary), indent=1, allow_nan=False) + "\n"
    with waiting("drawing the report"):
        report = render(summary)
    try:
        (out / "table.md").write_text(table(summary), encoding="utf-8")
        (out / "scores.json").write_text(scores, encoding="utf-8")
        (out / "report.html").write_text(report, encoding="utf-8", errors="replace")
        write_lamp_predictions(out, summary.header.config)
    except OSError as error:
        raise SettingsError(f"{out} cannot be written: {error.strerror}") from error


def _header(prepared: Prepared, archive: Archive, config: Mapping[str, Any], stopped_by: str) -> Header:
    benchmark, arms, options = prepared.benchmark, prepared.arms, prepared.options
    by_spec = {str(arm.spec): arm.arm for arm in arms if arm.arm == Arm(str(arm.spec))}
    return Header(
        task=benchmark.task,
        title=TASKS[prepared.config.task].title,
        config=config,
        measures=benchmark.measures,
        baseline=Arm(str(options.baseline)),
        people_asked=len(benchmark.cases),
        labels=benchmark.labels,
        primary=tuple((by_spec[str(a)], by_spec[str(b)]) for a, b in options.primary),
        status="stopped" if stopped_by else "complete",
        stopped_by=stopped_by,
        broken_count=benchmark.broken.count,
        broken=tuple(str(record) for record in benchmark.broken.first[:20]),
        notes=(*benchmark.notes, *_notes(config), *training_notes(archive.learning)),
    )


def _check_extras(options: EvaluationOptions) -> None:
    """Check at the start that the packages required at the end are installed."""
    needed = dict.fromkeys(_AT_THE_END, "evaluate")
    if any("dpo" in entry_of(spec).needs for spec in options.methods):
        needed |= {"trl": "dpo", "peft": "dpo"}
    for name, extra in needed.items():
        if find_spec(name) is None:
            raise MissingExtraError(f"this evaluation needs {name}: pip install 'idiolect[{extra}]'")


def _missing(archive: Archive, benchmark: Benchmark, arms: list[PlannedArm], options: EvaluationOptions) -> str:
    """Return the amount of missing work in a few words; "" if there is none."""
    units = [(arm.arm, seed, case.user.id) for arm in arms for seed in options.seeds for case in benchmark.cases]
    left = sum(not archive.tried(unit) for unit in units)
    return f"{left:,} of {len(units):,} pairs of arm and person are missing" if left else ""


def _notes(config: Mapping[str, Any]) -> list[str]:
    """Return notes for readers on methods and people that were added later."""
    first = config.get("first", {})
    added = [name for name in config.get("methods", ()) if "methods" in first and name not in first["methods"]]
    notes = [f"added after the first answers: {', '.join(added)}"] if added else []
    if "people" in first and first["people"] != config.get("people"):
        notes.append(
            f"people were added after the first answers (at first {first['people']}): the last of the first people has "
            "a different control, and their last group has different members, than if all had been asked at once"
        )
    return notes


def _questions(benchmark: Benchmark) -> dict[str, tuple[str, tuple[str, ...]]]:
    asked = (opinion.question for case in benchmark.cases for opinion in case.asked)
    return {question_key(question): (question.text, question.choices) for question in asked}
