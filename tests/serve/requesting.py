"""Requests of any method to a gateway of the tests, with a key or without."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from tests.serve.serving import Reply, Served, bearer

TEA = {"question": "Tea or coffee?", "choices": ["tea", "coffee"], "answer": "tea"}


def record(user_id: str, **changes: Any) -> dict[str, Any]:
    """A user as in a users file."""
    return {"id": user_id, "profile": {"Age": "30-44"}, "opinions": [TEA], **changes}


def path_of(user_id: str, rest: str = "") -> str:
    """The path of a user."""
    return f"/v1/users/{quote(user_id, safe='')}{rest}"


def send(
    served: Served,
    method: str,
    path: str,
    body: object = None,
    *,
    key: str | None = None,
    data: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Send a request and return what came back."""
    sent = data if data is not None else None if body is None else json.dumps(body).encode()
    given = {"Content-Type": "application/json", **(bearer(key) if key else {}), **(headers or {})}
    request = urllib.request.Request(f"{served.root}{path}", data=sent, headers=given, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return Reply(reply.status, {n.lower(): v for n, v in reply.headers.items()}, reply.read())
    except urllib.error.HTTPError as error:
        return Reply(error.code, {n.lower(): v for n, v in error.headers.items()}, error.read())
