"""Budgets and halts: never more than allowed, what is there is usable, and resuming ends as if undisturbed."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from idiolect.application.asking import ask
from idiolect.application.fermi import FermiLearner
from idiolect.application.owner import Owner
from idiolect.application.run import CallSettings, open_run
from idiolect.application.workspace import AsyncWorkspace
from idiolect.errors import HaltedError, SettingsError
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.models.calls.budget import Limits
from idiolect.models.calls.cache import CallCache
from idiolect.people.user import Question, User
from idiolect.store import DEFAULT_TENANT, Store
from tests.api_server import ApiServer, Status
from tests.application.mimicked import ANN, FAST, opened
from tests.application.served import CALLS, FEW, fit, fit_in, limited, people, settings, states, without_server
from tests.cli.remote_world import answer, asked_names, kept_names, learned


class Needed(NamedTuple):
    """What an undisturbed fit of ann and bob learns, the names of its requests, and its tokens."""

    learned: dict[str, Any]
    names: set[str]
    tokens: int


def usage_of(server: ApiServer) -> tuple[int, int]:
    """Tokens of prompts and of answers, as the server counts them."""
    prompts = (sum(len(message["content"]) for message in each.body["messages"]) // 4 + 1 for each in server.requests)
    return sum(prompts), sum(len(answer(each.body)) // 4 + 1 for each in server.requests)


@pytest.fixture(scope="module")
def needed(tmp_path_factory: pytest.TempPathFactory) -> Needed:
    store = tmp_path_factory.mktemp("undisturbed") / "store"
    with ApiServer(answer) as server:
        assert asyncio.run(fit(store, server, people("ann", "bob"))).complete
        return Needed(without_server(learned(store), server), set(asked_names(server)), sum(usage_of(server)))


@pytest.mark.parametrize("limit", [1, 7, 20])
async def test_no_more_calls_than_allowed_and_resume_ends_as_if_undisturbed(
    tmp_path: Path, needed: Needed, limit: int
) -> None:
    store = tmp_path / "store"
    with ApiServer(answer) as server:
        stopped = await fit(store, server, people("ann", "bob"), calls=limited(limit))
        assert len(server.requests) == stopped.spending.calls == limit, "as many as allowed, and no more"
        assert stopped.halted_by is not None
        assert stopped.halted_by.startswith(f"the budget of {limit} calls is spent: {limit} made")
        assert not stopped.complete
        assert kept_names(store) == set(asked_names(server))
        assert (await fit(store, server, people("ann", "bob"), calls=limited(10000), resume=True)).complete
    assert Counter(asked_names(server)) == Counter(needed.names), "a request was repeated, or another one made"
    assert without_server(learned(store), server) == needed.learned


async def test_many_small_budgets_end_where_one_large_one_does(tmp_path: Path, needed: Needed) -> None:
    store = tmp_path / "store"
    with ApiServer(answer) as server:
        for _ in needed.names:
            if (await fit(store, server, people("ann", "bob"), calls=limited(9), resume=True)).complete:
                break
    assert Counter(asked_names(server)) == Counter(needed.names)
    assert without_server(learned(store), server) == needed.learned


async def test_a_budget_of_each_user_stops_each_alone(tmp_path: Path) -> None:
    store, each = tmp_path / "store", replace(CALLS, user=Limits(calls=14))
    with ApiServer(answer) as server:
        stopped = await fit(store, server, people("ann", "bob"), calls=each)
        assert states(stopped) == {"ann": "stopped early", "bob": "stopped early"}
        assert stopped.halted_by is None, "the run has no limit"
        counts = Counter(user for user in ("ann", "bob") for each in server.requests if user in str(each.body))
        assert counts == {"ann": 14, "bob": 14}
        resumed = await fit(store, server, people("ann", "bob"), resume=True)
        assert states(resumed) == {"ann": "learned", "bob": "learned"}


async def test_a_budget_of_tokens_holds_by_the_servers_count(tmp_path: Path, needed: Needed) -> None:
    store, limit = tmp_path / "store", needed.tokens // 2
    with ApiServer(answer) as server:
        stopped = await fit(store, server, people("ann", "bob"), calls=replace(CALLS, run=Limits(tokens=limit)))
        spent = stopped.spending
        assert (spent.prompt_tokens, spent.completion_tokens) == usage_of(server)
        assert 0 < spent.prompt_tokens + spent.completion_tokens <= limit
        assert f"the budget of {limit:,} tokens is spent: " in str(stopped.halted_by)
        assert (await fit(store, server, people("ann", "bob"), resume=True)).complete
    assert without_server(learned(store), server) == needed.learned


async def test_a_budget_of_time_ends_the_run(tmp_path: Path, needed: Needed) -> None:
    store = tmp_path / "store"
    with ApiServer(answer, latency=0.1) as server:
        stopped = await fit(store, server, people("ann", "bob"), calls=replace(CALLS, run=Limits(seconds=0.5)))
        assert "the budget of 0.5 seconds is spent" in str(stopped.halted_by)
        assert kept_names(store) == set(asked_names(server)), "what was in flight was not kept"
        assert len(server.requests) < len(needed.names)
        server.latency = 0.0
        assert (await fit(store, server, people("ann", "bob"), resume=True)).complete
    assert Counter(asked_names(server)) == Counter(needed.names)
    assert without_server(learned(store), server) == needed.learned


def prices(path: Path, dollars: str) -> Path:
    path.write_text(f'[models]\n"http://127.0.0.1:*" = {{ prompt = "{dollars}", completion = "{dollars}" }}\n')
    return path


async def test_a_budget_of_money_holds_at_the_prices_of_a_file(tmp_path: Path, needed: Needed) -> None:
    store, file, limit = tmp_path / "store", prices(tmp_path / "prices.toml", "1000"), Decimal(needed.tokens) / 2000
    with ApiServer(answer) as server:
        priced = replace(CALLS, run=Limits(money=limit), prices=file)
        stopped = await fit(store, server, people("ann", "bob"), calls=priced)
        assert stopped.spending.money == Decimal(sum(usage_of(server))) / 1000
        assert 0 < stopped.spending.money <= limit
        assert "the budget of $" in str(stopped.halted_by)
        priced = replace(CALLS, run=Limits(money=Decimal(1000000)), prices=file)
        assert (await fit(store, server, people("ann", "bob"), calls=priced, resume=True)).complete
    assert without_server(learned(store), server) == needed.learned


@pytest.mark.parametrize("whose", ["run", "user"])
async def test_money_without_a_price_is_an_error_before_anything(tmp_path: Path, whose: str) -> None:
    limits: dict[str, Any] = {whose: Limits(money=Decimal(5))}
    limited_money = replace(CALLS, **limits)
    refused = pytest.raises(SettingsError, match="is unknown, so money cannot be limited")
    with ApiServer(answer) as server, refused as caught:
        await fit(tmp_path / "store", server, people("ann"), calls=limited_money)
    assert f"the price of {server.url}#m" in str(caught.value)
    assert caught.value.remedy is not None
    assert caught.value.remedy.setting == "prices"
    assert server.log == []
    assert not (tmp_path / "store").exists()


async def test_a_faulty_file_of_prices_writes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text('[models]\n"m" = { prompt = "free" }\n')
    with ApiServer(answer) as server, pytest.raises(SettingsError, match="prompt: must be a number"):
        await fit(tmp_path / "store", server, people("ann"), calls=replace(CALLS, prices=file))
    assert server.log == []
    assert not (tmp_path / "store").exists()


# What a halt leaves


async def test_a_user_who_was_stopped_early_is_answered_for_by_the_base_model(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with ApiServer(answer) as server:
        stopped = await fit(store, server, people("ann"), calls=limited(14))
        (outcome,) = stopped.outcomes
        assert (outcome.state, outcome.kept, stopped.complete) == ("stopped early", True, False)
        async with AsyncWorkspace(settings(store, server)) as space:
            asked = await ask(space, Owner.user("ann"), Question("Tea or rice?", ("tea", "rice")))
        assert not asked.personalized, "nothing has judged the prompts yet"
        assert asked.why == "not judged yet: learning was stopped early; the base model answers"
        assert states(await fit(store, server, people("ann"), resume=True)) == {"ann": "learned"}
    with Store.open(store, create=False, tenant=DEFAULT_TENANT) as opened:
        assert opened.checkpoints("ann") == []


async def test_what_was_learned_to_the_end_is_not_replaced_by_less(tmp_path: Path) -> None:
    store, other = tmp_path / "store", replace(FEW, seed=5)
    with ApiServer(answer) as server:
        assert (await fit(store, server, people("ann"))).complete
        before = learned(store)
        for limit, resume in ((14, False), (1, True)):
            stopped = await fit(store, server, people("ann"), other, calls=limited(limit), resume=resume)
            assert [(each.state, each.kept) for each in stopped.outcomes] == [("stopped early", False)]
            assert learned(store) == before
        resumed = await fit(store, server, people("ann"), other, resume=True)
        assert [(each.state, each.kept) for each in resumed.outcomes] == [("learned", True)]
        assert (await fit(tmp_path / "undisturbed", server, people("ann"), other)).complete
    assert learned(store) == learned(tmp_path / "undisturbed") != before


async def test_what_was_stopped_early_is_replaced_by_more(tmp_path: Path) -> None:
    store, counts = tmp_path / "store", []
    with ApiServer(answer) as server:
        for _ in range(2):
            more = replace(FEW, iterations=6)
            stopped = await fit(store, server, people("ann"), more, calls=limited(30), resume=True)
            assert [(each.state, each.kept) for each in stopped.outcomes] == [("stopped early", True)]
            counts.append(len(learned(store)["ann"]["fermi"]["iterations"]))
    assert 0 < counts[0] < counts[1] < 6


async def test_whoever_halts_the_budget_is_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learn = FermiLearner.learn

    async def halting(self: FermiLearner, user: User, **given: Any) -> FermiPersonalization:
        if user.id == "bob":
            assert self.calls is not None
            self.calls.budget.halt("the key is refused")
        return await learn(self, user, **given)

    monkeypatch.setattr(FermiLearner, "learn", halting)
    with ApiServer(answer) as server:
        report = await fit(tmp_path / "store", server, people("ann", "bob"))
    assert report.halted_by == "the key is refused"
    assert states(report) == {"ann": "not learned", "bob": "not learned"}
    assert all(isinstance(outcome.error, HaltedError) for outcome in report.outcomes)


async def test_a_refused_key_halts_the_run_and_names_the_variable_and_not_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "sk-hush-hush-0123456789"
    monkeypatch.setenv("IDIOLECT_API_KEY", key)
    with ApiServer(lambda _body, _n: Status(401, body={"error": {"message": f"bad key {key}"}})) as server:
        report = await fit(tmp_path / "store", server, people("ann", "bob"))
    assert "IDIOLECT_API_KEY" in str(report.halted_by)
    assert key not in str(report)
    assert [received.headers["authorization"] for received in server.requests[:1]] == [f"Bearer {key}"]


async def test_a_model_of_this_process_keeps_within_a_budget_too(tmp_path: Path) -> None:
    """It is called without a cache, in batches."""
    store = tmp_path / "store"
    stopped = await fit_in(opened(store, calls=CallSettings(run=Limits(calls=20))), [ANN], FAST)
    assert states(stopped) == {"ann": "stopped early"}
    assert states(await fit_in(opened(store), [ANN], FAST, resume=True)) == {"ann": "learned"}


async def test_calls_of_earlier_runs_are_reported_until_a_run_comes_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, cleared, reported = tmp_path / "calls.db", list[bool](), list[int]()
    monkeypatch.setattr(CallCache, "uncertain", lambda _: [object()] * 3)
    monkeypatch.setattr(CallCache, "clear_uncertain", lambda _: cleared.append(True))
    with pytest.raises(ZeroDivisionError), open_run(CALLS, path, on_uncertain=reported.append):
        raise ZeroDivisionError
    assert (reported, cleared) == ([3], [])
    with open_run(CALLS, path, on_uncertain=reported.append) as run:
        assert run.spending().uncertain == 3
        assert cleared == [], "no use case has come to its end"
        run.come_to_an_end()
    assert (reported, cleared) == ([3, 3], [True])
    with open_run(CALLS, None, on_uncertain=reported.append) as run:
        assert (run.calls.cache, run.spending().uncertain) == (None, 0)
