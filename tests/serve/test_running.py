"""The process: starting, what it prints and logs, configuration, an end in which streams are finished, and no torch."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from idiolect.cli.app import app
from tests.api_server import ApiServer, Body, Stream
from tests.serve.serving import HELLO, Served, bearer, forwarding, key

ROOT = Path(__file__).resolve().parents[2]
SECRETS = ("sk-secret-of-the-upstream", "secret-of-a-client", "Would you drink tea", "always", "ann")


def _slowly(body: Body, _number: int) -> str | Stream:
    return Stream("word " * 40, interval=0.05, size=5) if body.get("stream") else "Yes"


@pytest.fixture(scope="module")
def upstream() -> Iterator[ApiServer]:
    with ApiServer(_slowly) as server:
        yield server


def _streamed(served: Served, found: list[str]) -> threading.Thread:
    def read() -> None:
        headers = {"Content-Type": "application/json"}
        sent = json.dumps({**HELLO, "stream": True}).encode()
        request = urllib.request.Request(f"{served.url}/chat/completions", sent, headers)
        with urllib.request.urlopen(request, timeout=30) as reply:
            found.extend(line.decode().strip() for line in reply if line.strip())

    thread = threading.Thread(target=read)
    thread.start()
    return thread


def test_streams_are_finished_before_the_end(upstream: ApiServer, learned_once: Path) -> None:
    found: list[str] = []
    with Served(forwarding(upstream.url, learned_once, shutdown_grace=20)) as served:
        reading = _streamed(served, found)
        _until(lambda: served.call(lambda gateway: len(gateway.active)) == 1)
    reading.join(20)
    assert found[-1] == "data: [DONE]"
    assert not any('"error"' in line for line in found)


def test_streams_that_take_too_long_end_with_an_error(upstream: ApiServer, learned_once: Path) -> None:
    found: list[str] = []
    with Served(forwarding(upstream.url, learned_once, shutdown_grace=0.3)) as served:
        reading = _streamed(served, found)
        _until(lambda: served.call(lambda gateway: len(gateway.active)) == 1)
        time.sleep(0.3)
    reading.join(20)
    assert found[-1] == "data: [DONE]"
    assert json.loads(found[-2].removeprefix("data: "))["error"]["code"] == "server_stopping"
    received = upstream.requests[-1]
    _until(lambda: received.end is not None)
    assert not received.answered


def test_logs_have_no_secret_and_no_text(
    upstream: ApiServer, learned_once: Path, logs: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSTREAM_KEY", SECRETS[0])
    keys = (key("client-1", SECRETS[1]),)
    with Served(forwarding(upstream.url, learned_once, keys=keys, upstream_key_env="UPSTREAM_KEY")) as served:
        served.ask(body={**HELLO, "user": "ann"}, headers=bearer(SECRETS[1]))
        served.ask(body={**HELLO, "user": "ann"}, headers=bearer("another secret"))
        served.ask(data=b"{broken tea", headers=bearer(SECRETS[1]))
        served.ask(f"/v1/{SECRETS[1]}?key={SECRETS[1]}")
    assert upstream.requests[-1].headers["authorization"] == f"Bearer {SECRETS[0]}"
    lines = [json.loads(line) for line in logs.getvalue().splitlines()]
    assert [line["status"] for line in lines if line["event"] == "request"] == [200, 401, 400, 404]
    assert lines[0]["key"] == "client-1"
    assert lines[0]["personalization"].startswith("fermi-")
    assert not any(secret in logs.getvalue() for secret in (*SECRETS, "broken tea", "another secret"))


def test_a_failure_of_ours_is_logged_without_its_words(
    upstream: ApiServer, learned_once: Path, logs: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(SECRETS[2])

    monkeypatch.setattr("idiolect.serve.body.JsonBody.last_question", fail)
    with Served(forwarding(upstream.url, learned_once)) as served:
        reply = served.ask(body={**HELLO, "user": "ann"})
    assert (reply.status, reply.error["type"]) == (500, "server_error")
    failure = next(line for line in map(json.loads, logs.getvalue().splitlines()) if line["event"] == "failure")
    assert (failure["error"], failure["request_id"]) == ("RuntimeError", reply.headers["x-request-id"])
    assert failure["places"][-1].startswith("tests.serve.test_running:")
    assert SECRETS[2] not in logs.getvalue()


def test_bodies_are_logged_where_that_is_switched_on(
    upstream: ApiServer, learned_once: Path, logs: io.StringIO
) -> None:
    with Served(forwarding(upstream.url, learned_once, log_bodies=True)) as served:
        served.ask(body=HELLO)
    assert "Would you drink tea" in logs.getvalue()


def _printed(*arguments: str, env: dict[str, str] | None = None) -> Any:
    return CliRunner().invoke(app, ["serve", *arguments], env=env or {})


def test_what_takes_seconds_before_the_start_is_printed(tmp_path: Path) -> None:
    found = _printed("--model", f"replay:{tmp_path / 'none.jsonl'}", "--store", str(tmp_path / "store"))
    assert found.stderr.splitlines()[0].startswith("opening replay:")


def test_the_configuration_in_force_is_printed_with_its_origins(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    hashed = "ab" * 32
    file.write_text(f'port = 9000\nhost = "::1"\nmax_age = 3\n[[keys]]\nid = "k"\nsha256 = "{hashed}"\n')
    env = {"IDIOLECT_SERVE_HOST": "127.0.0.2", "IDIOLECT_SERVE_TRUSTED_PEERS": "10.0.0.0/8, ::1"}
    env["IDIOLECT_SERVE_STORE"] = "postgresql://user:pass@db/idiolect"
    found = _printed("--config", str(file), "--port", "9001", "--print-config", env=env)
    assert found.exit_code == 0, found.output
    lines = found.output.splitlines()
    assert "port = 9001  # command line" in lines
    assert 'host = "127.0.0.2"  # environment' in lines
    assert "max_age = 3.0  # file" in lines
    assert 'trusted_peers = ["10.0.0.0/8", "::1/128"]  # environment' in lines
    assert "max_body_bytes = 33554432  # default" in lines
    assert not any(secret in found.output for secret in (hashed, "pass@"))


def test_a_variable_that_is_no_setting_is_named() -> None:
    env = {"IDIOLECT_SERVE_MAX_AEG": "3", "IDIOLECT_SERVE_PORT_80_TCP": "tcp://10.0.0.1:80", "IDIOLECT_SERVE_KEY": "k"}
    found = _printed("--print-config", env=env)
    assert found.exit_code == 0, found.output
    assert found.stderr.splitlines() == [
        "IDIOLECT_SERVE_MAX_AEG is no setting and is ignored; did you mean IDIOLECT_SERVE_MAX_AGE?",
        "IDIOLECT_SERVE_PORT_80_TCP is no setting and is ignored",
    ]


@pytest.mark.parametrize(
    ("arguments", "text", "message"),
    [
        (("--upstream", "http://a/v1", "--model", "embedded"), "", "an upstream and a model were given"),
        ((), "port = 'x'", "port: must be a whole number"),
        ((), "prot = 1", "prot: there is no such setting; did you mean port?"),
        ((), "port = ", "is not TOML"),
        ((), '[[keys]]\nid = "k"\nsha256 = "secret-of-a-client"', "must be the SHA-256 of the key"),
        (
            (),
            f'[[keys]]\nid = "k"\nsha256 = "{"ab" * 32}"\nscopes = ["peple"]',
            "keys.0.scopes.0: must be 'chat' or 'people'",
        ),
        ((), 'trusted_peers = ["10.0.0.1/8"]', "has host bits set"),
    ],
)
def test_settings_that_are_wrong_are_named(tmp_path: Path, arguments: tuple[str, ...], text: str, message: str) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(text)
    found = _printed("--config", str(file), *arguments, "--print-config")
    assert found.exit_code == 2
    assert message in " ".join(found.output.split())
    assert "secret-of-a-client" not in found.output


BLOCKED = """
import sys
class Block:
    def find_spec(self, name, *_):
        if name.split(".")[0] in ("torch", "transformers", "sentence_transformers"):
            raise ImportError(name)
sys.meta_path.insert(0, Block())
from idiolect.cli.app import main
main()
"""


def _until(true: Any, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def test_the_command_serves_without_torch_and_ends_on_sigterm(upstream: ApiServer, store: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", BLOCKED, "serve", "--upstream", upstream.url, "--store", str(store)]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    printed = tmp_path / "stderr"
    with printed.open("w") as stderr:
        process = subprocess.Popen([*command, "--port", str(port)], stderr=stderr, env=env)
    try:
        _until(lambda: "try: curl" in printed.read_text(), 60)
        sent = json.dumps({**HELLO, "user": "ann"}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/chat/completions", sent, headers)
        with urllib.request.urlopen(request, timeout=30) as reply:
            assert reply.headers["X-Idiolect-Personalization"].startswith("fermi-")
        second = subprocess.run(
            [*command, "--port", str(port)], capture_output=True, text=True, env=env, check=False, timeout=60
        )
        assert second.returncode == 1
        assert second.stderr.splitlines()[-1] == (
            f"error: 127.0.0.1:{port} is in use by another process; choose another port with --port"
        )
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    text = printed.read_text()
    assert f"serving http://127.0.0.1:{port}/v1: {upstream.url} answers, no key needed" in text
    assert "Traceback" not in text
