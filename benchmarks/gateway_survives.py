"""Does a gateway lose or double anything when it is killed at any durable write, or in the middle of fits and streams?

    python benchmarks/gateway_survives.py                           all of it, two hours on two cores
    python benchmarks/gateway_survives.py --every 10 --kills 5      some minutes

Parts (`--parts`): `writes` tells a fixed story once for each durable write of a gateway on SQLite and each side of it,
with a gateway that kills itself there (SIGKILL); `server-writes` does so on PostgreSQL, and `keys` with the commands
that create and revoke keys; `kills` kills a gateway on SQLite at random moments; `replicas` kills two of them on one
PostgreSQL in turn, for which a server has to be installed (initdb). Clients send again what was not answered.
Processes, HTTP, SQLite, PostgreSQL and the fits are real; the model is a server that answers at once. Only the leases
are shorter, two seconds instead of a minute.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.postgresql import binaries, running_server  # noqa: E402 - found by the line before
from tests.serve.survival.forked import Forks  # noqa: E402
from tests.serve.survival.killings import Killed, killed, taken_over  # noqa: E402
from tests.serve.survival.places import Place, on_postgresql, on_sqlite  # noqa: E402
from tests.serve.survival.sweeps import Told, compare, keys_made, told  # noqa: E402
from tests.serve.survival.tally import Tally  # noqa: E402
from tests.serve.survival.upstreams import Upstream  # noqa: E402

PARTS = ("writes", "server-writes", "keys", "kills", "replicas")
HEAD = ("| what | killed | compared | lost | doubled | other faults |", "|---|--:|--:|--:|--:|--:|")


@dataclass
class Part:
    """One row of the table, and what is to be said about it."""

    name: str
    tally: Tally = field(default_factory=Tally)
    remarks: list[str] = field(default_factory=list)

    def row(self) -> str:
        """The row."""
        found = (
            self.tally.kills,
            self.tally.checks,
            *map(len, (self.tally.lost, self.tally.doubled, self.tally.wrong)),
        )
        return f"| {self.name} | {' | '.join(f'{each:,}' for each in found)} |"


def writes(forks: Forks, options: argparse.Namespace) -> Iterator[Part]:
    """The story on SQLite, with a death before and after every durable write."""
    yield from _story("on SQLite", forks, options, on_sqlite)


def server_writes(forks: Forks, options: argparse.Namespace) -> Iterator[Part]:
    """The same on PostgreSQL."""
    if binaries() is None:
        _say("PostgreSQL is not installed: no writes to it")
        return
    with running_server() as server:
        yield from _story("on PostgreSQL", forks, options, lambda: on_postgresql(server.create_database()))


def _story(
    where: str, forks: Forks, options: argparse.Namespace, places: Callable[[], AbstractContextManager[Place]]
) -> Iterator[Part]:
    with Upstream() as upstream:
        with places() as place:
            undisturbed = told(forks, upstream, place)
        yield Part(f"the story {where}, undisturbed", undisturbed.tally)
        part = Part(f"the story {where}, killed before and after every durable write")

        def tell(die_at: int, before: bool) -> Told:
            with places() as place:
                found = told(forks, upstream, place, die_at=die_at, before=before)
            compare(found.tally, found.learned, undisturbed.learned)
            return found

        _sweep(part, len(undisturbed.writes), tell, options.every)
    kinds = Counter(undisturbed.writes)
    part.remarks.insert(
        0, f"{where}, an undisturbed gateway makes {len(undisturbed.writes)} durable writes of {len(kinds)} kinds."
    )
    yield part


def keys(forks: Forks, options: argparse.Namespace) -> Iterator[Part]:
    """Keys made and revoked by command, with a death before and after every durable write."""
    undisturbed = keys_made(forks)
    part = Part("`keys create` and `keys revoke`, killed before and after every durable write")
    part.tally.add(undisturbed.tally)
    _sweep(part, len(undisturbed.writes), lambda die_at, before: keys_made(forks, die_at=die_at, before=before), 1)
    part.remarks.append(
        f"The two commands make {len(undisturbed.writes)} durable writes; `create` makes the store, too."
    )
    del options
    yield part


def _sweep(part: Part, n: int, tell: Callable[[int, bool], Told], every: int) -> None:
    """Tell of a death on both sides of each write, and add it all up."""
    reached, uncounted, most = Counter[str](), 0, 0
    for write in range(1, n + 1, every):
        for before in (True, False):
            found = tell(write, before)
            part.tally.add(found.tally)
            if found.died_at is not None:
                reached[found.died_at] += 1
                uncounted, most = uncounted + found.uncounted, max(most, found.uncounted)
            for fault in found.tally.faults:
                _say(f"{'before' if before else 'after'} write {write} ({found.died_at}): {fault}")
        _say(f"{part.name}: write {write} of {n}, {len(part.tally.faults)} faults")
    part.remarks.append(
        f"{sum(reached.values())} of {2 * len(range(1, n + 1, every))} deaths were reached, at {len(reached)} kinds of"
        f" writes. {uncounted} calls were not counted in a budget, at most {most} for a death."
    )


def kills(forks: Forks, options: argparse.Namespace) -> Iterator[Part]:
    """One gateway on SQLite, killed at random moments."""
    with Upstream(latency=0.02, interval=0.02) as upstream, on_sqlite() as place:
        found = killed(forks, upstream, place, kills=options.kills, people=options.people, seed=options.seed)
    yield _part(f"{options.kills} random kills of a gateway on SQLite", found)


def replicas(forks: Forks, options: argparse.Namespace) -> Iterator[Part]:
    """Two gateways on one PostgreSQL, one of which is killed."""
    if binaries() is None:
        _say("PostgreSQL is not installed: no replicas")
        return
    with running_server() as server:
        with Upstream(latency=0.05) as upstream, on_postgresql(server.create_database()) as place:
            found = taken_over(forks, upstream, place, people=8)
        yield _part("two gateways on one PostgreSQL, one killed in the middle of fits", found)
        with Upstream(latency=0.02, interval=0.02) as upstream, on_postgresql(server.create_database()) as place:
            found = killed(
                forks, upstream, place, number=2, kills=options.kills, people=options.people, seed=options.seed
            )
        yield _part(f"two gateways on one PostgreSQL, {options.kills} random kills in turn", found)


def _part(name: str, found: Killed) -> Part:
    part = Part(name, found.tally)
    part.remarks.append(
        f"{name}: {found.streams} streams were open and {found.fits} fits awaited at the kills; {found.broken} streams"
        f" broke; {found.taken_over} fits were seen taken over; {found.erased} people were erased meanwhile."
        f" {found.uncounted} of {found.calls} calls were not counted in a budget."
    )
    for fault in found.tally.faults:
        _say(f"{name}: {fault}")
    return part


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def main() -> None:
    """Run the parts, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each N-th durable write")
    parser.add_argument("--kills", type=int, default=20, metavar="N", help="random kills of each kind")
    parser.add_argument("--people", type=int, default=4, metavar="N", help="people who live on meanwhile")
    parser.add_argument("--seed", type=int, default=16, help="of the random moments")
    options = parser.parse_args()
    run = {"writes": writes, "server-writes": server_writes, "keys": keys, "kills": kills, "replicas": replicas}
    begun, parts = time.monotonic(), list[Part]()
    with Forks() as forks:
        for name in options.parts:
            for part in run[name](forks, options):
                parts.append(part)
                _say(part.row())
    print("\n".join((*HEAD, *(part.row() for part in parts))))
    for part in parts:
        print(*(f"\n{remark}" for remark in part.remarks), sep="\n")
    print(f"\n{(time.monotonic() - begun) / 60:.0f} minutes.")
    sys.exit(1 if any(part.tally.faults for part in parts) else 0)


if __name__ == "__main__":
    main()
