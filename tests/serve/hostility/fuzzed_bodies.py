"""Fuzzed bodies for every operation of the OpenAPI document: wrong values, broken JSON, odd types and encodings.

operation → a valid body → a few values replaced → text → bytes, cut or spoiled → headers that lie about them
"""

from __future__ import annotations

import gzip
import json
import random
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias
from urllib.parse import quote

from tests.serve.hostility.attacks import Attack, bearer, plain
from tests.serve.hostility.injections import TEXTS
from tests.serve.hostility.wire import chunked
from tests.serve.hostility.world import ALPHA, Operation, World

Envelope: TypeAlias = tuple[list[tuple[str, "str | bytes"]], bytes]
_OTHER_METHODS = ("HEAD", "OPTIONS", "TRACE", "PUT", "PATCH", "DELETE", "POST")
_PARAMETER = re.compile(r"\{(\w+)\}")


class Raw(str):
    """JSON that is written as it is."""


def _deep(opening: str, closing: str, depth: int) -> Raw:
    return Raw(f"{opening * depth}1{closing * depth}")


VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 2**31, 2**63, -(2**64), 1e308, "", " ", "\0", "\ud800", "\udfff\ud800",
    "x" * 100_000, "é" * 5000, "0", "-1", "null", "__proto__", [], {}, [[]], [None], [{}], {"": ""}, {"\ud800": 1},
    {"\0": "\0"}, {"__class__": {"__init__": {"__globals__": 1}}}, {"$ref": "#"}, ["a"] * 3000,
    {f"k{n}": n for n in range(1000)}, Raw("NaN"), Raw("Infinity"), Raw("-Infinity"), Raw("1e400"), Raw("-1e400"),
    Raw("1" * 400), Raw("1" * 5000), Raw("0.1e-400"), Raw("1." + "9" * 3000), Raw("01"), Raw("+1"), Raw("1."),
    Raw("tru"), Raw("'a'"), Raw('"\t"'), Raw('"\\x"'), Raw('"\\ud83d"'), Raw('"\\ude00\\ud83d"'), Raw("/* */ 1"),
    Raw('{"a":1,"a":2}'), Raw("[1,]"), _deep("[", "]", 50), _deep("[", "]", 500), _deep("[", "]", 100_000),
    _deep('{"a":', "}", 70), _deep('{"a":', "}", 20_000), Raw("[" * 50_000), *TEXTS,
)  # fmt: skip
NAMES = ("id", "user", "tenant", "role", "\ud800", "\0", "", "x" * 5000, "__class__", "constructor", "$where", "é")


def fuzzed_bodies(world: World, rng: random.Random) -> Iterator[Attack]:
    """Every operation in turn, with a body that is wrong in some way; whom they name are the attackers' own users."""
    while True:
        for operation in rng.sample(world.operations, len(world.operations)):
            value = operation.body if operation.body is not None else {"a": 1}
            for _ in range(rng.choice((0, 1, 1, 1, 2, 4))):
                value = replaced(value, rng)
            text = _repeated(written(value), rng) if rng.random() < 0.1 else written(value)
            data = text.encode("utf-8", "surrogatepass")
            if rng.random() < 0.3:
                data = rng.choice(_SPOILERS)(data, rng)
            headers, data = rng.choice(_ENVELOPES)(data, rng) if rng.random() < 0.35 else _json(data, rng)
            method = rng.choice(_OTHER_METHODS) if rng.random() < 0.05 else operation.method
            secret = world.keys[rng.choice(("alpha", "alpha", "alpha", "alpha-chat", "alpha-people"))]
            yield plain(
                world.next_id("body"),
                "fuzzed body",
                method,
                sandbox_path(world, rng, operation),
                data,
                headers=[*headers, *bearer(secret)],
                shows=world.canaries(ALPHA),
                asks=world.canaries(ALPHA),
                mute="Transfer-Encoding" in dict(headers),
            )


def sandbox_path(world: World, rng: random.Random, operation: Operation) -> str:
    """The path of an operation on one of the attackers' own users."""
    chosen = {"user": rng.choice(world.ids(ALPHA, "sandbox-")), "job": "0" * 24, "model": "m"}
    return _PARAMETER.sub(lambda found: quote(chosen.get(found[1], "x"), safe=""), operation.path)


def written(value: Any) -> str:
    """JSON text, in which raw parts stand as they are."""
    if isinstance(value, Raw):
        return value
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{json.dumps(key)}:{written(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(written, value)) + "]"
    return json.dumps(value)


def replaced(value: Any, rng: random.Random) -> Any:
    """The value with one part of it, or all of it, replaced, renamed or left out."""
    if isinstance(value, Mapping) and value and rng.random() < 0.9:
        key, action = rng.choice(list(value)), rng.random()
        rest = {name: inner for name, inner in value.items() if name != key}
        if action < 0.15:
            return rest
        if action < 0.3:
            return {**value, rng.choice(NAMES): rng.choice(VALUES)}
        return {**rest, key: replaced(value[key], rng)}
    if isinstance(value, list | tuple) and value and rng.random() < 0.8:
        place = rng.randrange(len(value))
        return [*value[:place], replaced(value[place], rng), *value[place + 1 :]]
    return rng.choice(VALUES)


def _repeated(text: str, rng: random.Random) -> str:
    """The text of an object with its last member given twice, or with a second value."""
    head, colon, tail = text.rstrip("}").rpartition('":')
    name = head.rpartition('"')[2]
    return f'{text[:-1]},"{name}":{rng.choice((tail or "1", "null", "{}"))}}}' if colon and text.endswith("}") else text


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _spoiled(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    part = rng.choice(
        (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\0", b"\x1b", b"\xc0\xaf", b'"', b"\\")
    )
    return data[:place] + part + data[place:]


_SPOILERS: Sequence[Callable[[bytes, random.Random], bytes]] = (
    _cut,
    _spoiled,
    lambda data, _rng: b"\xef\xbb\xbf" + data,
    lambda data, _rng: data.decode("utf-8", "replace").encode("utf-16"),
    lambda data, _rng: data + b"{}",
    lambda data, _rng: data + b"\0" * 100,
    lambda data, _rng: b" " * 10_000 + data,
    lambda _data, _rng: b"",
    lambda _data, rng: rng.randbytes(rng.randrange(1, 2000)),
    lambda _data, _rng: b"a=1&b=2",
    lambda data, _rng: b"[" + data + b"]",
    lambda data, _rng: data * 2,
)


@lru_cache(maxsize=1)
def bomb() -> bytes:
    """256 MiB of blanks, compressed to a quarter of one."""
    return gzip.compress(b'{"a":"' + b" " * 2**28, compresslevel=6)


def _json(data: bytes, _rng: random.Random) -> Envelope:
    return [("Content-Type", "application/json")], data


def _odd_type(data: bytes, rng: random.Random) -> Envelope:
    kinds: tuple[str | bytes, ...] = (
        "text/plain", "", "application/xml", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded",
        "application/json; charset=utf-16", "application/json; charset=\x7f", "application/json;" * 200, "json",
        b"application/json\xff", b"\xff\xfe", "application/json, text/plain", "APPLICATION/JSON",
    )  # fmt: skip
    return [("Content-Type", rng.choice(kinds))], data


def _compressed(data: bytes, rng: random.Random) -> Envelope:
    packed = rng.choice(
        (gzip.compress(data), zlib.compress(data), zlib.compress(data)[2:-4], data, gzip.compress(data)[:-9])
    )
    name = rng.choice(("gzip", "deflate", "br", "zstd", "identity", "gzip, gzip", "x-gzip", "GZIP", "\x7f", "compress"))
    return [("Content-Type", "application/json"), ("Content-Encoding", name)], packed


def _bomb(_data: bytes, _rng: random.Random) -> Envelope:
    return [("Content-Type", "application/json"), ("Content-Encoding", "gzip")], bomb()


def _chunks(data: bytes, rng: random.Random) -> Envelope:
    size = rng.choice((1, 7, 1000))
    parts = [data[place : place + size] for place in range(0, min(len(data), 3000), size)]
    extension = rng.choice((b"", b";a=b", b";" + b"x" * 300, b';q="\xff"'))
    trailer = rng.choice((b"", b"X-Injected: yes\r\n", b"Content-Length: 5\r\n"))
    sent = chunked(parts, extension=extension, trailer=trailer)
    if rng.random() < 0.3:
        sent = rng.choice(
            (b"zz\r\n" + sent, sent.replace(b"\r\n", b"\n", 1), b"-1\r\n" + sent, b"f" * 17 + b"\r\n" + sent)
        )
    return [("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")], sent


def _odd_headers(data: bytes, rng: random.Random) -> Envelope:
    odd: tuple[tuple[str, str | bytes], ...] = (
        ("Accept", b"\xff\xfe\x80"), ("Accept-Language", "é" * 200), ("Traceparent", b"\xed\xa0\x80"),
        ("X-Title", "\t x"), ("Idempotency-Key", TEXTS[0]), ("OpenAI-Beta", b"\xc3\x28"), ("Expect", "100-continue"),
        ("Expect", "200-maybe"), ("Range", "bytes=0-0,-1"), ("If-None-Match", "*"), ("Upgrade", "websocket"),
        ("Upgrade", "h2c"), ("Accept-Encoding", "gzip;q=nan, *;q=1e400"), ("X-HTTP-Method-Override", "DELETE"),
        ("Cookie", "a=" + "b" * 4000), ("Origin", "https://evil.example"),
        ("Connection", "X-Request-Id, Authorization"), ("TE", "trailers, gzip"),
    )  # fmt: skip
    return [("Content-Type", "application/json"), *rng.sample(odd, 3)], data


_ENVELOPES: Sequence[Callable[[bytes, random.Random], Envelope]] = (
    *(_odd_type, _odd_type, _compressed, _compressed, _chunks, _chunks, _odd_headers, _odd_headers),
    _bomb,
)
