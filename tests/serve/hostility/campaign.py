"""A campaign: all kinds of attacks at once on one gateway, while well-behaved clients ask; and what is checked of it.

prepare → attacks of all kinds, shuffled ┬ quick ones, so many at a time ┐→ Outcome of each kind
                                         └ slow ones, many at a time     ┘→ faults: responses, upstream, log, data
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.serve.hostility.attacks import Attack, Kind, asking, encoded, json_headers
from tests.serve.hostility.fuzzed_bodies import fuzzed_bodies
from tests.serve.hostility.fuzzed_targets import fuzzed_paths, fuzzed_queries
from tests.serve.hostility.injected import injections
from tests.serve.hostility.injections import COMPUTED
from tests.serve.hostility.malformed import SMUGGLED, malformed_http
from tests.serve.hostility.oversized import oversized_requests
from tests.serve.hostility.recorder import KEY, Recorder, Seen
from tests.serve.hostility.slow import slow_clients
from tests.serve.hostility.spoofed import spoofed_headers, spoofed_hosts
from tests.serve.hostility.tenants import crossed_ids
from tests.serve.hostility.valid_bodies import operations_of
from tests.serve.hostility.wire import Answer, exchanged, request
from tests.serve.hostility.world import ALPHA, BETA, CANARY, PROTECTED, World

SLOW = "slow clients"
# Kinds, and their shares of the requests in thousandths.
KINDS: Mapping[str, tuple[Kind, int]] = {
    "fuzzed bodies": (fuzzed_bodies, 300),
    "fuzzed paths": (fuzzed_paths, 100),
    "fuzzed queries": (fuzzed_queries, 50),
    "malformed HTTP": (malformed_http, 110),
    "oversized": (oversized_requests, 40),
    SLOW: (slow_clients, 50),
    "spoofed headers": (spoofed_headers, 110),
    "spoofed hosts, no keys": (spoofed_hosts, 40),
    "injections": (injections, 120),
    "ids of others": (crossed_ids, 80),
}
_BUSY_CODES = frozenset({"cache_unavailable", "server_busy"})  # documented answers of a server that has much to do
_PARALLEL, _PARALLEL_SLOW = 24, 120
_TRACES = (b"Traceback (most", b'File "/', b"site-packages")


@dataclass
class Outcome:
    """What came of one kind of attacks."""

    n: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    faults: list[str] = field(default_factory=list)


class Campaign:
    """Attacks on a gateway.

    Args:
        world: what is attacked.
        recorder: its upstream.
        port: the gateway's.
        open_port: that of the gateway without keys.
        limit: seconds within which every attack has to end.
    """

    def __init__(self, world: World, recorder: Recorder, port: int, open_port: int, *, limit: float) -> None:
        self._world, self._recorder, self._port, self._open_port, self._limit = world, recorder, port, open_port, limit
        self.outcomes: dict[str, Outcome] = {}
        self._quick, self._slow = list[tuple[str, Attack]](), list[tuple[str, Attack]]()
        self._attacks: dict[str, Attack] = {}
        self._secrets = [secret.encode() for secret in (*world.keys.values(), KEY)]

    async def prepare(self) -> None:
        """Read the OpenAPI document, have conversations, and fit somebody of beta: the ids are attacked later."""
        world = self._world
        (document,) = await exchanged(self._port, request("GET", "/openapi.json"))
        world.operations = operations_of(json.loads(document.body))
        for tenant, user in ((ALPHA, "bob"), (BETA, "bea")):
            found = [
                await self._ask("POST", "/v1/chat/completions", tenant, asking("Tea?", user=user)) for _ in range(4)
            ]
            world.responses[tenant] = [str(each["id"]) for each in found]
        await self._check_teeth()
        job = await self._ask("POST", "/v1/users/fitted/fits", BETA, {"iterations": 1, "similarity": "bm25"})
        world.jobs[BETA] = [("fitted", str(job["id"]))]
        while job["state"] in ("queued", "running"):
            await asyncio.sleep(0.2)
            job = await self._ask("GET", f"/v1/users/fitted/fits/{job['id']}", BETA)
        assert job["state"] == "done", job

    async def _check_teeth(self) -> None:
        """Check that what was learned is recognized at the upstream: otherwise no leak would be seen."""
        odd = self._world.ids(ALPHA, "odd-")
        for user in odd:
            await self._ask("POST", "/v1/chat/completions", ALPHA, asking("Tea?", user=user))
        prompted = {canary for seen in self._recorder.seen() for canary in seen.canaries}
        for tenant, user in ((ALPHA, "bob"), (BETA, "bea")):
            assert self._world.canaries(tenant, user) <= prompted, f"the prompts of {user} do not reach the upstream"
        assert len(prompted & self._world.canaries(ALPHA, *odd)) * 2 >= len(odd), "most injections do not reach it"

    def plan(self, n: int, rng: random.Random, kinds: Mapping[str, tuple[Kind, int]] = KINDS) -> None:
        """Make about `n` requests, of each kind its share."""
        quick, slow = self._quick, self._slow
        self.outcomes.update((name, Outcome()) for name in kinds)
        for name, (kind, share) in kinds.items():
            attacks, wanted = kind(self._world, rng), max(1, n * share // 1000)
            while wanted > 0:
                attack = next(attacks)
                self._attacks[attack.id] = attack
                wanted -= attack.n
                (slow if name == SLOW else quick).append((name, attack))
        rng.shuffle(quick)
        rng.shuffle(slow)

    async def run(self) -> None:
        """Send what was planned."""
        await asyncio.gather(self._all(self._quick, _PARALLEL), self._all(self._slow, _PARALLEL_SLOW))

    async def _all(self, attacks: Iterable[tuple[str, Attack]], parallel: int) -> None:
        waiting = iter(attacks)

        async def worker() -> None:
            for name, attack in waiting:
                await self._one(self.outcomes[name], attack)

        await asyncio.gather(*(worker() for _ in range(parallel)))

    async def _one(self, outcome: Outcome, attack: Attack) -> None:
        begun, fault = time.monotonic(), ""
        answers: Sequence[Answer] = ()
        try:
            async with asyncio.timeout(self._limit):
                answers = await attack.send(self._open_port if attack.keyless else self._port)
        except TimeoutError:
            fault = f"did not end within {self._limit:g} s"
        except OSError as error:
            fault = f"no connection ({type(error).__name__})"
        outcome.slowest = max(outcome.slowest, time.monotonic() - begun)
        outcome.n += attack.n
        outcome.statuses.update(_class_of(answer) for answer in answers)
        outcome.statuses["none"] += max(0, attack.n - len(answers))
        fault = fault or self._fault_of(attack, answers)
        if fault:
            outcome.faults.append(f"{attack.what} ({attack.id}): {fault}")

    def _fault_of(self, attack: Attack, answers: Sequence[Answer]) -> str:
        """What is wrong with the responses to an attack."""
        if not answers and not attack.mute:
            return "no response"
        for answer in answers:
            if answer.status >= 500 and _code_of(answer) not in _BUSY_CODES:
                return f"status {answer.status}: {answer.body[:200]!r}"
            if not answer.whole and not attack.mute:
                return f"status {answer.status}, cut after {len(answer.body):,} bytes"
            shown = {found.decode() for found in CANARY.findall(answer.data)} - attack.shows
            if shown:
                return f"shows {self._whose(shown)}"
            if any(secret in answer.data for secret in self._secrets):
                return "shows a key"
            if any(trace in answer.data for trace in _TRACES):
                return "shows a trace"
            if any(name in ("x-injected", "set-cookie", "location-x") for name, _ in answer.headers):
                return "a header was injected"
        return attack.check(answers)

    def upstream_faults(self, all_seen: Iterable[Seen]) -> list[str]:
        """What is wrong with what reached the upstream."""
        found = []
        for seen in all_seen:
            attack = self._attacks.get(seen.id.rpartition(".")[0])
            fault = self._upstream_fault(seen, attack)
            if fault:
                found.append(f"at the upstream, {attack.what if attack else 'a request'} ({seen.id}): {fault}")
        return found

    def _upstream_fault(self, seen: Seen, attack: Attack | None) -> str:
        if seen.id.startswith(SMUGGLED):
            return "a smuggled request"
        if len(seen.canaries) > 1:
            return f"data of several people: {self._whose(seen.canaries)}"
        if attack is not None and seen.canaries - attack.asks:
            return f"data of {self._whose(seen.canaries)}"
        if any(secret.decode() in seen.headers for secret in self._secrets[:-1]) or "cookie" in seen.headers.lower():
            return "a key or a cookie of a client"
        if seen.messages is None:
            return ""
        if COMPUTED in json.dumps(seen.messages):
            return "a template was evaluated"
        return "" if attack is None or attack.messages is None else _conversation_fault(attack.messages, seen.messages)

    def log_faults(self, log: str) -> list[str]:
        """What is wrong with the server's log."""
        found = []
        for line in log.splitlines():
            data = line.encode()
            if CANARY.search(data):
                found.append(f"in the log, somebody's data: {line[:200]}")
            elif any(secret in data for secret in self._secrets):
                found.append("in the log, a key")
            elif "Traceback" in line or ('"event":"failure"' in line and '"level":"error"' in line):
                found.append(f"in the log, {line[:300]}")
            elif not line.startswith(("{", "serving http", "try: curl")):
                found.append(f"in the log, a line that is no JSON: {line[:200]}")
        return found

    def _whose(self, canaries: Iterable[str]) -> str:
        known = {person.canary: f"{person.tenant}/{person.id}" for person in self._world.people.values()}
        return ", ".join(sorted(known.get(canary, canary) for canary in canaries))

    async def _ask(self, method: str, path: str, key: str, body: object = None) -> dict[str, Any]:
        data = None if body is None else encoded(body)
        sent = request(method, path, data, headers=json_headers(self._world.keys[key]))
        (answer,) = await exchanged(self._port, sent, (method,))
        assert answer.status < 300, f"{method} {path}: {answer.status} {answer.body[:300]!r}"
        found: dict[str, Any] = json.loads(answer.body)
        return found

    async def still_answers(self) -> None:
        """Check that people of both tenants are still answered, under their own prompts."""
        before = len(self._recorder.seen())
        for tenant, ids in PROTECTED.items():
            for user in ids:
                await self._ask("POST", "/v1/chat/completions", tenant, asking("Tea?", user=user))
        prompted = {canary for seen in self._recorder.seen(before) for canary in seen.canaries}
        expected = {canary for tenant, ids in PROTECTED.items() for canary in self._world.canaries(tenant, *ids)}
        assert prompted >= expected, f"nothing was put in front of the conversations of {expected - prompted}"


def _class_of(answer: Answer) -> str:
    return f"{answer.status // 100}xx" if answer.status else "none"


def _code_of(answer: Answer) -> str:
    try:
        return str(json.loads(answer.body)["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return ""


def _conversation_fault(sent: Sequence[Any], seen: Sequence[Any]) -> str:
    """What became of a conversation: a prompt may begin its first system message, or be one before it."""
    if list(sent) == list(seen):
        return ""
    first = seen[0] if seen else {}
    if len(seen) == len(sent) + 1 and first["role"] == "system" and list(seen[1:]) == list(sent):
        return ""
    instructing = sent[0]["role"] in ("system", "developer")
    if len(seen) == len(sent) and instructing and list(seen[1:]) == list(sent[1:]) and _follows(sent[0], first):
        return ""
    return f"the conversation became {json.dumps(seen)[:300]}"


def _follows(own: Mapping[str, Any], merged: Mapping[str, Any]) -> bool:
    """Whether a system message is the client's own behind a prompt."""
    if own["role"] != merged["role"]:
        return False
    if isinstance(own["content"], list):
        return list(merged["content"][1:]) == own["content"]
    return str(merged["content"]).endswith(f"\n\n{own['content']}") if own["content"] else True
