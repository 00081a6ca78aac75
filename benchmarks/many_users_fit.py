"""Overhead of learning many users: `idiolect fit` in the paper's loop against an instant local server.

    python benchmarks/many_users_fit.py --users 1000                     CPU a call, memory
    python benchmarks/many_users_fit.py --users 60 --latency 0.5 --concurrency 64    how well the bound is kept

Measured are the CPU time (user + system) and the peak memory of the whole command, start-up included, divided by the
requests that the server counted; and from the server's own account the mean and the peak of requests in flight. As the
rival, the same number of requests (up to --rival-calls) are made by a bare loop over `openai`'s own
`chat.completions.create` with retries off and the aiohttp backend, which keeps, bounds and counts nothing.
Users are the bundled people over and over, told apart by a number in their profile, 20 opinions each.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from idiolect.people.bundled import bundled_people
from idiolect.people.user import User, UserProfile
from idiolect.people.users_file import write_users

N_OPINIONS = 20


@dataclass(frozen=True)
class Measured:
    """What one command took."""

    cpu_seconds: float
    peak_mb: float
    wall_seconds: float
    stats: dict[str, float]

    @property
    def cpu_ms_a_call(self) -> float:
        """CPU milliseconds by request."""
        return 1000 * self.cpu_seconds / self.stats["requests"]


@contextmanager
def server(port: int, latency: float) -> Iterator[str]:
    """The instant server in a process of its own; its address."""
    script = Path(__file__).with_name("instant_server.py")
    process = subprocess.Popen([sys.executable, str(script), "--port", str(port), "--latency", str(latency)])
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"{url}/stats")
                break
            except OSError:
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait()


def stats_of(url: str) -> dict[str, float]:
    """The server's account."""
    with urllib.request.urlopen(f"{url}/stats") as answer:
        told: dict[str, float] = json.load(answer)
    return told


def write_many(path: Path, n: int) -> None:
    """The bundled people over and over, told apart by a number."""
    people = bundled_people()

    def users() -> Iterator[User]:
        for i in range(n):
            person = people[i % len(people)]
            profile = UserProfile({**person.profile.attributes, "Number": str(i)})
            yield replace(person, id=f"u{i}", profile=profile, opinions=person.opinions[:N_OPINIONS])

    with path.open("wb") as stream:
        write_users(users(), stream)


def measure(command: list[str], url: str) -> Measured:
    """Run a command to its end; CPU time and memory are those of all its processes."""
    start = time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    if status != 0:
        raise SystemExit(f"failed with status {status}: {' '.join(command)}")
    return Measured(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, wall, stats_of(url))


def fit(arguments: argparse.Namespace, folder: Path) -> Measured:
    """`idiolect fit`, whole."""
    users = folder / "users.jsonl"
    write_many(users, arguments.users)
    with server(arguments.port, arguments.latency) as url:
        command = [sys.executable, "-m", "idiolect.cli.app", "fit", str(users), "--store", str(folder / "store")]
        command += ["--model", f"{url}/v1#instant", "--preset", "paper-offline", "--similarity", "bm25", "--json"]
        return measure([*command, "--concurrency", str(arguments.concurrency)], url)


def rival(arguments: argparse.Namespace, n_calls: int) -> Measured:
    """The same requests by a bare loop over `openai`."""
    with server(arguments.port + 1, arguments.latency) as url:
        me = [sys.executable, str(Path(__file__)), "--bare-loop", url, "--rival-calls", str(n_calls)]
        return measure([*me, "--concurrency", str(arguments.concurrency)], url)


async def bare_loop(url: str, n_calls: int, concurrency: int) -> None:
    """`n_calls` requests of the paper loop's usual size, `concurrency` at a time."""
    import openai

    content = "A person can be described as follows: …\n\nQuestion: How do you rate this cuisine?\n" + "x" * 500
    left = iter(range(n_calls))
    client = openai.AsyncOpenAI(
        base_url=f"{url}/v1", api_key="none", max_retries=0, http_client=openai.DefaultAioHttpClient()
    )

    async def worker() -> None:
        for i in left:
            await client.chat.completions.create(
                model="instant",
                messages=[{"role": "user", "content": f"{i} {content}"}],
                max_tokens=64,
                temperature=0,
            )

    await asyncio.gather(*(worker() for _ in range(concurrency)))
    await client.close()


def report(arguments: argparse.Namespace, ours: Measured, theirs: Measured | None) -> str:
    """A Markdown table."""
    rows = [("`idiolect fit`", ours)] + ([("bare loop over `openai`", theirs)] if theirs else [])
    lines = [
        f"{arguments.users:,} users of {N_OPINIONS} opinions, preset paper-offline, "
        f"concurrency {arguments.concurrency}, latency {arguments.latency:g} s; "
        f"Python {platform.python_version()}, {os.cpu_count()} cores",
        "",
        "| | requests | CPU ms a request | peak memory MB | wall s | in flight: mean | in flight: peak |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, one in rows:
        lines.append(
            f"| {name} | {one.stats['requests']:,.0f} | {one.cpu_ms_a_call:.2f} | {one.peak_mb:.0f} | "
            f"{one.wall_seconds:.1f} | {one.stats['mean_in_flight']:.1f} | {one.stats['peak']:.0f} |"
        )
    if theirs:
        lines += ["", f"Ratio of CPU a request: {ours.cpu_ms_a_call / theirs.cpu_ms_a_call:.2f}"]
    return "\n".join(lines)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds until the server answers")
    parser.add_argument("--rival-calls", type=int, default=20_000, help="0: no rival")
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--bare-loop", metavar="URL", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare_loop:
        asyncio.run(bare_loop(arguments.bare_loop, arguments.rival_calls, arguments.concurrency))
        return
    with tempfile.TemporaryDirectory() as folder:
        ours = fit(arguments, Path(folder))
    theirs = rival(arguments, arguments.rival_calls) if arguments.rival_calls else None
    print(report(arguments, ours, theirs))


if __name__ == "__main__":
    main()
