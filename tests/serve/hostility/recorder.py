"""The upstream of a gateway that is attacked, a process of its own: it answers at once, and keeps all that it gets.

request → Seen (id, canaries, conversation) → echo: whole, as a stream, very large, or without an end

python -m tests.serve.hostility.recorder        prints its port; GET /seen?after=N returns what it has seen since
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.serve.hostility.wire import HOST
from tests.serve.hostility.world import CANARY

KEY = "upstream-key-3b1f0c8d5e"  # the gateway's own
FLOOD, LARGE = "flood", "large"  # models: a stream without an end, and an answer of 32 MB
_KEPT = 2**18  # bytes of a body that is read; of a longer one, only canaries are noted
_ECHO = 2000  # characters
_ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Seen:
    """A request that came to the upstream.

    Args:
        id: its id; those of attacks begin with the attack's.
        canaries: those in its body.
        headers: all of them, in one text.
        messages: its conversation; None if it is too long to be read, or none.
    """

    id: str
    canaries: frozenset[str]
    headers: str
    messages: Sequence[Any] | None


class Recorder:
    """The process of the upstream, while the `with` block runs."""

    def __enter__(self) -> Recorder:
        command = [sys.executable, "-m", "tests.serve.hostility.recorder"]
        environment = {**os.environ, "PYTHONPATH": f"{_ROOT / 'src'}"}
        self._process = subprocess.Popen(command, cwd=_ROOT, env=environment, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())
        self.url = f"http://{HOST}:{self._port}/v1"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def seen(self, after: int = 0) -> list[Seen]:
        """What has come since the first so many requests, in order."""
        with urllib.request.urlopen(f"http://{HOST}:{self._port}/seen?after={after}", timeout=60) as reply:
            found = json.load(reply)
        return [Seen(id, frozenset(canaries), headers, messages) for id, canaries, headers, messages in found]


class _Upstream:
    """What came, as JSON."""

    def __init__(self) -> None:
        self._seen: list[tuple[str, list[str], str, Any]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Keep a request, and answer it."""
        data = await request.read()
        headers = "\n".join(f"{name}: {value}" for name, value in request.headers.items())
        body = _object(data) if len(data) <= _KEPT else {}
        messages = body.get("messages")
        canaries = sorted({found.decode() for found in CANARY.findall(data)})
        self._seen.append((request.headers.get("X-Request-Id", ""), canaries, headers, messages))
        if body.get("model") == FLOOD:
            return await _flood(request)
        if body.get("model") == LARGE:
            return web.Response(body=_large(), content_type="application/json")
        answer = _answer(len(self._seen), body)
        if body.get("stream") is True:
            return await _stream(request, answer)
        return web.Response(body=json.dumps(answer).encode(), content_type="application/json")

    async def seen(self, request: web.Request) -> web.Response:
        """Return what came."""
        return web.Response(body=json.dumps(self._seen[int(request.query["after"]) :]).encode())


async def _flood(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    event = b"data: " + b'{"id":"flood","choices":[]}'.ljust(4096) + b"\n\n"
    try:
        while True:
            await response.write(event)
            await asyncio.sleep(0.001)
    except ConnectionError:
        return response


def _object(data: bytes) -> dict[str, Any]:
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


@lru_cache(maxsize=1)
def _large() -> bytes:
    answer = _answer(0, {})
    answer["choices"][0]["message"]["content"] = "x" * 2**25
    return json.dumps(answer).encode()


def _answer(number: int, body: dict[str, Any]) -> dict[str, Any]:
    echo = json.dumps(body.get("messages", body))[:_ECHO]
    message = {"role": "assistant", "content": f"always\n{echo}"}  # a choice first, which fits read
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    head = {"id": f"chatcmpl-{number:08d}", "object": "chat.completion", "created": 1, "model": "m"}
    return {**head, "choices": [choice], "usage": usage}


async def _stream(request: web.Request, answer: dict[str, Any]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    text = answer["choices"][0]["message"]["content"]
    for place in range(0, len(text), 500):
        delta = {"index": 0, "delta": {"content": text[place : place + 500]}}
        chunk = {"id": answer["id"], "object": "chat.completion.chunk", "model": "m", "choices": [delta]}
        await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


async def _models(_request: web.Request) -> web.Response:
    return web.json_response({"object": "list", "data": [{"id": "m", "object": "model"}]})


async def _serve() -> None:
    upstream = _Upstream()
    app = web.Application(client_max_size=2**28)
    app.router.add_get("/v1/models", _models)
    app.router.add_post("/v1/{rest:.+}", upstream.answer)
    app.router.add_get("/seen", upstream.seen)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
