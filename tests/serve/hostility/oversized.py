"""Bodies beyond the limit, and bodies below it that want to grow: very many, very long, very deep."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from tests.serve.hostility.attacks import Attack, asking, encoded, json_headers
from tests.serve.hostility.fuzzed_bodies import bomb
from tests.serve.hostility.wire import Answer, connected, request
from tests.serve.hostility.world import ALPHA, World

_PIECE = 2**18
_CHAT, _FEEDBACK = "/v1/chat/completions", "/v1/feedback"
_TOO_MUCH = (413, 408, 409)  # too large, too slow on a busy machine, or of a user who is being erased
_LARGE = 2**20  # bytes from which on a body is sent by few attacks only
Maker = Callable[[int], bytes]  # of a body of about so many bytes


def _repeated(head: bytes, part: bytes, tail: bytes) -> Maker:
    return lambda size: head + part * max(1, (size - len(head) - len(tail)) // len(part)) + tail.lstrip(b",")


@lru_cache(maxsize=4)
def _body(number: int, size: int) -> bytes:
    return _BODIES[number][2](size)


def _opinions(size: int) -> bytes:
    """Very many small opinions on different questions."""
    return b'{"opinions":[' + b",".join(b'{"question":"q%d","answer":"a"}' % n for n in range(size // 34)) + b"]}"


def _keys(size: int) -> bytes:
    return b"{" + b",".join(b'"k%d":1' % n for n in range(size // 12)) + b"}"


_USER = "/v1/users/sandbox-2"
_TURN = b'{"model":"m","messages":[{"role":"user","content":'
# What it is, where it is sent, and the body.
_BODIES: Sequence[tuple[str, tuple[str, str], Maker]] = (
    ("small opinions", ("PUT", _USER), _opinions),
    ("empty opinions", ("PUT", _USER), _repeated(b'{"opinions":[', b"{},", b"{}]}")),
    ("numbers", ("PUT", _USER), _repeated(b'{"texts":["a"],"n":[', b"1,", b"1]}")),
    ("a long text", ("POST", f"{_USER}/texts"), _repeated(b'{"texts":["', b"long text. ", b'"]}')),
    ("many texts", ("POST", f"{_USER}/texts"), _repeated(b'{"texts":[', b'"a",', b'"a"]}')),
    ("escapes", ("POST", f"{_USER}/texts"), _repeated(b'{"texts":["', b"\\ud83d\\ude00", b'"]}')),
    ("quotes", ("POST", f"{_USER}/opinions"), _repeated(b'{"question":"', b'\\"', b'","answer":"a"}')),
    ("choices", ("POST", f"{_USER}/opinions"), _repeated(b'{"answer":"a","choices":[', b'"b",', b'"a"]}')),
    ("keys", ("POST", f"{_USER}/fits"), _keys),
    ("brackets", ("PATCH", f"{_USER}/dispositions"), _repeated(b'{"add":', b"[", b"]}")),
    ("dispositions", ("PATCH", f"{_USER}/dispositions"), _repeated(b'{"strike":[', b"9,", b"9]}")),
    ("feedback", ("POST", _FEEDBACK), _repeated(b'{"response_id":"x","rating":"up","choices":[', b"{},", b"{}]}")),
    ("said", ("POST", _FEEDBACK), _repeated(b'{"response_id":"x","said":"', b"said ", b'"}')),
    ("messages", ("POST", _CHAT), _repeated(b'{"model":"m","messages":[', b'{"role":"x"},', b'{"role":"x"}]}')),
    ("a long turn", ("POST", _CHAT), _repeated(_TURN + b'"', b"tea? ", b'"}]}')),
    ("parts", ("POST", _CHAT), _repeated(_TURN + b"[", b"{},", b"{}]}]}")),
    ("a deep turn", ("POST", _CHAT), _repeated(_TURN, b"[", b"1}]}")),
    ("many fields", ("POST", _CHAT), _keys),
)  # fmt: skip


def oversized_requests(world: World, rng: random.Random) -> Iterator[Attack]:
    """Beyond the limit, stated and not, sent and not; and up to the limit."""
    while True:
        id, kind = world.next_id("large"), rng.random()
        if kind < 0.55:
            yield _up_to(world, rng, id)
        elif kind < 0.7:
            yield _beyond(world, rng, id, world.max_body + rng.choice((1, 2**20)), chunks=False)
        elif kind < 0.85:
            yield _beyond(world, rng, id, world.max_body + rng.choice((1, 2**20)), chunks=True)
        elif kind < 0.95:
            yield _stated(world, rng, id)
        else:
            yield _compressed(world, id)


def _up_to(world: World, rng: random.Random, id: str) -> Attack:
    number = rng.randrange(len(_BODIES))
    share = rng.choice((1.0, 0.1, 0.02, 0.02)) if world.max_body > _LARGE else 1.0
    what, (method, path), _ = _BODIES[number]
    size = int(world.max_body * share) - 64
    user = b'{"user":"sandbox-2",'  # so that their prompt is put in front
    own = path == _CHAT and rng.random() < 0.5

    def body() -> bytes:
        data = _body(number, size)
        return user + data[1:] if own else data

    return _sending(world, id, f"{what}, {size:,} bytes", (method, path), body)


def _beyond(world: World, rng: random.Random, id: str, size: int, *, chunks: bool) -> Attack:
    method, path = rng.choice([target for _, target, _ in _BODIES])
    how = "in chunks" if chunks else "stated"
    return _sending(
        world, id, f"{size:,} bytes, {how}", (method, path), lambda: _blanks(size), chunks=chunks, statuses=_TOO_MUCH
    )


@lru_cache(maxsize=2)
def _blanks(size: int) -> bytes:
    return b'{"texts":["a"]}'.ljust(size)


def _stated(world: World, rng: random.Random, id: str) -> Attack:
    """A huge length is stated, and nothing comes."""
    size = rng.choice((world.max_body + 1, 10**10, 2**63 - 1))
    headers = [*json_headers(world.keys["alpha"]), ("Content-Length", str(size))]
    head = request("POST", rng.choice((_CHAT, _FEEDBACK, f"{_USER}/texts")), b"", headers=headers)

    async def send(port: int) -> Sequence[Answer]:
        async with connected(port) as connection:
            await connection.write(head)
            answer = await connection.answer("POST")
            return [] if answer is None else [answer]

    return Attack(id, f"states {size:,} bytes", send, check=_refused(*_TOO_MUCH))


def _compressed(world: World, id: str) -> Attack:
    headers = [*json_headers(world.keys["alpha"]), ("Content-Encoding", "gzip")]
    return _sending(world, id, "gzip bomb of 256 MiB", ("POST", _CHAT), bomb, extra=headers[-1:], statuses=_TOO_MUCH)


def _sending(
    world: World,
    id: str,
    what: str,
    target: tuple[str, str],
    body: Callable[[], bytes],
    *,
    chunks: bool = False,
    extra: Sequence[tuple[str, str | bytes]] = (),
    statuses: tuple[int, ...] = (),
) -> Attack:
    """An attack that sends its body in pieces, and reads meanwhile; it is made when it is sent."""
    method, path = target
    headers = [*json_headers(world.keys["alpha"]), ("X-Request-Id", f"{id}.0"), *extra]

    async def send(port: int) -> Sequence[Answer]:
        data = body()
        length = ("Transfer-Encoding", "chunked") if chunks else ("Content-Length", str(len(data)))
        async with connected(port) as connection:
            await connection.write(request(method, path, b"", headers=[*headers, length]))
            reading = asyncio.ensure_future(connection.answer(method))
            for place in range(0, len(data), _PIECE):
                piece = data[place : place + _PIECE]
                if reading.done() or not await connection.write(
                    b"%x\r\n%b\r\n" % (len(piece), piece) if chunks else piece
                ):
                    break
            else:
                await connection.write(b"0\r\n\r\n" if chunks else b"")
            answer = await reading
            return [] if answer is None else [answer]

    theirs = world.canaries(ALPHA, "sandbox-2")
    return Attack(id, f"{method} {path}: {what}", send, shows=theirs, asks=theirs, check=_refused(*statuses))


def _refused(*statuses: int) -> Callable[[Sequence[Answer]], str]:
    def check(answers: Sequence[Answer]) -> str:
        other = [answer.status for answer in answers if statuses and answer.status not in statuses]
        return f"status {other}, expected {statuses}" if other else ""

    return check


def ask_large(world: World, id: str, model: str, *, stream: bool) -> bytes:
    """A request to the upstream's model that floods or answers at length."""
    body = encoded(asking("Tea?", model=model, stream=stream))
    return request("POST", _CHAT, body, headers=[*json_headers(world.keys["alpha"]), ("X-Request-Id", f"{id}.0")])
