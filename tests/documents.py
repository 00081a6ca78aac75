"""Runs the blocks of a document as a newcomer would; the tests of the documents stand beside it, a file each.

Each document gets an empty home and working directory, and its ```console, ```bash and ```python blocks run there in
order. In a console block, lines that start with "$ " are commands, and the others are output for the reader's eyes.
`make` alone is a dry run: it only has to know the target. Where a document speaks of a server at `SERVER`, a stand-in
on a free port takes its place. `run_document` is cached, so that a test of what such a command did (the demo, for
example) can look at the same run. It is cached in one process only, and a worker of pytest runs a whole file: whoever
looks at a document's run belongs into that document's file.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.api_server import ApiServer, Body

ROOT = Path(__file__).resolve().parents[1]
SERVER = "http://localhost:8000/"
BLOCK_TIMEOUT_S = 1200

_FENCE = re.compile(r"^```(?P<language>console|bash|python)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of code: where it stands, and what it says."""

    document: str
    line: int
    language: str
    code: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """What runs, one after the other: of a console block each line that was typed, else the whole block."""
        if self.language != "console":
            return [self.code]
        return [line.removeprefix("$ ") for line in self.code.splitlines() if line.startswith("$ ")]


@dataclass(frozen=True)
class BlockRun:
    """What a block did. `status` is None for a block that never ran, because one before it failed.

    `command` is the last one that ran.
    """

    block: Block
    sandbox: Path
    status: int | None
    stdout: str = ""
    stderr: str = ""
    command: str = ""


def blocks_of(document: str) -> list[Block]:
    """All blocks of a document that are to run, in order."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return [
        Block(document, text.count("\n", 0, match.start()) + 1, match["language"], match["code"])
        for match in _FENCE.finditer(text)
    ]


@functools.cache
def run_document(document: str) -> tuple[BlockRun, ...]:
    """Run a document's blocks in a new sandbox, once per test session; stop at the first that fails."""
    return run_blocks(blocks_of(document))


def run_blocks(blocks: Sequence[Block]) -> tuple[BlockRun, ...]:
    """Run blocks in a new sandbox, one after the other; stop at the first that fails."""
    sandbox = Path(tempfile.mkdtemp(prefix="idiolect-docs-"))
    atexit.register(shutil.rmtree, sandbox, ignore_errors=True)
    environment = _environment(sandbox)
    runs: list[BlockRun] = []
    with ApiServer(stand_in, models=["NAME"]) as server:
        for block in blocks:
            if runs and runs[-1].status != 0:
                runs.append(BlockRun(block, sandbox, None))
            else:
                commands = [command.replace(SERVER, server.url.removesuffix("v1")) for command in block.commands]
                runs.append(_run(block, commands, sandbox, environment))
    return tuple(runs)


def stand_in(body: Body, _number: int = 0) -> str:
    """The rule by which the documents' transcripts were made: the last choice, or the first one for who values nature,
    which is what every proposed prompt says."""
    asked = body["messages"][-1]["content"]
    if "square brackets" in asked:
        draw = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:4]
        return f"[This person values nature and the climate, says draft {draw}.]"
    choices: list[str] = asked.rpartition("Choices: ")[2].split("\n")[0].split(" | ")
    return choices[0] if "values nature" in asked else choices[-1]


def _environment(sandbox: Path) -> dict[str, str]:
    """A newcomer's: nothing of the caller's but the installed packages, and no network for models."""
    for folder in ("home", "bin", "here", "tmp"):
        (sandbox / folder).mkdir()
    (sandbox / "here" / "examples").symlink_to(ROOT / "examples")  # as in a checkout
    dry_make = sandbox / "bin" / "make"
    dry_make.write_text(f'#!/bin/sh\nexec "{shutil.which("make")}" -C "{ROOT}" --dry-run "$@" >/dev/null\n')
    dry_make.chmod(0o755)
    return {
        "PATH": os.pathsep.join([str(sandbox / "bin"), str(Path(sys.executable).parent), os.defpath]),
        "HOME": str(sandbox / "home"),
        "TMPDIR": str(sandbox / "tmp"),
        "IDIOLECT_STORE": str(sandbox / "store"),
        "HF_HUB_OFFLINE": "1",
        "LANG": "C.UTF-8",
    }


def _run(block: Block, commands: list[str], sandbox: Path, environment: dict[str, str]) -> BlockRun:
    """Run a block's commands, each in a shell of its own; stop at the first that fails."""
    stdout = stderr = command = ""
    status = 0
    for command in commands:
        interpreter = [sys.executable, "-c"] if block.language == "python" else ["sh", "-ec"]
        try:
            ran = subprocess.run(
                [*interpreter, command],
                cwd=sandbox / "here",
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=BLOCK_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired:
            status, stderr = 124, f"{stderr}took more than {BLOCK_TIMEOUT_S} s"
            break
        status, stdout, stderr = ran.returncode, stdout + ran.stdout, stderr + ran.stderr
        if status != 0:
            break
    return BlockRun(block, sandbox, status, stdout, stderr, command)


def check_block_ran(document: str, index: int) -> None:
    """Fails where a block of a document did not run, or not well."""
    run = run_document(document)[index]
    assert run.status is not None, f"{run.block} did not run, because a block before it failed"
    where = f"{run.block}: this command failed with status {run.status}:\n  {run.command}"
    assert run.status == 0, f"{where}\n--- output\n{run.stdout}\n--- errors\n{run.stderr}"


def check_fences(document: str) -> None:
    """Fails where a document has nothing to run, or a block of a language that nobody knows.

    A misspelt language would be a command that nobody tests; other blocks are text, data or output.
    """
    fences = re.findall(r"^```(\S*)$", (ROOT / document).read_text(encoding="utf-8"), re.MULTILINE)
    assert blocks_of(document)
    assert set(fences) - {""} <= {"console", "bash", "python", "text", "json"}
