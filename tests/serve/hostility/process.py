"""The gateway that is attacked, a process of its own, and the well-behaved clients that watch it in another one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.serve.hostility.recorder import KEY

ROOT = Path(__file__).resolve().parents[3]
_START_SECONDS = 60
_STOP_SECONDS = 60


class GatewayProcess:
    """`idiolect serve` while the `with` block runs.

    Args:
        folder: where its configuration and its log are written; it is made.
        settings: its settings.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        folder.mkdir()
        self._config, self.log_path = folder / "gateway.toml", folder / "gateway.log"
        self._config.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items()))

    def __enter__(self) -> GatewayProcess:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("IDIOLECT_")}
        environment = {
            **kept,
            "PYTHONPATH": f"{ROOT / 'src'}" + os.environ.get("DEBUG_PATH", ""),
            "OMP_NUM_THREADS": "1",
            "UPSTREAM_KEY": KEY,
            "IDIOLECT_CACHE": str(self._config.parent / "cache"),
        }
        command = [sys.executable, "-m", "idiolect.cli.app", "serve", "--config", str(self._config)]
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    @property
    def log(self) -> str:
        """What it has written so far."""
        return self.log_path.read_text("utf-8", "replace")

    def memory(self, name: str) -> float:
        """MiB: VmRSS is what it has now, VmHWM the most that it had."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) / 1024
        raise AssertionError(f"the system does not state {name}")

    def stop(self) -> tuple[int, float]:
        """End it with SIGTERM; return its exit status, and the seconds that it took."""
        begun = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(_STOP_SECONDS), time.monotonic() - begun

    @cached_property
    def port(self) -> int:
        """Where it listens; waits until it does."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            for line in self.log.splitlines():
                if '"event":"started"' in line:
                    return int(json.loads(line)["port"])
            time.sleep(0.05)
        raise AssertionError(f"the gateway did not start:\n{self.log}")


class Canaries:
    """Well-behaved clients in a process of their own, while the `with` block runs.

    Args:
        port: the gateway's.
        secret: the key that they show.
        user: the user for whom they ask, for whom prompts were learned.
    """

    def __init__(self, port: int, secret: str, user: str) -> None:
        self._command = [sys.executable, "-m", "tests.serve.hostility.canary", str(port), secret, user]
        self.found: dict[str, Any] = {}

    def __enter__(self) -> Canaries:
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ}
        )
        return self

    def __exit__(self, *_: object) -> None:
        out, _err = self._process.communicate("", timeout=60)
        self.found = json.loads(out)
