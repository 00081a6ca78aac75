"""`idiolect users add-opinion`: the opinion is kept whatever happens, and learning goes on, not from scratch."""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from idiolect.application.fermi import FermiLearner
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.people.user import Opinion, Question, User
from idiolect.store import Store
from tests.api_server import ApiServer, Hang, Status
from tests.cli.interrupting import start
from tests.cli.learning import run
from tests.cli.remote_world import answer, arguments, asked_names, kept_names, learned, person, write_users

ROOT = Path(__file__).resolve().parents[2]
WORDS: tuple[str, ...] = person("ann")["opinions"][0]["choices"]
NEW = Question("What would ann have at midnight?", WORDS)
OLD = Question(person("ann")["opinions"][2]["question"], WORDS)


def add(store: Path, question: Question, given: str, *more: str, user: str = "ann") -> Result:
    choices = ("--choices", "|".join(question.choices)) if question.choices else ()
    return run("users", "add-opinion", user, question.text, *choices, "--answer", given, "--store", store, *more)


def opinions_of(store: Path, user: str = "ann") -> tuple[Opinion, ...]:
    with Store.open(store, create=False) as opened:
        return opened.user(user).opinions


def fermi(store: Path) -> FermiPersonalization:
    return FermiPersonalization.from_json(learned(store)["ann"]["fermi"])


def known(personalization: FermiPersonalization) -> set[Opinion]:
    return {*personalization.opinions, *personalization.examples, *personalization.held_out}


@pytest.fixture
def fitted(tmp_path: Path) -> Any:
    """A server, and a store where ann is learned."""
    users = write_users(tmp_path / "users.jsonl", ["ann"])
    with ApiServer(answer) as server:
        assert run(*arguments(users, tmp_path / "store", server.url)).exit_code == 0
        yield server, tmp_path / "store"


Fitted = tuple[ApiServer, Path]


def test_learning_goes_on_with_few_calls(tmp_path: Path, fitted: Fitted) -> None:
    server, store = fitted
    before, asked = fermi(store), len(server.requests)
    result = add(store, NEW, "soup", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["id"], told["opinion"], told["learned"]) == ("ann", "added", True)
    assert told["calls"] == len(server.requests) - asked
    assert (told["best_score_before"], told["money"]) == (before.best.score, None)
    after = fermi(store)
    assert known(after) == {*known(before), Opinion(NEW, "soup")} == set(opinions_of(store))
    assert len(after.iterations) == len(before.iterations) + 1
    assert kept_names(store) == set(asked_names(server))
    # From scratch, as a run with as many iterations and nothing in the cache:
    users = tmp_path / "more.jsonl"
    users.write_text(
        json.dumps(person("ann") | {"opinions": [*person("ann")["opinions"], _record(NEW, "soup")]}) + "\n"
    )
    with ApiServer(answer) as other:
        given = arguments(users, tmp_path / "scratch", other.url, "--iterations", "3")
        assert run(*given).exit_code == 0
        assert told["calls"] < len(other.requests)


def _record(question: Question, given: str) -> dict[str, Any]:
    return {"question": question.text, "choices": list(question.choices), "answer": given}


def test_what_came_of_it_is_told(fitted: Fitted) -> None:
    server, store = fitted
    before = len(server.requests)
    result = add(store, NEW, "soup")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("opinion added\nbest prompt ")
    assert f"; {len(server.requests) - before} calls, " in result.stdout
    assert "o'clock" not in result.output


def test_another_answer_takes_the_old_ones_place(fitted: Fitted) -> None:
    server, store = fitted
    before = len(server.requests)
    result = add(store, OLD, "tea", "--iterations", "0", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["opinion"] == "replaced"
    assert len(opinions_of(store)) == 5
    assert Opinion(OLD, "tea") in opinions_of(store)
    assert known(fermi(store)) == set(opinions_of(store))
    assert all("square brackets" not in str(each.body) for each in server.requests[before:])


def test_without_learning_nobody_is_called(fitted: Fitted) -> None:
    server, store = fitted
    before, kept = len(server.log), learned(store)
    result = add(store, NEW, "soup", "--no-learn")
    assert (result.exit_code, result.stdout) == (0, "opinion added\nnot learned from yet\n")
    assert len(server.log) == before
    assert learned(store) == kept
    assert Opinion(NEW, "soup") in opinions_of(store)
    assert json.loads(add(store, NEW, "soup", "--json").stdout)["learned"] is True
    assert known(fermi(store)) == set(opinions_of(store))


def test_of_whom_nothing_is_learned_only_the_opinion_is_kept(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with Store.open(store) as opened:
        opened.save_users([User("ann", opinions=(Opinion(OLD, "bread"),))])
    result = add(store, Question("Tea or coffee?"), "Tea, no milk")
    assert (result.exit_code, result.stdout) == (0, "opinion added\nnothing was learned for this user yet\n")
    assert Opinion(Question("Tea or coffee?"), "Tea, no milk") in opinions_of(store)


def test_an_unknown_user_and_a_missing_store_are_errors(tmp_path: Path, fitted: Fitted) -> None:
    server, store = fitted
    before = len(server.log)
    assert "holds no user 'eve'" in add(store, NEW, "soup", user="eve").stderr
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


@pytest.mark.parametrize("limit", [1, 3, 6])
def test_stopped_by_a_budget_the_same_command_goes_on(tmp_path: Path, fitted: Fitted, limit: int) -> None:
    server, store = fitted
    kept, before = learned(store), len(server.requests)
    stopped = add(store, NEW, "soup", "--budget-calls", str(limit), "--json")
    assert stopped.exit_code == 1
    assert len(server.requests) == before + limit
    assert f"the budget of {limit} calls is spent" in stopped.stderr
    assert "the opinion is added and kept, nothing was learned from it yet; the same command goes on" in stopped.stderr
    assert json.loads(stopped.stdout) == {"id": "ann", "opinion": "added", "learned": False}
    assert Opinion(NEW, "soup") in opinions_of(store)
    assert learned(store) == kept, "what was learned before is no longer there"
    assert kept_names(store) == set(asked_names(server))
    asked = run("ask", "--store", store, "--user", "ann", "Tea or rice?", "--choices", "tea|rice", "--json")
    assert asked.exit_code == 0, asked.output
    assert add(store, NEW, "soup").exit_code == 0
    assert len(set(asked_names(server))) == len(server.requests), "a request was repeated"
    after = learned(store)
    with Store.open(store, create=False) as opened:
        assert opened.checkpoints("ann") == []
    # The same without the stop:
    undisturbed = tmp_path / "undisturbed"
    assert run(*arguments(tmp_path / "users.jsonl", undisturbed, server.url)).exit_code == 0
    assert add(undisturbed, NEW, "soup").exit_code == 0
    assert learned(undisturbed)["ann"]["fermi"]["iterations"] == after["ann"]["fermi"]["iterations"]


def test_what_was_stopped_early_is_learned_to_the_end(tmp_path: Path) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann"]), tmp_path / "store"
    with ApiServer(answer) as server:
        given = arguments(users, store, server.url, "--iterations", "6")
        assert run(*given, "--budget-calls", "20").exit_code == 1
        partial = fermi(store)
        assert (partial.finished, len(partial.iterations) < 6) == (False, True)
        result = add(store, NEW, "soup", "--json")
        assert result.exit_code == 0, result.output
        resumed = run(*given, "--resume", "--json")
        assert resumed.exit_code == 0, resumed.output
    after = fermi(store)
    assert (after.finished, len(after.iterations) >= 6) == (True, True), "iterations were left out"
    assert known(after) == set(opinions_of(store))


FOREIGN = {"method": "fermi", "format": 1, "identity": "another run's", "state": {}}


def _interfering(monkeypatch: pytest.MonkeyPatch, store: Path, times: int, **change: Any) -> list[int]:
    """While learning goes on, another process saves what it learned, so many times, and its checkpoint."""
    extend, went_on_from = FermiLearner.extend, []

    async def beaten(
        self: FermiLearner, before: FermiPersonalization, user: User, **given: Any
    ) -> FermiPersonalization:
        after = await extend(self, before, user, **given)
        went_on_from.append(before.answering.calls)
        with Store.open(store, create=False) as opened:
            opened.save_checkpoint("ann", "fermi", FOREIGN)
            if len(went_on_from) <= times:
                usage = replace(before.answering, calls=1000 * len(went_on_from))
                saved = replace(before, answering=usage, **change)
                opened.save_personalization("ann", "fermi", saved.to_json())
        return after

    monkeypatch.setattr(FermiLearner, "extend", beaten)
    return went_on_from


@pytest.mark.parametrize("times", [1, 2])
def test_what_another_process_saved_meanwhile_is_gone_on_from(
    fitted: Fitted, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    server, store = fitted
    first = fermi(store).answering.calls
    went_on_from = _interfering(monkeypatch, store, times)
    result = add(store, NEW, "soup", "--json")
    assert result.exit_code == 0, result.output
    assert went_on_from == [first, 1000, 2000][: times + 1]
    assert fermi(store).answering.calls > 1000 * times
    assert known(fermi(store)) == set(opinions_of(store))
    assert len(set(asked_names(server))) == len(server.requests), "a request was repeated"
    with Store.open(store, create=False) as opened:
        assert opened.checkpoint("ann", "fermi") == FOREIGN, "another run's checkpoint was dropped"


@pytest.mark.parametrize(
    ("times", "change", "tries"), [(9, {}, 3), (1, {"made_with": "others"}, 1), (1, {"model": "replay:x"}, 1)]
)
def test_where_others_keep_saving_it_is_an_error_and_theirs_stays(
    fitted: Fitted, monkeypatch: pytest.MonkeyPatch, times: int, change: dict[str, Any], tries: int
) -> None:
    _, store = fitted
    went_on_from = _interfering(monkeypatch, store, times, **change)
    result = add(store, NEW, "soup")
    assert (result.exit_code, len(went_on_from)) == (1, tries)
    assert "error: another process learned for user 'ann' at the same time; the opinion is kept" in result.stderr
    assert fermi(store).answering.calls == 1000 * tries
    assert Opinion(NEW, "soup") in opinions_of(store)


def test_a_server_that_is_down_keeps_the_opinion_and_is_one_error(tmp_path: Path) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann"]), tmp_path / "store"
    with ApiServer(answer) as server:
        assert run(*arguments(users, store, server.url)).exit_code == 0
    kept = learned(store)
    result = add(store, NEW, "soup", "--json")
    assert result.exit_code == 1
    assert result.stderr == f"error: {server.url}: connection refused: is the server running?\n"
    assert json.loads(result.stdout)["error"]["type"] == "ModelError"
    assert Opinion(NEW, "soup") in opinions_of(store)
    assert learned(store) == kept


def test_a_model_that_fails_keeps_the_opinion(fitted: Fitted) -> None:
    server, store = fitted
    kept = learned(store)
    server.answer = lambda body, n: Status(400) if "midnight" in str(body) else answer(body, n)
    result = add(store, NEW, "soup")
    assert result.exit_code == 1
    assert "HTTP 400" in result.stderr
    assert Opinion(NEW, "soup") in opinions_of(store)
    assert learned(store) == kept
    server.answer = answer
    assert add(store, NEW, "soup").exit_code == 0
    assert known(fermi(store)) == set(opinions_of(store))


def test_money_without_a_price_calls_nobody(fitted: Fitted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IDIOLECT_PRICES", raising=False)
    server, store = fitted
    before = len(server.log)
    result = add(store, NEW, "soup", "--budget-money", "1")
    assert result.exit_code == 1
    assert "is not known, so money cannot be a limit" in result.stderr
    assert len(server.log) == before


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
        "stopped: the opinion is added and kept, nothing was learned from it yet; the same command goes on\n"
    )
    assert Opinion(NEW, "soup") in opinions_of(store)
    assert learned(store) == kept
    server.answer = answer
    assert add(store, NEW, "soup").exit_code == 0
