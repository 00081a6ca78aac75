"""`idiolect fit` and `ask` against a server: what is asked, what is kept, and how each fault ends."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import DataError, OperationalError
from typer.testing import Result

from idiolect.application.fermi import FermiLearner
from idiolect.errors import CacheError, SettingsError, StoreError
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.people.user import User
from idiolect.store import Store
from tests.api_server import Answer, ApiServer, Body, Hang, Status, chat_payload
from tests.cli.interrupting import start
from tests.cli.learning import run
from tests.cli.remote_world import answer, arguments, asked_names, kept_names, learned, person, write_users

ROOT = Path(__file__).resolve().parents[2]
IDIOLECT = (sys.executable, "-m", "idiolect.cli.app")
KEY = "sk-hush-hush-0123456789"


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "IDIOLECT_API_KEY", "IDIOLECT_PRICES"):
        monkeypatch.delenv(name, raising=False)


def fit(users: Path, store: Path, server: ApiServer, *more: str) -> Result:
    return run(*arguments(users, store, server.url, *more))


def states(result: Result) -> dict[str, str]:
    """Of a run with --json."""
    return {line["id"]: line["state"] for line in map(json.loads, result.stdout.splitlines())}


def about(body: Body, user_id: str) -> bool:
    return user_id in json.dumps(body["messages"])


def bytes_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


def test_fit_learns_and_keeps_every_answer(tmp_path: Path) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann", "bob", "eve"]), tmp_path / "store"
    with ApiServer(answer) as server:
        result = fit(users, store, server)
    assert result.exit_code == 0, result.output
    assert sorted(line.split()[0] for line in result.stdout.splitlines()) == ["ID", "ann", "bob", "eve"]
    asked = asked_names(server)
    assert f"of 3 users: 3 learned; {len(asked)} calls" in result.stderr
    assert "cost not known" in result.stderr
    assert kept_names(store) == set(asked)
    assert len(asked) == len(set(asked)), "a request was made twice"
    payload = learned(store)["ann"]["fermi"]
    assert (payload["model"], payload["optimizer"]) == (f"{server.url}#m", f"{server.url}#m")
    with Store.open(store, create=False) as opened:
        assert opened.checkpoints("ann") == []


def test_the_same_command_again_asks_nothing(tmp_path: Path) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann", "bob"]), tmp_path / "store"
    with ApiServer(answer) as server:
        assert fit(users, store, server).exit_code == 0
        first, before = learned(store), len(server.requests)
        again = fit(users, store, server)
    assert again.exit_code == 0
    assert len(server.requests) == before
    assert learned(store) == first
    assert "of 2 users: 2 learned; 0 calls, 0 + 0 tokens" in again.stderr
    assert f"{before} answers from the cache" in again.stderr


def test_resume_skips_who_is_learned_and_learns_anew_who_changed(tmp_path: Path) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann", "bob"]), tmp_path / "store"
    with ApiServer(answer) as server:
        assert fit(users, store, server).exit_code == 0
        first, before = learned(store), len(server.requests)
        skipped = fit(users, store, server, "--resume", "--json")
        assert states(skipped) == {"ann": "already learned", "bob": "already learned"}
        assert skipped.exit_code == 0
        assert len(server.requests) == before
        users.write_text(json.dumps(person("ann", 6)) + "\n" + json.dumps(person("bob")) + "\n")
        changed = fit(users, store, server, "--resume", "--json")
    assert states(changed) == {"ann": "learned", "bob": "already learned"}
    assert learned(store)["bob"] == first["bob"]
    assert learned(store)["ann"] != first["ann"]
    assert all(about(received.body, "ann") for received in server.requests[before:])


def test_resume_learns_anew_with_other_settings(tmp_path: Path) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann"]), tmp_path / "store"
    with ApiServer(answer) as server:
        assert fit(users, store, server).exit_code == 0
        assert states(fit(users, store, server, "--resume", "--seed", "5", "--json")) == {"ann": "learned"}


def test_without_a_cache_every_call_is_made_and_none_is_kept(tmp_path: Path) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann"]), tmp_path / "store"
    with ApiServer(answer) as server:
        assert fit(users, store, server, "--no-cache").exit_code == 0
        first, needed = learned(store), len(server.requests)
        assert fit(users, store, server, "--no-cache").exit_code == 0
        assert len(server.requests) == 2 * needed
        assert Counter(asked_names(server)[:needed]) == Counter(asked_names(server)[needed:])
    assert learned(store) == first
    assert not list(store.glob("calls.db*"))


def test_a_user_whose_requests_fail_does_not_stop_the_others(tmp_path: Path) -> None:
    def failing(body: Body, number: int) -> Answer:
        refused = Status(400, body={"error": {"message": "the content is filtered", "code": "content_filter"}})
        return refused if about(body, "bob") else answer(body, number)

    users = write_users(tmp_path / "users.jsonl", ["ann", "bob", "eve"])
    with ApiServer(failing) as server:
        result = fit(users, tmp_path / "store", server)
        as_json = fit(users, tmp_path / "other", server, "--json")
    assert result.exit_code == as_json.exit_code == 1
    assert "1 of 3 users could not be learned; the others are kept:" in result.stderr
    assert f"  bob: {server.url}" in result.stderr
    assert "HTTP 400" in result.stderr
    assert "of 3 users: 2 learned, 1 failed;" in result.stderr
    assert sorted(learned(tmp_path / "store")) == ["ann", "bob", "eve"]
    assert {user_id for user_id, kept in learned(tmp_path / "store").items() if kept} == {"ann", "eve"}
    assert states(as_json) == {"ann": "learned", "bob": "failed", "eve": "learned"}
    (error,) = [line["error"] for line in map(json.loads, as_json.stdout.splitlines()) if "error" in line]
    assert error["type"] == "ModelError"
    assert "o'clock" not in result.output + as_json.output, "a message repeats what a person was asked"


def _unkeepable(learned: FermiPersonalization) -> FermiPersonalization:
    return replace(learned, optimizer="no\0name")


def _raising(error: Exception, cause: Exception | None = None) -> Callable[[FermiPersonalization], Any]:
    def fail(_: FermiPersonalization) -> None:
        raise error from cause

    return fail


def _bobs(monkeypatch: pytest.MonkeyPatch, change: Callable[[FermiPersonalization], Any], *, after: ApiServer) -> None:
    """What is learned for bob comes out changed, once the server has been busy for a while."""
    learn = FermiLearner.learn

    async def changed(self: FermiLearner, user: User, **given: Any) -> Any:
        while user.id == "bob" and len(after.requests) < 8:
            await asyncio.sleep(0.005)
        learned = await learn(self, user, **given) if user.id != "bob" or change is _unkeepable else None
        return learned if user.id != "bob" else change(learned)  # type: ignore[arg-type]

    monkeypatch.setattr(FermiLearner, "learn", changed)


@pytest.mark.parametrize(
    ("change", "kind", "told"),
    [
        (_unkeepable, "StoreError", "holds a NUL"),
        (_raising(SettingsError("no such thing")), "SettingsError", "no such thing"),
        (_raising(ValueError("SECRET is no score")), "PersonalizationError", "a value makes no sense (ValueError)"),
        (_raising(StoreError("refused"), DataError("", {}, Exception())), "StoreError", "refused"),
    ],
    ids=["payload", "settings", "value", "row"],
)
def test_what_fails_for_one_user_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any, kind: str, told: str
) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann", "bob", "eve"]), tmp_path / "store"
    with ApiServer(answer) as server:
        _bobs(monkeypatch, change, after=server)
        result = fit(users, store, server, "--json")
    assert result.exit_code == 1
    assert states(result) == {"ann": "learned", "bob": "failed", "eve": "learned"}
    (error,) = [line["error"] for line in map(json.loads, result.stdout.splitlines()) if "error" in line]
    assert error["type"] == kind
    assert told in error["message"]
    assert "SECRET" not in result.output


@pytest.mark.parametrize(
    ("error", "cause", "told"),
    [
        (StoreError("the store is locked"), OperationalError("", {}, Exception()), "error: the store is locked"),
        (CacheError("the cache is full"), None, "error: the cache is full"),
        (RuntimeError("a bug"), None, "internal error: RuntimeError: a bug"),
    ],
    ids=["store", "cache", "bug"],
)
def test_what_is_not_one_users_ends_the_run_and_calls_in_flight_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, cause: Exception | None, told: str
) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann", "bob", "eve"]), tmp_path / "store"
    with ApiServer(answer, latency=0.05) as server:
        with monkeypatch.context() as patched:
            _bobs(patched, _raising(error, cause), after=server)
            result = fit(users, store, server)
        assert result.exit_code == 1
        assert result.stderr.splitlines()[-1].startswith(told)
        asked = asked_names(server)
        assert kept_names(store) == set(asked), "a call that was in flight was not kept"
        server.latency = 0.0
        assert fit(users, store, server, "--resume").exit_code == 0
        assert fit(users, tmp_path / "undisturbed", server, "--no-cache").exit_code == 0
    assert len(asked) < len(set(asked_names(server))), "the others were learned all the same"
    assert learned(store) == learned(tmp_path / "undisturbed")


def test_a_user_who_failed_is_learned_by_the_same_command_later(tmp_path: Path) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann", "bob"]), tmp_path / "store"
    with ApiServer(answer) as server:
        assert fit(users, tmp_path / "undisturbed", server).exit_code == 0
        needed = len(set(asked_names(server)))
        server.log.clear()
        server.answer = lambda body, n: Status(400) if about(body, "bob") and n > 20 else answer(body, n)
        assert fit(users, store, server).exit_code == 1
        server.answer = answer
        assert states(fit(users, store, server, "--resume", "--json")) == {"ann": "already learned", "bob": "learned"}
    assert learned(store) == learned(tmp_path / "undisturbed")
    assert len(set(asked_names(server))) == needed


def test_a_server_that_is_down_is_one_error_at_once(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        users = write_users(tmp_path / "users.jsonl", ["ann", "bob"])
        start_time = time.monotonic()
        result = run(*arguments(users, tmp_path / "store", url))
    assert result.exit_code == 1
    assert result.stderr == f"error: {url}: connection refused: is the server running?\n"
    assert result.stdout == ""
    assert not (tmp_path / "store").exists()
    assert time.monotonic() - start_time < 20, "it was tried again and again"


def test_a_refused_key_names_the_variable_and_not_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDIOLECT_API_KEY", KEY)
    users = write_users(tmp_path / "users.jsonl", ["ann"])
    with ApiServer(lambda _body, _n: Status(401, body={"error": {"message": f"bad key {KEY}"}})) as server:
        result = fit(users, tmp_path / "store", server)
    assert result.exit_code == 1
    assert "IDIOLECT_API_KEY" in result.stderr
    assert KEY not in result.output
    assert [received.headers["authorization"] for received in server.requests[:1]] == [f"Bearer {KEY}"]


def test_openai_without_a_key_writes_nothing(tmp_path: Path) -> None:
    users = write_users(tmp_path / "users.jsonl", ["ann"])
    result = run("fit", users, "--store", tmp_path / "store", "--model", "gpt-4o-mini", "--similarity", "bm25")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "set the environment variable OPENAI_API_KEY" in result.stderr
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("debug", ["0", "1"])
def test_a_key_is_nowhere_but_in_the_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, debug: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("IDIOLECT_DEBUG", debug)
    users, store = write_users(tmp_path / "users.jsonl", ["ann", "bob"]), tmp_path / "store"
    with ApiServer(lambda body, n: Status(400, body=KEY) if about(body, "bob") else answer(body, n)) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        few = ("--similarity", "bm25", "--iterations", "2", "--json")
        result = run("fit", users, "--store", store, "--model", "gpt-4o-mini", *few)
    assert states(result) == {"ann": "learned", "bob": "failed"}
    assert {received.headers["authorization"] for received in server.log} == {f"Bearer {KEY}"}
    assert KEY not in result.output
    assert KEY.encode() not in bytes_in(store)
    assert learned(store)["ann"]["fermi"]["model"] == "openai:gpt-4o-mini"


def test_the_same_name_on_another_server_is_asked_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    users, counts = write_users(tmp_path / "users.jsonl", ["ann"]), []
    for _ in range(2):
        with ApiServer(answer) as server:
            monkeypatch.setenv("OPENAI_BASE_URL", server.url)
            few = ("--similarity", "bm25", "--iterations", "1")
            assert run("fit", users, "--store", tmp_path / "store", "--model", "openai:m", *few).exit_code == 0
            counts.append(len(server.requests))
    assert counts[0] == counts[1] > 0


@pytest.mark.parametrize("budget", [(), ("--budget-calls", "12")], ids=["learned", "stopped early"])
def test_resume_with_the_same_name_on_another_server_learns_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: tuple[str, ...]
) -> None:
    """What OPENAI_BASE_URL says is part of what a model is."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    users, store = write_users(tmp_path / "users.jsonl", ["ann"]), tmp_path / "store"
    few = ("--model", "openai:m", "--similarity", "bm25", "--iterations", "2")

    def other(body: Body, number: int) -> Answer:
        return str(answer(body, number)).replace("This person likes", "This person hates")

    with ApiServer(answer) as first, ApiServer(other) as second:
        monkeypatch.setenv("OPENAI_BASE_URL", first.url)
        assert run("fit", users, "--store", store, *few, *budget).exit_code == bool(budget)
        monkeypatch.setenv("OPENAI_BASE_URL", second.url)
        assert states(run("fit", users, "--store", store, *few, "--resume", "--json")) == {"ann": "learned"}
        asked = len(second.requests)
        assert states(run("fit", users, "--store", store, *few, "--resume", "--json")) == {"ann": "already learned"}
        assert len(second.requests) == asked
        assert run("fit", users, "--store", tmp_path / "undisturbed", *few).exit_code == 0
    assert learned(store) == learned(tmp_path / "undisturbed")


def test_what_was_learned_before_servers_were_noted_is_not_learned_anew(tmp_path: Path) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann"]), tmp_path / "store"
    with ApiServer(answer) as server:
        assert fit(users, store, server).exit_code == 0
        payload = learned(store)["ann"]["fermi"]
        del payload["made_with"]
        with Store.open(store, create=False) as opened:
            opened.save_personalization("ann", "fermi", payload)
        assert states(fit(users, store, server, "--resume", "--json")) == {"ann": "already learned"}


def test_calls_in_flight_stay_within_the_bound_and_users_take_turns(tmp_path: Path) -> None:
    ids = [f"u{n}" for n in range(6)]
    users = write_users(tmp_path / "users.jsonl", ids)
    with ApiServer(answer, latency=0.005) as server:
        result = fit(users, tmp_path / "store", server, "--concurrency", "3")
    assert result.exit_code == 0, result.output
    assert server.peak == 3
    first = [next(i for i, each in enumerate(server.requests) if about(each.body, user_id)) for user_id in ids]
    assert max(first) < len(server.requests) / 3, "a user waited for the others to be done"


def test_prompts_may_be_written_by_another_server(tmp_path: Path) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann"]), tmp_path / "store"
    with ApiServer(answer) as server, ApiServer(answer, models=["big"]) as other:
        result = fit(users, store, server, "--optimizer", f"{other.url}#big")
    assert result.exit_code == 0, result.output
    assert {received.body["model"] for received in server.requests} == {"m"}
    assert {received.body["model"] for received in other.requests} == {"big"}
    assert all("square brackets" in str(received.body["messages"]) for received in other.requests)
    assert not any("square brackets" in str(received.body["messages"]) for received in server.requests)
    assert learned(store)["ann"]["fermi"]["optimizer"] == f"{other.url}#big"


def test_an_optimizer_that_is_down_is_one_error_at_once(tmp_path: Path) -> None:
    users = write_users(tmp_path / "users.jsonl", ["ann"])
    with ApiServer(answer) as other:
        gone = other.url
    with ApiServer(answer) as server:
        result = fit(users, tmp_path / "store", server, "--optimizer", f"{gone}#big")
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"error: {gone}: connection refused" in result.stderr
    assert server.requests == []
    assert not (tmp_path / "store").exists()


def ask_of(store: Path, *more: str) -> Result:
    return run("ask", "--store", store, "--user", "ann", "Bread or soup?", "--choices", "bread|soup", *more)


def test_a_question_asked_twice_is_asked_of_the_server_once(tmp_path: Path) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann"]), tmp_path / "store"
    with ApiServer(answer) as server:
        assert fit(users, store, server).exit_code == 0
        before = len(server.requests)
        first = ask_of(store, "--base", "--json")
        assert first.exit_code == 0, first.output
        asked = len(server.requests) - before
        assert asked >= 1
        again = ask_of(store, "--base", "--json")
    assert json.loads(again.stdout)["answer"] == json.loads(first.stdout)["answer"]
    assert len(server.requests) == before + asked
    assert len(set(asked_names(server))) == len(server.requests)


def _harmful(body: Body, number: int) -> Answer:
    """Right wherever it knows nothing of the person but their profile, wrong under every other prompt."""
    text = json.dumps(body["messages"])
    if "square brackets" in text:
        return answer(body, number)
    hour = int(text.rpartition(" have at ")[2].split()[0]) if " have at " in text else 0
    words: tuple[str, ...] = person("ann")["opinions"][0]["choices"]
    return words[(hour + ("This person likes" in text)) % 6]


def test_where_the_evidence_speaks_for_the_base_model_it_answers(tmp_path: Path) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann"]), tmp_path / "store"
    with ApiServer(_harmful) as server:
        result = fit(users, store, server)
        assert result.exit_code == 0, result.output
        assert "base answers" in result.stdout
        as_json = json.loads(fit(users, store, server, "--json").stdout)
        before = len(server.requests)
        told = ask_of(store)
        shown = json.loads(ask_of(store, "--base", "--json").stdout)
    assert as_json["used"] is False
    assert as_json["evidence"]
    assert "Why: " in told.stdout
    assert as_json["evidence"] in " ".join(told.stdout.split())
    assert (shown["personalized"], shown["evidence"], shown["prompts"]) == (False, as_json["evidence"], [])
    assert shown["answer"] == shown["base"]["answer"]
    assert len(server.requests) == before + 1


class Run:
    """A `fit` in a process of its own."""

    def __init__(self, users: Path, store: Path, server: ApiServer, *more: str) -> None:
        self.process = start([*IDIOLECT, *arguments(users, store, server.url, *more)], cwd=ROOT)

    def until_stopping(self) -> None:
        """Wait until it says that it stops."""
        assert self.process.stderr is not None
        while line := self.process.stderr.readline():
            if line.startswith("stopping: "):
                return
        raise AssertionError("it ended without a word")

    def end(self) -> tuple[int, str, str]:
        stdout, stderr = self.process.communicate(timeout=120)
        return self.process.returncode, stdout, stderr


def wait_for_requests(server: ApiServer, n: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while len(server.requests) < n:
        assert process.poll() is None, "it ended before it was stopped"
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_stopped_by_hand_what_is_in_flight_is_kept(tmp_path: Path, sent: signal.Signals) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann", "bob"]), tmp_path / "store"
    with ApiServer(answer, latency=0.2) as server:
        going = Run(users, store, server)
        wait_for_requests(server, 6, going.process)
        going.process.send_signal(sent)
        status, _, stderr = going.end()
        asked = asked_names(server)
        assert status == 130, stderr
        assert "stopping: waiting up to 10 s for " in stderr
        assert "; Ctrl-C again does not wait" in stderr
        assert stderr.splitlines()[-2].startswith("of 2 users: ")
        assert stderr.splitlines()[-1] == "stopped: the same command with --resume goes on from here"
        assert "Traceback" not in stderr
        assert kept_names(store) == set(asked), "a call that was in flight was not kept"
        assert all(received.answered for received in server.requests)
        server.latency = 0.0
        resumed = fit(users, store, server, "--resume")
        assert resumed.exit_code == 0, resumed.output
        assert "in flight when an earlier run ended" not in resumed.stderr
        assert fit(users, tmp_path / "undisturbed", server, "--no-cache").exit_code == 0
    assert learned(store) == learned(tmp_path / "undisturbed")
    assert len(set(asked_names(server)[: len(asked)])) == len(asked)


def test_a_second_ctrl_c_drops_what_is_in_flight_at_once(tmp_path: Path) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann", "bob"]), tmp_path / "store"
    with ApiServer(lambda body, n: Hang() if n > 4 else answer(body, n)) as server:
        going = Run(users, store, server)
        wait_for_requests(server, 8, going.process)
        going.process.send_signal(signal.SIGINT)
        going.until_stopping()
        assert going.process.poll() is None
        begun = time.monotonic()
        going.process.send_signal(signal.SIGINT)
        status, _, stderr = going.end()
        assert status == 130, stderr
        assert time.monotonic() - begun < 8, "it waited for the end of the grace"
        assert "4 calls were dropped in flight and may have been billed" in stderr
        assert "the same command with --resume goes on from here" in stderr
        assert "Traceback" not in stderr
        server.answer = answer
        assert fit(users, store, server, "--resume").exit_code == 0


SHORT_GRACE = (
    "from idiolect.application import blocking; from idiolect.cli import app; blocking.GRACE_SECONDS = 0.2; app.main()"
)


def test_the_end_of_the_grace_drops_what_is_in_flight(tmp_path: Path) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann"]), tmp_path / "store"
    with ApiServer(lambda body, n: Hang() if n > 2 else answer(body, n)) as server:
        process = start([sys.executable, "-c", SHORT_GRACE, *arguments(users, store, server.url)], cwd=ROOT)
        wait_for_requests(server, 3, process)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert "dropped in flight and may have been billed" in stderr


def test_a_server_without_log_probabilities_ends_the_run_with_the_option_that_helps(tmp_path: Path) -> None:
    users = write_users(tmp_path / "users.jsonl", ["ann"])
    with ApiServer(lambda *_: chat_payload("A", {})) as server:
        result = fit(users, tmp_path / "store", server, "--answering", "likelihood")
    assert result.exit_code == 1
    assert "offers no log-probabilities: use --answering generate" in result.stderr


def test_two_processes_with_the_same_users_send_each_request_once_each_at_most(tmp_path: Path) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann", "bob", "eve"]), tmp_path / "store"
    with ApiServer(answer, latency=0.05) as server:
        both = [Run(users, store, server) for _ in range(2)]
        ends = [each.end() for each in both]
        asked = asked_names(server)
        for status, stdout, stderr in ends:
            assert status == 0, stderr
            assert sorted(line.split()[0] for line in stdout.splitlines()) == ["ID", "ann", "bob", "eve"]
        assert max(Counter(asked).values()) <= 2
        server.latency = 0.0
        assert fit(users, tmp_path / "undisturbed", server, "--no-cache").exit_code == 0
    assert learned(store) == learned(tmp_path / "undisturbed")
    assert kept_names(store) == set(asked)


def test_a_user_forgotten_meanwhile_does_not_stop_the_others(tmp_path: Path) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann", "bob", "eve"]), tmp_path / "store"
    forgotten: list[int] = []

    def forgetting(body: Body, number: int) -> str:
        if number == 10:  # as from another computer: here, forgetting waits until the run has ended
            database = sqlite3.connect(store / "idiolect.db", timeout=10)
            database.execute("PRAGMA foreign_keys = ON")
            with database:
                forgotten.append(database.execute("DELETE FROM users WHERE id = 'eve'").rowcount)
            database.close()
        return answer(body, number)

    with ApiServer(forgetting) as server:
        result = fit(users, store, server, "--json", "--concurrency", "1")
    assert forgotten == [1]
    assert result.exit_code == 1
    assert states(result) == {"ann": "learned", "bob": "learned", "eve": "failed"}
    assert "eve" not in learned(store)
