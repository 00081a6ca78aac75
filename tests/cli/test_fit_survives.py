"""`idiolect fit` against a server, ended at every moment there is: what is resumed ends as if nothing had happened."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api_server import ApiServer
from tests.cli import crash_points
from tests.cli.remote_world import answer, arguments, asked_names, kept_names, learned, write_users

ROOT = Path(__file__).resolve().parents[2]
CONCURRENCY = 4
KILLS = 20
AFTER_EVERY = 3


class Forks:
    """The process of `crash_points`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.cli.crash_points"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def run(self, given: list[str], *, die_at: int | None = None, before: bool = False) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"arguments": given, "die_at": die_at, "before": before}) + "\n")
        self._process.stdin.flush()
        told: dict[str, Any] = json.loads(self._process.stdout.readline())
        return told

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


@pytest.fixture
def forks() -> Iterator[Forks]:
    opened = Forks()
    yield opened
    opened.close()


def test_a_crash_at_every_durable_write_changes_nothing(tmp_path: Path, forks: Forks) -> None:
    users = write_users(tmp_path / "users.jsonl", ["ann"])
    with ApiServer(answer) as server:
        undisturbed = forks.run(arguments(users, tmp_path / "undisturbed", server.url))
        assert undisturbed["status"] == 0
        expected = learned(tmp_path / "undisturbed")
        needed = len(asked_names(server))
        assert undisturbed["writes"] > 20
        last = undisturbed["writes"]
        for write in range(1, last + 1):
            # After a write, the store is as it is before the next one; only the requests in between differ.
            for before in (True, False) if write % AFTER_EVERY == 0 or write == last else (True,):
                store = tmp_path / f"{write}-{before}"
                server.log.clear()
                crashed = forks.run(arguments(users, store, server.url), die_at=write, before=before)
                # Tasks run side by side: two runs need not group their writes alike, the last few may be missing.
                if crashed["status"] != crash_points.DIED:
                    assert crashed["status"] == 0
                    assert write > undisturbed["writes"] * 0.7
                    continue
                kept = kept_names(store) if (store / "calls.db").exists() else set()
                first = asked_names(server)
                resumed = forks.run(arguments(users, store, server.url, "--resume"))
                assert resumed["status"] == 0
                assert learned(store) == expected, f"write {write}, {'before' if before else 'after'}"
                second = asked_names(server)[len(first) :]
                assert not kept & set(second), "a committed request was repeated"
                assert len(first) + len(second) <= needed + CONCURRENCY


def test_twenty_kills_of_a_real_process_change_nothing(tmp_path: Path) -> None:
    users = write_users(tmp_path / "users.jsonl", [f"u{i}" for i in range(12)])
    store, rng = tmp_path / "store", random.Random(3)
    environment_arguments = [sys.executable, "-m", "idiolect.cli.app"]
    with ApiServer(answer) as server:
        whole = [*environment_arguments, *arguments(users, tmp_path / "undisturbed", server.url)]
        assert subprocess.run(whole, cwd=ROOT, capture_output=True, timeout=120).returncode == 0
        expected, needed = learned(tmp_path / "undisturbed"), len(asked_names(server))
        server.log.clear()
        server.latency = 0.15  # so that there is something to kill
        kills = reported = lost = 0
        while kills < KILLS:
            kept = kept_names(store) if (store / "calls.db").exists() else set()
            before = len(server.requests)
            command = [*environment_arguments, *arguments(users, store, server.url, "--resume")]
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            while len(server.requests) == before and process.poll() is None:
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.4))
            process.kill()
            _, stderr = process.communicate()
            assert process.returncode == -9, "the run ended before it was killed: give it more users"
            kills += 1
            assert _uncertain(stderr) == 0 or _uncertain(stderr) >= reported, "told until a run comes to its end"
            reported = max(reported, _uncertain(stderr))
            asked = asked_names(server)[before:]
            assert not kept & set(asked), "a committed request was repeated"
            in_flight = len(set(asked) - kept_names(store))
            assert in_flight <= CONCURRENCY
            lost += in_flight
        server.latency = 0.0
        kept, before = kept_names(store), len(server.requests)
        last = subprocess.run(
            [*environment_arguments, *arguments(users, store, server.url, "--resume")],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert _uncertain(last.stderr) >= reported
        reported = _uncertain(last.stderr)
        assert last.returncode == 0, last.stderr
        assert not kept & set(asked_names(server)[before:])
        assert learned(store) == expected
        assert needed <= len(server.requests) <= needed + lost
        assert lost <= reported <= KILLS * CONCURRENCY


def _uncertain(stderr: str) -> int:
    """How many uncertain calls of an earlier run the command told of."""
    lines = [line for line in stderr.splitlines() if "in flight when an earlier run ended" in line]
    return sum(int(line.split()[0]) for line in lines)
