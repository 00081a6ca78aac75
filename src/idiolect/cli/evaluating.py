"""The flow of `idiolect evaluate`: benchmark → models → folder → answers → summary → table, scores.json, report.

A run that is stopped, by a limit or by hand, still summarizes what there is, and says so; the same command goes on.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from idiolect.cli.boundary import stop
from idiolect.cli.evaluation_bench import calling, opened_bench, unpriced
from idiolect.cli.evaluation_config import EvaluationConfig, as_kept
from idiolect.cli.evaluation_kept import kept_config
from idiolect.cli.evaluation_screen import print_summary
from idiolect.cli.fit_order import CallOrder
from idiolect.cli.opening import aclose_all, check_models, notes_of
from idiolect.cli.progress import UsersProgress, waiting
from idiolect.cli.run_calls import RunCalls, check_prices, run_calls
from idiolect.cli.terminal import err, one_line, print_json, print_table
from idiolect.errors import HaltedError, MissingExtraError, SettingsError
from idiolect.evaluate.archive import Archive, read_config_of, writing_alone
from idiolect.evaluate.benchmark import Benchmark, question_key
from idiolect.evaluate.learned import training_notes
from idiolect.evaluate.methods.bench import Bench
from idiolect.evaluate.methods.table import METHODS
from idiolect.evaluate.plan import EvaluationOrder, PlannedArm, entry_of, planned
from idiolect.evaluate.records import Arm
from idiolect.evaluate.running import Runner, shard_of
from idiolect.evaluate.summarizing import summarize
from idiolect.evaluate.summary import Header, Summary
from idiolect.evaluate.tables import table, to_json
from idiolect.evaluate.tasks.table import TASKS

_GOING_ON = "the same command goes on from here"
_AT_THE_END = ("scipy", "statsmodels", "sklearn", "matplotlib")


@dataclass(frozen=True, slots=True)
class EvaluateOrder:
    """What the command line says besides the configuration.

    Args:
        config: what decides on numbers.
        out: the folder of the evaluation.
        calls: how models may be called, and how much.
        shard: which of how many processes this is.
        report_only: ask nothing, summarize what is there.
        texts: show questions and answers in the report.
        json: print the scores as JSON.
    """

    config: EvaluationConfig
    out: Path
    calls: CallOrder
    shard: tuple[int, int] = (0, 1)
    report_only: bool = False
    texts: bool = True
    json: bool = False


@dataclass(slots=True)
class _Outcome:
    """How a run ended: "" for complete."""

    stopped_by: str = ""
    by_hand: bool = False


def evaluate_task(order: EvaluateOrder) -> bool:
    """Run an evaluation, or go on with it, and write what it comes to; whether it is complete.

    Raises:
        SettingsError: something makes no sense; nothing was asked.
        DatasetError, UsersFileError: the data cannot be read.
        ModelError, MissingExtraError: a model cannot be had, or no call of it can succeed.
    """
    if order.report_only:
        order = replace(order, config=as_kept(order.config, read_config_of(order.out)))
    config = order.config
    if config.task not in TASKS:
        raise SettingsError(f"there is no task {config.task!r}: choose of {', '.join(TASKS)}")
    arms_order = config.evaluation_order()
    _check_extras(arms_order)
    with waiting("reading the data"):
        benchmark = TASKS[config.task].load(config.task_order())
    arms = planned(arms_order)
    outcome, own_share_done = _Outcome(), False
    if order.report_only:
        archive = Archive.read(order.out, kept_config(order.config, benchmark, None))
        archive.check_people(benchmark)
    else:
        with opened_bench(config, arms_order, benchmark, order.calls) as bench:
            check_prices(order.calls, unpriced(bench, order.calls))
            with writing_alone(order.out, order.shard):
                archive = Archive.open(order.out, kept_config(order.config, benchmark, bench), shard=order.shard)
                archive.keep_people(benchmark)
                archive.add_questions(benchmark)
                outcome = asyncio.run(_run(order, bench, archive, arms, arms_order))
        own_share_done = order.shard != (0, 1) and not outcome.stopped_by
        if order.shard != (0, 1):
            archive = Archive.read(order.out)  # with what the other processes have done by now
    outcome.stopped_by = outcome.stopped_by or _missing(archive, benchmark, arms, arms_order)
    summary = _summary(order, benchmark, archive, arms, arms_order, outcome)
    _write(order, summary, share_done=own_share_done)
    if outcome.by_hand:
        stop(_GOING_ON)
    return not outcome.stopped_by or (own_share_done and not order.report_only)


def _check_extras(order: EvaluationOrder) -> None:
    """Whether what is needed at the end is there at the beginning.

    Raises:
        MissingExtraError: a package is not installed.
    """
    needed = dict.fromkeys(_AT_THE_END, "evaluate")
    if any("dpo" in entry_of(spec).needs for spec in order.methods):
        needed |= {"trl": "dpo", "peft": "dpo"}
    for name, extra in needed.items():
        if find_spec(name) is None:
            raise MissingExtraError(f"this evaluation needs {name}: pip install 'idiolect[{extra}]'")


async def _run(
    order: EvaluateOrder, bench: Bench, archive: Archive, arms: list[PlannedArm], arms_order: EvaluationOrder
) -> _Outcome:
    models = [bench.model.model, bench.optimizer.model, *(other.model.model for other in bench.transfer.values())]
    try:
        await check_models(models)
        with run_calls(order.calls, order.out / "cache" / "calls.db") as run:
            return await _asked(order, calling(bench, run.calls, order.calls), archive, arms, arms_order, run)
    finally:
        await aclose_all(models)


async def _asked(
    order: EvaluateOrder,
    bench: Bench,
    archive: Archive,
    arms: list[PlannedArm],
    arms_order: EvaluationOrder,
    run: RunCalls,
) -> _Outcome:
    cases = shard_of(bench.benchmark.cases, order.shard)
    many = bench.model.remote
    with UsersProgress(len(cases), noun="people", many=many, note=run.note) as progress:

        def finished(user: str, not_scored: int) -> None:
            progress.finished(user, f"{not_scored} answers not scored" if not_scored else "done")

        workers = min(len(cases), order.calls.concurrency) if many else 1
        runner = Runner(bench, arms, arms_order.seeds, archive, max(workers, 1), progress.observe, finished)
        try:
            await run.halting(runner.run())
        except HaltedError as halted:
            return _Outcome(run.reason or str(halted), run.interrupted)
    for note in notes_of([bench.model.model, bench.optimizer.model]):
        err().print(one_line(note), markup=False)
    err().print(run.summary(), markup=False)
    return _Outcome("stopped by hand", True) if run.interrupted else _Outcome()


def _missing(archive: Archive, benchmark: Benchmark, arms: list[PlannedArm], order: EvaluationOrder) -> str:
    """What is not there yet, in a few words; "" where all is."""
    units = [(arm.arm, seed, case.user.id) for arm in arms for seed in order.seeds for case in benchmark.cases]
    left = sum(not archive.tried(unit) for unit in units)
    return f"{left:,} of {len(units):,} pairs of arm and person are not done" if left else ""


def _summary(
    order: EvaluateOrder,
    benchmark: Benchmark,
    archive: Archive,
    arms: list[PlannedArm],
    arms_order: EvaluationOrder,
    outcome: _Outcome,
) -> Summary:
    config = read_config_of(order.out)
    by_spec = {str(arm.spec): arm.arm for arm in arms if arm.arm == Arm(str(arm.spec))}
    primary = tuple((by_spec[str(a)], by_spec[str(b)]) for a, b in arms_order.primary)
    names = (order.config.model, *order.config.transfer)
    people = {case.user.id for case in benchmark.cases}
    places = {arm.arm: place for place, arm in enumerate(arms)}  # tables are in the order of the plan
    header = Header(
        task=benchmark.task,
        title=TASKS[order.config.task].title,
        config=config,
        measures=benchmark.measures,
        baseline=Arm(str(arms_order.baseline)),
        people_asked=len(benchmark.cases),
        labels=benchmark.labels,
        primary=primary,
        status="stopped" if outcome.stopped_by else "complete",
        stopped_by=outcome.stopped_by,
        broken_count=benchmark.broken.count,
        broken=tuple(str(record) for record in benchmark.broken.first[:20]),
        notes=(*benchmark.notes, *_notes(config), *training_notes(archive.learning)),
    )
    answers = [each for each in archive.answers if each.user in people and each.arm in places]
    answers.sort(key=lambda each: places[each.arm])
    learning = [each for each in archive.learning if each.user in people and each.arm in places]
    with waiting("summarizing"):
        return summarize(
            answers,
            learning,
            header,
            questions=_questions(benchmark) if order.texts else {},
            learned_with={arm.arm: arm.learns_with or order.config.model for arm in arms},
            replayed=tuple(name for name in names if name.startswith("replay:")),
            seed=order.config.seed,
        )


def _notes(config: Mapping[str, Any]) -> list[str]:
    """What a reader has to know of how the run came about."""
    first = config.get("first", {})
    added = [name for name in config.get("methods", ()) if "methods" in first and name not in first["methods"]]
    notes = [f"added after the first answers: {', '.join(added)}"] if added else []
    if "people" in first and first["people"] != config.get("people"):
        notes.append(
            f"people were added after the first answers (at first {first['people']}): whose was the last of them has "
            "another control, and the last group other members, than if all had been asked from the beginning"
        )
    return notes


def _questions(benchmark: Benchmark) -> dict[str, tuple[str, tuple[str, ...]]]:
    asked = (opinion.question for case in benchmark.cases for opinion in case.asked)
    return {question_key(question): (question.text, question.choices) for question in asked}


def _write(order: EvaluateOrder, summary: Summary, *, share_done: bool) -> None:
    from idiolect.evaluate.report.report import render

    scores = to_json(summary)
    with waiting("drawing the report"):
        report = render(summary)
    try:
        (order.out / "table.md").write_text(table(summary), encoding="utf-8")
        (order.out / "scores.json").write_text(json.dumps(scores, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        (order.out / "report.html").write_text(report, encoding="utf-8", errors="replace")
    except OSError as error:
        raise SettingsError(f"{order.out} cannot be written: {error.strerror}") from error
    if order.json:
        print_json(scores)
    else:
        print_summary(summary)
    state = f"stopped: {summary.header.stopped_by}; {_GOING_ON}" if summary.header.stopped_by else "complete"
    if share_done and summary.header.stopped_by:
        state = f"this share is done; of all of them, {summary.header.stopped_by}"
    err().print(one_line(f"{order.out / 'report.html'}: {state}"), markup=False)


def print_tasks_and_methods(*, as_json: bool) -> None:
    """Both tables, by name with what they are."""
    tasks = [(task.name, task.help) for task in TASKS.values()]
    methods = [(name, entry.help) for name, entry in METHODS.items()]
    if as_json:
        print_json({"tasks": dict(tasks), "methods": dict(methods)})
        return
    print_table(("TASK", "DATA"), tasks)
    print_table(("METHOD", "WHAT IT IS"), methods)
