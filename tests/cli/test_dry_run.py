"""`idiolect fit --dry-run`: says what to expect, calls nobody and writes nothing."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from idiolect.models import extras
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
    assert "No call was made." in result.stdout


def test_json_tells_each_model_and_the_total(tmp_path: Path) -> None:
    users = write_users(tmp_path / "users.jsonl", ["ann", "bob"])
    told = expected(users, tmp_path / "store", "--model", "gpt-4o-mini", "--optimizer", "gpt-4o")
    counts = {"users", "not_learnable", "answering", "optimizing", "money", "assumptions"}
    assert set(told) == counts | {"preset", "preset_reason"}
    assert (told["preset"], told["preset_reason"]) == ("api", "gpt-4o-mini is behind an API")
    assert (told["users"], told["not_learnable"]) == (2, 0)
    assert set(told["answering"]) == set(told["optimizing"]) == ROLE
    assert (told["answering"]["model"], told["optimizing"]["model"]) == ("openai:gpt-4o-mini", "openai:gpt-4o")
    for role in ("answering", "optimizing"):
        assert 0 < told[role]["calls"] <= told[role]["most_calls"]
        assert told[role]["prompt_tokens"] > told[role]["calls"]
    assert Decimal(told["money"]) == Decimal(told["answering"]["money"]) + Decimal(told["optimizing"]["money"]) > 0
    assert told["assumptions"]["prices_as_of"]


def test_a_price_that_is_not_known_is_shown_as_such(tmp_path: Path) -> None:
    users, model = write_users(tmp_path / "users.jsonl", ["ann"]), ("--model", "http://127.0.0.1:9/v1#m")
    told = expected(users, tmp_path / "store", *model)
    assert (told["answering"]["money"], told["money"]) == (None, None)
    shown = dry_run(users, tmp_path / "store", *model).stdout
    assert "the price of a model is unknown (--prices FILE)" in shown
    assert [line.split()[-1] for line in shown.splitlines()[1:3]] == ["?", "?"]


def test_less_than_a_cent_is_not_shown_as_nothing(tmp_path: Path) -> None:
    users, prices = write_users(tmp_path / "users.jsonl", ["ann"]), tmp_path / "prices.toml"
    prices.write_text('as_of = 2026-01-31\n[models]\n"*" = { prompt = "0.05", completion = "0.05" }\n')
    told = expected(users, tmp_path / "store", "--model", "gpt-4o-mini", "--prices", str(prices))
    assert 0 < Decimal(told["money"]) < Decimal("0.01")
    shown = dry_run(users, tmp_path / "store", "--model", "gpt-4o-mini", "--prices", str(prices)).stdout
    assert f"about ${Decimal(told['money']):.4f}\n" in shown


def test_users_without_opinions_are_counted(tmp_path: Path) -> None:
    users = tmp_path / "users.jsonl"
    users.write_text("".join(json.dumps(each) + "\n" for each in (person("ann"), SILENT, SILENT | {"id": "mute"})))
    told = expected(users, tmp_path / "store", "--model", "gpt-4o-mini")
    assert (told["users"], told["not_learnable"]) == (3, 2)
    shown = dry_run(users, tmp_path / "store", "--model", "gpt-4o-mini").stdout
    assert "1 user (2 more have no opinions to learn from), preset api: about $" in shown
    assert "about $0.00" in dry_run(users, tmp_path / "store").stdout, "the default model is a local one"


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_missing_embeddings_are_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: tuple[str, ...]) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "torch" else True)
    users = write_users(tmp_path / "users.jsonl", ["ann"])
    result = run("fit", users, "--model", "gpt-4o-mini", "--iterations", "1", "--dry-run", *form)
    assert result.exit_code == 0, "the dry run itself needs no extra"
    assert result.stderr == (
        "preset api, because gpt-4o-mini is behind an API\n"
        "note: without --dry-run, this command fails here: sentence embeddings need the extra `local`: pip install "
        "'idiolect[local]' (torch is missing); --similarity bm25 works without embeddings\n"
    )
    assert dry_run(users, tmp_path / "store", "--model", "gpt-4o-mini").stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("lines", "more", "message"),
    [
        ('{"id": 3}', (), "2 faults on 1 line"),
        (json.dumps(person("ann")), ("--user", "bob"), "the users file does not contain 'bob'"),
        (json.dumps(person("ann")), ("--prices", "nowhere.toml"), "can't be read"),
        (json.dumps(person("ann")), ("--model", "http://me:hush@x/v1#m"), "contains a user or a password"),
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


def test_the_preset_that_nobody_named_is_reported_with_its_reason(tmp_path: Path) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann"]), tmp_path / "store"
    small = dry_run(users, store)
    assert small.stderr.splitlines() == ["preset demo, because embedded has 135 million parameters"]
    hub = dry_run(users, store, "--model", "nobody/nothing")
    reason = "the number of parameters of nobody/nothing is unknown before it is downloaded"
    assert hub.stderr.splitlines()[0] == f"preset local, because {reason}"
    assert "1 user, preset local: about $0.00" in hub.stdout
    named = dry_run(users, store, "--preset", "paper-offline")
    assert (named.exit_code, named.stderr) == (0, "")
    assert expected(users, store, "--preset", "paper-offline")["preset_reason"] is None
