"""What an attack is: bytes to send, what may come back, and what may reach the upstream.

kind of attack → Attack (send, shows, asks, check) → answers → faults
"""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tests.serve.hostility.wire import Answer, exchanged, request
from tests.serve.hostility.world import World

Sends: TypeAlias = Callable[[int], Awaitable[Sequence[Answer]]]
Checks: TypeAlias = Callable[[Sequence[Answer]], str]
Kind: TypeAlias = Callable[[World, random.Random], Iterator["Attack"]]
Headers: TypeAlias = Iterable[tuple[str, "str | bytes"]]
NOBODY: frozenset[str] = frozenset()


def nothing_wrong(_answers: Sequence[Answer]) -> str:
    """Check nothing."""
    return ""


@dataclass(frozen=True)
class Attack:
    """One hostile request, or several that belong together.

    Args:
        id: begins the ids of its requests.
        what: what it is, in a few words.
        send: sends it to a port, and returns the responses.
        shows: canaries that the responses may contain.
        asks: canaries that its requests to the upstream may contain.
        check: returns what is wrong with the responses; "" if nothing is.
        n: number of requests.
        mute: whether the server may end the connection without a response.
        keyless: whether it is for the gateway that needs no key.
        messages: the conversation that has to reach the upstream as it is, behind a prefix at most; None: any.
    """

    id: str
    what: str
    send: Sends
    shows: frozenset[str] = NOBODY
    asks: frozenset[str] = NOBODY
    check: Checks = nothing_wrong
    n: int = 1
    mute: bool = False
    keyless: bool = False
    messages: Sequence[Any] | None = field(default=None, repr=False)


def plain(
    id: str,
    what: str,
    method: str,
    path: str | bytes,
    body: bytes | None = None,
    *,
    headers: Headers = (),
    host: str = "localhost",
    **more: Any,
) -> Attack:
    """One request on a connection of its own; `more` are arguments of `Attack`."""
    data = request(method, path, body, headers=[("X-Request-Id", f"{id}.0"), *headers], host=host)

    async def send(port: int) -> Sequence[Answer]:
        return await exchanged(port, data, (method,))

    return Attack(id, f"{what}: {method} {_shown(path)}", send, **more)


def raw(id: str, what: str, data: bytes, methods: Sequence[str] = ("GET",), **more: Any) -> Attack:
    """Bytes on a connection of their own."""

    async def send(port: int) -> Sequence[Answer]:
        return await exchanged(port, data, methods)

    return Attack(id, what, send, **more)


def json_headers(secret: str = "", content_type: str = "application/json") -> list[tuple[str, str | bytes]]:
    """The headers of a request with a JSON body, and with a key if there is one."""
    shown: list[tuple[str, str | bytes]] = [("Authorization", f"Bearer {secret}")] if secret else []
    return [("Content-Type", content_type), *shown]


def bearer(secret: str) -> list[tuple[str, str | bytes]]:
    """The header that shows a key."""
    return [("Authorization", f"Bearer {secret}")]


def asking(text: str, **fields: Any) -> dict[str, Any]:
    """A conversation of one turn."""
    return {"model": "m", "messages": [{"role": "user", "content": text}], **fields}


def encoded(value: object) -> bytes:
    """JSON, in which half characters stay escapes."""
    return json.dumps(value).encode()


def statuses(*allowed: int) -> Checks:
    """The check that every response has one of the statuses."""

    def check(answers: Sequence[Answer]) -> str:
        other = [answer.status for answer in answers if answer.status not in allowed]
        return f"status {other}, expected one of {allowed}" if other else ""

    return check


def _shown(path: str | bytes) -> str:
    text = path.decode("latin-1") if isinstance(path, bytes) else path
    return text if len(text) <= 80 else f"{text[:77]}..."
