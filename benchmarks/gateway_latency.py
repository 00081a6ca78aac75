"""What a gateway adds: latency, throughput, CPU and memory of `idiolect serve`, beside a bare aiohttp pass-through.

An upstream that answers at once, and the load, run on one core; the server under test on another (taskset). Arms:

    bare      aiohttp server and client, which pass bytes through
    base      idiolect, a user for whom nothing was learned
    known     idiolect, a user with prompts, who asks the same
    fresh     idiolect, a user with prompts, whose every question is new and has to be embedded
    litellm   its proxy, with --litellm PYTHON (the interpreter of an environment that has litellm[proxy])

Each round measures every arm once, beginning with another one; the table has medians over the rounds, and of ratios the
least and the largest, too.

Open loop: requests are sent at a fixed rate, whether or not earlier ones are answered; added latency is the difference
of the quantiles to those without a server between. Closed loop: each of so many connections waits for its answer.

    python benchmarks/gateway_latency.py                                                small: a minute
    python benchmarks/gateway_latency.py --rounds 3 --seconds 20 --requests 6000 --litellm ./env/bin/python
    python benchmarks/gateway_latency.py --arms base known --requests 100000            memory over that many
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

ROOT = Path(__file__).resolve().parents[1]
TICKS = os.sysconf("SC_CLK_TCK")
_NEW = 10**5  # number of the first request of the open loop, so that nobody has asked its question before
QUESTION = "Would you drink tea at noon?"

UPSTREAM = """
import asyncio, sys
from aiohttp import web
BODY = (b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":'
        b'"assistant","content":"Yes"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":1}}')
async def chat(request):
    await request.read()
    return web.Response(body=BODY, content_type="application/json")
app = web.Application()
app.router.add_post("/v1/chat/completions", chat)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
"""

BARE = """
import sys
import aiohttp
from aiohttp import web
async def chat(request):
    body = await request.read()
    headers = {"Content-Type": "application/json"}
    async with request.app["session"].post(request.app["url"], data=body, headers=headers) as reply:
        return web.Response(body=await reply.read(), status=reply.status, content_type=reply.content_type)
async def session(app):
    app["session"] = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False)
    app["url"] = f"http://127.0.0.1:{sys.argv[2]}/v1/chat/completions"
    yield
    await app["session"].close()
app = web.Application()
app.cleanup_ctx.append(session)
app.router.add_post("/v1/chat/completions", chat)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
"""

LITELLM = """
model_list:
  - model_name: m
    litellm_params: {model: openai/m, api_base: "http://127.0.0.1:%d/v1", api_key: none}
"""


@dataclass(frozen=True)
class Arm:
    """One server under test.

    Args:
        name: of the row.
        command: what starts it, for its port and the upstream's.
        body: the request with a number.
        environment: further variables of the server.
        headers: further headers of the requests.
        most: requests of the closed loop at most, for a slow server.
    """

    name: str
    command: Callable[[int, int], list[str]]
    body: Callable[[int], bytes]
    environment: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    most: int | None = None


@dataclass
class Measured:
    """What was measured of one arm in one round; seconds, requests a second, CPU seconds a request, MiB.

    `p50` and `p99` are those of the latency, less those of the same round without a server between.
    """

    p50: float
    p99: float
    direct: tuple[float, float]
    rate: float
    cpu: float
    memory: tuple[float, float]
    n_open: int
    n_closed: int


def main() -> None:
    """Measure every arm and print a table."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        print("learning prompts for one user …", file=sys.stderr)
        asyncio.run(_learn(store, options.similarity))
        arms = _arms(store, options, Path(folder))
        upstream_port = _free_port()
        upstream = _start([sys.executable, "-c", UPSTREAM, str(upstream_port)], options.load_core, {})
        try:
            _await_port(upstream_port)
            os.sched_setaffinity(0, {options.load_core})
            found: dict[str, list[Measured]] = {arm.name: [] for arm in arms}
            for turn in range(options.rounds):
                direct = asyncio.run(_open_loop(upstream_port, arms[0], options.rate, options.seconds))
                for arm in arms[turn % len(arms) :] + arms[: turn % len(arms)]:
                    found[arm.name].append(_measure(arm, upstream_port, direct, options))
        finally:
            upstream.terminate()
            upstream.wait()
    _print(found, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=50, help="requests a second of the open loop")
    parser.add_argument("--seconds", type=float, default=5, help="of the open loop")
    parser.add_argument("--connections", type=int, default=32, help="of the closed loop")
    parser.add_argument("--requests", type=int, default=3000, help="of the closed loop")
    parser.add_argument("--rounds", type=int, default=1, help="measurements of each arm")
    parser.add_argument("--similarity", default="minilm", help="of the prompts that are learned: bm25 or minilm")
    parser.add_argument("--server-core", type=int, default=1)
    parser.add_argument("--load-core", type=int, default=0)
    parser.add_argument("--litellm", help="interpreter of an environment with litellm[proxy]")
    parser.add_argument("--arms", nargs="+", help="only these")
    return parser.parse_args()


async def _learn(store: Path, similarity: str) -> None:
    """Learn prompts for ann with a model that is a function."""
    from dataclasses import replace

    sys.path.insert(0, str(ROOT))
    from tests.application.mimicked import ANN, FAST, opened
    from tests.application.served import fit_in

    await fit_in(opened(store), [ANN], replace(FAST, similarity=similarity))


def _arms(store: Path, options: argparse.Namespace, folder: Path) -> list[Arm]:
    def ours(port: int, upstream: int) -> list[str]:
        served = ["serve", "--upstream", f"http://127.0.0.1:{upstream}/v1", "--port", str(port), "--store", str(store)]
        return [sys.executable, "-m", "idiolect.cli.app", *served]

    def bare(port: int, upstream: int) -> list[str]:
        return [sys.executable, "-c", BARE, str(port), str(upstream)]

    def litellm(port: int, upstream: int) -> list[str]:
        configuration = folder / "litellm.yaml"
        configuration.write_text(LITELLM % upstream)
        start = f"from litellm import run_server; run_server(['--config', {str(configuration)!r}, '--port', '{port}'])"
        return [options.litellm, "-c", start]

    path = {"PYTHONPATH": str(ROOT / "src")}
    found = [
        Arm("bare", bare, lambda _number: _body("nobody")),
        Arm("base", ours, lambda _number: _body("nobody"), path),
        Arm("known", ours, lambda _number: _body("ann"), path),
        Arm("fresh", ours, lambda number: _body("ann", f"{QUESTION} And number {number}?"), path, most=2000),
    ]
    if options.litellm:
        key = "sk-of-the-benchmark"
        environment = {"LITELLM_MASTER_KEY": key, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        headers = {"Authorization": f"Bearer {key}"}
        found.append(Arm("litellm", litellm, lambda _number: _body("nobody"), environment, headers, most=1000))
    return [arm for arm in found if not options.arms or arm.name in options.arms]


def _body(user: str, question: str = QUESTION) -> bytes:
    return json.dumps({"model": "m", "user": user, "messages": [{"role": "user", "content": question}]}).encode()


def _measure(arm: Arm, upstream: int, direct: list[float], options: argparse.Namespace) -> Measured:
    port = _free_port()
    print(f"{arm.name} …", file=sys.stderr)
    requests = min(options.requests, arm.most or options.requests)
    server = _start(arm.command(port, upstream), options.server_core, arm.environment)
    try:
        _await_port(port)
        asyncio.run(_closed_loop(port, arm, options.connections, 200))
        latencies = asyncio.run(_open_loop(port, arm, options.rate, options.seconds))
        before, memory = _cpu_seconds(server.pid), _memory(server.pid)
        seconds = asyncio.run(_closed_loop(port, arm, options.connections, requests, first=10**6))
        cpu = (_cpu_seconds(server.pid) - before) / requests
        after = _memory(server.pid)
    finally:
        server.terminate()
        server.wait()
    without, (p50, p99) = _quantiles(direct), _quantiles(latencies)
    added = (p50 - without[0], p99 - without[1])
    return Measured(*added, without, requests / seconds, cpu, (memory, after), len(latencies), requests)


async def _ask(session: aiohttp.ClientSession, url: str, arm: Arm, number: int) -> None:
    headers = {"Content-Type": "application/json", **arm.headers}
    async with session.post(url, data=arm.body(number), headers=headers) as reply:
        text = await reply.read()
        assert reply.status == 200, text


async def _open_loop(port: int, arm: Arm, rate: float, seconds: float) -> list[float]:
    url, found = f"http://127.0.0.1:{port}/v1/chat/completions", []

    async def one(number: int, session: aiohttp.ClientSession, due: float) -> None:
        await asyncio.sleep(due - time.perf_counter())
        begun = time.perf_counter()
        await _ask(session, url, arm, _NEW + number)
        found.append(time.perf_counter() - begun)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        start = time.perf_counter() + 0.2
        await asyncio.gather(*(one(number, session, start + number / rate) for number in range(int(rate * seconds))))
    return found


async def _closed_loop(port: int, arm: Arm, connections: int, requests: int, *, first: int = 0) -> float:
    url, numbers = f"http://127.0.0.1:{port}/v1/chat/completions", iter(range(first, first + requests))

    async def worker(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            await _ask(session, url, arm, number)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        begun = time.perf_counter()
        await asyncio.gather(*(worker(session) for _ in range(connections)))
        return time.perf_counter() - begun


def _quantiles(latencies: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(latencies, n=100, method="inclusive")
    return cuts[49], cuts[98]


def _start(command: list[str], core: int, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    pinned = ["taskset", "-c", str(core), *command]
    env = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(pinned, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _await_port(port: int) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.1)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _memory(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _print(found: dict[str, list[Measured]], options: argparse.Namespace) -> None:
    direct = [each.direct for measured in found.values() for each in measured]
    p50, p99 = (statistics.median(values) * 1e3 for values in zip(*direct, strict=True))
    print(f"Without a server between: p50 {p50:.2f} ms, p99 {p99:.2f} ms.")
    print(f"Open loop: {options.rate:g} requests/s; closed loop: {options.connections} connections.")
    print(f"{options.rounds} round(s).\n")
    print("| server | added p50 (ms) | added p99 (ms) | n | requests/s | of bare | CPU (ms) | MiB before, after | n |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, rounds in found.items():
        p50, p99, rate, cpu = (
            statistics.median(getattr(each, of) for each in rounds) for of in ("p50", "p99", "rate", "cpu")
        )
        memory = ", ".join(f"{max(each.memory[at] for each in rounds):.0f}" for at in (0, 1))
        n_open, n_closed = (sum(getattr(each, of) for each in rounds) for of in ("n_open", "n_closed"))
        print(
            f"| {name} | {p50 * 1e3:.2f} | {p99 * 1e3:.2f} | {n_open:,} | {rate:,.0f} |"
            f" {_ratios(rounds, found.get('bare'))} | {cpu * 1e3:.3f} | {memory} | {n_closed:,} |"
        )


def _ratios(rounds: list[Measured], bare: list[Measured] | None) -> str:
    """Return the median of the ratios of each round's throughput to that of the bare server, and their range."""
    if bare is None:
        return "-"
    ratios = [each.rate / other.rate for each, other in zip(rounds, bare, strict=True)]
    return f"{statistics.median(ratios):.3f} [{min(ratios):.3f}, {max(ratios):.3f}]"


if __name__ == "__main__":
    main()
