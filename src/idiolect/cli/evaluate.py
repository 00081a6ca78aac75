"""The command `idiolect evaluate`: compare methods on a benchmark."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from idiolect.application.names import AnsweringMode
from idiolect.cli import options
from idiolect.cli.boundary import FAILED, called_with, stop, wrong_use
from idiolect.cli.options import option
from idiolect.cli.terminal import err, one_line, print_json

if TYPE_CHECKING:
    from decimal import Decimal

    from idiolect.application.run import CallSettings
    from idiolect.evaluate.configuration import EvaluationConfig
    from idiolect.evaluate.evaluation import AskedPeople
    from idiolect.evaluate.preparing import Prepared
    from idiolect.evaluate.provenance import Invocation
    from idiolect.evaluate.summary import Summary

EXAMPLES = (
    "idiolect evaluate people --methods vanilla,few-shot,fermi --people 10 --out food",
    "idiolect evaluate opinionqa --data human_resp --topic Guns --model gpt-4o-mini --budget-money 5 --out guns",
    "idiolect evaluate lamp-3 --data LaMP_3 --methods vanilla,rag,fermi,chameleon --train 10 --out lamp3",
    "idiolect evaluate prism --data prism-alignment --train 4 --methods vanilla,profile,few-shot --out prism",
    "idiolect evaluate users --data users.jsonl --config evaluation.toml --out mine",
    "idiolect evaluate people --methods few-shot,fermi --curve-prompt-tokens 100,200,400,800 --out lengths",
    "idiolect evaluate --out food --report-only",
    "idiolect evaluate --list",
)
HELP = """Compare methods on a benchmark: answers, a table with intervals, and a report in one HTML file.

TASK is a benchmark in its published layout, a users file, or the bundled people; --list prints all tasks and methods. A
method can have settings in brackets: fermi[iterations=4,retrieval.pool=memory].

The folder OUT contains one line per answer (answers.jsonl; flat in results.csv), what each method learned and its cost
(learning.jsonl), how it was made (runs.jsonl), the table (table.md, scores.json) and the report (report.html). To
continue a run that was stopped by Ctrl-C, a limit or kill -9, run the same command again.

Name the primary comparisons with --primary before the first answer. Their p-values are corrected for multiple testing
(Holm). Once the folder contains answers, no other comparisons can be named.
"""

_GOING_ON = "to continue, run the same command"
_SHARD = re.compile(r"(\d+)/(\d+)")


def _shard(text: str | None) -> tuple[int, int]:
    if text is None:
        return 0, 1
    found = _SHARD.fullmatch(text.strip())
    if found is None or not int(found[1]) < int(found[2]):
        raise typer.BadParameter(f"expected I/N, such as 0/2 and 1/2 for two processes, found {text!r}")
    return int(found[1]), int(found[2])


TaskArgument = Annotated[
    str | None, typer.Argument(metavar="TASK", help="Task to evaluate; see --list.", show_default=False)
]
DataOption = Annotated[Path | None, option("File or folder of the benchmark.", "PATH")]
OutOption = Annotated[Path | None, option("Folder of the evaluation.", "DIR")]
ConfigOption = Annotated[
    Path | None, option("Settings (TOML), named like these options. Options take precedence.", "FILE")
]
MethodsOption = Annotated[
    str | None,
    option("Methods, separated by commas. Default: vanilla,profile,few-shot,majority-own,fermi.", "NAMES"),
]
PrimaryOption = Annotated[
    list[str] | None, option("Primary comparison, such as 'fermi - few-shot'. Repeatable.", "A - B")
]
BaselineOption = Annotated[str | None, option("Baseline for the reported gains. Default: vanilla.", "METHOD")]
PeopleOption = Annotated[
    int | None, option("Maximum number of people. Default: all.", "N", flag="--people", also="--limit")
]
TrainOption = Annotated[int | None, option("Number of opinions (or texts) to learn from. Default: 20.", "N")]
TestOption = Annotated[int | None, option("Maximum number of held-out questions per person. Default: 30.", "N")]
SeedOption = Annotated[
    int | None, option("Random seed for people and questions. Default: 0.", "N", min=0, max=options.MOST_SEED)
]
GroupOption = Annotated[
    str | None,
    option(
        "People to evaluate. Default: reported; development has other people, for choosing settings.",
        "reported|development",
    ),
]
TopicOption = Annotated[list[str] | None, option("Only people of this topic or group. Repeatable.", "NAME")]
SplitOption = Annotated[
    str | None, option("LaMP: published split (default: dev). PersonaMem: 32k, 128k or 1M.", "NAME")
]
HistoryOption = Annotated[
    str | None, option("LaMP, PersonaMem: how to read the histories. Default: opinions.", "opinions|texts")
]
ControlsOption = Annotated[
    bool | None,
    option("Also answer with what was learned from another person. Default: yes.", flag="--controls/--no-controls"),
]
CurveOption = Annotated[str | None, option("Learning curve: numbers of opinions to learn from as well.", "5,10")]
IterationsCurveOption = Annotated[
    str | None, option("Learning curve: numbers of iterations to learn for as well.", "1,2,4")
]
PromptTokensCurveOption = Annotated[
    str | None,
    option(
        "Curve: limits on a prompt's length, in tokens of 4 bytes, to answer with as well. Methods learn once, without "
        "the limit; it leaves out the farthest examples.",
        "100,200,400",
    ),
]
ModelOption = Annotated[str | None, option("Model that answers. Default: embedded.", "M")]
OptimizerOption = Annotated[str | None, option("Model that writes prompts. Default: the model that answers.", "M")]
TransferOption = Annotated[list[str] | None, option("Model to transfer prompts to and from. Repeatable.", "M")]
PresetOption = Annotated[
    str | None,
    option(
        "Fermi's preset of settings: api (default for a remote model), local (default for a model on this machine), "
        "demo (default for a small one, such as embedded), paper, paper-offline."
    ),
]
AnsweringOption = Annotated[
    AnsweringMode | None, option("Generate answers, or take the most likely choice. Default: set by the preset.")
]
CallsOption = Annotated[
    int | None, option("Maximum number of calls per person for learning, for every method that learns.", "N")
]
SetOption = Annotated[
    list[str] | None,
    option(
        "Any setting of a configuration file, such as dtype=bfloat16 or pairs=8. Repeatable.",
        "NAME=VALUE",
        flag="--set",
    ),
]
ShardOption = Annotated[
    str | None, option("Share of the people that this process evaluates, such as 0/2 and 1/2.", "I/N")
]
NoTextsOption = Annotated[
    bool,
    typer.Option("--no-texts", help="Omit questions and answers from the report and results.csv, for publication."),
]
LogPromptsOption = Annotated[
    bool,
    typer.Option("--log-prompts", help="Keep the prompt of every answer in answers.jsonl; it holds people's texts."),
]
ReportOnlyOption = Annotated[
    bool,
    typer.Option("--report-only", help="Report the answers in OUT once more, without data, models or calls."),
]


def evaluate(
    ctx: typer.Context,
    task: TaskArgument = None,
    data: DataOption = None,
    out: OutOption = None,
    config: ConfigOption = None,
    methods: MethodsOption = None,
    primary: PrimaryOption = None,
    baseline: BaselineOption = None,
    people: PeopleOption = None,
    train: TrainOption = None,
    test: TestOption = None,
    seed: SeedOption = None,
    group: GroupOption = None,
    topic: TopicOption = None,
    split: SplitOption = None,
    history: HistoryOption = None,
    group_by: options.GroupByOption = None,
    mask_names: options.MaskNamesOption = None,
    controls: ControlsOption = None,
    controls_by_kind: options.ControlsByKindOption = None,
    neutral: options.NeutralOption = None,
    from_group: options.FromGroupFolderOption = None,
    curve_opinions: CurveOption = None,
    curve_iterations: IterationsCurveOption = None,
    curve_prompt_tokens: PromptTokensCurveOption = None,
    model: ModelOption = None,
    optimizer: OptimizerOption = None,
    transfer: TransferOption = None,
    preset: PresetOption = None,
    answering: AnsweringOption = None,
    calls_per_person: CallsOption = None,
    setting: SetOption = None,
    shard: ShardOption = None,
    budget_calls: options.BudgetCalls = None,
    budget_tokens: options.BudgetTokens = None,
    budget_money: options.BudgetMoney = None,
    budget_time: options.BudgetTime = None,
    prices: options.PricesOption = None,
    concurrency: options.ConcurrencyOption = 16,
    timeout: options.TimeoutOption = 120.0,
    no_cache: options.NoCacheOption = False,
    report_only: ReportOnlyOption = False,
    no_texts: NoTextsOption = False,
    log_prompts: LogPromptsOption = False,
    list_all: Annotated[bool, typer.Option("--list", help="Print all tasks and methods, and exit.")] = False,
    json: options.JsonOption = False,
) -> None:
    """Compare methods on a benchmark. `HELP` is the help text."""
    from idiolect.evaluate.configuration import read_config

    if list_all:
        _list_all(json=json)
    folder, task = _folder_and_task(out, task, config, setting, report_only=report_only)
    chosen = read_config(config, _settings_in(locals() | {"topics": topic}), settings=setting or ())
    if report_only:
        _report(chosen, folder, texts=not no_texts, json=json)
    budget = (budget_calls, budget_tokens, budget_money, budget_time)
    calls = _call_settings(budget, concurrency, timeout, prices, cached=not no_cache, dtype=chosen.dtype)
    _evaluate(chosen, folder, calls, _shard(shard), _invocation(ctx, log_prompts), texts=not no_texts, json=json)


def _settings_in(stated: Mapping[str, object]) -> dict[str, object]:
    """Return those of the command's arguments that are settings of a configuration."""
    from idiolect.evaluate.configuration import EvaluationConfig

    return {name: value for name, value in stated.items() if name in EvaluationConfig.model_fields}


def _list_all(*, json: bool) -> NoReturn:
    from idiolect.cli.evaluation_screen import print_tasks_and_methods

    print_tasks_and_methods(json=json)
    raise typer.Exit


def _invocation(ctx: typer.Context, log_prompts: bool) -> Invocation:
    from idiolect.evaluate.provenance import Invocation, command_line

    return Invocation(command_line("idiolect", called_with(ctx)), log_prompts)


def _call_settings(
    budget: tuple[int | None, int | None, Decimal | None, float | None],
    concurrency: int,
    timeout: float,
    prices: Path | None,
    *,
    cached: bool,
    dtype: str | None,
) -> CallSettings:
    from idiolect.application.run import CallSettings
    from idiolect.models.calls.budget import Limits

    return CallSettings(Limits(*budget), Limits(), concurrency, timeout, prices, cached=cached, dtype=dtype)


def _folder_and_task(
    out: Path | None, task: str | None, config: Path | None, settings: list[str] | None, *, report_only: bool
) -> tuple[Path, str | None]:
    """Return the folder, and the task: that of the folder to report, if none is named; None if a setting names it.

    Raises:
        typer.BadParameter: no folder or no task is named, or the folder to report contains no evaluation.
    """
    if report_only and task is None:
        task = _task_in(_named_folder(out, writing=False), config)
    if task is None and config is None and not any(each.startswith("task") for each in settings or ()):
        raise typer.BadParameter("name a TASK; idiolect evaluate --list prints all of them")
    return _named_folder(out, writing=not report_only), task


def _named_folder(out: Path | None, *, writing: bool) -> Path:
    if out is None or not str(out).strip(" ." if writing else ""):  # a run would mix its files with those of "."
        raise typer.BadParameter("name the folder of the evaluation: --out DIR")
    return out


def _task_in(folder: Path, config: Path | None) -> str | None:
    """Return the task of the evaluation in a folder; None if a file of settings names it.

    Raises:
        typer.BadParameter: the folder contains no evaluation.
    """
    from idiolect.evaluate.config_file import read_config_of

    with wrong_use():
        return None if config is not None else str(read_config_of(folder)["task"])


def _report(config: EvaluationConfig, out: Path, *, texts: bool, json: bool) -> NoReturn:
    """Report the answers in a folder once more, and exit with the status that tells whether they are complete.

    Raises:
        typer.Exit: always.
    """
    from idiolect.cli.progress import waiting
    from idiolect.evaluate.reporting import outline_for_report, summarize_folder, write_answers, write_report

    with wrong_use():
        outline = outline_for_report(out, config, waiting=waiting)
    summary = summarize_folder(outline, out, texts=texts, waiting=waiting)
    write_report(summary, out, waiting=waiting)
    write_answers(outline, out, texts=texts)
    _print_report(summary, out, share_done=False, json=json)
    raise typer.Exit(FAILED if summary.header.stopped_by or not summary.people else 0)


def _evaluate(
    config: EvaluationConfig,
    out: Path,
    calls: CallSettings,
    shard: tuple[int, int],
    invocation: Invocation,
    *,
    texts: bool,
    json: bool,
) -> None:
    """Collect the answers, and write the report.

    Raises:
        typer.Exit: the report is not complete.
    """
    from idiolect.cli.progress import waiting
    from idiolect.evaluate.evaluation import AskedPeople
    from idiolect.evaluate.preparing import outline_of, prepare
    from idiolect.evaluate.reporting import summarize_folder, write_answers, write_report

    by_hand = False
    prepared = prepare(config, waiting=waiting)
    for note in prepared.notes:
        err().print(one_line(note), markup=False)
    try:
        asked = _ask(prepared, out, calls, shard, invocation)
    except KeyboardInterrupt:
        if not (out / "config.json").exists():  # stopped before there were answers to summarize
            raise
        asked, by_hand = AskedPeople("stopped by hand"), True
    outline = outline_of(prepared)
    summary = summarize_folder(outline, out, stopped_by=asked.stopped_by, texts=texts, waiting=waiting)
    write_report(summary, out, waiting=waiting)
    write_answers(outline, out, texts=texts)
    _print_report(summary, out, share_done=asked.share_done, json=json)
    if by_hand:
        stop(_GOING_ON)
    complete = asked.share_done or (summary.people > 0 and not summary.header.stopped_by)
    if not complete or any(each.failed for each in summary.readings):
        raise typer.Exit(FAILED)


def _ask(
    prepared: Prepared, out: Path, calls: CallSettings, shard: tuple[int, int], invocation: Invocation
) -> AskedPeople:
    from idiolect.cli import progress as live
    from idiolect.cli.interrupts import terminating_like_ctrl_c
    from idiolect.evaluate.evaluation import EvaluationEvents, EvaluationStart, ask_blocking

    progress = live.UsersProgress(noun="people")

    def start(start: EvaluationStart) -> None:
        def note() -> str:
            return live.progress_line(start.run.spending())

        if start.preset_line:
            err().print(one_line(start.preset_line), markup=False)
        progress.expect(start.people, many=start.side_by_side, note=note, pause_left=start.run.pause_left)

    def finish(user: str, not_scored: int) -> None:
        progress.finished(user, f"{not_scored} answers not scored" if not_scored else "done")

    events = EvaluationEvents(live.waiting, live.print_uncertain, start, progress.observe, finish)
    ask = partial(ask_blocking, events=events, invocation=invocation, interrupted=live.print_interrupted)
    with terminating_like_ctrl_c(), progress:
        asked = ask(prepared, out, calls=calls, shard=shard)
    for note in asked.notes:
        err().print(one_line(note), markup=False)
    err().print(live.cost_line(asked.spending), markup=False)
    return asked


def _print_report(summary: Summary, out: Path, *, share_done: bool, json: bool) -> None:
    from idiolect.cli.evaluation_screen import print_summary, print_unread
    from idiolect.evaluate.tables import to_json

    if json:
        print_json(to_json(summary))
    else:
        print_summary(summary)
    print_unread(summary)
    stopped_by = summary.header.stopped_by
    state = f"stopped: {stopped_by}; {_GOING_ON}" if stopped_by else "complete"
    if not stopped_by and not summary.people:
        state = "complete, but no answer was scored; the report states why"
    if share_done and stopped_by:
        state = f"this share is done; of all shares, {stopped_by}"
    err().print(one_line(f"{out / 'report.html'}: {state}"), markup=False)
