"""Budgets of `idiolect fit`: never more than allowed, what is there is usable, --resume ends as if undisturbed."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest
from typer.testing import Result

from idiolect.application.fermi import FermiLearner, open_fermi
from idiolect.application.model_pool import ModelPool
from idiolect.application.run import CallSettings
from idiolect.errors import PersonalizationError
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.models.calls.cache import CallCache
from idiolect.people.user import User
from idiolect.store import Store
from tests.api_server import ApiServer
from tests.cli.learning import run
from tests.cli.remote_world import answer, arguments, asked_names, kept_names, learned, write_users


def fit(users: Path, store: Path, server: ApiServer, *more: str) -> Result:
    return run(*arguments(users, store, server.url, *more))


def states(result: Result) -> dict[str, str]:
    """Of a run with --json."""
    return {line["id"]: line["state"] for line in map(json.loads, result.stdout.splitlines())}


def usage_of(server: ApiServer) -> tuple[int, int]:
    """Tokens of prompts and of answers, as the server counts them."""
    prompts = (
        sum(len(message["content"]) for message in received.body["messages"]) // 4 + 1 for received in server.requests
    )
    return sum(prompts), sum(len(answer(received.body)) // 4 + 1 for received in server.requests)


def tokens_of(server: ApiServer) -> int:
    return sum(usage_of(server))


@pytest.fixture(scope="module")
def needed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, object], set[str], int]:
    """What an undisturbed run learns, the names of its requests, and its tokens."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with ApiServer(answer) as server:
        result = fit(write_users(folder / "users.jsonl", ["ann", "bob"]), folder / "store", server)
        assert result.exit_code == 0, result.output
    return _without_server(learned(folder / "store"), server), set(asked_names(server)), tokens_of(server)


def _without_server(kept: dict[str, object], server: ApiServer) -> dict[str, object]:
    """As learned with any server: each test has its own."""
    plain: dict[str, dict[str, dict[str, object]]] = json.loads(json.dumps(kept).replace(server.url, "URL"))
    for methods in plain.values():
        assert methods["fermi"].pop("made_with")
    return {**plain}


Needed = tuple[dict[str, object], set[str], int]


@pytest.mark.parametrize("limit", [1, 7, 20])
def test_no_more_calls_than_allowed_and_resume_ends_as_if_undisturbed(
    tmp_path: Path, needed: Needed, limit: int
) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann", "bob"]), tmp_path / "store"
    with ApiServer(answer) as server:
        stopped = fit(users, store, server, "--budget-calls", str(limit))
        assert stopped.exit_code == 1
        assert len(server.requests) == limit, "as many as allowed, and no more"
        assert f"the budget of {limit} calls is spent: {limit} made" in stopped.stderr
        assert stopped.stderr.splitlines()[-1].endswith("the same command with --resume goes on from here")
        assert "Traceback" not in stopped.output
        assert kept_names(store) == set(asked_names(server))
        resumed = fit(users, store, server, "--resume", "--budget-calls", "10000")
        assert resumed.exit_code == 0, resumed.output
    assert Counter(asked_names(server)) == Counter(needed[1]), "a request was repeated, or another one made"
    assert _without_server(learned(store), server) == needed[0]


def test_many_small_budgets_end_where_one_large_one_does(tmp_path: Path, needed: Needed) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann", "bob"]), tmp_path / "store"
    with ApiServer(answer) as server:
        for _ in range(len(needed[1])):
            if fit(users, store, server, "--resume", "--budget-calls", "9").exit_code == 0:
                break
    assert Counter(asked_names(server)) == Counter(needed[1])
    assert _without_server(learned(store), server) == needed[0]


def test_a_user_who_was_stopped_early_is_answered_for_by_the_base_model(tmp_path: Path) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann"]), tmp_path / "store"
    with ApiServer(answer) as server:
        stopped = fit(users, store, server, "--budget-calls", "14", "--json")
        assert states(stopped) == {"ann": "stopped early"}
        assert stopped.exit_code == 1
        line = json.loads(stopped.stdout)
        assert 0 <= line["initial_score"] <= line["best_score"] <= 1
        asked = run("ask", "--store", store, "--user", "ann", "Tea or rice?", "--choices", "tea|rice", "--json")
        assert asked.exit_code == 0, asked.output
        assert json.loads(asked.stdout)["personalized"] is False, "nothing has judged the prompts yet"
        why = run("ask", "--store", store, "--user", "ann", "Tea or rice?", "--choices", "tea|rice")
        assert "not judged yet: learning was stopped early; the base model answers" in " ".join(why.stdout.split())
        assert states(fit(users, store, server, "--resume", "--json")) == {"ann": "learned"}
    with Store.open(store, create=False) as opened:
        assert opened.checkpoints("ann") == []


def test_a_user_who_was_stopped_early_is_said_to_be(tmp_path: Path) -> None:
    users = write_users(tmp_path / "users.jsonl", ["ann"])
    with ApiServer(answer) as server:
        stopped = fit(users, tmp_path / "store", server, "--budget-calls", "14")
    assert stopped.stdout.splitlines()[1].endswith("stopped early, base answers: not judged yet")
    assert "of 1 user: 1 stopped early; 14 calls" in stopped.stderr


def test_what_was_learned_to_the_end_is_not_replaced_by_less(tmp_path: Path) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann"]), tmp_path / "store"
    with ApiServer(answer) as server:
        assert fit(users, store, server).exit_code == 0
        before = learned(store)
        stopped = fit(users, store, server, "--seed", "5", "--budget-calls", "14", "--json")
        assert (stopped.exit_code, states(stopped)) == (1, {"ann": "stopped early"})
        assert json.loads(stopped.stdout)["kept"] is False
        assert learned(store) == before
        told = fit(users, store, server, "--seed", "5", "--resume", "--budget-calls", "1")
        assert told.stdout.splitlines()[1].endswith("stopped early; what was learned before stays")
        assert " s; what was learned before stays" in told.stderr
        assert learned(store) == before
        resumed = fit(users, store, server, "--seed", "5", "--resume", "--json")
        assert (states(resumed), json.loads(resumed.stdout)["kept"]) == ({"ann": "learned"}, True)
        assert fit(users, tmp_path / "undisturbed", server, "--seed", "5").exit_code == 0
    assert learned(store) == learned(tmp_path / "undisturbed") != before


def test_what_was_stopped_early_is_replaced_by_more(tmp_path: Path) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann"]), tmp_path / "store"
    more, counts = ("--iterations", "6", "--resume", "--json"), []
    with ApiServer(answer) as server:
        for _ in range(2):
            stopped = fit(users, store, server, "--budget-calls", "30", *more)
            assert states(stopped) == {"ann": "stopped early"}
            assert json.loads(stopped.stdout)["kept"] is True
            counts.append(len(learned(store)["ann"]["fermi"]["iterations"]))
    assert 0 < counts[0] < counts[1] < 6


def test_who_halts_the_budget_is_told_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users, store, learn = write_users(tmp_path / "users.jsonl", ["ann", "bob"]), tmp_path / "store", FermiLearner.learn

    async def halting(self: FermiLearner, user: User, **given: Any) -> FermiPersonalization:
        if user.id == "bob":
            assert self.calls is not None
            self.calls.budget.halt("the key is refused")
        return await learn(self, user, **given)

    monkeypatch.setattr(FermiLearner, "learn", halting)
    with ApiServer(answer) as server:
        result = fit(users, store, server)
    assert result.exit_code == 1
    assert "the key is refused" in result.stderr.splitlines()[-3]
    assert "of 2 users: 2 not learned" in result.stderr
    assert result.stderr.splitlines()[-1].endswith("--resume goes on from here")
    assert "Traceback" not in result.output


def test_calls_of_earlier_runs_are_told_until_a_run_comes_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users, store, cleared = write_users(tmp_path / "users.jsonl", ["ann"]), tmp_path / "store", []
    monkeypatch.setattr(CallCache, "uncertain", lambda _: [object()] * 3)
    monkeypatch.setattr(CallCache, "clear_uncertain", lambda _: cleared.append(True))
    told = "3 calls were in flight when an earlier run ended"
    with ApiServer(answer) as server:
        with monkeypatch.context() as broken:
            broken.setattr(FermiLearner, "learn", lambda *_, **__: 1 / 0)
            failed = fit(users, store, server)
        assert (failed.exit_code, told in failed.stderr, cleared) == (1, True, [])
        with monkeypatch.context() as unlearnable:
            unlearnable.setattr(FermiLearner, "learn", AsyncMock(side_effect=PersonalizationError("too little")))
            ended = fit(users, store, server)
        assert (ended.exit_code, told in ended.stderr, cleared) == (1, True, [True])
        done = fit(users, store, server)
    assert (done.exit_code, told in done.stderr, cleared) == (0, True, [True, True])
    assert done.stderr.splitlines()[-1].endswith(
        ", 3 calls of earlier runs were never answered and may have been billed"
    )


def test_a_budget_of_each_user_stops_each_alone(tmp_path: Path) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann", "bob"]), tmp_path / "store"
    with ApiServer(answer) as server:
        stopped = fit(users, store, server, "--user-budget-calls", "14", "--json")
        assert stopped.exit_code == 1
        assert states(stopped) == {"ann": "stopped early", "bob": "stopped early"}
        counts = Counter(user for user in ("ann", "bob") for each in server.requests if user in str(each.body))
        assert counts == {"ann": 14, "bob": 14}
        assert states(fit(users, store, server, "--resume", "--json")) == {"ann": "learned", "bob": "learned"}


def test_a_budget_of_each_user_says_whose_it_is(tmp_path: Path) -> None:
    users = write_users(tmp_path / "users.jsonl", ["ann", "bob"])
    with ApiServer(answer) as server:
        result = fit(users, tmp_path / "store", server, "--user-budget-calls", "2")
    assert result.exit_code == 1
    for user in ("ann", "bob"):
        assert f"{user}: not learned: the budget of 2 calls for user '{user}' is spent: 2 made" in result.stderr
    assert result.stderr.splitlines()[-1].endswith("--resume goes on from here")


def test_a_budget_of_tokens_holds_by_the_servers_count(tmp_path: Path, needed: Needed) -> None:
    users, store, limit = write_users(tmp_path / "users.jsonl", ["ann", "bob"]), tmp_path / "store", needed[2] // 2
    with ApiServer(answer) as server:
        stopped = fit(users, store, server, "--budget-tokens", str(limit))
        assert stopped.exit_code == 1
        assert 0 < tokens_of(server) <= limit
        assert f"the budget of {limit:,} tokens is spent: " in stopped.stderr
        prompts, answers = usage_of(server)
        assert f", {prompts:,} + {answers:,} tokens, " in stopped.stderr.splitlines()[-2]
        assert fit(users, store, server, "--resume").exit_code == 0
    assert _without_server(learned(store), server) == needed[0]


def test_a_budget_of_time_ends_the_run(tmp_path: Path, needed: Needed) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann", "bob"]), tmp_path / "store"
    with ApiServer(answer, latency=0.1) as server:
        stopped = fit(users, store, server, "--budget-time", "0.5")
        assert stopped.exit_code == 1
        assert "the budget of 0.5 seconds is spent" in stopped.stderr
        assert kept_names(store) == set(asked_names(server)), "what was in flight was not kept"
        assert len(server.requests) < len(needed[1])
        server.latency = 0.0
        assert fit(users, store, server, "--resume").exit_code == 0
    assert Counter(asked_names(server)) == Counter(needed[1])
    assert _without_server(learned(store), server) == needed[0]


@pytest.mark.parametrize("option", ["--budget-money", "--user-budget-money"])
def test_money_without_a_price_is_an_error_before_anything(tmp_path: Path, option: str) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann"]), tmp_path / "store"
    with ApiServer(answer) as server:
        result = fit(users, store, server, option, "5")
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"error: the price of {server.url}#m is not known, so money cannot be a limit" in result.stderr
    assert "--prices FILE" in result.stderr
    assert server.log == []
    assert not store.exists()


def prices(path: Path, dollars: str) -> Path:
    path.write_text(f'[models]\n"http://127.0.0.1:*" = {{ prompt = "{dollars}", completion = "{dollars}" }}\n')
    return path


def test_a_budget_of_money_holds_at_the_prices_of_a_file(tmp_path: Path, needed: Needed) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann", "bob"]), tmp_path / "store"
    file, limit = prices(tmp_path / "prices.toml", "1000"), Decimal(needed[2]) / 2000
    with ApiServer(answer) as server:
        stopped = fit(users, store, server, "--prices", str(file), "--budget-money", f"${limit}")
        assert stopped.exit_code == 1
        cost = Decimal(tokens_of(server)) / 1000
        assert 0 < cost <= limit
        assert "the budget of $" in stopped.stderr
        assert f", ${cost:.4f}, " in stopped.stderr.splitlines()[-2]
        resumed = fit(users, store, server, "--resume", "--prices", str(file), "--budget-money", "1000000")
        assert resumed.exit_code == 0, resumed.output
    assert _without_server(learned(store), server) == needed[0]


def test_a_faulty_file_of_prices_writes_nothing(tmp_path: Path) -> None:
    users, file = write_users(tmp_path / "users.jsonl", ["ann"]), tmp_path / "prices.toml"
    file.write_text('[models]\n"m" = { prompt = "free" }\n')
    with ApiServer(answer) as server:
        result = fit(users, tmp_path / "store", server, "--prices", str(file))
    assert result.exit_code == 1
    assert "prompt: must be a number" in result.stderr
    assert server.log == []
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    "given",
    [
        ["--budget-calls", "0"],
        ["--budget-tokens", "-1"],
        ["--budget-money", "0"],
        ["--budget-money", "much"],
        ["--budget-money", "nan"],
        ["--budget-time", "0"],
        ["--user-budget-calls", "0"],
        ["--concurrency", "0"],
        ["--timeout", "0"],
    ],
)
def test_a_limit_that_is_none_is_wrong_use(tmp_path: Path, given: list[str]) -> None:
    users = write_users(tmp_path / "users.jsonl", ["ann"])
    result = run(*arguments(users, tmp_path / "store", "http://127.0.0.1:9/v1", *given))
    assert (result.exit_code, result.stdout) == (2, "")
    assert not (tmp_path / "store").exists()


def test_a_model_is_the_same_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.cli.learning import ANN, record, settings

    record(tmp_path / "mimic.jsonl", [ANN])
    (tmp_path / "folder").mkdir()
    identities = set()
    for folder, name in ((tmp_path, "mimic.jsonl"), (tmp_path / "folder", str(tmp_path / "mimic.jsonl"))):
        monkeypatch.chdir(folder)
        learner = asyncio.run(open_fermi(ModelPool(CallSettings()), settings(), model=f"replay:{name}"))
        identities.add(learner.identity)
        assert learner.made_with == "", "the weights behind a recording are not known"
    assert identities == {(f"replay:{tmp_path / 'mimic.jsonl'}", "") * 2 + ("",)}


def test_a_local_model_keeps_within_a_budget_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording is called without a cache, in batches."""
    from tests.cli.learning import ANN, FAST, record, write_people

    model, store = record(tmp_path / "mimic.jsonl", [ANN]), tmp_path / "store"
    people = write_people(tmp_path / "users.jsonl", [ANN])
    monkeypatch.delenv("IDIOLECT_PRICES", raising=False)
    stopped = run("fit", people, "--store", store, "--model", model, *FAST, "--budget-calls", "20", "--json")
    assert stopped.exit_code == 1
    assert states(stopped) == {"ann": "stopped early"}
    resumed = run("fit", people, "--store", store, "--model", model, *FAST, "--resume", "--json")
    assert states(resumed) == {"ann": "learned"}
