"""A whole run: the world, its upstream, two gateways, the attacks, and a report of what came of them."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.serve.hostility.attacks import Kind, asking, encoded, json_headers
from tests.serve.hostility.campaign import KINDS, Campaign, Outcome
from tests.serve.hostility.process import Canaries, GatewayProcess
from tests.serve.hostility.recorder import FLOOD, Recorder
from tests.serve.hostility.spoofed import TRUSTED, USER_HEADER
from tests.serve.hostility.wire import connected, request
from tests.serve.hostility.world import BETA, OPEN, World, made_open_world, made_world, snapshot

LIMIT = 60.0  # seconds within which every attack has to end
CANARY_LIMIT = 2.0  # seconds within which every well-behaved request has to be answered
MEMORY_LIMIT = 1024.0  # MiB
_SHOWN = 20  # faults of a kind
_GRACE = 2.0  # seconds that answers may take at the end
_UNDISTURBED = 1.0  # seconds for the well-behaved clients before the attacks
_STOP_LIMIT = 10.0  # seconds that the end may take beyond that
_COLUMNS = ("2xx", "3xx", "4xx", "5xx", "none")


@dataclass
class Report:
    """What came of a run.

    Args:
        outcomes: by kind of attack.
        canaries: of the well-behaved clients, by their kind of request.
        memory: MiB of the gateway: before, the most, and afterwards.
        notes: what else was checked, a line each.
        faults: everything that was wrong, those of the kinds apart.
        seconds: that the attacks took.
    """

    outcomes: dict[str, Outcome]
    canaries: dict[str, Any] = field(default_factory=dict)
    memory: tuple[float, float, float] = (0.0, 0.0, 0.0)
    notes: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def faults(self) -> list[str]:
        """Everything that was wrong."""
        kinds = [f"{name}: {fault}" for name, outcome in self.outcomes.items() for fault in outcome.faults]
        return [*kinds, *self.others]

    def text(self) -> str:
        """The report in Markdown."""
        lines = [
            "| kind | requests | 2xx | 3xx | 4xx | 5xx | none | slowest | faults |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        for name, outcome in self.outcomes.items():
            lines.append(_row(name, outcome))
        total = Outcome()
        for outcome in self.outcomes.values():
            total.n += outcome.n
            total.statuses.update(outcome.statuses)
            total.slowest = max(total.slowest, outcome.slowest)
            total.faults += outcome.faults
        lines += [_row("all", total), "", f"The attacks took {self.seconds:.0f} s.", ""]
        lines += ["| well-behaved request | n | p99 | slowest | faults |", "|---|---|---|---|---|"]
        for name, each in self.canaries.items():
            lines.append(
                f"| {name} | {each['n']:,} | {each['p99']:.3f} s | {each['slowest']:.2f} s | {each['faults']} |"
            )
        lines += ["", "The gateway had {:.0f} MiB before, {:.0f} at most, {:.0f} afterwards.".format(*self.memory), ""]
        lines += [f"- {note}" for note in self.notes]
        lines += ["", f"Faults: {len(self.faults)}."]
        shown = [fault for outcome in self.outcomes.values() for fault in outcome.faults[:_SHOWN]]
        return "\n".join([*lines, *(f"- {fault}" for fault in (*shown, *self.others[:_SHOWN]))])


async def hostile_run(
    folder: Path,
    n: int,
    rng: random.Random,
    *,
    size: Mapping[str, Any] | None = None,
    kinds: Mapping[str, tuple[Kind, int]] = KINDS,
    targets: tuple[Path | str, Path | str] | None = None,
) -> Report:
    """Attack a gateway with about `n` requests.

    Args:
        folder: an empty folder.
        n: number of requests.
        rng: makes everything.
        size: settings of the world that differ, see `made_world`.
        kinds: the kinds of attacks.
        targets: two empty stores, of the gateway with keys and of the one without; None: folders of SQLite.
    """
    store, open_store = targets or (folder / "store", folder / "open-store")
    world = await asyncio.to_thread(made_world, store, rng, **(size or {}))
    await asyncio.to_thread(made_open_world, open_store, rng)
    before = snapshot(store) | snapshot(open_store, OPEN)
    with Recorder() as recorder:
        keyed = GatewayProcess(folder / "keyed", _settings(world, recorder.url, store))
        unlocked = GatewayProcess(folder / "open", _settings(world, recorder.url, open_store, anonymous_people=True))
        with keyed, unlocked:
            campaign = Campaign(world, recorder, keyed.port, unlocked.port, limit=LIMIT)
            report = Report(campaign.outcomes)
            await campaign.prepare()
            idle = keyed.memory("VmRSS")
            campaign.plan(n, rng, kinds)
            with Canaries(keyed.port, world.keys[BETA], "ann") as canaries:
                await asyncio.sleep(_UNDISTURBED)
                begun = time.monotonic()
                await campaign.run()
                report.seconds = time.monotonic() - begun
            report.canaries = canaries.found
            await campaign.still_answers()
            report.memory = (idle, keyed.memory("VmHWM"), keyed.memory("VmRSS"))
            report.others += await _stopped(report, keyed, world)
            report.others += await _stopped(report, unlocked, world)
        all_seen = recorder.seen()
    report.others += [
        *campaign.upstream_faults(all_seen),
        *campaign.log_faults(keyed.log),
        *campaign.log_faults(unlocked.log),
    ]
    after = snapshot(store) | snapshot(open_store, OPEN)
    report.others += [f"{name} was changed" for name, held in before.items() if after.get(name) != held]
    report.others += _measured_faults(report)
    report.notes += [
        f"{len(all_seen):,} requests reached the upstream.",
        f"The log has {len(keyed.log.splitlines()) + len(unlocked.log.splitlines()):,} lines.",
        f"{len(before)} records (people, what was learned for them, keys) were compared before and after.",
    ]
    return report


def _settings(world: World, upstream: str, store: Path | str, **more: Any) -> dict[str, Any]:
    """Those of a gateway: as they are by default, but for time limits."""
    return {
        "port": 0,
        "store": str(store),
        "upstream": f"{upstream}#m",
        "upstream_key_env": "UPSTREAM_KEY",
        "trusted_peers": [TRUSTED],
        "user_header": USER_HEADER,
        "max_body_bytes": world.max_body,
        "body_timeout": world.body_timeout,
        "idle_timeout": world.idle_timeout,
        "unread_timeout": world.unread_timeout,
        "shutdown_grace": _GRACE,
        **more,
    }


async def _stopped(report: Report, gateway: GatewayProcess, world: World) -> list[str]:
    """End a gateway with SIGTERM while a stream is open, and return what is wrong with that."""
    body = encoded(asking("Tea?", model=FLOOD, stream=True))
    async with connected(gateway.port) as connection:
        headers = json_headers(world.keys["alpha"])
        await connection.write(request("POST", "/v1/chat/completions", body, headers=headers, closes=False))
        reading = asyncio.ensure_future(connection.rest())
        await asyncio.sleep(0.5)
        status, seconds = await asyncio.to_thread(gateway.stop)
        end = await reading
    report.notes.append(f"Ended by SIGTERM, with an endless stream open, in {seconds:.1f} s with status {status}.")
    found = (
        [] if end.rstrip().endswith((b"data: [DONE]", b"data: [DONE]\n\n\r\n0")) else [f"the stream ended with {end!r}"]
    )
    if status or seconds > _GRACE + _STOP_LIMIT:
        found.append(f"ended after {seconds:.1f} s with status {status}")
    return found if '"event":"stopped"' in gateway.log else [*found, "did not end in order"]


def _measured_faults(report: Report) -> list[str]:
    """What took too long, or too much."""
    found = []
    for name, each in report.canaries.items():
        if each["faults"]:
            found.append(f"well-behaved {name}: {each['wrong']}")
        if each["slowest"] > CANARY_LIMIT:
            found.append(f"well-behaved {name} took {each['slowest']:.2f} s")
    if report.memory[1] > MEMORY_LIMIT:
        found.append(f"the gateway had {report.memory[1]:.0f} MiB, more than {MEMORY_LIMIT:.0f}")
    return found


def _row(name: str, outcome: Outcome) -> str:
    counts = " | ".join(f"{outcome.statuses[each]:,}" for each in _COLUMNS)
    return f"| {name} | {outcome.n:,} | {counts} | {outcome.slowest:.1f} s | {len(outcome.faults)} |"
