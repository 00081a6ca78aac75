"""Processes that hear Ctrl-C, also where the tests themselves run in the background of a shell that ignores it."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path


def _hear_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(command: Sequence[str], *, cwd: Path | None = None) -> subprocess.Popen[str]:
    """A process with piped output, to be sent SIGINT."""
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        preexec_fn=_hear_interrupts,
    )
