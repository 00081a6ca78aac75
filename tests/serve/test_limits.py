"""Limits: requests a minute."""

from __future__ import annotations

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
    with Served(forwarding(upstream.url, learned_once, keys=keys, requests_per_minute=1000)) as gateway:
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
