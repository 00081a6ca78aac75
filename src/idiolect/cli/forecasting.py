"""`idiolect fit --dry-run`: what learning would cost, with what is taken for granted. Calls nobody, writes nothing."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from idiolect.cli.fit_order import FermiOrder, FitOrder
from idiolect.cli.fitting import people_of
from idiolect.cli.progress import waiting
from idiolect.cli.terminal import out, print_json, print_table, print_wrapped
from idiolect.errors import SettingsError
from idiolect.methods.fermi.forecast import Forecast, RoleForecast, forecast
from idiolect.models.calls.prices import Price, PriceTable
from idiolect.models.catalog import is_remote, lasting_name, price_name

_COLUMNS = ("", "MODEL", "CALLS", "AT MOST", "PROMPT TOKENS", "COMPLETION TOKENS", "USD")


def print_forecast(order: FitOrder, learning: FermiOrder) -> None:
    """Say how many calls, tokens and dollars to expect.

    Raises:
        UsersFileError: the file has faults.
        SettingsError: the file of prices has faults, or a model's name can mean none.
    """
    optimizer = learning.model if learning.optimizer is None else learning.optimizer
    if not (learning.model.strip() and optimizer.strip()):
        raise SettingsError("the model's name is empty")
    people = list(people_of(order))
    prices = PriceTable.load(order.calls.prices)
    with waiting("running the dry run"):
        expected = asyncio.run(forecast(people, learning.settings))
    names = {"answering": learning.model, "optimizing": optimizer}
    roles = {"answering": expected.answering, "optimizing": expected.optimizing}
    told = {role: _role(names[role], roles[role], prices) for role in names}
    costs = [each["money"] for each in told.values() if each["calls"]]
    total = None if None in costs else sum(map(Decimal, costs), Decimal(0))
    if order.json:
        document = {"users": expected.users, "not_learnable": expected.not_learnable, **told}
        print_json({**document, "money": None if total is None else str(total), **_assumptions(expected, prices)})
        return
    _print(expected, told, total, prices, learning)


def _role(name: str, role: RoleForecast, prices: PriceTable) -> dict[str, Any]:
    price = _price(name, prices)
    money = None if price is None else price.cost(role.prompt_tokens, role.completion_tokens)
    return {
        "model": lasting_name(name),
        "calls": role.calls,
        "most_calls": role.most_calls,
        "prompt_tokens": role.prompt_tokens,
        "completion_tokens": role.completion_tokens,
        "money": None if money is None else str(round(money, 4)),
    }


def _price(name: str, prices: PriceTable) -> Price | None:
    return prices.price(price_name(name)) if is_remote(name) else Price(Decimal(0), Decimal(0))


def _assumptions(expected: Forecast, prices: PriceTable) -> dict[str, Any]:
    as_of = None if prices.as_of is None else prices.as_of.isoformat()
    return {"assumptions": {**asdict(expected.assumptions), "sampled": expected.sampled, "prices_as_of": as_of}}


def _print(
    expected: Forecast, told: dict[str, dict[str, Any]], total: Decimal | None, prices: PriceTable, learning: FermiOrder
) -> None:
    rows = []
    for role, each in told.items():
        if each["calls"]:
            counts = (f"{each[name]:,}" for name in ("calls", "most_calls", "prompt_tokens", "completion_tokens"))
            rows.append((role, each["model"], *counts, each["money"] or "?"))
    print_table(_COLUMNS, rows, numbers=_COLUMNS[2:])
    learnable = expected.users - expected.not_learnable
    users = f"{learnable:,} user{'s' if learnable != 1 else ''}"
    if expected.not_learnable:
        users += f" ({expected.not_learnable:,} more have no opinions and can't be learned)"
    money = "the price of a model is not known (--prices FILE)" if total is None else f"about ${total:.2f}"
    out().print(f"\n{users}, preset {learning.settings.preset}: {money}", markup=False)
    print_wrapped("Nothing was called. " + _taken_for_granted(expected, prices))


def _taken_for_granted(expected: Forecast, prices: PriceTable) -> str:
    a = expected.assumptions
    sampled = ""
    if expected.sampled < expected.users - expected.not_learnable:
        sampled = f" Simulated for {expected.sampled} users and scaled up."
    dated = "" if prices.as_of is None else f" Prices as of {prices.as_of.isoformat()}."
    return (
        f"Taken for granted: {a.accuracy:.0%} of the answers are right, a new prompt has {a.prompt_characters} "
        f"characters, {a.bytes_per_token:g} bytes make a token, a generated answer has {a.answer_tokens} tokens, a "
        f"proposal {a.reasoning_tokens} besides its prompt; nothing is in the cache, nothing is tried twice. "
        f"Embeddings by a server are not counted.{sampled}{dated}"
    )
