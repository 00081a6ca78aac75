"""Forecast of the cost of learning: calls, tokens and money. It calls no model and writes nothing.

Fermi runs on simulated models. For CHAMELEON, only writing is counted: per user, n ≤ K queries are answered in at most
`max_tokens` tokens each. If the user's own texts are one side of the pairs, each query is answered once. Otherwise, it
is answered twice, and two insights are written as well. Reading, gradients and directions are additional work, but no
calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from idiolect.application.chameleon_presets import ChameleonDefault, chameleon_default
from idiolect.application.chameleon_starts import no_start, start_folder
from idiolect.application.choices import ChameleonChoices, FermiChoices, chameleon_settings, fermi_settings
from idiolect.application.fermi import similarity_remedy
from idiolect.application.presets import ChosenPreset, choose_preset
from idiolect.errors import IdiolectError, MissingExtraError, PersonalizationError
from idiolect.methods.fermi.forecast import Forecast, RoleForecast
from idiolect.methods.fermi.forecast import forecast as simulate
from idiolect.models.calls.prices import Price, PriceTable
from idiolect.models.catalog import (
    is_remote,
    kind_of,
    lasting_name,
    missing_for_model,
    missing_for_similarity,
    price_name,
)
from idiolect.people.newest_answers import with_newest_answers
from idiolect.people.user import User

if TYPE_CHECKING:
    from idiolect.application.model_pool import ModelPool
    from idiolect.methods.chameleon.settings import ChameleonSettings
    from idiolect.methods.fermi.settings import FermiSettings


@dataclass(frozen=True, slots=True)
class RoleCost:
    """Expected cost of a model in one role: answering or optimizing.

    Args:
        model: lasting name of the model.
        counts: calls and tokens.
        money: US dollars, rounded to four decimals; None if the price is unknown.
    """

    model: str
    counts: RoleForecast
    money: Decimal | None


@dataclass(frozen=True, slots=True)
class FermiForecast:
    """Expected cost of learning prompts.

    Args:
        preset: name of the preset.
        chosen: that preset and the reason, if nobody named one.
        expected: users, calls and tokens, with the assumptions.
        answering, optimizing: cost of each role.
        prices_as_of: date of the prices; None if unknown.
        missing: errors that learning would end with because packages are missing, with their remedies.
    """

    preset: str
    chosen: ChosenPreset | None
    expected: Forecast
    answering: RoleCost
    optimizing: RoleCost
    prices_as_of: date | None
    missing: tuple[MissingExtraError, ...] = field(default=(), compare=False)  # errors are never equal

    @property
    def money(self) -> Decimal | None:
        """Cost of both roles in US dollars; None if a price is unknown."""
        costs = [role.money for role in (self.answering, self.optimizing) if role.counts.calls]
        known = [cost for cost in costs if cost is not None]
        return sum(known, Decimal(0)) if len(known) == len(costs) else None


@dataclass(frozen=True, slots=True)
class ChameleonForecast:
    """Expected work of learning edits, which costs no money because the model runs in this process.

    Args:
        presets: number of users to learn from, by the name of their preset.
        model: name of a model with open weights.
        users, not_learnable: number of users, and number of those with too little data.
        queries: number of queries.
        generations: number of texts that the model writes.
        most_completion_tokens: maximum number of tokens in these texts.
        chosen: the presets and the reasons, if nobody named one.
        from_group: the group's edit that is named, which is not looked at: whether there is one, and whether it was
            learned on the model's weights, shows when learning begins; None: none is named.
        missing: errors that learning would end with, because there is no group's edit at which steps could begin.
    """

    presets: Mapping[str, int]
    model: str
    users: int = 0
    not_learnable: int = 0
    queries: int = 0
    generations: int = 0
    most_completion_tokens: int = 0
    chosen: ChameleonDefault | None = None
    from_group: str | None = None
    missing: tuple[IdiolectError, ...] = field(default=(), compare=False)  # errors are never equal


async def forecast(
    users: Iterable[User],
    choices: FermiChoices | ChameleonChoices,
    *,
    model: str,
    optimizer: str | None = None,
    prices: Path | None = None,
    pool: ModelPool | None = None,
) -> FermiForecast | ChameleonForecast:
    """Forecast the cost of learning from users with the method of the choices.

    Raises:
        SettingsError, MissingExtraError: see `forecast_fermi` and `forecast_chameleon`.
    """
    newest = (with_newest_answers(user)[0] for user in users)
    if isinstance(choices, ChameleonChoices):
        return forecast_chameleon(newest, choices, model=model)
    return await forecast_fermi(newest, choices, model=model, optimizer=optimizer, prices=prices, pool=pool)


async def forecast_fermi(
    users: Iterable[User],
    choices: FermiChoices,
    *,
    model: str,
    optimizer: str | None = None,
    prices: Path | None = None,
    pool: ModelPool | None = None,
) -> FermiForecast:
    """Forecast the cost of learning prompts for users.

    Args:
        users: users to learn from, all held in memory during the simulation.
        choices: Fermi's settings.
        model, optimizer: names of the models; without an optimizer, the answering model proposes prompts.
        prices: price file, in addition to the packaged prices.
        pool: models that are open already; no other is opened.

    Raises:
        SettingsError: the price file has faults, a setting is invalid, or a name is empty.
    """
    kind_of(model)
    chosen = None if choices.preset else await choose_preset(pool, model, optimizer=optimizer, opening=False)
    settings = fermi_settings(choices, model=model, optimizer=optimizer, chosen=chosen)
    writer = model if optimizer is None else optimizer
    kind_of(writer)
    people, table = list(users), PriceTable.load(prices)
    expected = await simulate(people, settings)
    return FermiForecast(
        settings.preset,
        chosen,
        expected,
        _role_cost(model, expected.answering, table),
        _role_cost(writer, expected.optimizing, table),
        table.as_of,
        _missing(settings, (model, writer)),
    )


def forecast_chameleon(users: Iterable[User], choices: ChameleonChoices, *, model: str) -> ChameleonForecast:
    """Forecast how much the model must write to learn edits for users.

    Raises:
        SettingsError: a setting is invalid, or the model has no open weights.
        MissingExtraError: local models are not installed.
    """
    named, default = choices.preset, chameleon_default(model=model, from_group=choices.from_group)
    presets = [named] if named else [default.with_texts.name, default.without_texts.name]
    settings = {name: chameleon_settings(replace(choices, preset=name), model=model) for name in presets}
    queries: dict[str, list[int]] = {name: [] for name in settings}
    for user in users:
        name = named or default.of(user).name
        queries[name].append(_queries(user, settings[name]))
    only_if_needed = not named and default.by_person
    work = {name: _work(settings[name], counts, only_if_needed=only_if_needed) for name, counts in queries.items()}
    return ChameleonForecast(
        {name: each.learnable for name, each in work.items()},
        model,
        users=sum(map(len, queries.values())),
        not_learnable=sum(len(queries[name]) - each.learnable for name, each in work.items()),
        queries=sum(each.queries for each in work.values()),
        generations=sum(each.generations for each in work.values()),
        most_completion_tokens=sum(each.tokens for each in work.values()),
        chosen=None if named else default,
        from_group=choices.from_group,
        missing=_without_start(settings.values(), choices, model=model),
    )


def _without_start(
    settings: Iterable[ChameleonSettings], choices: ChameleonChoices, *, model: str
) -> tuple[IdiolectError, ...]:
    """Return an error for each preset whose steps begin at a group's edit, if none is named or packaged."""
    if choices.from_group is not None or start_folder(None, model) is not None:
        return ()
    begin = [each.preset for each in settings if each.stepping is not None and each.stepping.from_group]
    return tuple(no_start(name, model) for name in begin)


class _Work(NamedTuple):
    """Work with one preset: users with enough data, their queries, texts that the model writes, tokens of these."""

    learnable: int
    queries: int
    generations: int
    tokens: int


def _work(settings: ChameleonSettings, counts: Sequence[int], *, only_if_needed: bool) -> _Work:
    """Return the work for users with these numbers of queries.

    Args:
        settings: settings of the preset.
        counts: number of queries of each user; 0 without enough data.
        only_if_needed: whether the model's own texts are written only if there is somebody to learn from.
    """
    generation, stepping = settings.generation, settings.stepping
    own = generation.personalized == "own"
    learnable = [n for n in counts if n >= generation.least_pairs]
    queries = sum(learnable)
    answers = queries if own else 2 * queries
    longest = generation.max_tokens
    if stepping is not None:  # only the model's own texts, once for all people, unless a group's edit brings them
        brought = stepping.from_group or (only_if_needed and not learnable)
        answers, longest = (0 if brought else stepping.neutral_texts), stepping.neutral_tokens
    insights = 0 if own else 2 * len(learnable)
    tokens = answers * longest + insights * generation.insight_tokens
    return _Work(len(learnable), queries, answers + insights, tokens)


def _missing(settings: FermiSettings, models: tuple[str, ...]) -> tuple[MissingExtraError, ...]:
    """Return an error for each kind of package that is missing for the models and the similarity."""
    found = [missing_for_model(model) for model in models]
    similarity = missing_for_similarity(settings.retrieval.similarity)
    if similarity is not None:
        similarity.remedy = similarity_remedy(settings)
    by_message = {str(error): error for error in (*found, similarity) if error is not None}
    return tuple(by_message.values())


def _queries(user: User, settings: ChameleonSettings) -> int:
    """Return the number of queries in the user's history; 0 if it is too short for learning and judging."""
    from idiolect.methods.chameleon.fitting import queries_of
    from idiolect.methods.chameleon.own_words import own_answers
    from idiolect.methods.chameleon.roles import deal_roles, items_of

    try:
        (roles,) = deal_roles([user], settings, owner=user.id)
    except PersonalizationError:
        return 0
    if roles.learning is None:
        return 0
    if settings.stepping is not None:
        return len(own_answers(items_of(roles.learning), settings.answering))
    return len(queries_of(roles.learning, settings.generation))


def _role_cost(name: str, counts: RoleForecast, table: PriceTable) -> RoleCost:
    price = table.price(price_name(name)) if is_remote(name) else Price(Decimal(0), Decimal(0))
    money = None if price is None else price.cost(counts.prompt_tokens, counts.completion_tokens)
    return RoleCost(lasting_name(name), counts, None if money is None else round(money, 4))
