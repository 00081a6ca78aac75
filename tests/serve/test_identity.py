"""Who is asking: the order of what names them, and what nobody is to believe."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from idiolect.serve.identity import is_among
from idiolect.serve.keys import ConfiguredKeys, KeyRecord
from idiolect.store.api_keys import hash_of
from tests.api_server import ApiServer
from tests.serve.serving import HELLO, Served, bearer, forwarding, key

HEADER = "X-OpenWebUI-User-Id"
KEYS = (
    key("bound", "secret-bound", user="ann"),
    key("free", "secret-free"),
    key("other", "secret-other", scopes=("people",)),
)


@pytest.fixture(scope="module")
def upstream() -> Iterator[ApiServer]:
    with ApiServer() as server:
        yield server


@pytest.fixture(scope="module")
def trusting(upstream: ApiServer, learned_once: Path) -> Iterator[Served]:
    """A gateway that believes this machine's header."""
    with Served(forwarding(upstream.url, learned_once, keys=KEYS, trusted_peers="127.0.0.0/8")) as served:
        yield served


@pytest.fixture(scope="module")
def distrusting(upstream: ApiServer, learned_once: Path) -> Iterator[Served]:
    """A gateway that believes other machines' headers only."""
    with Served(forwarding(upstream.url, learned_once, keys=KEYS, trusted_peers="10.0.0.0/8")) as served:
        yield served


def _is_ann(served: Served, headers: dict[str, str], **fields: Any) -> bool:
    reply = served.ask(body={**HELLO, **fields}, headers=headers)
    assert reply.status == 200
    return reply.headers["x-idiolect-personalization"] != "base"


def test_the_keys_own_user_comes_first(trusting: Served) -> None:
    shown = {**bearer("secret-bound"), HEADER: "nobody"}
    assert _is_ann(trusting, shown, safety_identifier="nobody", user="nobody")


def test_the_header_of_a_trusted_peer_comes_before_the_body(trusting: Served) -> None:
    assert _is_ann(trusting, {**bearer("secret-free"), HEADER: "ann"}, safety_identifier="nobody", user="nobody")
    assert not _is_ann(trusting, {**bearer("secret-free"), HEADER: "nobody"}, safety_identifier="ann", user="ann")


def test_the_safety_identifier_comes_before_the_user(trusting: Served) -> None:
    assert _is_ann(trusting, bearer("secret-free"), safety_identifier="ann", user="nobody")
    assert not _is_ann(trusting, bearer("secret-free"), safety_identifier="nobody", user="ann")
    assert _is_ann(trusting, bearer("secret-free"), safety_identifier=7, user="ann")


@pytest.mark.parametrize(
    "spoofed",
    [
        {HEADER: "ann"},
        {HEADER: "ann", "X-Forwarded-For": "10.0.0.1"},
        {HEADER: "ann", "Forwarded": "for=10.0.0.1", "X-Real-IP": "10.0.0.1", "Client-IP": "10.0.0.1"},
    ],
)
def test_a_header_of_an_unknown_peer_names_nobody(distrusting: Served, spoofed: dict[str, str]) -> None:
    assert not _is_ann(distrusting, {**bearer("secret-free"), **spoofed})
    assert not _is_ann(distrusting, {**bearer("secret-free"), **spoofed}, user="nobody")


@pytest.mark.parametrize("user", ["", "\0", "x" * 10_000, "ann ", 3, None, ["ann"]])
def test_odd_users_are_nobody(trusting: Served, user: object) -> None:
    assert not _is_ann(trusting, bearer("secret-free"), user=user)


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "invalid_api_key"),
        ({"Authorization": "Bearer wrong"}, 401, "invalid_api_key"),
        ({"Authorization": "Basic secret-free"}, 401, "invalid_api_key"),
        ({"Authorization": "Bearer " + "x" * 5000}, 401, "invalid_api_key"),
        ({"Authorization": "Bearer secret-other"}, 403, "missing_scope"),
    ],
)
def test_a_request_without_a_valid_key_is_refused(
    trusting: Served, headers: dict[str, str], status: int, code: str
) -> None:
    reply = trusting.ask(body=HELLO, headers=headers)
    assert (reply.status, reply.error["code"]) == (status, code)
    assert trusting.ask("/v1/models", headers=headers).status == status
    assert trusting.ask("/health").status == 200


def test_azures_header_shows_a_key_too(trusting: Served) -> None:
    assert trusting.ask(body=HELLO, headers={"api-key": "secret-free"}).status == 200


def test_neither_keys_nor_users_reach_the_upstream(trusting: Served, upstream: ApiServer) -> None:
    headers = {**bearer("secret-bound"), HEADER: "ann", "Cookie": "c=secret-cookie", "OpenAI-Organization": "o"}
    trusting.ask(body={**HELLO, "user": "ann", "safety_identifier": "ann"}, headers=headers)
    received = upstream.requests[-1]
    assert received.headers["authorization"] == "Bearer none"
    assert "secret" not in str(received.headers)
    assert {"cookie", "openai-organization", HEADER.lower()} & set(received.headers) == set()
    assert {"user", "safety_identifier"} & set(received.body) == set()


def test_users_are_forwarded_where_that_is_switched_on(upstream: ApiServer, learned_once: Path) -> None:
    with Served(forwarding(upstream.url, learned_once, forward_user_ids=True)) as served:
        served.ask(body={**HELLO, "user": "ann"})
    assert upstream.requests[-1].body["user"] == "ann"


def test_without_keys_only_this_machine_is_answered(upstream: ApiServer, learned_once: Path) -> None:
    with Served(forwarding(upstream.url, learned_once)) as served:
        assert served.ask(body=HELLO).status == 200
        assert served.ask(body=HELLO, headers=bearer("any")).status == 200
        rebound = served.ask(body=HELLO, headers={"Host": "evil.example"})
        assert (rebound.status, rebound.error["code"]) == (403, "host_not_allowed")
        plain = served.ask(body=HELLO, headers={"Content-Type": "text/plain"})
        assert plain.status == 415


def test_beyond_this_machine_keys_are_needed_unless_switched_off(upstream: ApiServer, learned_once: Path) -> None:
    with Served(forwarding(upstream.url, learned_once, host="0.0.0.0")) as served:
        assert served.ask(body=HELLO).status == 401
    with Served(forwarding(upstream.url, learned_once, host="0.0.0.0", anonymous="yes")) as served:
        assert served.ask(body=HELLO, headers={"Host": "any.example"}).status == 200


class Revocable:
    """Keys that are kept elsewhere."""

    def __init__(self) -> None:
        self.known = {"kept": KeyRecord("kept", user="ann")}

    def exist(self) -> bool:
        return True

    def verify(self, secret: str) -> KeyRecord | None:
        return self.known.get(secret)


def test_keys_that_are_kept_elsewhere_hold_until_they_are_revoked(upstream: ApiServer, learned_once: Path) -> None:
    keys = Revocable()
    with Served(forwarding(upstream.url, learned_once, max_age=60), keys=[keys]) as served:
        assert _is_ann(served, bearer("kept"))
        keys.known.clear()
        assert _is_ann(served, bearer("kept"))
        served.call(lambda gateway: gateway.trust.keys.forget())
        assert served.ask(body=HELLO, headers=bearer("kept")).status == 401


def test_configured_keys_are_compared_by_hash() -> None:
    keys = ConfiguredKeys([(hash_of("a"), KeyRecord("first")), (hash_of("b").upper(), KeyRecord("second"))])
    assert keys.verify("b") == KeyRecord("second")
    assert keys.verify("c") is None
    assert (keys.exist(), ConfiguredKeys().exist()) == (True, False)


def test_addresses_are_compared_as_addresses() -> None:
    from ipaddress import ip_network

    networks = (ip_network("127.0.0.0/8"), ip_network("fd00::/8"))
    assert all(is_among(each, networks) for each in ("127.0.0.1", "::ffff:127.0.0.1", "fd00::1", "fd00::1%eth0"))
    assert not any(is_among(each, networks) for each in (None, "", "unix", "128.0.0.1", "::1", "fe80::1%lo"))
