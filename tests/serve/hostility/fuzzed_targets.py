"""Fuzzed paths and query strings: ids that look like others, dots, slashes, control characters, and nonsense."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.serve.hostility.attacks import Attack, encoded, json_headers, plain
from tests.serve.hostility.world import ALPHA, BETA, World

# None of these is `ann`, `bob` or `cy` to a server that takes a path as it is.
_IDS: tuple[str | bytes, ...] = (
    "%00", "ann%00", "%2e%2e", "%2e", "..", ".", "%2f", "ann%2f..", "sandbox-0%2f..%2fann", "%252e%252e%252fann", "%",
    "%n", "%zz", "%u0061nn", "%ff", "%ed%a0%80", "%c0%af", "a" * 513, "a" * 7000, "%20ann", "ann%20", "ann%09", "ANN",
    "ann;x=1", "ann%3fx=1", "ann%23", "ａｎｎ", "аnn", "ann%e2%80%8b", "%ef%bb%bfann", "ann%cc%81", "{user}", "*", "~",
    "ann,bob", "ann|bob", "ann\\..\\bob", "'ann'", "ann'--", "\\", "ann&tenant=beta", "beta%2fann", "beta:ann", "null",
    b"\xff", b"ann\xff", b"\xc3\xa9", b"\xed\xa0\x80", b"a\x0cb", b"a\tb", b"\x7f", b"\x80nn", "-1", "0", "true", "[]",
    "%0d%0aX-Injected:%20yes", "%0d%0a%0d%0aHTTP/1.1%20200%20OK", "beta-group", "bea", "ben", "%F0%9F%98%80" * 60,
)  # fmt: skip
_RESTS = (
    "", "", "/", "/export", "/opinions", "/opinions/remove", "/texts", "/dispositions", "/fits", "/fits/", "/fits/%00",
    "/fits/..", "/fits/x/events", "/fits/" + "0" * 24, "/fits/" + "a" * 3000, "//export", "/export/", "/%65xport",
    "/export%00", "/export;x", "/./export", "/../ann", "/../../users/ann", "/..%2fann", "/%2e%2e/ann",
    "/fits/%ff/events",
)  # fmt: skip
_WHOLE: tuple[str | bytes, ...] = (
    "//v1/users", "//v1/users/ann", "/v1//users/ann", "/./v1/users", "/v1/./users/ann", "/v1/users/sandbox-0/../ann",
    "/V1/USERS", "/v1/users%2fann", "/v1%2fusers%2fann", "/%76%31/users/ann%20", "/v1/users/ann/", "/v1/users/#/ann",
    "/v1/models/%00", "/v1/models/..%2f..%2fusers", "/v1/models/" + "m/" * 500, b"/v1/models/\xff\xfe",
    "/v1/models/%ff", "/metrics/../v1/users", "/health%00", "/health/", "/health;a", "/openapi.json/..", "/",
    "/favicon.ico", "/.git/config", "/v1", "/v1/", "/v1/chat/completions/", "/v1/chat%2fcompletions", "/admin",
    "/v1/groups", "/v1/keys", "/v1/tenants", "/../../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd",
    "/static/..%5c..%5cwindows", "/" + "a/" * 2000, "/" + "%41" * 2500, "http://localhost/v1/users/ann%20",
    "http://evil.example/v1/users", "http://[::1/v1/users", "http://a:b@c/health", "https://localhost:99999/health",
    "ftp://localhost/health", "*", "localhost:80", "?", "#", "/health?#", b"/\x80\xff",
)  # fmt: skip
_METHODS = ("GET", "GET", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_BODY = {"question": "Tea?", "answer": "yes", "texts": ["Fuzz."], "add": ["Fuzz."]}
_QUERIES = (
    "limit=-1", "limit=0", "limit=1e9", "limit=NaN", "limit=%EF%BC%91", "limit=1%20OR%201=1", "limit=" + "9" * 5000,
    "limit=1&limit=499", "limit[]=1", "limit=", "limit=%00", "limit=%ff", "limit=1;after=a", "after=%00", "after=%ff",
    "after=%ed%a0%80", "after=", "after=" + "z" * 7000, "after=%F4%8F%BF%BF", "after='%20OR%20''='", "after[$gt]=",
    "after=ann", "tenant=beta", "user=ann&tenant=beta", "key=1&api-key=2", "access_token=x", "a=1" + "&a=1" * 1900, "%",
    "%zz=%zz", "&&&==", "?" * 3000, "#fragment", "__proto__=1", "%0d%0aX-Injected:%20yes", "callback=alert",
    "format=xml", "limit=499&after=", "debug=1", "traceback=1", "q={{191*191}}", "\u202e=1", "limit=１",
)  # fmt: skip
_READ = (
    "/v1/users", "/v1/users", "/v1/users", "/v1/users/sandbox-1", "/v1/models", "/health", "/ready", "/metrics",
    "/v1/users/sandbox-1/fits", "/openapi.json", "/v1/models/m",
)  # fmt: skip


def fuzzed_paths(world: World, rng: random.Random) -> Iterator[Attack]:
    """Paths that name nobody, or somebody whom nothing like `ann` should name, with every method."""
    theirs = world.canaries(ALPHA)
    while True:
        if rng.random() < 0.7:
            user_id, rest = rng.choice(_IDS), rng.choice(_RESTS)
            named = user_id if isinstance(user_id, bytes) else user_id.encode()
            path: str | bytes = b"/v1/users/" + named + rest.encode()
        else:
            path = rng.choice(_WHOLE)
        method = rng.choice(_METHODS)
        body = None if method in ("GET", "HEAD", "OPTIONS", "DELETE") else encoded(_BODY)
        headers = json_headers(world.keys["alpha"])
        yield plain(
            world.next_id("path"), "fuzzed path", method, path, body, headers=headers, shows=theirs, check=_no_redirect
        )


def fuzzed_queries(world: World, rng: random.Random) -> Iterator[Attack]:
    """Query strings that nobody expects; they show nothing of another tenant."""
    while True:
        query = "&".join(rng.sample(_QUERIES, rng.choice((1, 1, 2, 3))))[:20_000]
        secret = world.keys[rng.choice(("alpha", "alpha", "beta"))]
        shows = world.canaries(BETA if secret == world.keys["beta"] else ALPHA)
        path = f"{rng.choice(_READ)}?{query}"
        yield plain(world.next_id("query"), "fuzzed query", "GET", path, headers=json_headers(secret), shows=shows)


def _no_redirect(answers: object) -> str:
    found = [each.status for each in answers if 300 <= each.status < 400]  # type: ignore[attr-defined]
    return f"redirects ({found})" if found else ""
