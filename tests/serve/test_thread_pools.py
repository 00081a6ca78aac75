"""Threads: answers do not wait for what others write, parse or export; what was begun is waited for."""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import threading
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import pytest

from idiolect.people.user import User
from idiolect.serve.gateway import Gateway
from idiolect.serve.thread_pools import Threads
from idiolect.store import SavedUsers, Store
from tests.api_server import ApiServer
from tests.serve.requesting import path_of, record, send
from tests.serve.serving import HELLO, Reply, Served, forwarding

MANY = 50  # more than there are threads


@pytest.mark.parametrize("kind", ["write", "parse", "export"])
def test_answers_do_not_wait_for_other_work(learned_once: Path, kind: str) -> None:
    held, waiting = threading.Event(), list[asyncio.Future[object]]()

    def hold(gateway: Gateway) -> None:
        run: Callable[..., Awaitable[object]] = getattr(gateway.threads, kind)
        waiting.extend(asyncio.ensure_future(run(held.wait, 60)) for _ in range(MANY))

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


async def test_whoever_goes_waits_for_the_work_that_was_begun() -> None:
    begun, held, done = threading.Event(), threading.Event(), list[str]()

    def work() -> None:
        begun.set()
        held.wait(60)
        done.append("work")
        raise RuntimeError

    async with Threads() as threads:
        first = [asyncio.ensure_future(threads.parse(work)) for _ in range(2)]  # as many as there are threads
        waiting = asyncio.ensure_future(threads.parse(done.append, "waiting"))
        await asyncio.to_thread(begun.wait, 60)
        for each in (*first, waiting):
            each.cancel()
        await asyncio.wait([waiting], timeout=60)
        assert waiting.cancelled()  # nobody has begun it
        await asyncio.sleep(0.05)
        assert not any(each.done() for each in first)
        held.set()
        await asyncio.wait(first, timeout=60)
        assert all(each.cancelled() for each in first)
    assert done == ["work", "work"]


def test_an_erasure_waits_for_a_change_whose_client_has_gone(
    learned_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, held = threading.Event(), threading.Event()
    plain = Store.save_users

    def slowly(store: Store, users: Iterable[User]) -> SavedUsers:
        begun.set()
        held.wait(60)
        return plain(store, users)

    monkeypatch.setattr(Store, "save_users", slowly)
    store = shutil.copytree(learned_once, tmp_path / "store")
    with ApiServer() as upstream, Served(forwarding(upstream.url, store, anonymous_people=True)) as served:
        client = http.client.HTTPConnection(served.root.removeprefix("http://"), timeout=60)
        client.request("PUT", path_of("ann"), json.dumps(record("ann")), {"Content-Type": "application/json"})
        assert begun.wait(60)
        client.close()
        receipts: list[Reply] = []
        erases = threading.Thread(target=lambda: receipts.append(send(served, "DELETE", path_of("ann"))))
        erases.start()
        erases.join(1)
        assert receipts == []
        held.set()
        erases.join(60)
        assert (receipts[0].status, receipts[0].json["proven"]) == (200, True)
        assert send(served, "GET", path_of("ann")).status == 404
