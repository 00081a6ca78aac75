"""`idiolect chat`: one turn for scripts, a conversation in a terminal, Ctrl-C, and what is shown on which stream."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from idiolect.cli import chat_screen
from tests.api_server import Answer, ApiServer, Body, Status, Stream, WrongContentType
from tests.cli.learning import run
from tests.cli.remote_world import answer, arguments, kept_names, write_users

SAID = "What would ann have at 3 o'clock?"


def is_chat(body: Body) -> bool:
    """Whether a request is one of a conversation, and not one of learning."""
    last = body["messages"][-1]["content"]
    return "square brackets" not in last and "Question: " not in last


class World:
    """A server, and a store in which Ann was learned with it; `chats` are the bodies of conversations."""

    def __init__(self, store: Path, server: ApiServer) -> None:
        self.store, self.server = store, server
        self.reply: Answer = Stream("Tea, I think. \x1b[31mRed.", size=4)

    def answer(self, body: Body, number: int) -> Answer:
        return self.reply if is_chat(body) else answer(body, number)

    @property
    def chats(self) -> list[Body]:
        return [received.body for received in self.server.requests if is_chat(received.body)]

    def chat(self, *more: str, stdin: str | None = None) -> Any:
        return run("chat", "--store", self.store, *more, stdin=stdin)


@pytest.fixture(scope="module")
def learned_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A server, and a store in which ann was learned with it; tests copy the store."""
    folder = tmp_path_factory.mktemp("chat")
    with ApiServer(answer) as server:
        here = World(folder / "store", server)
        assert run(*arguments(write_users(folder / "u.jsonl", ["ann"]), here.store, server.url)).exit_code == 0
        yield here


@pytest.fixture
def world(learned_once: World, tmp_path: Path) -> World:
    """A copy of that store, and the server with an empty log."""
    server = learned_once.server
    server.log.clear()
    here = World(Path(shutil.copytree(learned_once.store, tmp_path / "store")), server)
    server.answer = here.answer
    return here


def test_one_turn_prints_the_answer_alone_and_the_reason_beside_it(world: World) -> None:
    result = world.chat("--user", "ann", "--once", SAID, "--system", "Be brief.")
    assert (result.exit_code, result.stdout) == (0, "Tea, I think. Red.\n")
    assert result.stderr.startswith("[")
    (body,) = world.chats
    assert body["messages"][-1] == {"role": "user", "content": SAID}
    assert body["messages"][0]["role"] == "system"
    assert body["messages"][0]["content"].endswith("Be brief.")
    assert body["max_tokens"] == 512
    assert world.chat("--user", "ann", "--once", SAID, "--system", "Be brief.").stdout == result.stdout
    assert len(world.chats) == 1  # kept


def test_one_turn_as_json(world: World) -> None:
    result = world.chat("--user", "ann", "--once", SAID, "--json", "--max-tokens", "300", "--temperature", "0.5")
    document = json.loads(result.stdout)
    assert (document["user"], document["answer"]) == ("ann", "Tea, I think. \x1b[31mRed.")
    assert document["model"] == f"{world.server.url}#m"
    assert {"personalization", "personalized", "why", "usage", "finish_reason"} < set(document)
    (body,) = world.chats
    assert (body["max_tokens"], body["temperature"]) == (300, 0.5)


def test_piped_text_is_one_turn(world: World) -> None:
    assert world.chat("--user", "ann", stdin=f"{SAID}\nOr at 4?\n").exit_code == 0
    assert world.chats[0]["messages"][-1]["content"] == f"{SAID}\nOr at 4?\n"
    assert world.chat("--user", "ann", stdin=" \n").exit_code == 2
    assert world.chat("--user", "ann", "--once", "", stdin="x").exit_code == 2


def test_unknown_users_get_the_base_model_and_the_reason(world: World) -> None:
    result = world.chat("--user", "bob", "--once", "Tea?", "--model", f"{world.server.url}#m")
    assert (result.exit_code, result.stdout) == (0, "Tea, I think. Red.\n")
    assert "[base model: " in result.stderr
    assert "bob" in result.stderr
    assert world.chats[0]["messages"] == [{"role": "user", "content": "Tea?"}]


def test_an_answer_that_breaks_off_is_shown_and_is_an_error(world: World) -> None:
    cut = 'data: {"choices": [{"index": 0, "delta": {"content": "Tea"}}]}\n\n'
    world.reply = WrongContentType("text/event-stream", cut)
    result = world.chat("--user", "ann", "--once", SAID)
    assert (result.exit_code, result.stdout) == (1, "Tea\n")
    assert "error: " in result.stderr
    assert "broke off" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_answer_that_is_cut_off_is_marked(world: World) -> None:
    world.reply = WrongContentType(
        "text/event-stream",
        'data: {"choices": [{"index": 0, "delta": {"content": "Tea"}, "finish_reason": "length"}]}\n\ndata: [DONE]\n\n',
    )
    result = world.chat("--user", "ann", "--once", SAID)
    assert result.stdout == "Tea\n"
    assert "--max-tokens" in result.stderr


def test_wrong_use(world: World) -> None:
    assert world.chat("--once", "Tea?").exit_code == 2
    assert world.chat("--group", "g", "--method", "fermi", "--once", "Tea?").exit_code == 2
    assert world.chat("--user", "ann", "--method", "other", "--once", "Tea?").exit_code == 2
    shown = run("chat", "--help").stdout
    assert "idiolect chat --user u1" in shown
    assert "Ctrl-C" in shown


class Turns:
    """In the place of `input`: what a user types; an exception is raised."""

    def __init__(self, *typed: str | BaseException) -> None:
        self._typed = list(typed)

    def __call__(self, _prompt: str) -> str:
        said = self._typed.pop(0) if self._typed else EOFError()
        if isinstance(said, BaseException):
            raise said
        return said


def converse(
    world: World, monkeypatch: pytest.MonkeyPatch, *typed: str | BaseException, more: tuple[str, ...] = ()
) -> Any:
    monkeypatch.setattr("builtins.input", Turns(*typed))
    monkeypatch.setattr("idiolect.cli.chat._is_terminal", lambda: True)
    return world.chat("--user", "ann", *more)


def test_a_conversation_keeps_its_history(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.reply = Stream("Tea.")
    result = converse(world, monkeypatch, SAID, "", "And then?", "/new", "Anew?", "/quit", "never said")
    assert (result.exit_code, result.stdout) == (0, "Tea.\n" * 3)
    turns = [
        [message["content"] for message in body["messages"] if message["role"] != "system"] for body in world.chats
    ]
    assert turns == [[SAID], [SAID, "Tea.", "And then?"], ["Anew?"]]
    assert "Ctrl-C stops an answer" in result.stderr


def test_a_conversation_ends_at_the_end_of_input_and_at_ctrl_c(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.reply = Stream("Tea.")
    assert converse(world, monkeypatch, SAID).exit_code == 0
    ended = converse(world, monkeypatch, SAID, KeyboardInterrupt())
    assert ended.exit_code == 130
    assert "Traceback" not in ended.stderr


def test_an_error_in_a_conversation_does_not_end_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.reply = Status(400, body={"error": {"message": "no"}})
    result = converse(world, monkeypatch, SAID, "/quit")
    assert result.exit_code == 0
    assert "error: " in result.stderr
    assert converse(world, monkeypatch, SAID, more=("--json",)).exit_code == 0


def test_ctrl_c_stops_the_answer_keeps_what_was_said_and_the_conversation_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.reply = Stream("Tea, I think. And more.", size=4)
    print_piece = chat_screen._print_piece
    stopped = False

    def stopping(conversation: chat_screen.Conversation, piece: str) -> None:
        nonlocal stopped
        print_piece(conversation, piece)
        if piece and not stopped:
            stopped = True
            raise KeyboardInterrupt

    monkeypatch.setattr(chat_screen, "_print_piece", stopping)
    result = converse(world, monkeypatch, SAID, "Go on.", "/quit")
    assert result.exit_code == 0
    assert result.stdout.endswith("Tea, I think. And more.\n")
    assert "(stopped)" in result.stderr
    assert [message["content"] for message in world.chats[1]["messages"]][-3:] == [SAID, "Tea,", "Go on."]


def _until(descriptor: int, wanted: str, seconds: float = 60.0) -> str:
    """What comes from a terminal, until it holds this text."""
    seen, end = "", time.monotonic() + seconds
    while wanted not in seen:
        assert time.monotonic() < end, seen
        if select.select([descriptor], [], [], 0.1)[0]:
            seen += os.read(descriptor, 4096).decode("utf-8", "replace")
    return seen


def test_in_a_terminal_ctrl_c_stops_an_answer_and_a_second_one_ends(world: World) -> None:
    world.reply = Stream("word " * 500, size=5, interval=0.05)
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "idiolect.cli.start", "chat", "--user", "ann", "--store", str(world.store)]
    process = subprocess.Popen(
        command, stdin=follower, stdout=follower, stderr=subprocess.PIPE, start_new_session=True, text=True
    )
    os.close(follower)
    try:
        _until(leader, "> ")
        os.write(leader, f"{SAID}\n".encode())
        _until(leader, "word word")
        process.send_signal(signal.SIGINT)
        _until(leader, "\n> ")
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        os.close(leader)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "(stopped)" in errors
    assert len(world.chats) == 1
    assert not world.server.requests[-1].answered
    assert kept_names(world.store)  # what was paid before is still there
