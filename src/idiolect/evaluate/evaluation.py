"""One evaluation: benchmark → models → folder → answers → summary → table, scores.json, report.

    prepare ─→ ask_people (the folder keeps every answer) ─→ reporting.summarize_folder ─→ write_report, write_answers

An evaluation that is stopped, by a limit or a halt, still summarizes its answers so far, and states that it is partial;
asking again continues it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from idiolect.application.describing import describe
from idiolect.application.model_pool import ModelPool
from idiolect.application.observers import Waiting, ignore, wait_quietly
from idiolect.application.portal import STOPPED_BY_HAND, Portal, run_blocking
from idiolect.application.run import CallSettings, Run, Spending, open_run
from idiolect.errors import HaltedError, SettingsError, error_kind
from idiolect.evaluate.archive import Archive, writing_alone
from idiolect.evaluate.configuration import EvaluationConfig
from idiolect.evaluate.kept import kept_config
from idiolect.evaluate.methods.bench import Bench
from idiolect.evaluate.model_names import without_path
from idiolect.evaluate.neutral_texts import neutral_texts
from idiolect.evaluate.opening import calling, keeping_prompts, open_bench
from idiolect.evaluate.outline import write_outline
from idiolect.evaluate.preparing import Prepared, outline_of, prepare
from idiolect.evaluate.provenance import Invocation, ModelInUse, begin_run, begun_now
from idiolect.evaluate.reporting import summarize_folder, write_answers, write_report
from idiolect.evaluate.running import Runner, shard_of
from idiolect.evaluate.summary import Summary
from idiolect.methods.personalization import Observer, ignore_progress

FROM_PYTHON = Invocation()
_WHOLE = (0, 1)


@dataclass(frozen=True, slots=True)
class EvaluationStart:
    """Start of the questions.

    Args:
        run: calls of the evaluation; `run.halt` ends it early.
        people: number of people for this process.
        side_by_side: whether several people are evaluated at a time.
        preset_line: which preset of Fermi's settings was chosen, and why, in one line; "" if there was no choice.
    """

    run: Run
    people: int
    side_by_side: bool
    preset_line: str = ""


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
    invocation: Invocation = FROM_PYTHON,
) -> Summary:
    """Run or continue an evaluation, and write its report. This blocks, and works inside a running event loop.

    Args:
        config: configuration of the evaluation.
        out: folder of the evaluation.
        calls: settings for calls of models.
        shard: (i, n): this process takes the i-th of n parts of the people.
        texts: whether the report and results.csv show questions and answers.
        events: observers.
        invocation: whether to log prompts, and the command line, if there is one.

    Raises:
        SettingsError, DatasetError, UsersFileError, MissingExtraError, ModelError: see `prepare` and `ask_people`.
        KeyboardInterrupt: Ctrl-C was pressed; every answer was kept, and the same call continues.
    """
    out = Path(out)
    prepared = prepare(config, waiting=events.waiting)
    asked = ask_blocking(prepared, out, calls=calls, shard=shard, events=events, invocation=invocation)
    outline = outline_of(prepared)
    summary = summarize_folder(outline, out, stopped_by=asked.stopped_by, texts=texts, waiting=events.waiting)
    write_report(summary, out, waiting=events.waiting)
    write_answers(outline, out, texts=texts)
    return summary


def ask_blocking(
    prepared: Prepared,
    out: Path,
    *,
    calls: CallSettings,
    shard: tuple[int, int] = _WHOLE,
    events: EvaluationEvents = NO_EVALUATION_EVENTS,
    invocation: Invocation = FROM_PYTHON,
    interrupted: Callable[[int], None] = ignore,
) -> AskedPeople:
    """Run `ask_people` in a new event loop. Ctrl-C halts the calls first.

    Args:
        prepared, out, calls, shard, events, invocation: see `ask_people`.
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

    watched = replace(events, started=start)
    ask = partial(ask_people, prepared, out, calls=calls, shard=shard, events=watched, invocation=invocation)
    return run_blocking(ask, interrupted=halt)


async def ask_people(
    prepared: Prepared,
    out: Path,
    *,
    calls: CallSettings,
    shard: tuple[int, int] = _WHOLE,
    events: EvaluationEvents = NO_EVALUATION_EVENTS,
    invocation: Invocation = FROM_PYTHON,
) -> AskedPeople:
    """Let every arm learn and answer for every person, and save each answer. Answers in the folder are not repeated.

    Args:
        prepared: the prepared evaluation.
        out: folder of the evaluation.
        calls: settings for calls of models; the type of weights comes from the configuration instead.
        shard: (i, n): this process takes the i-th of n parts of the people.
        events: observers.
        invocation: whether to log prompts, and the command line, for the folder's record of runs.

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
        bench = keeping_prompts(bench) if invocation.log_prompts else bench
        pool.check_prices(*pool.opened())
        with writing_alone(out, shard):
            archive = Archive.open(out, kept_config(config, benchmark, bench), shard=shard)
            archive.keep_people(benchmark)
            archive.add_questions(benchmark)
            write_outline(out, outline_of(prepared))
            await pool.check(*pool.opened_models())
            with open_run(calls, out / "cache" / "calls.db", on_uncertain=events.uncertain) as run:
                called = await calling(bench, run.calls, pool)
                async with _recorded(prepared, called, archive, pool, invocation) as record:
                    stopped_by = await _asked(prepared, called, archive, run, shard=shard, events=events)
                    record.append(stopped_by)
                run.come_to_an_end()
                notes = tuple(pool.notes())
                share_done = shard != _WHOLE and not stopped_by
                return AskedPeople(stopped_by, share_done, run.spending(), notes)
    finally:
        await pool.aclose()


@asynccontextmanager
async def _recorded(
    prepared: Prepared, bench: Bench, archive: Archive, pool: ModelPool, invocation: Invocation
) -> AsyncIterator[list[str]]:
    """Record the run in the folder; the caller appends the reason why it ended, "" if it did its work."""
    config = prepared.config
    record = begun_now(
        invocation,
        await _models_in_use(config, pool),
        shard=archive.shard,
        seed=config.seed,
        seeds=prepared.options.seeds,
        similarity=without_path(bench.fermi.retrieval.similarity),
    )
    log, ended_by = begin_run(archive.path("runs"), record), list[str]()
    try:
        yield ended_by
    except BaseException as error:
        log.end(await _models_in_use(config, pool), ended_by=error_kind(error))
        raise
    log.end(await _models_in_use(config, pool), ended_by="".join(ended_by))


async def _models_in_use(config: EvaluationConfig, pool: ModelPool) -> list[ModelInUse]:
    """Return each model of an evaluation once, with its roles."""
    named = [("answers", config.model), ("writes prompts", config.optimizer or config.model)]
    named += [("transfer", name) for name in config.transfer]
    roles: dict[str, list[str]] = {}
    for role, name in named:
        roles.setdefault((await pool.model(name)).name, []).append(role)
    return [ModelInUse(tuple(found), describe(await pool.model(name))) for name, found in roles.items()]


async def _asked(
    prepared: Prepared, bench: Bench, archive: Archive, run: Run, *, shard: tuple[int, int], events: EvaluationEvents
) -> str:
    """Ask all people, and return the reason why this ended early; "" if it did not."""
    people, many = len(shard_of(bench.benchmark.cases, shard)), bench.model.remote
    preset_line = "" if bench.chosen is None else bench.chosen.line
    events.started(EvaluationStart(run, people, many, preset_line))
    workers = min(people, bench.calls.turns.concurrency) if many else 1
    seeds, arms = prepared.options.seeds, prepared.arms
    try:
        bench = replace(bench, neutral=await neutral_texts(bench, prepared.config.neutral, archive.folder))
        runner = Runner(bench, arms, seeds, archive, max(workers, 1), events.progress, events.finished)
        await runner.run()
    except HaltedError as halted:
        return run.halted_by or str(halted)
    return run.halted_by or ""
