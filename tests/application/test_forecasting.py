"""What learning would cost: nobody is called, nothing is written, and no cost is claimed that is not known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from idiolect.application.chameleon_presets import chameleon_default
from idiolect.application.choices import ChameleonChoices, FermiChoices
from idiolect.application.forecasting import ChameleonForecast, FermiForecast, forecast_chameleon, forecast_fermi
from idiolect.errors import Remedy, SettingsError
from idiolect.models import extras
from idiolect.people.user import User
from tests.api_server import ApiServer
from tests.application.edited import PAPER, SMALL, U1, U2
from tests.application.mimicked import SILENT
from tests.application.served import CALLS, FEW, fit, people
from tests.cli.remote_world import answer

UNPRICED = "http://127.0.0.1:9/v1#m"


async def expected(
    users: Sequence[User],
    model: str = "gpt-4o-mini",
    optimizer: str | None = None,
    *,
    choices: FermiChoices = FEW,
    prices: Path | None = None,
) -> FermiForecast:
    return await forecast_fermi(users, choices, model=model, optimizer=optimizer, prices=prices)


async def test_each_model_is_forecast_and_the_total() -> None:
    """Neither a key nor a server is needed."""
    found = await expected(people("ann", "bob"), optimizer="gpt-4o")
    assert (found.preset, found.expected.users, found.expected.not_learnable) == ("api", 2, 0)
    assert (found.answering.model, found.optimizing.model) == ("openai:gpt-4o-mini", "openai:gpt-4o")
    for role in (found.answering, found.optimizing):
        assert 0 < role.counts.calls <= role.counts.most_calls
        assert role.counts.prompt_tokens > role.counts.calls
    assert found.money is not None
    assert found.answering.money is not None
    assert found.optimizing.money is not None
    assert found.money == found.answering.money + found.optimizing.money > 0
    assert found.prices_as_of is not None
    assert found == await expected(people("ann", "bob"), optimizer="gpt-4o"), "the same users, the same forecast"


async def test_packages_that_learning_would_lack_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "torch" else True)
    embeddings = "sentence embeddings need the extra `local`: pip install 'idiolect[local]' (torch is missing)"
    found = await expected(people("ann"), choices=FermiChoices(iterations=1))
    assert list(map(str, found.missing)) == [embeddings]
    assert found.missing[0].remedy == Remedy("similarity", "bm25", "works without embeddings")
    found = await expected(people("ann"), "embedded", choices=FermiChoices(iterations=1))
    assert list(map(str, found.missing)) == [embeddings.replace("sentence embeddings", "local models"), embeddings]
    assert (await expected(people("ann"))).missing == (), "BM25 and a remote model need no extra"


async def test_no_package_is_named_if_all_are_installed() -> None:
    assert (await expected(people("ann"), "embedded", choices=FermiChoices(iterations=1))).missing == ()


async def test_a_cost_of_which_a_part_is_not_known_is_not_known() -> None:
    alone = await expected(people("ann"), UNPRICED)
    assert (alone.answering.money, alone.money) == (None, None)
    mixed = await expected(people("ann"), UNPRICED, "gpt-4o-mini")
    assert mixed.optimizing.money is not None
    assert mixed.money is None, "a part of the cost was taken for the whole"


async def test_prices_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(f'[models]\n"{UNPRICED}" = {{ prompt = "1000000", completion = "0" }}\n')
    found = await expected(people("ann"), UNPRICED, prices=file)
    assert found.money == found.answering.counts.prompt_tokens + found.optimizing.counts.prompt_tokens
    with pytest.raises(SettingsError, match="can't be read"):
        await expected(people("ann"), prices=tmp_path / "nowhere.toml")


async def test_a_model_of_this_process_costs_nothing() -> None:
    found = await expected(people("ann"), "embedded", choices=replace(FEW, preset=None))
    assert (found.preset, found.answering.model, found.money) == ("demo", "embedded", Decimal(0))
    assert found.optimizing.counts.calls == 0, "the preset demo has no model write prompts"


async def test_users_without_opinions_are_counted_and_cost_nothing() -> None:
    found = await expected([*people("ann"), SILENT, replace(SILENT, id="mute")])
    assert (found.expected.users, found.expected.not_learnable) == (3, 2)
    only = await expected([SILENT], UNPRICED)
    assert (only.answering.counts.calls, only.optimizing.counts.calls, only.money) == (0, 0, Decimal(0))


@pytest.mark.parametrize(
    ("model", "optimizer", "message"),
    [
        ("http://me:hush@x/v1#m", None, "contains a user or a password"),
        (" ", None, "the model's name is empty"),
        ("gpt-4o", "", "the model's name is empty"),
    ],
)
async def test_a_wrong_name_is_an_error_here_too(model: str, optimizer: str | None, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        await expected(people("ann"), model, optimizer)
    assert "hush" not in str(caught.value)


async def test_a_real_fit_stays_within_what_is_never_exceeded(tmp_path: Path) -> None:
    users = people("ann", "bob")
    with ApiServer(answer) as server:
        found = await expected(users, f"{server.url}#m")
        assert server.log == []
        assert (await fit(tmp_path / "store", server, users, calls=replace(CALLS, cached=False))).complete
        optimizing = sum("square brackets" in str(each.body) for each in server.requests)
        answering = len(server.requests) - optimizing
    assert 0 < answering <= found.answering.counts.most_calls
    assert 0 < optimizing <= found.optimizing.counts.most_calls
    assert found.answering.counts.calls / 3 < answering < found.answering.counts.calls * 3


def test_what_chameleon_would_write_is_counted() -> None:
    users = [U1, U2, SILENT]
    own = forecast_chameleon(users, SMALL, model="embedded")  # 8 texts of the model itself, once for all users
    assert own == ChameleonForecast({"measured": 2}, "embedded", 3, 1, 28, generations=8, most_completion_tokens=8 * 64)
    stepped = forecast_chameleon(users, replace(SMALL, preset="grouped"), model="embedded")
    assert (stepped.presets, stepped.queries) == ({"grouped": 2}, 28), "every opinion and text that is not held out"
    assert (stepped.generations, stepped.most_completion_tokens) == (0, 0), "the group's edit brings the texts"
    paper = forecast_chameleon(users, PAPER, model="embedded")
    assert paper.generations == 2 * (2 * 6 + 2), "both sides of each pair, and two insights a user"


def test_a_dry_run_tells_that_there_is_no_groups_edit_to_begin_at() -> None:
    named, stepping = forecast_chameleon, replace(SMALL, preset="grouped")
    (error,) = named([U1], stepping, model="some/model").missing
    assert str(error).startswith("the preset grouped begins at a group's edit, and none is packaged for 'some/model'")
    assert named([U1], stepping, model="embedded").missing == ()
    assert named([U1], SMALL, model="some/model").missing == ()
    group = named([U1], replace(stepping, from_group="readers"), model="some/model")
    assert (group.missing, group.from_group) == ((), "readers")


def test_the_preset_of_each_person_is_forecast_where_none_is_named() -> None:
    usual, rater = ChameleonChoices(), replace(U2, id="rater", texts=())
    brief = replace(rater, id="brief", opinions=rater.opinions[:1])
    both = forecast_chameleon([U1, SILENT, rater, brief], usual, model="embedded")
    assert both.presets == {"grouped": 1, "measured": 1}
    assert (both.users, both.not_learnable) == (4, 2)
    assert (both.generations, both.most_completion_tokens) == (8, 8 * 64), "for who begins at nothing"
    writer, rated = (forecast_chameleon([user], usual, model="embedded") for user in (U1, rater))
    assert both.queries == writer.queries + rated.queries
    assert writer.generations == 0
    unneeded = forecast_chameleon([U1, brief], usual, model="embedded")
    assert (unneeded.presets, unneeded.generations) == ({"grouped": 1, "measured": 0}, 0)
    assert both.chosen == chameleon_default(model="embedded")
    elsewhere = forecast_chameleon([U1, rater], usual, model="some/model")
    assert (elsewhere.presets, elsewhere.generations) == ({"measured": 2}, 8)
