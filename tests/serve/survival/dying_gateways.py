"""A process that runs gateways, and commands of `idiolect`, in forks of itself; see `forked` for the other side.

It reads an order a line, as JSON, and answers each with a line: {"serve": settings, …} or {"command": arguments, …}
start a fork and are answered by its process id; {"poll": id} by its status, null if it is running. A fork writes notes
to a file: its port, its durable writes at its end, or the one at which it is killed. A fork saves the imports, which
take longer than all else.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import traceback
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import bm25s  # noqa: F401 - so that no fork has to import it, and the following
from rouge_score import rouge_scorer  # noqa: F401

from idiolect.application import fermi, model_pool  # noqa: F401
from idiolect.cli.app import app
from idiolect.models.remote import chat  # noqa: F401
from idiolect.serve import erasures, gateway, upstream  # noqa: F401
from idiolect.serve.gateway import Gateway
from idiolect.serve.logs import open_logs
from idiolect.serve.running import serve
from idiolect.serve.settings import GatewaySettings
from idiolect.serve.worker import WorkerSettings
from idiolect.store.migrations.versions import v0007_receipts_and_begun_jobs  # noqa: F401 - and with it Alembic
from tests.serve.survival.durable_writes import DeadlyWrite, watch


def main() -> None:
    """Serve orders until stdin ends; then every fork is killed."""
    forks: set[int] = set()
    for line in sys.stdin:
        order = json.loads(line)
        if "poll" in order:
            ended, status = os.waitpid(order["poll"], os.WNOHANG)
            forks.discard(ended)
            answer = os.waitstatus_to_exitcode(status) if ended else None
        else:
            answer = os.fork()
            if not answer:
                _run(order)
            forks.add(answer)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    for fork in forks:
        os.kill(fork, signal.SIGKILL)


def _run(order: Mapping[str, Any]) -> None:
    """Do what a fork is for, and end."""
    status = 1
    try:
        os.environ.update(order.get("environment", {}))
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, 0)
        said = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(said, 1)
        os.dup2(said, 2)
        notes = os.open(order["notes"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        note = partial(_note, notes)
        deadly = DeadlyWrite(
            order.get("die_at"), before=order.get("before", False), on_death=lambda what: note({"died": what})
        )
        watch(deadly)
        status = _command(order["command"]) if "command" in order else _serve(order, note)
        note({"writes": deadly.writes})
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def _note(file: int, what: Mapping[str, Any]) -> None:
    os.write(file, json.dumps(what).encode() + b"\n")


def _command(arguments: list[str]) -> int:
    try:
        app(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def _serve(order: Mapping[str, Any], note: Any) -> int:
    """Serve until SIGTERM, with short leases, so that nobody waits a minute for those of the dead."""
    lease = order["lease"]
    gateway.LEASE = lease
    gateway.WorkerSettings = partial(WorkerSettings, lease=lease, poll=0.05)  # type: ignore[assignment,misc]
    erasures._PAUSE = lease
    open_logs("info")

    async def run() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

        def started(opened: Gateway, port: int) -> None:
            del opened
            note({"port": port})

        await serve(GatewaySettings.model_validate(order["serve"]), stop, started)

    asyncio.run(run())
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    main()
