"""Budgets of `idiolect fit`: which one is spent is printed, with the cost and how to go on; limits that are none."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from unittest.mock import AsyncMock

import pytest
from typer.testing import Result

from idiolect.application.fermi import FermiLearner
from idiolect.errors import PersonalizationError
from idiolect.models.calls.cache import CallCache
from tests.api_server import ApiServer
from tests.cli.learning import run
from tests.cli.remote_world import answer, arguments, write_users


def fit(users: Path, store: Path, server: ApiServer, *more: str) -> Result:
    return run(*arguments(users, store, server.url, *more))


def tokens_of(server: ApiServer) -> tuple[int, int]:
    """Tokens of prompts and of answers, as the server counts them."""
    prompts = (sum(len(message["content"]) for message in each.body["messages"]) // 4 + 1 for each in server.requests)
    return sum(prompts), sum(len(answer(each.body)) // 4 + 1 for each in server.requests)


@pytest.mark.parametrize(
    ("option", "limit", "spent"),
    [
        ("--budget-calls", "7", "the budget of 7 calls is spent: 7 made"),
        ("--budget-tokens", "3000", "the budget of 3,000 tokens is spent: "),
        ("--budget-money", "$3", "the budget of $3"),
        ("--budget-time", "0.5", "the budget of 0.5 seconds is spent"),
    ],
)
def test_a_spent_budget_is_printed_with_the_cost_and_resume_goes_on(
    tmp_path: Path, option: str, limit: str, spent: str
) -> None:
    users, prices = write_users(tmp_path / "users.jsonl", ["ann", "bob"]), tmp_path / "prices.toml"
    prices.write_text('[models]\n"http://127.0.0.1:*" = { prompt = "1000", completion = "1000" }\n')
    priced = ("--prices", str(prices))
    with ApiServer(answer, latency=0.1 if option == "--budget-time" else 0) as server:
        stopped = fit(users, tmp_path / "store", server, *priced, option, limit)
        prompts, answers = tokens_of(server)
        server.latency = 0.0
        resumed = fit(users, tmp_path / "store", server, *priced, "--resume")
    assert (stopped.exit_code, resumed.exit_code) == (1, 0), stopped.output + resumed.output
    assert spent in stopped.stderr
    cost = f", {prompts:,} + {answers:,} tokens, ${Decimal(prompts + answers) / 1000:.4f}, "
    assert cost in stopped.stderr.splitlines()[-2]
    assert stopped.stderr.splitlines()[-1].endswith("to continue, run the same command with --resume")
    assert "Traceback" not in stopped.output


def test_a_user_who_was_stopped_early_is_printed_as_such(tmp_path: Path) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann"]), tmp_path / "store"
    with ApiServer(answer) as server:
        stopped = fit(users, store, server, "--budget-calls", "14")
        told = json.loads(fit(users, store, server, "--budget-calls", "1", "--resume", "--json").stdout)
        asked = run("ask", "--store", store, "--user", "ann", "Tea or rice?", "--choices", "tea|rice")
    assert stopped.stdout.splitlines()[1].endswith("stopped early, base model answers: not judged yet")
    assert "of 1 user: 1 stopped early; 14 calls" in stopped.stderr
    assert (told["state"], told["kept"]) == ("stopped early", True)
    assert 0 <= told["initial_score"] <= told["best_score"] <= 1
    assert "not judged yet: learning was stopped early; the base model answers" in " ".join(asked.stdout.split())


def test_what_was_learned_before_and_stays_is_printed(tmp_path: Path) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann"]), tmp_path / "store"
    with ApiServer(answer) as server:
        assert fit(users, store, server).exit_code == 0
        stopped = fit(users, store, server, "--seed", "5", "--budget-calls", "14")
        told = json.loads(fit(users, store, server, "--seed", "5", "--budget-calls", "1", "--resume", "--json").stdout)
    assert stopped.stdout.splitlines()[1].endswith("stopped early; the earlier result was kept")
    assert " s; the earlier result was kept" in stopped.stderr
    assert told["kept"] is False


def test_a_fit_that_ends_with_a_failed_user_has_reported_the_calls_of_earlier_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users, cleared = write_users(tmp_path / "users.jsonl", ["ann"]), []
    monkeypatch.setattr(CallCache, "uncertain", lambda _: [object()])
    monkeypatch.setattr(CallCache, "clear_uncertain", lambda _: cleared.append(True))
    monkeypatch.setattr(FermiLearner, "learn", AsyncMock(side_effect=PersonalizationError("too little")))
    with ApiServer(answer) as server:
        assert fit(users, tmp_path / "store", server).exit_code == 1
    assert cleared == [True]


def test_calls_of_earlier_runs_are_printed_at_both_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users = write_users(tmp_path / "users.jsonl", ["ann"])
    monkeypatch.setattr(CallCache, "uncertain", lambda _: [object()] * 3)
    monkeypatch.setattr(CallCache, "clear_uncertain", lambda _: None)
    with ApiServer(answer) as server:
        done = fit(users, tmp_path / "store", server)
    assert (done.exit_code, "3 calls were in flight when an earlier run ended" in done.stderr) == (0, True)
    assert done.stderr.splitlines()[-1].endswith(
        ", 3 calls of earlier runs were never answered and may have been billed"
    )


def test_a_budget_of_each_user_names_its_user(tmp_path: Path) -> None:
    users = write_users(tmp_path / "users.jsonl", ["ann", "bob"])
    with ApiServer(answer) as server:
        result = fit(users, tmp_path / "store", server, "--user-budget-calls", "2")
    assert result.exit_code == 1
    for user in ("ann", "bob"):
        assert f"{user}: not learned: the budget of 2 calls for user '{user}' is spent: 2 made" in result.stderr
    assert result.stderr.splitlines()[-1].endswith("--resume")


@pytest.mark.parametrize("option", ["--budget-money", "--user-budget-money"])
def test_money_without_a_price_names_the_option_that_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.delenv("IDIOLECT_PRICES", raising=False)
    users = write_users(tmp_path / "users.jsonl", ["ann"])
    with ApiServer(answer) as server:
        result = fit(users, tmp_path / "store", server, option, "5")
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"error: the price of {server.url}#m is unknown, so money cannot be limited" in result.stderr
    assert "--prices FILE" in result.stderr


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
