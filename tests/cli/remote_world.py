"""What tests of `fit` against a server share: some people, and a server whose every answer names its request.

An answer holds a hash of the request's body, so that the file of kept calls tells which requests it holds.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from idiolect.store import DEFAULT_TENANT, Store
from tests.api_server import ApiServer, Body

_NAMED = re.compile(r"#([0-9a-f]{16})#")
_WORDS = ("tea", "milk", "bread", "rice", "apples", "soup")


def person(user_id: str, n: int = 5) -> dict[str, Any]:
    """A user whose questions no other user is asked."""
    opinions = [
        {"question": f"What would {user_id} have at {hour} o'clock?", "choices": _WORDS, "answer": _WORDS[hour % 6]}
        for hour in range(n)
    ]
    return {"id": user_id, "profile": {"Name": user_id}, "opinions": opinions}


def write_users(path: Path, ids: list[str]) -> Path:
    """A users file."""
    path.write_text("".join(json.dumps(person(user_id)) + "\n" for user_id in ids))
    return path


def name_of(body: Body) -> str:
    """The name that the answer to this request holds."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]


def answer(body: Body, _number: int = 0) -> str:
    """A new text for a meta-prompt, a choice for a question; the same for the same request."""
    name = name_of(body)
    if "square brackets" in body["messages"][-1]["content"]:
        return f"[This person likes {_WORDS[int(name, 16) % 6]}, says {name[:4]}.] #{name}#"
    return f"{_WORDS[int(name, 16) % 6]}\n#{name}#"


def kept_names(store: Path) -> set[str]:
    """Names of the requests whose answers are committed in the cache."""
    database = sqlite3.connect(f"file:{store / 'calls.db'}?mode=ro", uri=True)
    try:
        return names_in(bytes(result) for (result,) in database.execute("SELECT result FROM entries"))
    finally:
        database.close()


def names_in(results: Iterable[bytes]) -> set[str]:
    """Names of the requests that cached results answer."""
    return {name for result in results for name in _NAMED.findall(result.decode())}


def asked_names(server: ApiServer) -> list[str]:
    """Names of the requests that the server received, in order."""
    return [name_of(received.body) for received in server.requests]


def learned(store: Path) -> dict[str, Any]:
    """What was learned, by user."""
    with Store.open(store, create=False, tenant=DEFAULT_TENANT) as opened:
        return {
            user_id: {record.method: record.payload for record in opened.personalizations(user_id)}
            for user_id in opened.user_ids()
        }


def arguments(users: Path, store: Path, url: str, *more: str) -> list[str]:
    """Of a small `fit`."""
    few = ("--preset", "api", "--similarity", "bm25", "--iterations", "2", "--concurrency", "4")
    return ["fit", str(users), "--store", str(store), "--model", f"{url}#m", *few, *more]
