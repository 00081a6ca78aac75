"""`idiolect users add-opinion`: what is printed of an opinion that was kept, learned from, or not yet."""

from __future__ import annotations

import json
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from idiolect.people.user import Opinion, Question, User
from idiolect.store import DEFAULT_TENANT, Store
from tests.api_server import ApiServer, Hang
from tests.cli.interrupting import start
from tests.cli.learning import run
from tests.cli.remote_world import answer, arguments, learned, person, write_users

ROOT = Path(__file__).resolve().parents[2]
WORDS: tuple[str, ...] = person("ann")["opinions"][0]["choices"]
NEW = Question("What would ann have at midnight?", WORDS)
OLD = Question(person("ann")["opinions"][2]["question"], WORDS)


def add(store: Path, question: Question, given: str, *more: str, user: str = "ann") -> Result:
    choices = ("--choices", "|".join(question.choices)) if question.choices else ()
    return run("users", "add-opinion", user, question.text, *choices, "--answer", given, "--store", store, *more)


def opinions_of(store: Path, user: str = "ann") -> tuple[Opinion, ...]:
    with Store.open(store, create=False, tenant=DEFAULT_TENANT) as opened:
        return opened.user(user).opinions


@pytest.fixture
def fitted(tmp_path: Path) -> Any:
    """A server, and a store where ann is learned."""
    users = write_users(tmp_path / "users.jsonl", ["ann"])
    with ApiServer(answer) as server:
        assert run(*arguments(users, tmp_path / "store", server.url)).exit_code == 0
        yield server, tmp_path / "store"


Fitted = tuple[ApiServer, Path]


def test_what_came_of_it_is_told(fitted: Fitted) -> None:
    server, store = fitted
    before = len(server.requests)
    result = add(store, NEW, "soup")
    assert result.exit_code == 0, result.output
    assert re.match(r"opinion added\nbest prompt \d\.\d\d on (all opinions|the opinions that it was)", result.stdout)
    assert f"; {len(server.requests) - before} calls, " in result.stdout
    assert "o'clock" not in result.output


def test_json_has_the_cost_and_both_scores(fitted: Fitted) -> None:
    server, store = fitted
    before = len(server.requests)
    told = json.loads(add(store, NEW, "soup", "--json").stdout)
    assert (told["id"], told["opinion"], told["learned"]) == ("ann", "added", True)
    assert told["calls"] == len(server.requests) - before
    assert told["money"] is None
    assert 0 <= told["best_score_before"] <= 1
    assert 0 <= told["best_score"] <= 1


def test_without_learning_that_is_printed(fitted: Fitted) -> None:
    server, store = fitted
    before = len(server.log)
    result = add(store, NEW, "soup", "--no-learn")
    assert (result.exit_code, result.stdout) == (0, "opinion added\nnot learned from yet\n")
    scored = add(store, OLD, "tea", "--iterations", "0", "--json")
    assert json.loads(scored.stdout)["opinion"] == "replaced"
    assert len(server.log) > before


def test_stopped_by_a_budget_the_same_command_goes_on(fitted: Fitted) -> None:
    server, store = fitted
    before = len(server.requests)
    stopped = add(store, NEW, "soup", "--budget-calls", "3", "--json")
    assert (stopped.exit_code, len(server.requests)) == (1, before + 3)
    assert "the budget of 3 calls is spent" in stopped.stderr
    assert "the opinion was added but not learned from yet; to continue, run the same command" in stopped.stderr
    assert json.loads(stopped.stdout) == {"id": "ann", "opinion": "added", "learned": False}
    assert add(store, NEW, "soup").exit_code == 0


def test_of_whom_nothing_is_learned_only_the_opinion_is_kept(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with Store.open(store, tenant=DEFAULT_TENANT) as opened:
        opened.save_users([User("ann", opinions=(Opinion(OLD, "bread"),))])
    result = add(store, Question("Tea or coffee?"), "Tea, no milk")
    assert (result.exit_code, result.stdout) == (0, "opinion added\nnothing was learned for this user yet\n")
    assert Opinion(Question("Tea or coffee?"), "Tea, no milk") in opinions_of(store)


def test_an_unknown_user_and_a_missing_store_are_errors(tmp_path: Path, fitted: Fitted) -> None:
    server, store = fitted
    before = len(server.log)
    assert "has no user 'eve'" in add(store, NEW, "soup", user="eve").stderr
    missing = add(tmp_path / "typo", NEW, "soup", "--json")
    assert (missing.exit_code, "there is no store at" in missing.stderr) == (1, True)
    assert len(server.log) == before
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize(
    ("question", "given"), [(NEW, "wine"), (NEW, ""), (Question("Tea?"), " "), (Question("Tea?", ("a", "b")), "A")]
)
def test_an_answer_that_is_none_is_wrong_use(fitted: Fitted, question: Question, given: str) -> None:
    _, store = fitted
    result = add(store, question, given)
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(opinions_of(store)) == 5


def test_where_learning_fails_it_is_printed_that_the_opinion_was_added(fitted: Fitted) -> None:
    _, store = fitted
    (store / "calls.db").write_bytes(b"no database at all " * 100)
    result = add(store, NEW, "soup")
    assert result.exit_code == 1
    first, last = result.stderr.splitlines()
    assert first == "the opinion was added but not learned from yet; to continue, run the same command"
    assert last.startswith(f"error: cache {store / 'calls.db'}: the file is not a database; move it away to continue")
    assert opinions_of(store)[-1] == Opinion(NEW, "soup")


def test_ctrl_c_keeps_the_opinion_and_says_how_to_go_on(fitted: Fitted) -> None:
    server, store = fitted
    kept, before = learned(store), len(server.requests)
    server.answer = lambda body, n: Hang() if n > before + 2 else answer(body, n)
    command = [sys.executable, "-m", "idiolect.cli.app", "users", "add-opinion", "ann", NEW.text, "--answer", "soup"]
    process = start([*command, "--choices", "|".join(WORDS), "--store", str(store)], cwd=ROOT)
    while len(server.requests) < before + 3:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while not process.stderr.readline().startswith("stopping: "):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert stderr.endswith(
        "stopped: the opinion was added but not learned from yet; to continue, run the same command\n"
    )
    assert Opinion(NEW, "soup") in opinions_of(store)
    assert learned(store) == kept
    server.answer = answer
    assert add(store, NEW, "soup").exit_code == 0
