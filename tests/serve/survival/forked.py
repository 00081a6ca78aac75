"""Gateways in processes that die: started by `dying_gateways`, killed from here or by themselves, and started again.

with Forks() as forks:
    gateway = forks.serve(settings, folder, die_at=3, before=True)      # an instant later, as nothing is imported
    gateway.root            # "http://127.0.0.1:PORT"; None: it died
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
LEASE = 2.0  # seconds
_PATIENCE = 60.0  # seconds for a start or an end
_LOOK = 0.01


class Forks:
    """The process that forks. Use it with `with`, which kills what is left."""

    def __init__(self) -> None:
        self._lock, self._numbers = threading.Lock(), count(1)

    def __enter__(self) -> Forks:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.serve.survival.dying_gateways"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def ask(self, order: Mapping[str, Any]) -> Any:
        """Give an order, and return the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    def serve(
        self,
        settings: Mapping[str, Any],
        folder: Path,
        *,
        die_at: int | None = None,
        before: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> Forked:
        """Start a gateway, which writes what it says into a folder; it may die at one of its durable writes."""
        order = {"serve": dict(settings), "lease": LEASE, "environment": dict(environment or {})}
        return self._start(order, folder, die_at=die_at, before=before)

    def command(self, arguments: list[str], folder: Path, *, die_at: int | None = None, before: bool = False) -> Forked:
        """Start a command of `idiolect`, which may die at one of its durable writes."""
        return self._start({"command": arguments}, folder, die_at=die_at, before=before)

    def _start(self, order: Mapping[str, Any], folder: Path, *, die_at: int | None, before: bool) -> Forked:
        number = next(self._numbers)
        notes, output = folder / f"notes.{number}.jsonl", folder / f"output.{number}.txt"
        notes.touch()
        output.touch()
        given = {"notes": str(notes), "output": str(output), "die_at": die_at, "before": before}
        return Forked(self, self.ask({**order, **given}), notes, output)


class Forked:
    """A process that was forked.

    Args:
        forks: what started it.
        pid: its id.
        notes: the file of its notes.
        output: the file of what it printed.
    """

    def __init__(self, forks: Forks, pid: int, notes: Path, output: Path) -> None:
        self._forks, self.pid, self._notes, self._output = forks, pid, notes, output
        self._status: int | None = None
        self._root: str | None = None
        self._lock = threading.Lock()

    @property
    def status(self) -> int | None:
        """Its exit status, negative for a signal; None: it is running."""
        with self._lock:
            if self._status is None:
                self._status = self._forks.ask({"poll": self.pid})
            return self._status

    @property
    def root(self) -> str | None:
        """Where it serves, as soon as it does; None: it died before."""
        deadline = time.monotonic() + _PATIENCE
        while self._root is None and (self.status is None or self._noted("port") is not None):
            if (port := self._noted("port")) is not None:
                self._root = f"http://127.0.0.1:{port}"
            assert time.monotonic() < deadline, f"the gateway did not start:\n{self.output}"
            time.sleep(_LOOK)
        return self._root

    @property
    def died_at(self) -> str | None:
        """The durable write at which it was killed; None: at none."""
        return self._noted("died")  # type: ignore[no-any-return]

    @property
    def writes(self) -> list[str]:
        """Its durable writes, once it has ended by itself."""
        return list(self._noted("writes") or ())

    @property
    def output(self) -> str:
        """What it printed, logs included."""
        return self._output.read_text()

    def kill(self) -> None:
        """Kill it (SIGKILL), if it has not died already."""
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def stop(self) -> int:
        """End it with SIGTERM, and return its status."""
        if self.status is None:
            os.kill(self.pid, signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Return its status once it has ended."""
        deadline = time.monotonic() + _PATIENCE
        while (status := self.status) is None:
            assert time.monotonic() < deadline, f"it did not end:\n{self.output}"
            time.sleep(_LOOK)
        return status

    def _noted(self, name: str) -> Any:
        for line in self._notes.read_text().split("\n")[:-1]:  # the last one may not be whole yet
            if name in (note := json.loads(line)):
                return note[name]
        return None
