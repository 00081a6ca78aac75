"""The command `idiolect fit`: learn from every user of a users file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, cast

import typer

from idiolect.application.names import (
    CHAMELEON,
    DEFAULT_MODEL,
    FERMI,
    PRESETS,
    PROPOSERS,
    AnsweringMode,
    MethodName,
    PresetName,
)
from idiolect.cli import options
from idiolect.cli.boundary import FAILED, INVOCATION, STOPPED, print_stopped
from idiolect.cli.interrupts import terminating_like_ctrl_c
from idiolect.cli.options import option
from idiolect.cli.terminal import err, one_line

if TYPE_CHECKING:
    from idiolect.application.blocking import Workspace
    from idiolect.application.choices import ChameleonChoices, FermiChoices
    from idiolect.cli.advice import Invocation
    from idiolect.methods.fermi.settings import ProposerName
    from idiolect.people.user import User
    from idiolect.people.users_file import UsersFileReport

    Choices = FermiChoices | ChameleonChoices

EXAMPLES = (
    "idiolect fit users.jsonl",
    "idiolect fit users.jsonl --model gpt-4o-mini --optimizer gpt-4o --budget-money 5 --dry-run",
    "idiolect fit users.jsonl --model http://localhost:8000/v1#NAME --concurrency 64 --resume",
    "idiolect fit users.jsonl --user u1 --user u2 --iterations 5 --store ./people",
    "idiolect fit users.jsonl --method chameleon --model Qwen/Qwen3-0.6B",
    "idiolect fit users.jsonl --method chameleon --model Qwen/Qwen3-0.6B --from-group readers",
    "cat users.jsonl | idiolect fit - --skip-invalid --json | jq .best_score",
)
_GOING_ON = "to continue, run the same command with --resume"

HELP = """Learn from every user of a users file: prompts for each user (fermi), or an edit of the model (chameleon).

Fermi works with every model. CHAMELEON needs open weights on this machine, and also learns from texts.

The whole file is checked and every model is opened before anything is written. With a remote model, learning runs for
several users at once. Each user is stored as soon as they are done, and each model answer as soon as it arrives. Use
--resume to continue a run that was stopped.

API keys for remote models are read from the environment: OPENAI_API_KEY, or IDIOLECT_API_KEY for a URL.

With --json: one object per line, for each user.
"""

UsersArgument = Annotated[
    str, typer.Argument(metavar="USERS", help="Users file (JSON Lines); - reads standard input.", show_default=False)
]
ModelOption = Annotated[
    str,
    typer.Option(
        metavar="M",
        help="Model that answers: embedded, a Hugging Face id, a folder, gpt-… or openai:NAME, or URL#NAME.",
    ),
]
OptimizerOption = Annotated[
    str | None, option("Fermi: model that writes prompts. Default: the model that answers.", "M")
]
AnsweringOption = Annotated[
    AnsweringMode | None, option("Generate answers, or take the most likely choice. Default: set by the preset.")
]
SimilarityOption = Annotated[
    str | None,
    option(
        "Similarity of questions: minilm, bm25, a sentence-transformers id, or a remote model. "
        "Default: set by the preset.",
        "NAME",
    ),
]
ProposersOption = Annotated[
    str | None,
    option(
        "Fermi: proposers of prompts: llm, demonstrations, or both, separated by a comma. Default: set by the preset.",
        "NAMES",
    ),
]
IterationsOption = Annotated[
    int | None, option("Fermi: number of learning rounds. Default: set by the preset.", "N", min=1, max=10_000)
]
PresetOption = Annotated[
    PresetName | None,
    option(
        "Preset of settings. Fermi: api (default for a remote model), local (default for a model on this machine), "
        "demo (default for a small one, such as embedded), paper, paper-offline. CHAMELEON: grouped (default with "
        "--from-group, and with embedded for people with texts), measured (default otherwise), paper."
    ),
]
MaxTokensOption = Annotated[
    int | None,
    option(
        "Maximum number of tokens in an answer; a proposal may have at least as many. For reasoning models, whose "
        "reasoning counts, allow thousands. Default: set by the preset.",
        "N",
        min=1,
        max=options.MOST_TOKENS,
    ),
]
PairsOption = Annotated[
    int | None, option("CHAMELEON, preset paper: number of pairs to write. Default: set by the preset.", "K", min=2)
]
FromGroupOption = Annotated[
    str | None,
    option(
        "CHAMELEON: group in the store, or folder (idiolect groups save), at whose edit a person's step begins. A "
        "folder is named by a path with a / or a leading dot: ./readers. Default: the edit packaged for the model, if "
        "there is one.",
        "GROUP",
    ),
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Continue a run that was stopped; skip users already learned.")
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Print the expected calls, tokens and dollars, and exit.")
]
SkipOption = Annotated[bool, typer.Option("--skip-invalid", help="Skip invalid lines instead of stopping.")]
UserOption = Annotated[list[str] | None, option("Learn only from this user of the file. Repeatable.", "ID")]


def fit(
    context: typer.Context,
    users: UsersArgument,
    method: Annotated[MethodName, typer.Option(help="Learning method.")] = FERMI,
    store: options.StoreOption = None,
    model: ModelOption = DEFAULT_MODEL,
    optimizer: OptimizerOption = None,
    preset: PresetOption = None,
    answering: AnsweringOption = None,
    similarity: SimilarityOption = None,
    proposers: ProposersOption = None,
    iterations: IterationsOption = None,
    pairs: PairsOption = None,
    max_tokens: MaxTokensOption = None,
    from_group: FromGroupOption = None,
    seed: options.SeedOption = 0,
    user: UserOption = None,
    skip_invalid: SkipOption = False,
    resume: ResumeOption = False,
    dry_run: DryRunOption = False,
    budget_calls: options.BudgetCalls = None,
    budget_tokens: options.BudgetTokens = None,
    budget_money: options.BudgetMoney = None,
    budget_time: options.BudgetTime = None,
    user_budget_calls: options.UserBudgetCalls = None,
    user_budget_tokens: options.UserBudgetTokens = None,
    user_budget_money: options.UserBudgetMoney = None,
    user_budget_time: options.UserBudgetTime = None,
    prices: options.PricesOption = None,
    concurrency: options.ConcurrencyOption = 16,
    timeout: options.TimeoutOption = 120.0,
    no_cache: options.NoCacheOption = False,
    json: options.JsonOption = False,
) -> None:
    """Learn from every user of a users file. `HELP` is the help text."""
    from idiolect.application.blocking import Workspace
    from idiolect.application.choices import ChameleonChoices, FermiChoices
    from idiolect.application.run import CallSettings
    from idiolect.cli.progress import SCREEN
    from idiolect.models.calls.budget import Limits

    _check_preset(method, preset)
    if method == CHAMELEON:
        _refuse(method, {"--optimizer": optimizer, "--proposers": proposers, "--iterations": iterations})
        choices: Choices = ChameleonChoices(preset, answering, similarity, pairs, max_tokens, seed, from_group)
    else:
        _refuse(method, {"--pairs": pairs, "--from-group": from_group})
        choices = FermiChoices(preset, answering, similarity, _proposers(proposers), iterations, max_tokens, seed)
    each = Limits(user_budget_calls, user_budget_tokens, user_budget_money, user_budget_time)
    run = Limits(budget_calls, budget_tokens, budget_money, budget_time)
    calls = CallSettings(run, each, concurrency, timeout, prices, cached=not no_cache)
    people = _people(users, only=tuple(dict.fromkeys(user or ())), skip_invalid=skip_invalid)
    _check_store(store)
    with Workspace.open(store, model=model, optimizer=optimizer, calls=calls, events=SCREEN) as space:
        if dry_run:
            status = _forecast(space, people, choices, context.meta[INVOCATION], (model, optimizer), json=json)
        else:
            status = _fit(space, people, choices, context.meta[INVOCATION], resume=resume, json=json)
    if status:  # after the workspace has closed, because for the workspace this exit is not an error
        raise typer.Exit(status)


def _check_store(store: str | None) -> None:
    from idiolect.store.opening import locate, refuse_in_memory

    refuse_in_memory(locate(store))


def _forecast(
    space: Workspace,
    people: Iterable[User],
    choices: FermiChoices | ChameleonChoices,
    invocation: Invocation,
    models: tuple[str | None, ...],
    *,
    json: bool,
) -> int:
    """Print the expected cost of learning, and return the exit status."""
    from idiolect.cli.fit_screen import print_forecast, print_missing
    from idiolect.cli.progress import waiting

    with waiting("estimating the cost"):
        forecast = space.forecast(people, choices)
    print_forecast(forecast, json=json)
    print_missing(forecast, invocation)
    _note_hub_names(*models)
    return 0


def _note_hub_names(*models: str | None) -> None:
    """Print which names a run would look up on the Hugging Face Hub: a mistyped API model's costs nothing here."""
    from idiolect.models.catalog import may_be_on_the_hub

    for name in dict.fromkeys(filter(None, models)):
        if may_be_on_the_hub(name):
            shown = one_line(name, limit=80)
            err().print(
                f"note: {shown} is taken as a model of the Hugging Face Hub that runs on this machine; a model behind "
                f"an API is openai:{shown} or URL#{shown}",
                markup=False,
            )


def _fit(
    space: Workspace,
    people: Iterable[User],
    choices: FermiChoices | ChameleonChoices,
    invocation: Invocation,
    *,
    resume: bool,
    json: bool,
) -> int:
    """Learn, print the outcome, and return the exit status."""
    from idiolect.application.portal import Interrupted
    from idiolect.cli.fit_screen import FitScreen
    from idiolect.cli.progress import UsersProgress

    progress = UsersProgress()
    screen = FitScreen(
        choices.method, invocation, progress, json=json, spending=space.spending, pause_left=space.pause_left
    )
    try:
        with terminating_like_ctrl_c(), progress:
            report = space.fit(people, choices, resume=resume, events=screen.events)
    except KeyboardInterrupt as stopped:
        if screen.began:
            screen.print_end(notes=stopped.result.notes if isinstance(stopped, Interrupted) else ())
        print_stopped(_GOING_ON if screen.began else "nothing was written")
        return STOPPED
    screen.print_end(notes=report.notes, halted_by=report.halted_by)
    if not report.complete and (report.halted_by is not None or not screen.failed):
        err().print(_GOING_ON, markup=False)
    return 0 if report.complete else FAILED


def _people(source: str, *, only: tuple[str, ...], skip_invalid: bool) -> Iterable[User]:
    """Check the whole file, and return the users to learn from.

    Raises:
        UsersFileError: the file has faults.
        SettingsError: a user that `only` names is not in the file.
    """
    from idiolect.errors import SettingsError
    from idiolect.people.users_file import read_users

    people = read_users(source, skip_invalid=skip_invalid, on_report=partial(_print_report, skip_invalid=skip_invalid))
    if not only:
        return people
    chosen = {user.id: user for user in people if user.id in only}
    if missing := [user_id for user_id in only if user_id not in chosen]:
        raise SettingsError(f"the users file does not contain {', '.join(map(repr, missing))}")
    return list(chosen.values())


def _print_report(report: UsersFileReport, *, skip_invalid: bool) -> None:
    """Print the fields taken as left out, and, if faults do not end the command, the faults."""
    for note in report.notes:
        err().print(one_line(f"note: {note}"), markup=False)
    if skip_invalid and report.fault_count and report.users:  # without users, an error lists the faults
        lines = "1 line" if report.invalid_lines == 1 else f"{report.invalid_lines:,} lines"
        for line in (f"{report}: skipped {lines}", *report.faults):
            err().print(one_line(str(line)), markup=False)


def _check_preset(method: MethodName, preset: str | None) -> None:
    """Raise BadParameter if the method does not have the preset."""
    known = PRESETS[method]
    if preset is not None and preset not in known:
        raise typer.BadParameter(f"{method} has no preset {preset!r}: choose one of {', '.join(known)}")


def _refuse(method: MethodName, options: Mapping[str, object]) -> None:
    """Raise BadParameter if an option of the other method is set."""
    for name, value in options.items():
        if value is not None:
            raise typer.BadParameter(f"{name} cannot be used with --method {method}")


def _proposers(given: str | None) -> tuple[ProposerName, ...] | None:
    if given is None:
        return None
    names = tuple(name.strip() for name in given.split(","))
    for name in names:
        if name not in PROPOSERS:
            raise typer.BadParameter(f"unknown proposer {name!r}: choose one of {', '.join(PROPOSERS)}")
    if len(set(names)) < len(names):
        raise typer.BadParameter("a proposer is listed twice")
    return cast("tuple[ProposerName, ...]", names)
