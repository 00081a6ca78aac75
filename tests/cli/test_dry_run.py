"""`idiolect fit --dry-run`: says what to expect, calls nobody and writes nothing."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from tests.api_server import ApiServer
from tests.cli.learning import SILENT, run
from tests.cli.remote_world import answer, arguments, person, write_users

FEW = ("--similarity", "bm25", "--iterations", "2")
ROLE = {"model", "calls", "most_calls", "prompt_tokens", "completion_tokens", "money"}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "IDIOLECT_API_KEY", "IDIOLECT_PRICES"):
        monkeypatch.delenv(name, raising=False)


def dry_run(users: Path, store: Path, *more: str) -> Result:
    return run("fit", users, "--store", store, *FEW, "--dry-run", *more)


def expected(users: Path, store: Path, *more: str) -> dict[str, Any]:
    result = dry_run(users, store, "--json", *more)
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_nobody_is_called_and_nothing_is_written(tmp_path: Path) -> None:
    users = write_users(tmp_path / "users.jsonl", ["ann", "bob"])
    with ApiServer(answer) as server:
        result = run(*arguments(users, tmp_path / "store", server.url, "--dry-run"))
    assert result.exit_code == 0, result.output
    assert server.log == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["users.jsonl"]
    assert "Nothing was called." in result.stdout


def test_neither_a_key_nor_a_server_is_needed(tmp_path: Path) -> None:
    users = write_users(tmp_path / "users.jsonl", ["ann"])
    for model in ("gpt-4o-mini", "http://127.0.0.1:9/v1#m"):
        assert expected(users, tmp_path / "store", "--model", model)["answering"]["calls"] > 0


def test_json_tells_each_model_and_the_total(tmp_path: Path) -> None:
    users = write_users(tmp_path / "users.jsonl", ["ann", "bob"])
    told = expected(users, tmp_path / "store", "--model", "gpt-4o-mini", "--optimizer", "gpt-4o")
    assert set(told) == {"users", "not_learnable", "answering", "optimizing", "money", "assumptions"}
    assert (told["users"], told["not_learnable"]) == (2, 0)
    assert set(told["answering"]) == set(told["optimizing"]) == ROLE
    assert (told["answering"]["model"], told["optimizing"]["model"]) == ("openai:gpt-4o-mini", "openai:gpt-4o")
    for role in ("answering", "optimizing"):
        assert 0 < told[role]["calls"] <= told[role]["most_calls"]
        assert told[role]["prompt_tokens"] > told[role]["calls"]
    assert Decimal(told["money"]) == Decimal(told["answering"]["money"]) + Decimal(told["optimizing"]["money"]) > 0
    assert told["assumptions"]["prices_as_of"]


def test_the_same_users_give_the_same_forecast(tmp_path: Path) -> None:
    users = write_users(tmp_path / "users.jsonl", ["ann", "bob"])
    assert expected(users, tmp_path / "store") == expected(users, tmp_path / "store")


def test_a_price_that_is_not_known_is_shown_as_such(tmp_path: Path) -> None:
    users, model = write_users(tmp_path / "users.jsonl", ["ann"]), ("--model", "http://127.0.0.1:9/v1#m")
    told = expected(users, tmp_path / "store", *model)
    assert (told["answering"]["money"], told["money"]) == (None, None)
    shown = dry_run(users, tmp_path / "store", *model).stdout
    assert "the price of a model is not known (--prices FILE)" in shown
    assert [line.split()[-1] for line in shown.splitlines()[1:3]] == ["?", "?"]
    mixed = expected(users, tmp_path / "store", *model, "--optimizer", "gpt-4o-mini")
    assert mixed["optimizing"]["money"] is not None
    assert mixed["money"] is None, "a part of the cost was taken for the whole"


def test_prices_come_from_a_file(tmp_path: Path) -> None:
    users, file = write_users(tmp_path / "users.jsonl", ["ann"]), tmp_path / "prices.toml"
    file.write_text('[models]\n"http://127.0.0.1:9/v1#m" = { prompt = "1000000", completion = "0" }\n')
    told = expected(users, tmp_path / "store", "--model", "http://127.0.0.1:9/v1#m", "--prices", str(file))
    prompt_tokens = told["answering"]["prompt_tokens"] + told["optimizing"]["prompt_tokens"]
    assert Decimal(told["money"]) == prompt_tokens


def test_a_local_model_costs_nothing(tmp_path: Path) -> None:
    users = write_users(tmp_path / "users.jsonl", ["ann"])
    told = expected(users, tmp_path / "store")
    assert (told["answering"]["model"], Decimal(told["money"])) == ("embedded", 0)
    assert told["optimizing"]["calls"] == 0, "the preset demo has no model write prompts"
    assert "about $0.00" in dry_run(users, tmp_path / "store").stdout


def test_users_without_opinions_are_counted(tmp_path: Path) -> None:
    users = tmp_path / "users.jsonl"
    users.write_text("".join(json.dumps(each) + "\n" for each in (person("ann"), SILENT, SILENT | {"id": "mute"})))
    told = expected(users, tmp_path / "store", "--model", "gpt-4o-mini")
    assert (told["users"], told["not_learnable"]) == (3, 2)
    shown = dry_run(users, tmp_path / "store", "--model", "gpt-4o-mini").stdout
    assert "1 user (2 more have no opinions and can't be learned), preset api: about $" in shown


def test_only_users_without_opinions_cost_nothing(tmp_path: Path) -> None:
    users = tmp_path / "users.jsonl"
    users.write_text(json.dumps(SILENT) + "\n")
    told = expected(users, tmp_path / "store", "--model", "http://127.0.0.1:9/v1#m")
    assert (told["answering"]["calls"], told["optimizing"]["calls"]) == (0, 0)
    assert Decimal(told["money"]) == 0
    assert dry_run(users, tmp_path / "store").exit_code == 0


def test_a_real_run_stays_within_what_is_never_exceeded(tmp_path: Path) -> None:
    users = write_users(tmp_path / "users.jsonl", ["ann", "bob"])
    with ApiServer(answer) as server:
        given = arguments(users, tmp_path / "store", server.url)
        told = json.loads(run(*given, "--dry-run", "--json").stdout)
        assert run(*given, "--no-cache").exit_code == 0
        optimizing = sum("square brackets" in str(each.body) for each in server.requests)
        answering = len(server.requests) - optimizing
    assert 0 < answering <= told["answering"]["most_calls"]
    assert 0 < optimizing <= told["optimizing"]["most_calls"]
    assert told["answering"]["calls"] / 3 < answering < told["answering"]["calls"] * 3


@pytest.mark.parametrize(
    ("lines", "more", "message"),
    [
        ('{"id": 3}', (), "2 faults on 1 line"),
        (json.dumps(person("ann")), ("--user", "bob"), "the file holds no user 'bob'"),
        (json.dumps(person("ann")), ("--prices", "nowhere.toml"), "can't be read"),
        (json.dumps(person("ann")), ("--model", "http://me:hush@x/v1#m"), "holds a user or a password"),
        (json.dumps(person("ann")), ("--model", " "), "the model's name is empty"),
        (json.dumps(person("ann")), ("--optimizer", ""), "the model's name is empty"),
    ],
)
def test_faults_are_errors_here_too(tmp_path: Path, lines: str, more: tuple[str, ...], message: str) -> None:
    users = tmp_path / "users.jsonl"
    users.write_text(lines + "\n")
    result = dry_run(users, tmp_path / "store", *more)
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stdout == ""
    assert "hush" not in result.output
