"""Threads: answers do not wait for what others write, nor for large bodies that are parsed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from idiolect.serve.gateway import Gateway
from idiolect.serve.thread_pools import Threads
from tests.api_server import ApiServer
from tests.serve.requesting import path_of, send
from tests.serve.serving import HELLO, Served, forwarding

MANY = 50  # more than there are threads


@pytest.mark.parametrize("kind", ["write", "parse"])
def test_answers_do_not_wait_for_writes_and_parsing(learned_once: Path, kind: str) -> None:
    held, waiting = threading.Event(), list[asyncio.Future[object]]()

    def hold(gateway: Gateway) -> None:
        run: Callable[..., object] = getattr(gateway.threads, kind)
        waiting.extend(asyncio.ensure_future(run(held.wait, 60)) for _ in range(MANY))  # type: ignore[arg-type]

    with ApiServer() as upstream, Served(forwarding(upstream.url, learned_once, anonymous_people=True)) as served:
        served.call(hold)
        try:
            reply = served.ask(body={**HELLO, "user": "ann"})
            assert (reply.status, reply.headers["x-idiolect-personalization"] != "base") == (200, True)
            assert send(served, "GET", path_of("ann")).status == 200
            assert send(served, "GET", "/v1/users").status == 200
            assert not any(each.done() for each in waiting)
        finally:
            held.set()
        assert send(served, "POST", path_of("ann", "/texts"), {"texts": ["I wait."]}).status == 200


async def test_work_in_a_thread_returns_and_raises() -> None:
    async with Threads() as threads:
        assert await threads.write(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await threads.parse(divmod, 7, 0)
