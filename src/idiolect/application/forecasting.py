"""What learning would cost, before it is begun: calls, tokens and money. Calls no model, and writes nothing.

Fermi is run itself on simulated models. Of CHAMELEON's work only writing is counted: per user n queries are answered,
at most K, in at most `max_tokens` tokens each - once where the user's own texts are the other side, else twice, and two
insights beside them. Reading, gradients and directions come on top, and are no calls.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from idiolect.application.choices import ChameleonChoices, FermiChoices, chameleon_settings, fermi_settings
from idiolect.errors import PersonalizationError
from idiolect.methods.fermi.forecast import Forecast, RoleForecast
from idiolect.methods.fermi.forecast import forecast as simulate
from idiolect.models.calls.prices import Price, PriceTable
from idiolect.models.catalog import is_remote, kind_of, lasting_name, price_name
from idiolect.people.user import User

if TYPE_CHECKING:
    from idiolect.methods.chameleon.settings import ChameleonSettings


@dataclass(frozen=True, slots=True)
class RoleCost:
    """The expected cost of one role of a model: answering, or optimizing.

    Args:
        model: its lasting name.
        counts: calls and tokens.
        money: US dollars to four digits; None where the price is not known.
    """

    model: str
    counts: RoleForecast
    money: Decimal | None


@dataclass(frozen=True, slots=True)
class FermiForecast:
    """The expected cost of learning prompts.

    Args:
        preset: of the settings.
        expected: users, calls and tokens, with what was taken for granted.
        answering, optimizing: both roles.
        prices_as_of: date of the prices; None where none is known.
    """

    preset: str
    expected: Forecast
    answering: RoleCost
    optimizing: RoleCost
    prices_as_of: date | None

    @property
    def money(self) -> Decimal | None:
        """US dollars of both roles; None where a price that is needed is not known."""
        costs = [role.money for role in (self.answering, self.optimizing) if role.counts.calls]
        known = [cost for cost in costs if cost is not None]
        return sum(known, Decimal(0)) if len(known) == len(costs) else None


@dataclass(frozen=True, slots=True)
class ChameleonForecast:
    """The expected work of learning edits.

    Args:
        preset: of the settings.
        model: with open weights, which runs here: nothing is paid.
        users, not_learnable: number of users, and of those among them who gave too little.
        queries: number of queries.
        generations: number of texts that are written.
        most_completion_tokens: their tokens at most.
    """

    preset: str
    model: str
    users: int = 0
    not_learnable: int = 0
    queries: int = 0
    generations: int = 0
    most_completion_tokens: int = 0


async def forecast(
    users: Iterable[User],
    choices: FermiChoices | ChameleonChoices,
    *,
    model: str,
    optimizer: str | None = None,
    prices: Path | None = None,
) -> FermiForecast | ChameleonForecast:
    """Forecast what learning from these users would cost, by the method whose choices are given.

    Raises:
        SettingsError, MissingExtraError: as `forecast_fermi` and `forecast_chameleon`.
    """
    if isinstance(choices, ChameleonChoices):
        return forecast_chameleon(users, choices, model=model)
    return await forecast_fermi(users, choices, model=model, optimizer=optimizer, prices=prices)


async def forecast_fermi(
    users: Iterable[User],
    choices: FermiChoices,
    *,
    model: str,
    optimizer: str | None = None,
    prices: Path | None = None,
) -> FermiForecast:
    """Forecast the cost of learning prompts for these users.

    Args:
        users: held in memory while the method is simulated.
        choices: Fermi's settings.
        model, optimizer: names of the models; no optimizer: the answering model.
        prices: a file of prices besides the packaged ones.

    Raises:
        SettingsError: the file of prices has faults, a setting makes no sense, or a name is empty.
    """
    kind_of(model)
    settings = fermi_settings(choices, model=model, optimizer=optimizer)
    writer = model if optimizer is None else optimizer
    kind_of(writer)
    people, table = list(users), PriceTable.load(prices)
    expected = await simulate(people, settings)
    return FermiForecast(
        settings.preset,
        expected,
        _role_cost(model, expected.answering, table),
        _role_cost(writer, expected.optimizing, table),
        table.as_of,
    )


def forecast_chameleon(users: Iterable[User], choices: ChameleonChoices, *, model: str) -> ChameleonForecast:
    """Forecast how much the model would have to write to learn edits for these users.

    Raises:
        SettingsError: a setting makes no sense, or the model is behind an API.
        MissingExtraError: local models are not installed.
    """
    settings = chameleon_settings(choices, model=model)
    generation = settings.generation
    own = generation.personalized == "own"
    counts = [_queries(user, settings) for user in users]
    learnable = [n for n in counts if n >= generation.least_pairs]
    queries = sum(learnable)
    answers = queries if own else 2 * queries
    insights = 0 if own else 2 * len(learnable)
    return ChameleonForecast(
        settings.preset,
        model,
        users=len(counts),
        not_learnable=len(counts) - len(learnable),
        queries=queries,
        generations=answers + insights,
        most_completion_tokens=answers * generation.max_tokens + insights * generation.insight_tokens,
    )


def _queries(user: User, settings: ChameleonSettings) -> int:
    """Return how many queries the user's history gives; 0 where it gives too few to learn and to judge."""
    from idiolect.methods.chameleon.fitting import queries_of
    from idiolect.methods.chameleon.roles import deal_roles

    try:
        (roles,) = deal_roles([user], settings, owner=user.id)
    except PersonalizationError:
        return 0
    return 0 if roles.learning is None else len(queries_of(roles.learning, settings.generation))


def _role_cost(name: str, counts: RoleForecast, table: PriceTable) -> RoleCost:
    price = table.price(price_name(name)) if is_remote(name) else Price(Decimal(0), Decimal(0))
    money = None if price is None else price.cost(counts.prompt_tokens, counts.completion_tokens)
    return RoleCost(lasting_name(name), counts, None if money is None else round(money, 4))
