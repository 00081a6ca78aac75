"""`idiolect fit` and `ask` against a server: what is printed, and how signals and other processes end."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import Result

from tests.api_server import Answer, ApiServer, Body, Hang, Status, Stream, chat_payload
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


def test_fit_prints_who_is_learned_and_what_it_cost(tmp_path: Path) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann", "bob"]), tmp_path / "store"
    with ApiServer(answer) as server:
        result = fit(users, store, server)
        calls = len(server.requests)
        again = fit(users, store, server)
        skipped = fit(users, store, server, "--resume", "--json")
    assert (result.exit_code, again.exit_code, skipped.exit_code) == (0, 0, 0), result.output
    assert sorted(line.split()[0] for line in result.stdout.splitlines()) == ["ID", "ann", "bob"]
    assert f"of 2 users: 2 learned; {calls} calls" in result.stderr
    assert "cost unknown" in result.stderr
    assert "of 2 users: 2 learned; 0 calls, 0 + 0 tokens" in again.stderr
    assert f"{calls} answers from the cache" in again.stderr
    assert states(skipped) == {"ann": "already learned", "bob": "already learned"}


def test_options_reach_the_calls(tmp_path: Path) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann", "bob"]), tmp_path / "store"
    with ApiServer(answer, latency=0.005) as server, ApiServer(answer, models=["big"]) as other:
        result = fit(users, store, server, "--no-cache", "--concurrency", "3", "--optimizer", f"{other.url}#big")
    assert result.exit_code == 0, result.output
    assert server.peak == 3
    assert {received.body["model"] for received in other.requests} == {"big"}
    assert not list(store.glob("calls.db*"))


def test_a_user_whose_requests_fail_is_printed(tmp_path: Path) -> None:
    def failing(body: Body, number: int) -> Answer:
        refused = Status(400, body={"error": {"message": "no", "code": "invalid_value"}})
        return refused if about(body, "bob") else answer(body, number)

    users = write_users(tmp_path / "users.jsonl", ["ann", "bob", "eve"])
    with ApiServer(failing) as server:
        result = fit(users, tmp_path / "store", server)
        as_json = fit(users, tmp_path / "other", server, "--json")
    assert result.exit_code == as_json.exit_code == 1
    assert "1 of 3 users failed; the results of the others were kept:" in result.stderr
    assert f"  bob: {server.url}" in result.stderr
    assert "HTTP 400" in result.stderr
    assert "of 3 users: 2 learned, 1 failed;" in result.stderr
    assert states(as_json) == {"ann": "learned", "bob": "failed", "eve": "learned"}
    (error,) = [line["error"] for line in map(json.loads, as_json.stdout.splitlines()) if "error" in line]
    assert error["type"] == "ModelError"
    assert "o'clock" not in result.output + as_json.output, "a message repeats what a person was asked"


def test_reason_that_ends_the_run_is_printed_once_for_a_single_user(tmp_path: Path) -> None:
    users = write_users(tmp_path / "users.jsonl", ["ann"])
    with ApiServer(lambda _body, _number: Status(401)) as server:
        result = fit(users, tmp_path / "store", server)
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert "1 of 1 user failed:" in lines
    assert [line[:5] for line in lines if "denied access" in line] == ["[1/1]", "  ann"]


def test_streamed_answers_teach_the_same_as_plain_ones(tmp_path: Path) -> None:
    """The same prompts, calls and tokens, and a cache from which either kind answers."""
    users, summaries = write_users(tmp_path / "users.jsonl", ["ann"]), []
    for streams in (True, False):

        def replying(body: Body, _: int, *, streams: bool = streams) -> Answer:
            plain = {name: value for name, value in body.items() if not name.startswith("stream")}
            text = answer(plain)
            return Stream(text, size=3) if streams and body.get("stream") else text

        with ApiServer(replying) as server:
            store = tmp_path / str(streams)
            result = fit(users, store, server, "--json", "--max-tokens", "300")
            assert any("stream" in received.body for received in server.requests)
            summaries.append([json.loads(line) | {"seconds": 0} for line in result.stdout.splitlines()])
            names = {json.dumps(each.body["messages"]) for each in server.requests}
            assert f"{len(server.requests)} calls" in result.stderr
            summaries[-1].append({"messages": sorted(names)})
    assert summaries[0] == summaries[1]


def test_a_filtered_question_costs_itself_and_not_its_person(tmp_path: Path) -> None:
    def filtering(body: Body, number: int) -> Answer:
        refused = Status(400, body={"error": {"message": "filtered", "code": "content_filter"}})
        return refused if "What would bob have at 3 o'clock?" in str(body) else answer(body, number)

    users = write_users(tmp_path / "users.jsonl", ["ann", "bob"])
    with ApiServer(filtering) as server:
        result = fit(users, tmp_path / "store", server)
        refused = len([received for received in server.requests if "bob have at 3" in str(received.body)])
        again = fit(users, tmp_path / "store", server)
    assert result.exit_code == 0, result.output
    assert "of 2 users: 2 learned;" in result.stderr
    assert "refused by a content filter" in result.stderr
    assert refused >= 1
    assert again.exit_code == 0


def test_a_quota_that_is_used_up_ends_the_run_which_can_be_resumed(tmp_path: Path) -> None:
    broke = Status(402, body={"error": {"message": "Insufficient credits", "code": 402}})
    users = write_users(tmp_path / "users.jsonl", [f"u{number}" for number in range(40)])
    with ApiServer(lambda body, number: answer(body) if number <= 30 else broke) as server:
        result = fit(users, tmp_path / "store", server, "--concurrency", "4")
        assert result.exit_code == 1
        assert len(server.requests) <= 30 + 4, "others were tried in vain"
        assert "quota or credit is used up (HTTP 402)" in result.stderr
        assert "with --resume" in result.stderr
        server.answer = answer
        assert fit(users, tmp_path / "store", server, "--resume").exit_code == 0


def test_a_server_that_is_down_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        users = write_users(tmp_path / "users.jsonl", ["ann", "bob"])
        result = run(*arguments(users, tmp_path / "store", url))
    assert result.exit_code == 1
    assert result.stderr == f"error: {url}: connection refused: is the server running?\n"
    assert result.stdout == ""
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("debug", ["0", "1"])
def test_a_key_is_never_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, debug: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("IDIOLECT_DEBUG", debug)
    users, store = write_users(tmp_path / "users.jsonl", ["ann", "bob"]), tmp_path / "store"
    with ApiServer(lambda body, n: Status(400, body=KEY) if about(body, "bob") else answer(body, n)) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        few = ("--similarity", "bm25", "--iterations", "2", "--json")
        result = run("fit", users, "--store", store, "--model", "gpt-4o-mini", *few)
    assert states(result) == {"ann": "learned", "bob": "failed"}
    assert KEY not in result.output


def ask_of(store: Path) -> Result:
    return run("ask", "--store", store, "--user", "ann", "Bread or soup?", "--choices", "bread|soup")


def _harmful(body: Body, number: int) -> Answer:
    """Right wherever it knows nothing of the person but their profile, wrong under every other prompt."""
    text = json.dumps(body["messages"])
    if "square brackets" in text:
        return answer(body, number)
    hour = int(text.rpartition(" have at ")[2].split()[0]) if " have at " in text else 0
    words: tuple[str, ...] = person("ann")["opinions"][0]["choices"]
    return words[(hour + ("This person likes" in text)) % 6]


def test_where_the_base_model_answers_that_is_printed(tmp_path: Path) -> None:
    users, store = write_users(tmp_path / "users.jsonl", ["ann"]), tmp_path / "store"
    with ApiServer(_harmful) as server:
        result = fit(users, store, server)
        assert result.exit_code == 0, result.output
        assert "base model answers: no gain on unseen opinions" in result.stdout
        as_json = json.loads(fit(users, store, server, "--json").stdout)
        told = ask_of(store)
    assert as_json["used"] is False
    assert as_json["evidence"]
    assert "Why: " in told.stdout
    assert as_json["evidence"] in " ".join(told.stdout.split())


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
        assert "; press Ctrl-C again to stop at once" in stderr
        assert stderr.splitlines()[-2].startswith("of 2 users: ")
        assert stderr.splitlines()[-1] == "stopped: to continue, run the same command with --resume"
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
        assert "to continue, run the same command with --resume" in stderr
        assert "Traceback" not in stderr
        server.answer = answer
        assert fit(users, store, server, "--resume").exit_code == 0


SHORT_GRACE = (
    "from idiolect.application import portal; from idiolect.cli import app; portal.GRACE_SECONDS = 0.2; app.main()"
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
