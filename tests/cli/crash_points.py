"""A process that runs `idiolect` in forks of itself, each of which dies at a chosen durable write. Reads lines of JSON
{"arguments": […], "die_at": n or null, "before": bool} from stdin, answers each by {"status": …, "writes": …}.

A fork saves the imports, which take longer than everything else; the first order, which must not die, is run without a
fork, so that the forks find everything warm. Dying is `os._exit`: nothing is flushed or closed.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from idiolect.cli.app import app
from idiolect.models.calls.cache import commits
from idiolect.store.database import Database

DIED = 99


class CrashPoint:
    """Counts durable writes, and dies before or after the chosen one."""

    def __init__(self, die_at: int | None, *, before: bool) -> None:
        self.writes, self._die_at, self._before = 0, die_at, before

    @contextmanager
    def around(self) -> Iterator[None]:
        """One durable write: everything inside, up to its commit."""
        self.writes += 1
        if self._before and self.writes == self._die_at:
            os._exit(DIED)
        yield
        if not self._before and self.writes == self._die_at:
            os._exit(DIED)


_TRANSACTION, _WRITING = commits.transaction, Database.writing


def _watch(point: CrashPoint) -> None:
    @contextmanager
    def watched_transaction(database: Any) -> Iterator[Any]:
        with point.around(), _TRANSACTION(database) as opened:
            yield opened

    @contextmanager
    def watched_writing(self: Database) -> Iterator[Any]:
        with point.around(), _WRITING(self) as connection:
            yield connection

    commits.transaction = watched_transaction
    Database.writing = watched_writing  # type: ignore[method-assign]


def _run(order: dict[str, Any]) -> dict[str, Any]:
    point = CrashPoint(order["die_at"], before=order["before"])
    _watch(point)
    status = 0
    try:
        app(order["arguments"])
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    return {"status": status, "writes": point.writes}


def _run_in_a_fork(order: dict[str, Any]) -> dict[str, Any]:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, json.dumps(_run(order)).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        told = stream.read()
    _, status = os.waitpid(child, 0)
    died = {"status": os.waitstatus_to_exitcode(status), "writes": None}
    return json.loads(told) if told else died  # type: ignore[no-any-return]


def main() -> None:
    """Serve orders until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    if not os.environ.get("CRASH_POINTS_TALK"):
        os.dup2(nowhere, 2)
    for number, line in enumerate(sys.stdin):
        order = json.loads(line)
        print(json.dumps(_run_in_a_fork(order) if number else _run(order)), file=answers, flush=True)


if __name__ == "__main__":
    main()
