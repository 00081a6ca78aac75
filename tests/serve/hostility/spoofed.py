"""Headers that claim to be somebody else: other users, proxies, hosts and keys.

Nobody is trusted by the gateway but addresses that no client here has, and what a key reaches is all that it reaches.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tests.serve.hostility.attacks import NOBODY, Attack, Headers, asking, bearer, encoded, plain, statuses
from tests.serve.hostility.world import ALPHA, World

USER_HEADER = "X-OpenWebUI-User-Id"  # the gateway's setting
TRUSTED = "10.66.0.0/16"  # its trusted peers
_CHAT = "/v1/chat/completions"
_JSON = [("Content-Type", "application/json")]
_TRUSTED_ADDRESS = "10.66.0.1"
_CLAIMS: Sequence[tuple[str, str]] = (
    (USER_HEADER, "ann"), (USER_HEADER, "bob"), (USER_HEADER.lower(), "ann"), ("X-User-Id", "ann"),
    ("X-Forwarded-User", "ann"), ("X-Idiolect-User", "ann"), ("X-Idiolect-Personalization", "fermi-ann"),
    ("X-Idiolect-Why", "X"), ("X-Tenant", "beta"), ("X-Idiolect-Tenant", "beta"), ("Remote-User", "ann"),
    ("X-Remote-User", "ann"), ("OpenAI-Organization", "beta"), ("X-Forwarded-For", _TRUSTED_ADDRESS),
    ("X-Forwarded-For", f"127.0.0.1, {_TRUSTED_ADDRESS}"), ("Via", "1.1 proxy"), ("X-Real-IP", _TRUSTED_ADDRESS),
    ("Forwarded", f"for={_TRUSTED_ADDRESS};host=localhost"), ("Client-IP", _TRUSTED_ADDRESS),
    ("True-Client-IP", _TRUSTED_ADDRESS), ("CF-Connecting-IP", _TRUSTED_ADDRESS), ("X-Forwarded-Host", "localhost"),
    ("X-Original-URL", "/v1/users"), ("X-Rewrite-URL", "/v1/users"), ("X-HTTP-Method-Override", "DELETE"),
    ("X-Request-Id", "../../etc/passwd"), ("X-Request-Id", "{{191*191}}"), ("Cookie", "session=ann"),
    ("Origin", "null"),
)  # fmt: skip
_HOSTS = (
    "evil.example", "evil.example:80", "localhost.evil.example", "evil.example#localhost", "localhost@evil.example",
    "127.0.0.1.evil.example", "127.0.0.2", "0.0.0.0", "[::2]", "2130706433", "0x7f.1", "127.1", "localhost:80:90",
    "localhost\\", "", "[::1].evil.example", "[::1", "lоcalhost", "localhost/evil", "localhost,evil.example",
)  # fmt: skip


def spoofed_headers(world: World, rng: random.Random) -> Iterator[Attack]:
    """Claims about users, proxies and hosts; keys that are not enough, several keys, and none."""
    makers: Sequence[Callable[[World, random.Random, str], Attack]] = (
        _claimed_user, _claimed_user, _claimed_user, _bound_key, _bound_key, _refused_key, _refused_key, _several_keys,
        _other_scope, _rare_key,
    )  # fmt: skip
    while True:
        yield rng.choice(makers)(world, rng, world.next_id("spoof"))


def spoofed_hosts(world: World, rng: random.Random) -> Iterator[Attack]:
    """Against a gateway that needs no key: other hosts, and what proxies add."""
    routes: Sequence[tuple[str, str, Any]] = (
        ("GET", "/v1/users", None), ("GET", "/v1/users/ann/export", None), ("GET", "/v1/models", None),
        ("POST", _CHAT, asking("Tea?", user="ann")), ("DELETE", "/v1/users/ann", None),
        ("POST", "/v1/users/ann/texts", {"texts": ["Spoofed."]}),
    )  # fmt: skip
    while True:
        (method, path, body), id = rng.choice(routes), world.next_id("host")
        data = None if body is None else encoded(body)
        if rng.random() < 0.7:
            headers, host, allowed = _JSON, rng.choice(_HOSTS), (400, 403)
        elif path.startswith("/v1/users"):  # through a proxy, nobody reaches people without a key
            name, value = rng.choice(
                [each for each in _CLAIMS if each[0] in ("X-Forwarded-For", "Forwarded", "Via", "X-Real-IP")]
            )
            headers, host, allowed = [*_JSON, (name, value)], "localhost", (401,)
        else:  # a form of another site, which needs no preflight
            data = encoded(asking("Tea?", user="ann"))
            method, path, headers, host, allowed = "POST", _CHAT, [("Content-Type", "text/plain")], "localhost", (415,)
        yield plain(
            id, f"host {host!r}", method, path, data, headers=headers, host=host, keyless=True, check=statuses(*allowed)
        )


def _claims(rng: random.Random) -> Headers:
    return [*_JSON, *rng.sample(_CLAIMS, rng.choice((1, 2, 4)))]


def _claimed_user(world: World, rng: random.Random, id: str) -> Attack:
    """The body names nobody, or somebody unknown; what the headers claim makes no one of them."""
    body = asking(
        "Tea?", **rng.choice(({}, {"user": "nobody"}, {"safety_identifier": "nobody"}, {"user": {"id": "ann"}}))
    )
    headers = [*_claims(rng), *bearer(world.keys[rng.choice(("alpha", "alpha-chat"))])]
    return plain(
        id,
        "claimed user",
        "POST",
        _CHAT,
        encoded(body),
        headers=headers,
        check=statuses(200),
        messages=body["messages"],
    )


def _bound_key(world: World, rng: random.Random, id: str) -> Attack:
    """The key of cy asks as cy, whatever the request claims, and reaches nobody else."""
    headers = [*_claims(rng), *bearer(world.keys["alpha-cy"])]
    own = world.canaries(ALPHA, "cy")
    if rng.random() < 0.5:
        body = asking("Tea?", user="ann", safety_identifier="bob")
        data = encoded(body)
        return plain(
            id, "key of cy", "POST", _CHAT, data, headers=headers, shows=own, asks=own, messages=body["messages"]
        )
    path = f"/v1/users/{rng.choice(('ann', 'bob', 'sandbox-0', 'bea', 'nobody'))}{rng.choice(('', '/export', '/fits'))}"
    return plain(id, "key of cy", rng.choice(("GET", "DELETE")), path, headers=headers, check=statuses(404, 405))


def _refused_key(world: World, rng: random.Random, id: str) -> Attack:
    """Keys that are none: revoked, cut, changed, of another scheme, or in another place."""
    good, revoked = world.keys["alpha"], world.keys["alpha-revoked"]
    shown: Headers = rng.choice(
        (
            [], bearer(revoked), [("api-key", revoked)], bearer(good[:-1]), bearer(good + "a"), bearer(good.upper()),
            bearer(f" {good[:-2]} "),
            [("Authorization", f"Basic {good}")], [("Authorization", good)], [("X-Api-Key", good)],
            [("Authorization", "Bearer")], [("Authorization", "Bearer ")], [("Authorization", b"Bearer \xff\xfe")],
            bearer("idk_" + "a" * 5000), bearer("idl_YWxwaGE=.0"), bearer("idl_" + "=" * 99), bearer("idl_\u00e9"),
            bearer("sk-any"), bearer("' OR 1=1 --"), bearer("null"), [("Cookie", f"Authorization=Bearer {good}")],
            [("Proxy-Authorization", f"Bearer {good}")], bearer(f"{good},{good}"), bearer(f"{good} {good}"),
        )
    )  # fmt: skip
    method, path, body = rng.choice(
        (("GET", "/v1/users", None), ("POST", _CHAT, asking("Tea?", user="ann")), ("GET", "/v1/models", None),
         ("GET", "/v1/users/ann/export", None), ("DELETE", "/v1/users/ann", None), ("POST", "/v1/feedback", {"a": 1}))
    )  # fmt: skip
    data = None if body is None else encoded(body)
    headers = [*_JSON, *shown, *rng.sample(_CLAIMS, 1)]
    return plain(id, f"no key {shown!s:.40}", method, path, data, headers=headers, check=statuses(401))


def _several_keys(world: World, rng: random.Random, id: str) -> Attack:
    """Two keys: at most the first one counts, so that nothing of the second one's tenant is shown."""
    first, second = rng.choice(
        (("alpha-chat", "beta"), ("alpha-revoked", "beta"), ("alpha-cy", "beta"), ("alpha-cy", "alpha"))
    )
    pair = [*bearer(world.keys[first]), *bearer(world.keys[second])]
    azure = [*bearer(world.keys[first]), ("api-key", world.keys[second])]
    headers = [*_JSON, *rng.choice((pair, azure))]
    own = world.canaries(ALPHA, "cy") if first == "alpha-cy" else NOBODY
    if rng.random() < 0.5:
        body = encoded(asking("Tea?", user="bea"))
        return plain(id, f"keys {first}, {second}", "POST", _CHAT, body, headers=headers, shows=own, asks=own)
    return plain(id, f"keys {first}, {second}", "GET", "/v1/users", headers=headers, shows=own)


def _other_scope(world: World, rng: random.Random, id: str) -> Attack:
    name, method, path, body = rng.choice(
        (
            ("alpha-chat", "GET", "/v1/users", None), ("alpha-chat", "GET", "/v1/users/ann/export", None),
            ("alpha-chat", "DELETE", "/v1/users/ann", None),
            ("alpha-people", "POST", _CHAT, asking("Tea?", user="ann")),
            ("alpha-people", "GET", "/v1/models", None), ("alpha-people", "POST", "/v1/feedback", {"a": 1}),
        )
    )  # fmt: skip
    data = None if body is None else encoded(body)
    headers = [*_claims(rng), *bearer(world.keys[name])]
    return plain(id, f"scope of {name}", method, path, data, headers=headers, check=statuses(403))


def _rare_key(world: World, rng: random.Random, id: str) -> Attack:
    """A key with five requests a minute; spoofed addresses do not make it another caller."""
    headers = [*_claims(rng), *bearer(world.keys["alpha-rare"])]
    return plain(id, "limited key", "GET", "/v1/models", headers=headers, check=statuses(200, 429))
