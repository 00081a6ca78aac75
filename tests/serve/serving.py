"""A gateway for tests: real HTTP on a free loopback port, in a thread with its own event loop.

with Served(settings) as served:
    …                                   # served.url is "http://127.0.0.1:PORT/v1"
"""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from idiolect.serve.gateway import Gateway, open_gateway
from idiolect.serve.keys import Keys
from idiolect.serve.running import listening
from idiolect.serve.settings import GatewaySettings, KeySetting
from idiolect.store.api_keys import hash_of

T = TypeVar("T")
HELLO = {"model": "m", "messages": [{"role": "user", "content": "Would you drink tea at noon?"}]}


@dataclass(frozen=True)
class Reply:
    """What came back: headers by name in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error, which has the four fields that clients expect."""
        error: dict[str, Any] = self.json["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return error


class Served:
    """Serves while its `with` block runs."""

    def __init__(self, settings: GatewaySettings, keys: Sequence[Keys] = ()) -> None:
        self._settings, self._keys = settings, keys
        self._up = threading.Event()
        self._failed: Exception | None = None
        self.gateway: Gateway | None = None
        self._thread = threading.Thread(target=self._run, name="gateway", daemon=True)

    def __enter__(self) -> Served:
        self._thread.start()
        assert self._up.wait(60), "the gateway did not start"
        if self._failed is not None:
            raise self._failed
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join(30)
        assert not self._thread.is_alive(), "the gateway did not stop"

    def stop(self) -> None:
        """Begin the end; it is not awaited."""
        self._loop.call_soon_threadsafe(self._stop.set)

    def call(self, work: Callable[[Gateway], T]) -> T:
        """Run something in the gateway's event loop."""

        async def run() -> T:
            assert self.gateway is not None
            return work(self.gateway)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    def ask(
        self,
        path: str = "/v1/chat/completions",
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
    ) -> Reply:
        """Send one request: POST with a body, GET without one."""
        sent = data if data is not None else None if body is None else json.dumps(body).encode()
        given = {"Content-Type": "application/json", **(headers or {})}
        request = urllib.request.Request(f"{self.root}{path}", data=sent, headers=given)
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return Reply(reply.status, {n.lower(): v for n, v in reply.headers.items()}, reply.read())
        except urllib.error.HTTPError as error:
            return Reply(error.code, {n.lower(): v for n, v in error.headers.items()}, error.read())

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:
            self._failed = error
            self._up.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with open_gateway(self._settings, keys=self._keys) as gateway, listening(gateway) as port:
            self.gateway = gateway
            self.root = f"http://127.0.0.1:{port}"
            self.url = f"{self.root}/v1"
            self._up.set()
            await self._stop.wait()


def forwarding(upstream: str, store: Path, **changes: Any) -> GatewaySettings:
    """Settings of a gateway in front of an upstream."""
    return GatewaySettings(upstream=upstream, store=str(store), port=0, **changes)


def key(name: str, secret: str, **changes: Any) -> KeySetting:
    """A configured key."""
    return KeySetting(id=name, sha256=hash_of(secret), **changes)


def bearer(secret: str) -> dict[str, str]:
    """The header that shows a key."""
    return {"Authorization": f"Bearer {secret}"}
