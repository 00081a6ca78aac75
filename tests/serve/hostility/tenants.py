"""Ids of another tenant, or of somebody whom a key does not reach: they look as if they were nowhere.

Every attack is a pair: the same request names what exists elsewhere, and what exists nowhere. The answers have to be
the same, but for the id that was sent.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import quote

from tests.serve.hostility.attacks import Attack, asking, encoded, json_headers
from tests.serve.hostility.wire import Answer, exchanged, request
from tests.serve.hostility.world import ALPHA, BETA, GROUP, World

_DELETE = ("DELETE", "", None)
_VOLATILE = ("date", "x-request-id", "x-idiolect-added-ms", "content-length")
_BEING_ERASED, _PAUSE = b'"code":"user_being_erased"', 0.5  # seconds
_UPSTREAM_ID = re.compile(rb"chatcmpl-\d{8}")
_CHANGES: Sequence[tuple[str, str, Any]] = (
    ("GET", "", None), ("GET", "/export", None), ("GET", "/dispositions", None), ("GET", "/fits", None),
    ("POST", "/opinions", {"question": "Tea?", "answer": "Crossed."}),
    ("POST", "/opinions/remove", {"question": "Tea?"}), ("POST", "/texts", {"texts": ["Crossed."]}),
    ("PATCH", "/dispositions", {"add": ["Crossed."]}), ("POST", "/fits", {"iterations": 1}),
)  # fmt: skip


def crossed_ids(world: World, rng: random.Random) -> Iterator[Attack]:
    """People, responses, fits and groups of another tenant, and people whom a bound key does not reach."""
    makers: Sequence[Callable[[World, random.Random, str], Attack]] = (
        _person, _person, _person, _bound, _bound, _fit, _response, _response, _asker, _page,
    )  # fmt: skip
    while True:
        yield rng.choice(makers)(world, rng, world.next_id("cross"))


def _pair(
    world: World, id: str, what: str, key: str, makes: Callable[[str], tuple[str, str, Any]], names: Sequence[str]
) -> Attack:
    """The same request for two names, the second of which exists nowhere."""
    made = [makes(name) for name in names]
    headers = json_headers(world.keys[key])

    async def send(port: int) -> Sequence[Answer]:
        found: list[Answer] = []
        for number, (method, path, body) in enumerate(made):
            data = None if body is None else encoded(body)
            given = [*headers, ("X-Request-Id", f"{id}.{number}")]
            while True:
                answers = await exchanged(port, request(method, path, data, headers=given), (method,))
                if not any(_BEING_ERASED in answer.body for answer in answers):
                    break
                await asyncio.sleep(_PAUSE)  # a fuzzed path has this tenant, too, erase somebody of that name just now
            found += answers
        return found

    def check(answers: Sequence[Answer]) -> str:
        if len(answers) < 2:
            return "no answer"
        first, second = (_blurred(answer, name) for answer, name in zip(answers, names, strict=True))
        if first == second:
            return ""
        return f"differs from what exists nowhere: {answers[0].status} {answers[0].body[:100]!r}, {answers[1].status}"

    method, path, _ = made[0]
    return Attack(id, f"{what}: {method} {path}", send, check=check, n=2)


def _blurred(answer: Answer, name: str) -> tuple[object, ...]:
    """The answer without what is different in any two, and without the name."""
    body = _UPSTREAM_ID.sub(b"ID", answer.body)
    for shown in {name, quote(name, safe="")}:
        body = body.replace(shown.encode(), b"ID")
    headers = tuple(pair for pair in answer.headers if pair[0] not in _VOLATILE)
    return answer.status, headers, body


def _person(world: World, rng: random.Random, id: str) -> Attack:
    change, theirs = rng.choice((*_CHANGES, _DELETE)), rng.choice(("bea", "ben", GROUP))
    if change == _DELETE:  # whom alpha deletes looks different to alpha meanwhile, so no other attack names them
        change, theirs = (_DELETE, world.gone.pop()) if world.gone else (_CHANGES[0], theirs)
    method, rest, body = change
    return _pair(
        world,
        id,
        "beta's",
        "alpha",
        lambda name: (method, f"/v1/users/{quote(name)}{rest}", body),
        (theirs, f"nowhere-{id}"),
    )


def _bound(world: World, rng: random.Random, id: str) -> Attack:
    """The key of cy, and other people of cy's own tenant."""
    method, rest, body = rng.choice((*_CHANGES, _DELETE, ("PUT", "", {"texts": ["Crossed."]})))
    theirs = rng.choice(("ann", "bob", "odd-0"))
    return _pair(
        world,
        id,
        "key of cy",
        "alpha-cy",
        lambda name: (method, f"/v1/users/{name}{rest}", body),
        (theirs, f"nowhere-{id}"),
    )


def _fit(world: World, rng: random.Random, id: str) -> Attack:
    """A fit of beta, under its own user and under one of alpha's."""
    user, job = rng.choice(world.jobs[BETA])
    method, rest = rng.choice((("GET", ""), ("DELETE", ""), ("GET", "/events")))
    named = rng.choice((user, "ann"))
    return _pair(
        world,
        id,
        "beta's fit",
        "alpha",
        lambda name: (method, f"/v1/users/{named}/fits/{name}{rest}", None),
        (job, "0" * 24),
    )


def _response(world: World, rng: random.Random, id: str) -> Attack:
    """Feedback on a response to somebody else: of another tenant, or of the same one with a key of cy."""
    comment = rng.choice(
        ({"rating": "up"}, {"rating": "down"}, {"said": "Crossed."}, {"choice": "a", "choices": ["a", "b"]})
    )
    key = rng.choice(("alpha", "alpha-cy"))
    theirs = rng.choice(world.responses[BETA] if key == "alpha" else world.responses[ALPHA])
    named = {"user": rng.choice(("ann", "bea"))} if rng.random() < 0.5 else {}
    return _pair(
        world,
        id,
        "response",
        key,
        lambda name: ("POST", "/v1/feedback", {"response_id": name, **comment, **named}),
        (theirs, f"nowhere-{id}"),
    )


def _asker(world: World, rng: random.Random, id: str) -> Attack:
    """A conversation in the name of somebody of beta."""
    field = rng.choice(("user", "safety_identifier"))
    theirs = rng.choice(("bea", "ben", GROUP))
    return _pair(
        world,
        id,
        "asker",
        "alpha",
        lambda name: ("POST", "/v1/chat/completions", asking("Tea?", **{field: name})),
        (theirs, f"nowhere-{id}"),
    )


def _page(world: World, rng: random.Random, id: str) -> Attack:
    """A page of a bound key, that begins behind somebody whom it does not reach."""
    after = rng.choice(("ann", "bob"))
    return _pair(
        world,
        id,
        "page",
        "alpha-cy",
        lambda name: ("GET", f"/v1/users?limit=1&after={name}", None),
        (after, "aaa-nobody"),
    )
