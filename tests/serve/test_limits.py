"""Limits: requests a minute, the size of bodies and the time that they may take."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from idiolect.serve.errors import HttpError
from idiolect.serve.limits import RateLimits
from tests.api_server import ApiServer
from tests.serve.serving import HELLO, Served, bearer, forwarding, key


@pytest.fixture(scope="module")
def upstream() -> Iterator[ApiServer]:
    with ApiServer() as server:
        yield server


@pytest.fixture(scope="module")
def served(upstream: ApiServer, learned_once: Path) -> Iterator[Served]:
    keys = (key("slow", "slow", requests_per_minute=2), key("usual", "usual"))
    limits = {"max_body_bytes": 4096, "body_timeout": 0.3, "requests_per_minute": 1000}
    with Served(forwarding(upstream.url, learned_once, keys=keys, **limits)) as gateway:
        yield gateway


def test_a_bucket_fills_again_evenly() -> None:
    now = 0.0
    limits = RateLimits(lambda: now)
    for _ in range(6):
        limits.take("a", 6)
    with pytest.raises(HttpError) as raised:
        limits.take("a", 6)
    assert (raised.value.status, raised.value.headers) == (429, {"Retry-After": "10"})
    limits.take("b", 6)
    limits.take("a", None)
    now = 10.0
    limits.take("a", 6)
    with pytest.raises(HttpError):
        limits.take("a", 6)
    now = 10_000.0
    for _ in range(6):
        limits.take("a", 6)
    with pytest.raises(HttpError):
        limits.take("a", 6)


def test_a_key_that_asks_too_often_is_told_when_to_come_back(served: Served, upstream: ApiServer) -> None:
    before = len(upstream.requests)
    replies = [served.ask(body=HELLO, headers=bearer("slow")) for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 429]
    assert 1 <= int(replies[2].headers["retry-after"]) <= 30
    assert (replies[2].error["type"], replies[2].error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
    assert len(upstream.requests) == before + 2
    assert served.ask(body=HELLO, headers=bearer("usual")).status == 200


def test_a_body_that_is_too_large_is_refused(served: Served) -> None:
    large = {**HELLO, "x": "x" * 5000}
    assert served.ask(body=large, headers=bearer("usual")).status == 413
    small = gzip.compress(json.dumps({**HELLO, "x": "x" * 100_000}).encode())
    assert len(small) < 4096
    reply = served.ask(data=small, headers={**bearer("usual"), "Content-Encoding": "gzip"})
    assert (reply.status, reply.error["code"]) == (413, "request_too_large")


def test_a_compressed_body_is_read(served: Served, upstream: ApiServer) -> None:
    packed = gzip.compress(json.dumps({**HELLO, "x": 1}).encode())
    assert served.ask(data=packed, headers={**bearer("usual"), "Content-Encoding": "gzip"}).status == 200
    assert upstream.requests[-1].body["x"] == 1


def test_chunks_without_a_stated_length_are_limited_too(served: Served) -> None:
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer usual\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"1000\r\n" + b" " * 4096 + b"\r\n"
    assert _raw(served, head.encode() + chunk * 3).startswith(b"HTTP/1.1 413")


def test_a_body_that_drips_is_given_up(served: Served) -> None:
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer usual\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    answer = _raw(served, head.encode())
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"request_timeout" in answer


def test_a_broken_encoding_is_refused(served: Served) -> None:
    reply = served.ask(data=b"not gzip", headers={**bearer("usual"), "Content-Encoding": "gzip"})
    assert reply.status == 400


def _raw(served: Served, data: bytes) -> bytes:
    host, port = served.root.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(data)
        found = b""
        while part := connection.recv(65536):
            found += part
        return found
