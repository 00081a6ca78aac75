"""Options of commands that call models on somebody's account: how many at a time, and how much at most."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer


def _money(text: str) -> Decimal:
    try:
        amount = Decimal(text.strip().removeprefix("$"))
    except InvalidOperation:
        raise typer.BadParameter(f"{text!r} is no amount of money; it looks like 2.50") from None
    if not amount.is_finite() or amount <= 0:
        raise typer.BadParameter(f"{text!r} must be greater than 0")
    return amount


_CALLS, _TOKENS, _MONEY, _TIME = "Calls", "Tokens", "Money", "Time"
_RUN, _USER = "at most, in the whole run.", "at most, for each user."

BudgetCalls = Annotated[int | None, typer.Option(min=1, metavar="N", help=f"{_CALLS} {_RUN}", show_default=False)]
BudgetTokens = Annotated[
    int | None, typer.Option(min=1, metavar="N", help=f"{_TOKENS} {_RUN} Prompts and answers.", show_default=False)
]
BudgetMoney = Annotated[
    Decimal | None,
    typer.Option(parser=_money, metavar="USD", help=f"{_MONEY} {_RUN} Needs the models' prices.", show_default=False),
]
BudgetTime = Annotated[
    float | None, typer.Option(min=0.001, metavar="SECONDS", help=f"{_TIME} {_RUN}", show_default=False)
]
UserBudgetCalls = Annotated[int | None, typer.Option(min=1, metavar="N", help=f"{_CALLS} {_USER}", show_default=False)]
UserBudgetTokens = Annotated[
    int | None, typer.Option(min=1, metavar="N", help=f"{_TOKENS} {_USER}", show_default=False)
]
UserBudgetMoney = Annotated[
    Decimal | None, typer.Option(parser=_money, metavar="USD", help=f"{_MONEY} {_USER}", show_default=False)
]
UserBudgetTime = Annotated[
    float | None, typer.Option(min=0.001, metavar="SECONDS", help=f"{_TIME} {_USER}", show_default=False)
]
PricesOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Prices of models (TOML) besides the packaged ones. Default: $IDIOLECT_PRICES, else your settings folder.",
        show_default=False,
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
