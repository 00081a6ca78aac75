"""What is kept of whoever asks: how long, until a new fit, once for many requests, and nothing once forgotten."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from idiolect.serve.gateway import Gateway
from idiolect.serve.identity import Asker
from idiolect.store import DEFAULT_TENANT, Store
from tests.api_server import ApiServer
from tests.serve.serving import HELLO, Served, forwarding

ANN = {**HELLO, "user": "ann"}
ASKER = Asker(DEFAULT_TENANT, "ann")


@pytest.fixture(scope="module")
def upstream() -> Iterator[ApiServer]:
    with ApiServer() as server:
        yield server


def _name(served: Served, body: dict[str, Any] = ANN) -> str:
    reply = served.ask(body=body)
    assert reply.status == 200, reply.body
    return reply.headers["x-idiolect-personalization"]


def _change(store: Path, **changes: Any) -> None:
    with Store.open(store, create=False, tenant=DEFAULT_TENANT) as opened:
        opened.save_personalization("ann", "fermi", {**opened.personalization("ann", "fermi"), **changes})


def _outcomes(served: Served) -> dict[str, int]:
    lines = served.ask("/metrics").body.decode().splitlines()
    prefix = 'idiolect_personalization_cache_total{outcome="'
    found = (line.removeprefix(prefix).split('"} ') for line in lines if line.startswith(prefix))
    return {outcome: int(float(count)) for outcome, count in found}


def test_evidence_against_gives_the_base_model_and_the_reason(upstream: ApiServer, store: Path) -> None:
    _change(store, evidence={"personalized": [0.0], "base": [1.0]})
    with Served(forwarding(upstream.url, store)) as served:
        reply = served.ask(body=ANN)
    assert reply.headers["x-idiolect-personalization"] == "base"
    assert "the base model answers" in reply.headers["x-idiolect-why"]
    assert upstream.requests[-1].body["messages"] == HELLO["messages"]


def test_the_last_turn_chooses_the_prompt(upstream: ApiServer, store: Path) -> None:
    with Served(forwarding(upstream.url, store)) as served:
        near = served.ask(body=ANN).headers["x-idiolect-why"]
        far = served.ask(body={**ANN, "messages": [{"role": "user", "content": "Ποτό;"}]}).headers["x-idiolect-why"]
    assert near.endswith("on the 3 nearest opinions")
    assert far.endswith("on all opinions")


def test_a_new_fit_is_used_after_the_age_and_not_before(upstream: ApiServer, store: Path) -> None:
    with Served(forwarding(upstream.url, store, max_age=0.8)) as served:
        begun = time.monotonic()
        first = _name(served)
        _change(store, evidence={"personalized": [0.0], "base": [1.0]})
        if time.monotonic() - begun < 0.5:
            assert _name(served) == first
        time.sleep(0.9)
        assert _name(served) == "base"


def test_what_has_not_changed_is_not_read_again(upstream: ApiServer, store: Path) -> None:
    with Served(forwarding(upstream.url, store, max_age=0)) as served:
        names = {_name(served) for _ in range(4)}
        assert len(names) == 1
        assert _outcomes(served) == {"read": 1, "revalidated": 3}


def test_within_the_age_the_store_is_not_asked(upstream: ApiServer, store: Path) -> None:
    with Served(forwarding(upstream.url, store, max_age=60)) as served:
        for _ in range(3):
            _name(served)
            _name(served, {**HELLO, "user": "nobody"})
        assert _outcomes(served) == {"read": 1, "unknown": 1, "hit": 4}


def test_requests_at_the_same_time_read_once(upstream: ApiServer, store: Path) -> None:
    with Served(forwarding(upstream.url, store, max_age=60)) as served, ThreadPoolExecutor(8) as clients:
        assert len(set(clients.map(lambda _: _name(served), range(8)))) == 1
        assert _outcomes(served)["read"] == 1


def test_forgetting_empties_the_cache_at_once(upstream: ApiServer, store: Path) -> None:
    with Served(forwarding(upstream.url, store, max_age=60)) as served:
        assert _name(served) != "base"
        _change(store, evidence={"personalized": [0.0], "base": [1.0]})
        served.call(lambda gateway: gateway.personalizations.forget(ASKER))
        assert _name(served) == "base"


def test_only_so_many_users_are_kept(upstream: ApiServer, store: Path) -> None:
    with Served(forwarding(upstream.url, store, cached_users=3)) as served:
        for number in range(10):
            _name(served, {**HELLO, "user": f"user {number}"})
        assert served.call(lambda gateway: len(gateway.personalizations)) == 3


def test_damaged_data_gives_the_base_model(upstream: ApiServer, store: Path) -> None:
    _change(store, prompts=[])
    with Served(forwarding(upstream.url, store)) as served:
        reply = served.ask(body=ANN)
    assert (reply.status, reply.headers["x-idiolect-personalization"]) == (200, "base")
    assert "damaged" in reply.headers["x-idiolect-why"]


def test_an_unknown_user_learns_of_no_other(upstream: ApiServer, store: Path) -> None:
    with Served(forwarding(upstream.url, store)) as served:
        reply = served.ask(body={**HELLO, "user": "anna"})
    assert reply.headers["x-idiolect-personalization"] == "base"
    assert "ann" not in reply.headers["x-idiolect-why"]


def test_a_store_that_cannot_be_read_is_an_error(upstream: ApiServer, store: Path) -> None:
    with Served(forwarding(upstream.url, store)) as served:

        def close(gateway: Gateway) -> None:
            gateway.workspace.store.close()

        served.call(close)
        reply = served.ask(body=ANN)
        assert (reply.status, reply.error["code"]) == (503, "store_unavailable")
        assert str(store) not in reply.error["message"]
        assert served.ask("/ready").status == 503
        assert served.ask(body=HELLO).status == 200
