"""Clients that take their time: heads and bodies byte by byte, connections that are left open, streams left unread.

The client waits for as long as the server does: the server has to end each of these connections by itself.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence

from tests.serve.hostility.attacks import Attack, asking, encoded, json_headers
from tests.serve.hostility.oversized import ask_large
from tests.serve.hostility.recorder import FLOOD, LARGE
from tests.serve.hostility.wire import Answer, Connection, connected, request
from tests.serve.hostility.world import World

_UNREAD = 2**24  # bytes: more than all buffers on the way hold
_STEP = 0.2  # seconds between bytes

Acts = Callable[[Connection], Awaitable[Sequence[Answer]]]


def slow_clients(world: World, rng: random.Random) -> Iterator[Attack]:
    """Every sort in turn."""
    makers = (
        _head_dripped,
        _head_left,
        _left,
        _body_dripped,
        _body_left,
        _chunks_dripped,
        _kept_alive,
        _unread,
        _unread,
    )
    while True:
        for maker in rng.sample(makers, len(makers)):
            yield maker(world, rng, world.next_id("slow"))


def _attack(id: str, what: str, act: Acts, *, mute: bool = True) -> Attack:
    async def send(port: int) -> Sequence[Answer]:
        async with connected(port) as connection:
            return await act(connection)

    return Attack(id, what, send, mute=mute)


async def _drip(connection: Connection, data: bytes) -> None:
    """Send byte by byte until the server has enough of it."""
    for place in range(len(data)):
        if not await connection.write(data[place : place + 1]) or connection.reader.at_eof():
            return
        await asyncio.sleep(_STEP)


async def _until_ended(
    connection: Connection, sending: Awaitable[None] | None = None, method: str = "POST"
) -> list[Answer]:
    """Return what the server says before it ends the connection, which it has to do."""
    task = None if sending is None else asyncio.ensure_future(sending)
    try:
        answer = await connection.answer(method)
        await connection.ended()
        return [] if answer is None else [answer]
    finally:
        if task is not None:
            task.cancel()


def _chat_head(world: World, id: str, length: str) -> bytes:
    headers = [*json_headers(world.keys["alpha"]), ("X-Request-Id", f"{id}.0"), tuple(length.split(": "))]
    return request("POST", "/v1/chat/completions", b"", headers=headers, closes=False)  # type: ignore[arg-type]


def _head_dripped(world: World, _rng: random.Random, id: str) -> Attack:
    head = request("GET", "/v1/models", headers=[("X-Slow", "x" * 4000), *json_headers(world.keys["alpha"])])
    return _attack(id, "head byte by byte", lambda line: _until_ended(line, _drip(line, head)))


def _head_left(_world: World, rng: random.Random, id: str) -> Attack:
    part = rng.choice((b"G", b"GET /v1/models HTTP/1.1\r\n", b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: "))

    async def act(connection: Connection) -> Sequence[Answer]:
        await connection.write(part)
        return await _until_ended(connection)

    return _attack(id, "half a head", act)


def _left(_world: World, _rng: random.Random, id: str) -> Attack:
    return _attack(id, "connection opened and left", _until_ended)


def _kept_alive(world: World, _rng: random.Random, id: str) -> Attack:
    data = request("GET", "/v1/models", headers=json_headers(world.keys["alpha"]), closes=False)

    async def act(connection: Connection) -> Sequence[Answer]:
        await connection.write(data + b"GET /v1/mod")
        return await _until_ended(connection, method="GET")

    return _attack(id, "a request, and half of another", act, mute=False)


def _body_dripped(world: World, _rng: random.Random, id: str) -> Attack:
    body = encoded(asking("x" * 4000))

    async def act(connection: Connection) -> Sequence[Answer]:
        await connection.write(_chat_head(world, id, f"Content-Length: {len(body)}"))
        return await _until_ended(connection, _drip(connection, body))

    return _attack(id, "body byte by byte", act, mute=False)


def _body_left(world: World, _rng: random.Random, id: str) -> Attack:
    body = encoded(asking("x" * 4000))

    async def act(connection: Connection) -> Sequence[Answer]:
        await connection.write(_chat_head(world, id, f"Content-Length: {len(body)}") + body[:2000])
        return await _until_ended(connection)

    return _attack(id, "half a body", act, mute=False)


def _chunks_dripped(world: World, _rng: random.Random, id: str) -> Attack:
    async def act(connection: Connection) -> Sequence[Answer]:
        await connection.write(_chat_head(world, id, "Transfer-Encoding: chunked"))
        return await _until_ended(connection, _drip(connection, b"1\r\n \r\n" * 1000))

    return _attack(id, "chunks of one byte", act, mute=False)


def _unread(world: World, rng: random.Random, id: str) -> Attack:
    """Ask for more than fits into the buffers, read nothing for a while, and look whether the server still sends."""
    sort = rng.choice(("stream", "answer", "pipeline"))
    many = request("GET", "/openapi.json", closes=False) * 5000
    data = (
        many
        if sort == "pipeline"
        else ask_large(world, id, FLOOD if sort == "stream" else LARGE, stream=sort == "stream")
    )

    async def send(port: int) -> Sequence[Answer]:
        for patience in (2, 20):  # a busy machine begins to answer late
            async with connected(port, reads=False) as connection:
                sending = asyncio.ensure_future(connection.write(data))
                await asyncio.sleep(world.unread_timeout * 2 + patience)
                sending.cancel()
                if await connection.ended(_UNREAD):
                    return []
        return [Answer(0, (), b"", b"", whole=False)]

    def check(answers: Sequence[Answer]) -> str:
        return "the server still sends to a client that reads nothing" if answers else ""

    return Attack(id, f"unread {sort}", send, check=check, mute=True)
