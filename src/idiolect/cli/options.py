"""Options that several commands share, and the form of their examples.

An option is defined once, so that it has the same name, help and range wherever it occurs.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from idiolect.application.owner import Owner
    from idiolect.people.user import Opinion, Question


def _money(text: str) -> Decimal:
    try:
        amount = Decimal(text.strip().removeprefix("$"))
    except InvalidOperation:
        raise typer.BadParameter(f"{text!r}: expected an amount such as 2.50") from None
    if not amount.is_finite() or amount <= 0:
        raise typer.BadParameter(f"{text!r} must be greater than 0")
    return amount


_RUN, _USER = "at most, in the whole run.", "at most, for each user."


def option(help: str, metavar: str | None = None, *, flag: str = "", min: float | None = None) -> Any:
    """Return an option that is shown without a default.

    Args:
        help: its line of help.
        metavar: how its value is shown; None: by its type.
        flag: its name, where that is not its parameter's; or both of a switch, with a slash between.
        min: the least that a number may be.
    """
    flags = (flag,) if flag else ()
    return typer.Option(*flags, help=help, metavar=metavar, min=min, show_default=False)


StoreOption = Annotated[
    str | None,
    option(
        "Where users are kept: a folder, or a database URL. Default: $IDIOLECT_STORE, else your data folder.",
        "DIR|URL",
        flag="--store",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
UserIdArgument = Annotated[str, typer.Argument(metavar="ID", help="The user's id.", show_default=False)]
GroupIdArgument = Annotated[str, typer.Argument(metavar="NAME", help="The group's name.", show_default=False)]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]
OrdinalOption = Annotated[bool, typer.Option("--ordinal", help="The choices are a scale in order.")]
SeedOption = Annotated[int, typer.Option(help="Random seed.")]

BudgetCalls = Annotated[int | None, option(f"Calls {_RUN}", "N", min=1)]
BudgetTokens = Annotated[int | None, option(f"Tokens {_RUN} Prompts and answers.", "N", min=1)]
BudgetMoney = Annotated[
    Decimal | None,
    typer.Option(parser=_money, metavar="USD", help=f"Money {_RUN} Needs the models' prices.", show_default=False),
]
BudgetTime = Annotated[float | None, option(f"Time {_RUN}", "SECONDS", min=0.001)]
UserBudgetCalls = Annotated[int | None, option(f"Calls {_USER}", "N", min=1)]
UserBudgetTokens = Annotated[int | None, option(f"Tokens {_USER}", "N", min=1)]
UserBudgetMoney = Annotated[
    Decimal | None, typer.Option(parser=_money, metavar="USD", help=f"Money {_USER}", show_default=False)
]
UserBudgetTime = Annotated[float | None, option(f"Time {_USER}", "SECONDS", min=0.001)]
PricesOption = Annotated[
    Path | None,
    option(
        "Prices of models (TOML) besides the packaged ones. Default: $IDIOLECT_PRICES, else your settings folder.",
        "FILE",
    ),
]
ConcurrencyOption = Annotated[
    int, typer.Option(min=1, max=4096, metavar="N", help="Calls of a remote model in flight at a time.")
]
TimeoutOption = Annotated[
    float, typer.Option(min=0.001, metavar="SECONDS", help="How long one try of a remote call may take.")
]
NoCacheOption = Annotated[
    bool, typer.Option("--no-cache", help="Neither use nor keep answers of models: every call is made, and lost.")
]


def examples(*lines: str) -> str:
    """Return the epilog of a command's help: example command lines, kept as they are."""
    return "\b\n" + "\n".join(("Examples:" if len(lines) > 1 else "Example:", *(f"  {line}" for line in lines)))


def split_choices(choices: str | None) -> tuple[str, ...]:
    """Return the choices of "a|b|c"; none for None."""
    return () if choices is None else tuple(choice.strip() for choice in choices.split("|"))


def stated_question(text: str, choices: str | None, *, ordinal: bool) -> Question:
    """Return the question that arguments state.

    Raises:
        typer.BadParameter: they make no question.
    """
    from idiolect.people.user import Question

    several = split_choices(choices)
    try:
        return Question(text, several, ordinal)
    except ValueError as error:
        hint = "; choices are separated by |" if len(several) == 1 else ""
        raise typer.BadParameter(f"{error}{hint}") from error


def stated_opinion(text: str, choices: str | None, answer: str, *, ordinal: bool) -> Opinion:
    """Return the opinion that arguments state.

    Raises:
        typer.BadParameter: they make no opinion.
    """
    from idiolect.people.user import Opinion

    try:
        return Opinion(stated_question(text, choices, ordinal=ordinal), answer)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def named_owner(user: str | None, group: str | None) -> Owner:
    """Return the user or group that the options name.

    Raises:
        typer.BadParameter: both or neither are named.
    """
    from idiolect.application.owner import Owner

    if user is not None and group is None:
        return Owner.user(user)
    if group is not None and user is None:
        return Owner.group(group)
    raise typer.BadParameter("name either a user or a group", param_hint="'--user' / '--group'")
