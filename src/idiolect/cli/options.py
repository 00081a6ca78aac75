"""Options that several commands share, and the layout of their examples.

Each option is defined once, so that its name, help and range are the same in every command.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from idiolect.application.owner import Owner
    from idiolect.people.user import Opinion, Question


_AMOUNT = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?")
_SHORTEST = 0.001  # seconds
MOST_SEED = 2**32 - 1  # the greatest that every random generator takes
MOST_TOKENS = 1_000_000  # in an answer; no model writes as many


def _money(text: str) -> Decimal:
    digits = text.strip().removeprefix("$")
    if not _AMOUNT.fullmatch(digits):
        raise typer.BadParameter(f"{text!r}: expected an amount such as 2.50")
    if (amount := Decimal(digits)) <= 0:
        raise typer.BadParameter(f"{text!r} must be greater than 0")
    return amount


def _seconds(text: str) -> float:
    """Return a number of seconds. Typer's own numbers include infinity."""
    try:
        seconds = float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r}: expected a number of seconds such as 90") from None
    if not math.isfinite(seconds) or seconds < _SHORTEST:
        raise typer.BadParameter(f"{text!r} must be a finite number of seconds, at least {_SHORTEST}")
    return seconds


def _most(what: str, per: str) -> str:
    """Return the help of a limit on calls, tokens, cost or time."""
    return f"Maximum {what} {per}."


_RUN, _USER = "for the whole run", "for each user"


def option(
    help: str,
    metavar: str | None = None,
    *,
    flag: str = "",
    also: str = "",
    min: float | None = None,
    max: float | None = None,
) -> Any:
    """Return an option whose help shows no default.

    Args:
        help: text of the help.
        metavar: placeholder for the value; None: the name of its type.
        flag: name of the option, if it differs from the parameter's; for a switch, both names with a slash between.
        also: another name of the option, beside `flag`.
        min: smallest number accepted.
        max: largest number accepted.
    """
    flags = tuple(filter(None, (flag, also)))
    return typer.Option(*flags, help=help, metavar=metavar, min=min, max=max, show_default=False)


StoreOption = Annotated[
    str | None,
    option(
        "Store of users: a folder or a database URL. Default: $IDIOLECT_STORE, else your data folder.",
        "DIR|URL",
        flag="--store",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
UserIdArgument = Annotated[str, typer.Argument(metavar="ID", help="User's id.", show_default=False)]
GroupIdArgument = Annotated[str, typer.Argument(metavar="NAME", help="Group's name.", show_default=False)]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]
OrdinalOption = Annotated[bool, typer.Option("--ordinal", help="Treat the choices as an ordered scale.")]
SeedOption = Annotated[int, typer.Option(help="Random seed.", min=0, max=MOST_SEED, metavar="N")]

BudgetCalls = Annotated[int | None, option(_most("number of calls", _RUN), "N", min=1)]
BudgetTokens = Annotated[int | None, option(_most("number of tokens, prompts and answers,", _RUN), "N", min=1)]
BudgetMoney = Annotated[
    Decimal | None,
    typer.Option(
        parser=_money, metavar="USD", help=_most("cost", _RUN) + " Needs the models' prices.", show_default=False
    ),
]
BudgetTime = Annotated[
    float | None, typer.Option(parser=_seconds, metavar="SECONDS", help=_most("time", _RUN), show_default=False)
]
UserBudgetCalls = Annotated[int | None, option(_most("number of calls", _USER), "N", min=1)]
UserBudgetTokens = Annotated[int | None, option(_most("number of tokens", _USER), "N", min=1)]
UserBudgetMoney = Annotated[
    Decimal | None, typer.Option(parser=_money, metavar="USD", help=_most("cost", _USER), show_default=False)
]
UserBudgetTime = Annotated[
    float | None, typer.Option(parser=_seconds, metavar="SECONDS", help=_most("time", _USER), show_default=False)
]
PricesOption = Annotated[
    Path | None,
    option(
        "Model prices (TOML), in addition to the packaged ones. Default: $IDIOLECT_PRICES, else your settings folder.",
        "FILE",
    ),
]
ConcurrencyOption = Annotated[
    int, typer.Option(min=1, max=4096, metavar="N", help="Maximum number of concurrent calls to a remote model.")
]
TimeoutOption = Annotated[
    float,
    typer.Option(
        parser=_seconds,
        metavar="SECONDS",
        help="Maximum time without a byte from a server before a call is tried again.",
    ),
]
NoCacheOption = Annotated[
    bool, typer.Option("--no-cache", help="Do not use the cache of model answers: make every call, and keep none.")
]

GroupByOption = Annotated[
    str | None, option("Profile attribute of a users file by which people are of one kind.", "NAME", flag="--group-by")
]
ControlsByKindOption = Annotated[
    bool | None,
    option(
        "As controls, somebody of the same kind and somebody of another kind (see --group-by), instead of the next "
        "person.",
        flag="--controls-by-kind/--no-controls-by-kind",
    ),
]
NeutralOption = Annotated[
    int | None,
    option("Number of texts of the model's own, on which every arm's change is measured. Default: 0.", "N", min=0),
]
FromGroupFolderOption = Annotated[
    str | None,
    option(
        "Folder with a group's edit (idiolect groups save), at which CHAMELEON's steps begin. Default: the edit "
        "packaged for the model, if there is one.",
        "DIR",
    ),
]
MaskNamesOption = Annotated[
    bool | None,
    option("Users file: replace names in texts before anything is learned.", flag="--mask-names/--no-mask-names"),
]


def examples(*lines: str) -> str:
    """Return the epilog of a command's help: example command lines, which are not wrapped."""
    return "\b\n" + "\n".join(("Examples:" if len(lines) > 1 else "Example:", *(f"  {line}" for line in lines)))


def split_choices(choices: str | None) -> tuple[str, ...]:
    """Return the choices in a text such as "a|b|c"; None has none."""
    return () if choices is None else tuple(choice.strip() for choice in choices.split("|"))


def stated_question(text: str, choices: str | None, *, ordinal: bool) -> Question:
    """Return the question that the arguments describe.

    Raises:
        typer.BadParameter: they describe no valid question.
    """
    from idiolect.people.user import Question

    several = split_choices(choices)
    try:
        return Question(text, several, ordinal)
    except ValueError as error:
        hint = "; choices are separated by |" if len(several) == 1 else ""
        raise typer.BadParameter(f"{error}{hint}") from error


def stated_opinion(text: str, choices: str | None, answer: str, *, ordinal: bool) -> Opinion:
    """Return the opinion that the arguments describe.

    Raises:
        typer.BadParameter: they describe no valid opinion.
    """
    from idiolect.people.user import Opinion

    try:
        return Opinion(stated_question(text, choices, ordinal=ordinal), answer)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def named_owner(user: str | None, group: str | None) -> Owner:
    """Return the user or group that the options name.

    Raises:
        typer.BadParameter: both or neither is named.
    """
    from idiolect.application.owner import Owner

    if user is not None and group is None:
        return Owner.user(user)
    if group is not None and user is None:
        return Owner.group(group)
    raise typer.BadParameter("name either a user or a group", param_hint="'--user' / '--group'")
