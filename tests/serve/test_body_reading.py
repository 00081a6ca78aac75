"""Bodies: their size, the time that they may take, how they are packed, and how many of them are in memory."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from idiolect.people.json_line import MAX_VALUES
from tests.api_server import ApiServer
from tests.serve.hostility.attacks import encoded
from tests.serve.hostility.wire import Answer, connected, exchanged, request
from tests.serve.serving import HELLO, Reply, Served, bearer, forwarding, key

LARGEST = 4096


@pytest.fixture(scope="module")
def upstream() -> Iterator[ApiServer]:
    with ApiServer() as server:
        yield server


@pytest.fixture(scope="module")
def served(upstream: ApiServer, learned_once: Path) -> Iterator[Served]:
    """A gateway that takes small bodies only."""
    limits = {"max_body_bytes": LARGEST, "body_timeout": 0.3, "max_bodies_bytes": 2 * LARGEST}
    with Served(forwarding(upstream.url, learned_once, keys=(key("usual", "usual"),), **limits)) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def usual(upstream: ApiServer, learned_once: Path) -> Iterator[Served]:
    """A gateway with the usual limits."""
    with Served(forwarding(upstream.url, learned_once, anonymous_people=True, workers=0)) as gateway:
        yield gateway


def _packed(served: Served, data: bytes, encoding: str) -> Reply:
    return served.ask(data=data, headers={**bearer("usual"), "Content-Encoding": encoding})


def _head(length: str) -> bytes:
    return (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer usual\r\n"
        f"Content-Type: application/json\r\n{length}\r\n\r\n"
    ).encode()


def _port(served: Served) -> int:
    return int(served.root.rpartition(":")[2])


def test_a_body_that_is_too_large_is_refused(served: Served) -> None:
    large = {**HELLO, "x": "x" * 5000}
    assert served.ask(body=large, headers=bearer("usual")).status == 413
    small = gzip.compress(json.dumps({**HELLO, "x": "x" * 100_000}).encode())
    assert len(small) < LARGEST
    reply = _packed(served, small, "gzip")
    assert (reply.status, reply.error["code"]) == (413, "request_too_large")


@pytest.mark.parametrize(
    ("pack", "encoding"),
    [
        (gzip.compress, "gzip"),
        (gzip.compress, "X-GZIP"),
        (zlib.compress, "deflate"),
        (lambda data: zlib.compress(data)[2:-4], "deflate"),
        (lambda data: data, "identity"),
    ],
    ids=["gzip", "x-gzip", "zlib", "deflate", "identity"],
)
def test_a_compressed_body_is_read(served: Served, upstream: ApiServer, pack: Any, encoding: str) -> None:
    assert _packed(served, pack(json.dumps({**HELLO, "x": encoding}).encode()), encoding).status == 200
    assert upstream.requests[-1].body["x"] == encoding
    assert "content-encoding" not in upstream.requests[-1].headers


def test_a_body_of_the_largest_size_is_read(served: Served) -> None:
    data = json.dumps(HELLO).encode().ljust(LARGEST)
    assert _packed(served, gzip.compress(data), "gzip").status == 200
    assert _packed(served, gzip.compress(data + b" "), "gzip").status == 413


@pytest.mark.parametrize(
    "data",
    [b"not gzip", b"", gzip.compress(b"{}")[:-3], gzip.compress(b"{}") + b"more", gzip.compress(b"{") * 2],
    ids=["other", "empty", "cut", "more", "twice"],
)
def test_a_broken_encoding_is_refused(served: Served, data: bytes) -> None:
    assert _packed(served, data, "gzip").status == 400


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress", "none"])
def test_other_encodings_are_refused(served: Served, encoding: str) -> None:
    reply = _packed(served, b"{}", encoding)
    assert (reply.status, reply.error["code"]) == (415, "unsupported_encoding")
    assert "gzip" in reply.headers["accept-encoding"]


@pytest.mark.parametrize("encoding", ["gzip", "br"])
def test_a_body_that_nobody_reads_is_not_unpacked(served: Served, encoding: str) -> None:
    headers = {"Authorization": "Bearer wrong", "Content-Encoding": encoding}
    assert served.ask(data=b"neither gzip nor brotli", headers=headers).status == 401
    assert (
        served.ask("/v1/users", data=b"neither", headers={**bearer("usual"), "Content-Encoding": encoding}).status
        == 403
    )


def test_chunks_without_a_stated_length_are_limited_too(served: Served) -> None:
    chunk = b"1000\r\n" + b" " * 4096 + b"\r\n"
    assert _raw(served, _head("Transfer-Encoding: chunked") + chunk * 3).startswith(b"HTTP/1.1 413")


def test_a_body_that_drips_is_given_up(served: Served) -> None:
    answer = _raw(served, _head("Content-Length: 100") + b"{")
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"request_timeout" in answer


def _raw(served: Served, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", _port(served)), timeout=10) as connection:
        connection.sendall(data)
        found = b""
        while part := connection.recv(65536):
            found += part
        return found


def test_only_so_many_bodies_are_in_memory(served: Served) -> None:
    async def send() -> Answer:
        async with connected(_port(served)) as first, connected(_port(served)) as second:
            for each in (first, second):
                await each.write(_head(f"Content-Length: {LARGEST}") + b" " * (LARGEST - 1))
            await asyncio.sleep(0.1)
            data = encoded(HELLO)
            (third,) = await exchanged(_port(served), _head(f"Content-Length: {len(data)}") + data)
            return third

    third = asyncio.run(send())
    assert (third.status, json.loads(third.body)["error"]["code"], third.header("retry-after")) == (
        503,
        "server_busy",
        "1",
    )
    deadline = time.monotonic() + 10
    while served.ask(body=HELLO, headers=bearer("usual")).status != 200:  # once those two are given up
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/chat/completions", b'{"messages":[%b]}'),
        ("POST", "/v1/chat/completions", b'{"messages":[{"role":"user","content":"a"}],"x":[%b]}'),
        ("POST", "/v1/completions", b'{"prompt":[%b]}'),
        ("PUT", "/v1/users/many", b'{"texts":["a"],"x":[%b]}'),
        ("POST", "/v1/users/ann/opinions", b'{"question":"a","answer":"a","x":[%b]}'),
    ],
)
def test_a_body_of_too_many_values_is_refused(usual: Served, method: str, path: str, body: bytes) -> None:
    for part in (b"1", b"{}", b'"\\",\\\\"'):
        answer = _sent(usual, method, path, body % b",".join([part] * (MAX_VALUES + 1)))
        assert (answer.status, _error(answer)["code"]) == (400, "invalid_json")
        assert "250,000 values" in _error(answer)["message"]


def test_many_commas_in_a_text_are_no_values(usual: Served) -> None:
    data = encoded({"messages": [{"role": "user", "content": ',"' * MAX_VALUES}]})
    assert _sent(usual, "POST", "/v1/chat/completions", data).status == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("PUT", "/v1/users/many", b'{"opinions":[%b]}', "line: has 120,000 faults, too many to list them"),
        ("POST", "/v1/feedback", b'{"response_id":"x","choice":"a","choices":[%b]}', "the body has 60,000 faults"),
        ("PATCH", "/v1/users/ann/dispositions", b'{"strike":[%b]}', "the body has 60,000 faults"),
    ],
)
def test_a_body_of_too_many_faults_is_refused(usual: Served, method: str, path: str, body: bytes, message: str) -> None:
    answer = _sent(usual, method, path, body % b",".join([b"{}"] * 60_000))
    assert (answer.status, _error(answer)["message"]) == (400, message)


@pytest.mark.parametrize(
    ("path", "largest"), [("/v1/users/ann/texts", 2**23), ("/v1/feedback", 2**20)], ids=["people", "comments"]
)
@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_about_people_are_smaller(usual: Served, path: str, largest: int, *, chunked: bool) -> None:
    data = b'{"texts":["' + b"a" * largest + b'"]}'
    assert _sent(usual, "POST", path, data, chunked=chunked).status == 413


def _sent(served: Served, method: str, path: str, data: bytes, *, chunked: bool = False) -> Answer:
    headers = [("Content-Type", "application/json")]
    if chunked:
        headers.append(("Transfer-Encoding", "chunked"))
        data = b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data)
    (answer,) = asyncio.run(exchanged(_port(served), request(method, path, data, headers=headers), (method,)))
    return answer


def _error(answer: Answer) -> dict[str, Any]:
    error: dict[str, Any] = json.loads(answer.body)["error"]
    return error
