"""Bytes that are no HTTP, or that two servers would read differently; and many requests on one connection.

A smuggled request has an id that begins with `smuggled`: none may ever reach the upstream.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

from tests.serve.hostility.attacks import Attack, asking, bearer, encoded, json_headers, raw
from tests.serve.hostility.wire import Answer, request
from tests.serve.hostility.world import ALPHA, World

SMUGGLED = "smuggled"
_CRLF = b"\r\n"
_LINES: Sequence[bytes] = (
    b"GET /health", b"GET  /health HTTP/1.1", b"GET /health HTTP/1.1 x", b"GET /health HTTP/9.9",
    b"GET /health HTTP/1.", b"GET /health http/1.1", b"get /health HTTP/1.1", b"G\xffT /health HTTP/1.1",
    b"\0GET /health HTTP/1.1", b" GET / HTTP/1.1", b"GET\t/health\tHTTP/1.1", b"GET /he alth HTTP/1.1",
    b"GET /\0 HTTP/1.1", b"GET health HTTP/1.1", b"GET HTTP/1.1", b"PRI * HTTP/2.0", b"CONNECT localhost:1 HTTP/1.1",
    b"CONNECT /v1/users HTTP/1.1", b"OPTIONS * HTTP/1.1", b"FOO / HTTP/1.1", b"GET / HTTP/1.1\r",
    b"A" * 9000 + b" / HTTP/1.1", b"GET /" + b"a" * 9000 + b" HTTP/1.1", b"\x16\x03\x01\x02\x00\x01\x00", b"<html>",
    b"SSH-2.0-x", b"", b"\r\n\r\n\r\nGET /health HTTP/1.1", b"HTTP/1.1 200 OK", b"GET /health HTTP/0.9",
    b"GET /health HTTP/1.0", b"POST /v1/chat/completions HTTP/1.0",
)  # fmt: skip
_HEADERS: Sequence[bytes] = (
    b"Host : localhost", b"Host: a\r\nHost: b", b": x", b"X", b"X: a\r\n b", b"X: a\n\tb", b"X: \0",
    b"X: a\rX-Injected: yes", b"X: a\nX-Injected: yes", b"X-Request-Id: a\r\n\tSet-Cookie: b=c", b"\xff: \xff",
    b"X(y): 1", b"X y: 1", b"X: " + b"a" * 9000, b"X: " + b"a" * 200_000, b"X" * 9000 + b": 1",
    b"\r\n".join(b"X-%d: 1" % n for n in range(200)), b"\r\n".join(b"X: 1" for _ in range(5000)),
    b"Content-Length: 1\r\nContent-Length: 2", b"Content-Length: -1", b"Content-Length: +5", b"Content-Length: 5, 5",
    b"Content-Length: 0x5", b"Content-Length: 99999999999999999999999", b"Content-Length: ", b"Content-Length: 5\0",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, gzip", b"Transfer-Encoding:\x0bchunked",
    b"Transfer-Encoding : chunked", b"Transfer-Encoding: chunked\r\nContent-Length: 3",
    b"Connection: close, keep-alive, upgrade", b"Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Key1: 1",
    b"Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13",
    b"Expect: nothing", b"Content-Type: application/json\r\nContent-Type: text/plain",
    b"Content-Encoding: gzip\r\nContent-Encoding: br",
)  # fmt: skip
# Each stands between a head and a body that holds a whole request: by one header it is a body, by the other not.
_SMUGGLING: Sequence[bytes] = (
    b"Content-Length: 6\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\nContent-Length: 6",
    b"Content-Length: 0\r\nContent-Length: %d", b"Content-Length: %d\r\nContent-Length: 0", b"Content-Length: 0, %d",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x", b"Content-Length: 6\r\nTransfer-Encoding: \tchunked",
    b"Content-Length: 6\r\nTransfer-encoding: chunked\r\nTransfer-Encoding: cow",
    b"Content-Length: 6\nTransfer-Encoding: chunked", b"Content-Length: 6\r\nX: y\rTransfer-Encoding: chunked",
    b"Content-Length: 6\r\nTransfer-Encoding\0: chunked", b"Content-Length: 6\r\n Transfer-Encoding: chunked",
    b"Content-Length: 6\r\nTransfer-Encoding: chunked\0",
)  # fmt: skip


def malformed_http(world: World, rng: random.Random) -> Iterator[Attack]:
    """Request lines, headers, framing and pipelines."""
    makers: Sequence[Callable[[World, random.Random, str], Attack]] = (
        _bad_line, _bad_header, _bad_header, _smuggling, _smuggling, _pipeline, _noise, _conflict_with_key,
    )  # fmt: skip
    while True:
        yield rng.choice(makers)(world, rng, world.next_id("http"))


def _bad_line(_world: World, rng: random.Random, id: str) -> Attack:
    line = rng.choice(_LINES)
    data = line + _CRLF + b"Host: localhost\r\nConnection: close\r\n\r\n"
    return raw(id, f"request line {line[:40]!r}", data, mute=True)


def _bad_header(world: World, rng: random.Random, id: str) -> Attack:
    header = rng.choice(_HEADERS)
    shown = b"Authorization: Bearer " + world.keys["alpha"].encode() + _CRLF
    body = encoded(asking("Tea?"))
    if rng.random() < 0.5:
        data = (
            b"GET /v1/users?limit=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + shown + header + _CRLF * 2
        )
    else:
        length = b"" if b"ontent-Length" in header or b"Transfer" in header else b"Content-Length: %d\r\n" % len(body)
        first = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Request-Id: %s.0\r\n"
        data = first % id.encode() + shown + b"Content-Type: application/json\r\n" + length + header + _CRLF * 2 + body
    theirs = world.canaries(ALPHA)
    return raw(id, f"header {header[:40]!r}", data, shows=theirs, asks=theirs, mute=True)


def _smuggling(world: World, rng: random.Random, id: str) -> Attack:
    header = rng.choice(_SMUGGLING)
    inner_id = f"{SMUGGLED}-{id}"
    body = encoded(asking("Smuggled.", user="ann"))
    headers = [*json_headers(world.keys["alpha"]), ("X-Request-Id", inner_id)]
    inner = request("POST", "/v1/chat/completions", body, headers=headers)
    wrapped = b"0\r\n\r\n" + inner
    header = header % len(wrapped) if b"%d" in header else header
    outer = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    data = outer + header + _CRLF * 2 + wrapped
    return raw(id, f"smuggling {header[:50]!r}", data, ("POST", "POST"), mute=True, check=_one_answer)


def _one_answer(answers: Sequence[Answer]) -> str:
    return "the smuggled request was answered" if len(answers) > 1 and answers[1].status == 200 else ""


def _pipeline(world: World, rng: random.Random, id: str) -> Attack:
    count = rng.choice((2, 10, 100))
    one = request("GET", "/v1/models", headers=bearer(world.keys["alpha"]), closes=False)
    last = request("GET", "/health")

    def check(answers: Sequence[Answer]) -> str:
        found = [answer.status for answer in answers]
        return "" if found == [200] * (count + 1) else f"{len(found)} of {count + 1} answers, with {set(found)}"

    return raw(id, f"pipeline of {count}", one * count + last, ["GET"] * (count + 1), check=check)


def _noise(_world: World, rng: random.Random, id: str) -> Attack:
    size = rng.choice((1, 100, 10_000, 300_000))
    return raw(id, f"{size} random bytes", rng.randbytes(size) + b"\r\n\r\n", mute=True)


def _conflict_with_key(world: World, rng: random.Random, id: str) -> Attack:
    """A body that is shorter or longer than its head states, with another request behind it."""
    body = encoded(asking("Tea?"))
    stated = rng.choice((0, 1, len(body) - 1, len(body) + 5))
    headers = [*json_headers(world.keys["alpha"]), ("Content-Length", str(stated)), ("X-Request-Id", f"{id}.0")]
    data = request("POST", "/v1/chat/completions", body, headers=headers, closes=False) + request("GET", "/health")
    theirs = world.canaries(ALPHA)
    return raw(id, f"states {stated} of {len(body)} bytes", data, ("POST", "GET"), shows=theirs, asks=theirs, mute=True)
