"""`idiolect fit`: learns from every user of a users file. Its arguments; the flow is `fitting`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from idiolect.cli.boundary import FAILED
from idiolect.cli.options import PRESETS, Answering, JsonOption, Method, Preset, StoreOption
from idiolect.cli.run_options import (
    BudgetCalls,
    BudgetMoney,
    BudgetTime,
    BudgetTokens,
    ConcurrencyOption,
    NoCacheOption,
    PricesOption,
    TimeoutOption,
    UserBudgetCalls,
    UserBudgetMoney,
    UserBudgetTime,
    UserBudgetTokens,
)

if TYPE_CHECKING:
    from idiolect.cli.chameleon_order import ChameleonOrder
    from idiolect.cli.fit_order import FermiOrder, FitOrder, SettingsOrder

EXAMPLES = (
    "idiolect fit users.jsonl",
    "idiolect fit users.jsonl --model gpt-4o-mini --optimizer gpt-4o --budget-money 5 --dry-run",
    "idiolect fit users.jsonl --model http://localhost:8000/v1#NAME --concurrency 64 --resume",
    "idiolect fit users.jsonl --user u1 --user u2 --iterations 5 --store ./people",
    "idiolect fit users.jsonl --method chameleon --model Qwen/Qwen3-0.6B",
    "cat users.jsonl | idiolect fit - --skip-invalid --json | jq .best_score",
)
_PROPOSERS = ("llm", "demonstrations")


HELP = """Learn from every user of a users file: their prompts (fermi), or an edit of the model (chameleon).

Fermi works with every model; CHAMELEON needs open weights, on this machine, and learns from texts too.

The whole file is checked, and every model opened, before anything is written. Users of remote models are learned side
by side. Each is kept in the store as soon as it is done, each answer of a model as soon as it is there, and what is
half done goes on with --resume.

Keys of remote models come from the environment: OPENAI_API_KEY, or IDIOLECT_API_KEY for a URL.

With --json: one object a line, per user.
"""

UsersArgument = Annotated[
    str, typer.Argument(metavar="USERS", help="A users file (JSON Lines); - is standard input.", show_default=False)
]
ModelOption = Annotated[
    str,
    typer.Option(
        metavar="M",
        help="The model that answers: embedded, a Hugging Face id, a folder, gpt-… or openai:NAME, or URL#NAME.",
    ),
]
OptimizerOption = Annotated[
    str | None,
    typer.Option(
        metavar="M", help="Fermi: the model that writes prompts. Default: the one that answers.", show_default=False
    ),
]
AnsweringOption = Annotated[
    Answering | None, typer.Option(help="How answers are taken. Default: the preset's.", show_default=False)
]
SimilarityOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Of questions: minilm, bm25, a sentence-transformers id, or a remote one. Default: the preset's.",
        show_default=False,
    ),
]
ProposersOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help="Fermi: who proposes prompts: llm, demonstrations, or both with a comma. Default: the preset's.",
        show_default=False,
    ),
]
IterationsOption = Annotated[
    int | None, typer.Option(min=1, help="Fermi: rounds of learning. Default: the preset's.", show_default=False)
]
PresetOption = Annotated[
    Preset | None,
    typer.Option(
        help="Where the settings start from. Fermi: api (default for a remote model), demo (for a local one), paper, "
        "paper-offline. CHAMELEON: measured (default), paper.",
        show_default=False,
    ),
]
MaxTokensOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Tokens that an answer may have, and a proposal at least. Models that think count their thoughts: give "
        "them thousands. Default: the preset's.",
        show_default=False,
    ),
]
PairsOption = Annotated[
    int | None,
    typer.Option(
        min=2, metavar="K", help="CHAMELEON: how many pairs are written. Default: the preset's.", show_default=False
    ),
]
UserOption = Annotated[
    list[str] | None,
    typer.Option(metavar="ID", help="Take only this user of the file; may be repeated.", show_default=False),
]


def _proposers(given: str | None) -> tuple[str, ...] | None:
    if given is None:
        return None
    names = tuple(name.strip() for name in given.split(","))
    for name in names:
        if name not in _PROPOSERS:
            raise typer.BadParameter(f"there is no proposer {name!r}: choose of {', '.join(_PROPOSERS)}")
    if len(set(names)) < len(names):
        raise typer.BadParameter("a proposer is named twice")
    return names


def fit(
    users: UsersArgument,
    method: Annotated[Method, typer.Option(help="What learns.")] = Method.FERMI,
    store: StoreOption = None,
    model: ModelOption = "embedded",
    optimizer: OptimizerOption = None,
    preset: PresetOption = None,
    answering: AnsweringOption = None,
    similarity: SimilarityOption = None,
    proposers: ProposersOption = None,
    iterations: IterationsOption = None,
    pairs: PairsOption = None,
    max_tokens: MaxTokensOption = None,
    seed: Annotated[int, typer.Option(help="Another seed, other draws.")] = 0,
    user: UserOption = None,
    skip_invalid: Annotated[bool, typer.Option("--skip-invalid", help="Go on without lines that have faults.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an earlier run stopped; skip who is learned already.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how many calls, tokens and dollars to expect; do nothing.")
    ] = False,
    budget_calls: BudgetCalls = None,
    budget_tokens: BudgetTokens = None,
    budget_money: BudgetMoney = None,
    budget_time: BudgetTime = None,
    user_budget_calls: UserBudgetCalls = None,
    user_budget_tokens: UserBudgetTokens = None,
    user_budget_money: UserBudgetMoney = None,
    user_budget_time: UserBudgetTime = None,
    prices: PricesOption = None,
    concurrency: ConcurrencyOption = 16,
    timeout: TimeoutOption = 120.0,
    no_cache: NoCacheOption = False,
    json: JsonOption = False,
) -> None:
    """Learn from every user of a users file. `HELP` tells more."""
    from idiolect.cli.fit_order import CallOrder, FitOrder, SettingsOrder
    from idiolect.models.calls.budget import Limits

    _check_preset(method, preset)
    run = Limits(budget_calls, budget_tokens, budget_money, budget_time)
    each = Limits(user_budget_calls, user_budget_tokens, user_budget_money, user_budget_time)
    calls = CallOrder(run, each, concurrency, timeout, prices, cached=not no_cache)
    only = tuple(dict.fromkeys(user or ()))
    order = FitOrder(users, store, calls, only, skip_invalid, resume, json)
    chosen = SettingsOrder(
        preset=preset and preset.value,
        answering=answering and answering.value,
        similarity=similarity,
        proposers=_proposers(proposers),
        iterations=iterations,
        max_tokens=max_tokens,
        seed=seed,
    )
    learning = _learning(method, chosen, model=model, optimizer=optimizer, pairs=pairs)
    if not _carried_out(order, learning, dry_run=dry_run):
        raise typer.Exit(FAILED)


def _learning(
    method: Method, chosen: SettingsOrder, *, model: str, optimizer: str | None, pairs: int | None
) -> FermiOrder | ChameleonOrder:
    """What learns, and with which settings; options of the other method are wrong use."""
    if method is Method.CHAMELEON:
        theirs = {"--optimizer": optimizer, "--proposers": chosen.proposers, "--iterations": chosen.iterations}
        _refuse(method, theirs)
        from idiolect.cli.chameleon_order import ChameleonChoices, chameleon_order

        edit = ChameleonChoices(
            chosen.preset, chosen.answering, chosen.similarity, pairs, chosen.max_tokens, chosen.seed
        )
        return chameleon_order(edit, model=model)
    _refuse(method, {"--pairs": pairs})
    from idiolect.cli.fit_order import FermiOrder, settings_of

    return FermiOrder(settings_of(chosen, model=model, optimizer=optimizer), model, optimizer)


def _check_preset(method: Method, preset: Preset | None) -> None:
    known = PRESETS[method]
    if preset is not None and preset not in known:
        raise typer.BadParameter(f"{method.value} has no preset {preset.value!r}: choose of {', '.join(known)}")


def _refuse(method: Method, options: Mapping[str, object]) -> None:
    """Options of the other method."""
    for name, value in options.items():
        if value is not None:
            raise typer.BadParameter(f"{name} means nothing to --method {method.value}")


def _carried_out(order: FitOrder, learning: FermiOrder | ChameleonOrder, *, dry_run: bool) -> bool:
    from idiolect.cli.fit_order import FermiOrder

    if dry_run:
        if isinstance(learning, FermiOrder):
            from idiolect.cli.forecasting import print_forecast

            print_forecast(order, learning)
        else:
            from idiolect.cli.chameleon_forecasting import print_chameleon_forecast

            print_chameleon_forecast(order, learning)
        return True
    from idiolect.cli.fitting import fit_users

    if isinstance(learning, FermiOrder):
        from idiolect.cli.fermi_learner import opened_fermi

        return fit_users(order, opened_fermi(learning, order.calls))
    from idiolect.cli.chameleon_learner import opened_chameleon

    return fit_users(order, opened_chameleon(learning, order.calls))
