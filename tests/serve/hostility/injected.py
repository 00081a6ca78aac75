"""Injections through everything that a person can write: turns, profiles, opinions, texts, ids, models and feedback.

Whatever the text is, it reaches the upstream as the text that it is, in the message that it was written in.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import quote

from tests.serve.hostility.attacks import Attack, Headers, asking, encoded, json_headers, plain, statuses
from tests.serve.hostility.injections import TEXTS
from tests.serve.hostility.world import ALPHA, World

_CHAT = "/v1/chat/completions"


def injections(world: World, rng: random.Random) -> Iterator[Attack]:
    """Conversations of people whose data is full of injections, and writes of more of them."""
    makers: Sequence[Callable[[World, random.Random, str], Attack]] = (
        _turn, _turn, _turn, _system, _odd_name, _write, _write, _user, _fit, _comment,
    )  # fmt: skip
    while True:
        yield rng.choice(makers)(world, rng, world.next_id("inject"))


def _key(world: World) -> Headers:
    return json_headers(world.keys["alpha"])


def _chat(world: World, id: str, user: str, body: dict[str, Any]) -> Attack:
    own = world.canaries(ALPHA, user)
    data, told = encoded({**body, "user": user}), body["messages"]
    return plain(id, f"turn of {user}", "POST", _CHAT, data, headers=_key(world), shows=own, asks=own, messages=told)


def _turn(world: World, rng: random.Random, id: str) -> Attack:
    """A person whose prompt holds injections, or anybody else, writes one."""
    user = rng.choice((*world.ids(ALPHA, "odd-"), "ann"))
    turns = [{"role": "user", "content": text} for text in rng.sample(TEXTS, rng.choice((1, 1, 3)))]
    if len(turns) > 1:
        turns[1]["role"] = "assistant"
    return _chat(world, id, user, {"model": "m", "messages": turns, "stream": rng.random() < 0.3})


def _system(world: World, rng: random.Random, id: str) -> Attack:
    """The client's own system message, as text or in parts, behind which another one follows."""
    user, text = rng.choice(world.ids(ALPHA, "odd-")), rng.choice(TEXTS)
    content: Any = rng.choice((text, [{"type": "text", "text": text}], None, ""))
    first = {"role": rng.choice(("system", "developer")), "content": content}
    second = {"role": "system", "content": rng.choice(TEXTS)}
    last = {
        "role": "user",
        "content": [{"type": "text", "text": rng.choice(TEXTS)}, {"type": "image_url", "x": "{{1}}"}],
    }
    return _chat(world, id, user, {"model": "m", "messages": [first, second, last]})


def _odd_name(world: World, rng: random.Random, id: str) -> Attack:
    """A user, a model or a field that is named like an injection."""
    text = rng.choice(TEXTS)
    fields = rng.choice(
        ({"user": text}, {"model": text}, {"safety_identifier": text}, {text: text}, {"tools": [{"x": text}]})
    )
    body = {**asking("Tea?"), **fields}
    return plain(id, "odd name", "POST", _CHAT, encoded(body), headers=_key(world), messages=body["messages"])


def _write(world: World, rng: random.Random, id: str) -> Attack:
    """A write of injections to the attackers' own user."""
    path = f"/v1/users/{rng.choice(world.ids(ALPHA, 'sandbox-'))}"
    text, other = rng.sample(TEXTS, 2)
    method, rest, body = rng.choice(
        (
            ("POST", "/opinions", {"question": text, "answer": other}),
            ("POST", "/opinions", {"question": text, "choices": [text, other], "answer": other}),
            ("POST", "/opinions/remove", {"question": text}),
            ("POST", "/texts", {"texts": [text, other]}),
            ("PATCH", "/dispositions", {"add": [text]}),
            ("PUT", "", {"profile": {text: other}, "texts": [text], text: {other: text}}),
        )
    )
    shows = world.canaries(ALPHA)
    return plain(id, "write", method, f"{path}{rest}", encoded(body), headers=_key(world), shows=shows)


def _user(world: World, rng: random.Random, id: str) -> Attack:
    """A new user whose id is an injection."""
    user_id = f"{rng.choice(TEXTS)} {id}"[:500]
    if rng.random() < 0.5:
        body = encoded({"id": user_id, "profile": {"Age": "30"}, "texts": [user_id]})
        return plain(id, "new user", "POST", "/v1/users", body, headers=_key(world), check=statuses(201, 400))
    path = f"/v1/users/{quote(user_id, safe='')}{rng.choice(('', '/export', '/fits', '/dispositions'))}"
    return plain(id, "no such user", "GET", path, headers=_key(world), check=statuses(404))


def _fit(world: World, rng: random.Random, id: str) -> Attack:
    """A fit of a person whose data is full of injections: the model sees that person only."""
    user = rng.choice(world.ids(ALPHA, "fit-"))
    body = encoded({"iterations": 1, "similarity": "bm25"})
    allowed = statuses(202, 409)
    return plain(id, "fit", "POST", f"/v1/users/{user}/fits", body, headers=_key(world), check=allowed)


def _comment(world: World, rng: random.Random, id: str) -> Attack:
    """Feedback on a response that does not exist, with injections in every field."""
    text = rng.choice(TEXTS)
    body = rng.choice(
        (
            {"response_id": text[:500], "said": text},
            {"response_id": "chatcmpl-x", "choice": text, "choices": [text, "b"]},
            {"response_id": "chatcmpl-x", "rating": text},
            {"response_id": "chatcmpl-x", "said": text, text: text},
        )
    )
    return plain(id, "comment", "POST", "/v1/feedback", encoded(body), headers=_key(world), check=statuses(400, 404))
