"""Erasure while it serves: answers end first, later ones come from the base model, and the command line asks for it."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import filelock
import pytest
from typer.testing import CliRunner, Result

from idiolect.application.running_gateway import announced, local_key, running_gateways, tenant_of_key
from idiolect.cli.app import app
from idiolect.errors import BusyError, UnknownUserError
from idiolect.models.calls.cache import CallCache
from idiolect.serve.erasures import Erasures
from idiolect.serve.identity import Asker
from idiolect.serve.personalizations import ERASED, Personalizations
from idiolect.store import DEFAULT_TENANT, Store
from idiolect.store.job_queue import JobQueue
from idiolect.store.jobs import Jobs
from tests.api_server import ApiServer, Body, Stream
from tests.serve.requesting import path_of, record, send
from tests.serve.serving import HELLO, Served, forwarding, key

ANN = Asker(DEFAULT_TENANT, "ann")


def _answer(body: Body, _number: int) -> str | Stream:
    return Stream("Green tea, please. " * 5, interval=0.1) if body.get("stream") else "Green tea, please."


@pytest.fixture(scope="module")
def upstream() -> Iterator[ApiServer]:
    with ApiServer(_answer) as server:
        yield server


@pytest.fixture
def served(upstream: ApiServer, store: Path) -> Iterator[Served]:
    with Served(forwarding(upstream.url, store, anonymous_people=True)) as gateway:
        yield gateway


def _ask(served: Served, **changes: Any) -> dict[str, str]:
    return dict(served.ask(body={**HELLO, "user": "ann", **changes}).headers)


def test_nothing_of_an_erased_user_is_left(served: Served, store: Path) -> None:
    assert _ask(served)["x-idiolect-personalization"].startswith("fermi-")
    receipt = send(served, "DELETE", path_of("ann"))
    assert (receipt.status, receipt.json["proven"], receipt.json["rows"]["users"]) == (200, True, 1)
    assert receipt.json["found_before"]["count"] > 0
    assert served.call(lambda gateway: len(gateway.personalizations)) == 0
    assert _ask(served)["x-idiolect-personalization"] == "base"
    with Store.open(store, tenant=DEFAULT_TENANT) as opened:
        assert list(opened.user_ids()) == ["silent"]


def test_an_erasure_waits_for_a_running_answer_and_later_ones_are_the_base_models(served: Served) -> None:
    receipts: list[Any] = []
    streams = threading.Thread(target=lambda: receipts.append(_ask(served, stream=True)))
    erases = threading.Thread(target=lambda: receipts.append(send(served, "DELETE", path_of("ann")).json))
    streams.start()
    _until(served, lambda gateway: bool(gateway.active))
    time.sleep(0.2)
    erases.start()
    _until(served, lambda gateway: gateway.erasures.erases(ANN))
    meanwhile = _ask(served)
    assert (meanwhile["x-idiolect-personalization"], meanwhile["x-idiolect-why"]) == ("base", ERASED)
    refused = send(served, "POST", path_of("ann", "/texts"), {"texts": ["I walk."]})
    assert (refused.status, refused.error["code"]) == (409, "user_being_erased")
    streams.join()
    erases.join()
    assert receipts[0]["x-idiolect-personalization"].startswith("fermi-")
    assert receipts[1]["proven"]


def _until(served: Served, holds: Any) -> None:
    deadline = time.monotonic() + 20
    while not served.call(holds):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_second_request_during_an_erasure_gets_its_receipt(served: Served) -> None:
    receipts: list[Any] = []

    def erase() -> None:
        receipts.append(send(served, "DELETE", path_of("ann")).json)

    streams = threading.Thread(target=lambda: _ask(served, stream=True))
    streams.start()
    _until(served, lambda gateway: bool(gateway.active))
    time.sleep(0.2)
    both = [threading.Thread(target=erase) for _ in range(2)]
    for each in both:
        each.start()
        _until(served, lambda gateway: gateway.erasures.erases(ANN))
    for each in (*both, streams):
        each.join()
    assert receipts[0]["proven"]
    assert receipts[0] == receipts[1]


def test_whoever_gave_a_key_gets_the_receipt_again(served: Served, upstream: ApiServer, store: Path) -> None:
    key = {"Idempotency-Key": "5d1c0f7ab2e94c58"}
    receipt = send(served, "DELETE", path_of("ann"), headers=key)
    assert receipt.json["proven"]
    assert send(served, "DELETE", path_of("ann"), headers=key).json == receipt.json
    for other in ({}, {"Idempotency-Key": "another"}):
        assert send(served, "DELETE", path_of("ann"), headers=other).error["code"] == "user_not_found"
    for wrong in ("", "x" * 256, "\x80"):
        refused = send(served, "DELETE", path_of("ann"), headers={"Idempotency-Key": wrong})
        assert (refused.status, refused.error["param"]) == (400, "Idempotency-Key")
    with Served(forwarding(upstream.url, store, anonymous_people=True)) as another:
        assert send(another, "DELETE", path_of("ann"), headers=key).json == receipt.json
    send(served, "POST", "/v1/users", record("ann"))
    again = send(served, "DELETE", path_of("ann"), headers=key).json
    assert (again["rows"]["users"], again["erased_at"] > receipt.json["erased_at"]) == (1, True)


def test_a_user_who_is_not_there_interrupts_no_fit(upstream: ApiServer, store: Path) -> None:
    settings = forwarding(upstream.url, store, anonymous_people=True, workers=0)
    with Served(settings) as served, Store.open(store, tenant=DEFAULT_TENANT) as opened:
        Jobs(opened.rows).put("silent", "fermi", {})
        queue = JobQueue(opened.database, "of another process", lease=60)
        job = queue.take()
        assert job is not None
        begun = time.monotonic()
        for headers in ({}, {"Idempotency-Key": "k"}):
            reply = send(served, "DELETE", path_of("nobody"), headers=headers)
            assert (reply.status, reply.error["code"]) == (404, "user_not_found")
        assert time.monotonic() - begun < 10
        assert queue.renew(job, {}) == ""


def test_a_cache_that_another_process_has_open_is_left_alone(served: Served, store: Path) -> None:
    with CallCache.open(store / "calls.db"):
        refused = send(served, "DELETE", path_of("ann"))
    assert refused.status == 503
    assert _ask(served)["x-idiolect-personalization"].startswith("fermi-")
    assert send(served, "DELETE", path_of("ann")).status == 200


class _Learned:
    """In place of `Personalizations`."""

    def __init__(self) -> None:
        self.withheld: list[Asker] = []
        self.cleared = 0

    def withhold(self, asker: Asker) -> None:
        self.withheld.append(asker)

    def release(self, asker: Asker) -> None:
        self.withheld.remove(asker)

    def clear(self) -> None:
        self.cleared += 1


def _erasures(forgotten: list[str], *, wait: float = 5.0) -> tuple[Erasures, _Learned]:
    async def forget_prompts() -> None:
        forgotten.append("prompts")

    learned = _Learned()
    return Erasures(_as_personalizations(learned), forget_prompts, wait=wait), learned


def _as_personalizations(learned: Any) -> Personalizations:
    found: Personalizations = learned
    return found


async def test_an_erasure_goes_on_without_its_client_and_a_second_request_gets_its_receipt(store: Path) -> None:
    forgotten: list[str] = []
    erasures, learned = _erasures(forgotten)
    with Store.open(store, tenant=DEFAULT_TENANT) as opened:
        async with erasures:
            with erasures.using(ANN):
                first = asyncio.ensure_future(erasures.erase(opened, ANN))
                await asyncio.sleep(0.05)
                first.cancel()
                second = asyncio.ensure_future(erasures.erase(opened, ANN))
                await asyncio.sleep(0.05)
                assert learned.withheld == [ANN]
            receipt = await second
        assert (receipt.user_id, receipt.proven, first.cancelled()) == ("ann", True, True)
    assert (forgotten, learned.withheld) == (["prompts"], [])


async def test_the_receipt_is_kept_for_all_who_asked_with_a_key(store: Path) -> None:
    erasures, _ = _erasures([])
    with Store.open(store, tenant=DEFAULT_TENANT) as opened:
        async with erasures:
            with erasures.using(ANN):
                asking = [asyncio.ensure_future(erasures.erase(opened, ANN, key)) for key in (None, "k1", "k2")]
                await asyncio.sleep(0.05)
                asking[1].cancel()
            receipt = await asking[2]
            for key in ("k1", "k2"):
                assert await erasures.erase(opened, ANN, key) == receipt
            with pytest.raises(UnknownUserError):
                await erasures.erase(opened, ANN, "k3")


async def test_exports_wait_for_erasures_of_their_tenant_only(store: Path) -> None:
    erasures, _ = _erasures([])
    with Store.open(store, tenant=DEFAULT_TENANT) as opened:
        async with erasures, erasures.turns[DEFAULT_TENANT]:
            task = asyncio.ensure_future(erasures.erase(opened, ANN))
            other = asyncio.ensure_future(erasures.erase(opened.of_tenant("other", create=True), Asker("other", "bob")))
            await asyncio.sleep(0.05)
            assert not erasures.turns["other"].locked()  # though an erasure waits there, too
            assert not task.done()
        assert (await task).proven
        with pytest.raises(UnknownUserError):
            await other


async def test_an_answer_that_takes_too_long_is_not_taken_from_under(store: Path) -> None:
    erasures, learned = _erasures([], wait=0.05)
    with Store.open(store, tenant=DEFAULT_TENANT) as opened:
        async with erasures:
            with erasures.using(ANN), pytest.raises(BusyError):
                await erasures.erase(opened, ANN)
        assert learned.withheld == []
        assert opened.user("ann").id == "ann"


async def test_the_end_waits_for_an_erasure(store: Path) -> None:
    forgotten: list[str] = []
    erasures, _ = _erasures(forgotten)
    with Store.open(store, tenant=DEFAULT_TENANT) as opened:
        async with erasures:
            task = asyncio.ensure_future(erasures.erase(opened, ANN))
            await asyncio.sleep(0)
        assert forgotten == ["prompts"]
        assert (await task).user_id == "ann"


def _forget(store: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["users", "forget", "ann", "--yes", "--json", "--store", str(store), *arguments])


def test_the_command_line_asks_a_running_gateway(served: Served, store: Path) -> None:
    _ask(served)
    shown = _forget(store)
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)["proven"] is True
    assert served.call(lambda gateway: len(gateway.personalizations)) == 0
    again = _forget(store)
    assert (again.exit_code, json.loads(again.stdout)["error"]["type"]) == (1, "UnknownUserError")


def test_the_command_line_asks_a_gateway_that_is_named(
    upstream: ApiServer, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = (key("people", "k", scopes=("people",)),)
    with Served(forwarding(upstream.url, store, keys=keys)) as served:
        refused = _forget(store, "--gateway", served.url)
        assert (refused.exit_code, "HTTP 401" in refused.stderr) == (1, True)
        assert "; the key in $IDIOLECT_GATEWAY_KEY has to be one with the scope people" in refused.stderr
        monkeypatch.setenv("IDIOLECT_GATEWAY_KEY", "k")
        assert json.loads(_forget(store, "--gateway", served.url).stdout)["proven"] is True
    gone = _forget(store, "--gateway", served.url)
    assert (gone.exit_code, "cannot be reached" in gone.stderr) == (1, True)


class _Breaking(http.server.BaseHTTPRequestHandler):
    """Ends the first connection without an answer, as a gateway that dies, and answers the second."""

    keys: ClassVar[list[str | None]] = []

    def do_DELETE(self) -> None:
        self.keys.append(self.headers["Idempotency-Key"])
        if len(self.keys) > 1:
            body = json.dumps({"error": {"message": "gone", "code": "user_not_found"}}).encode()
            self.send_response(404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def test_the_command_line_asks_again_with_the_same_key_if_the_gateway_dies(store: Path) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), _Breaking) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        shown = _forget(store, "--gateway", f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()
    assert json.loads(shown.stdout)["error"]["type"] == "UnknownUserError"
    first, second = _Breaking.keys
    assert first
    assert second == first


def test_without_a_gateway_the_command_line_forgets_by_itself(upstream: ApiServer, store: Path) -> None:
    with Served(forwarding(upstream.url, store)):
        assert len(list(store.glob("gateway.*"))) == 2
        (file,) = store.glob("gateway.*.json")
        assert file.stat().st_mode & 0o777 == 0o600
    assert list(store.glob("gateway.*")) == []
    (store / "gateway.dead.json").write_text('{"url": "http://127.0.0.1:9", "secret": "x"}')
    assert json.loads(_forget(store).stdout)["proven"] is True
    assert list(store.glob("gateway.*")) == []


def test_only_a_gateway_that_runs_is_found(tmp_path: Path) -> None:
    with announced(tmp_path, "http://127.0.0.1:1", "s"):
        (found,) = running_gateways(tmp_path)
        assert (found.url, found.secret) == ("http://127.0.0.1:1", "s")
        others = tmp_path / "gateway.others.json"
        others.write_text('{"url": "http://evil.example", "secret": "x"}')
        others.chmod(0o644)
        with filelock.FileLock(f"{others}.lock"):
            assert running_gateways(tmp_path) == [found]
    assert running_gateways(tmp_path) == []


@pytest.mark.parametrize("tenant", [DEFAULT_TENANT, "Łódź & co", "t" * 200])
def test_a_local_key_is_good_for_its_tenant_only(tenant: str) -> None:
    shown = local_key("secret", tenant)
    assert tenant_of_key("secret", shown) == tenant
    assert tenant_of_key("another", shown) is None
    other = local_key("secret", "x").partition(".")[0]
    assert tenant_of_key("secret", f"{other}.{shown.partition('.')[2]}") is None
    for wrong in ("", "idl_", "idl_x.y", "idl_ü.x", shown[:-1], f"{shown}ü"):
        assert tenant_of_key("secret", wrong) is None


def test_a_local_key_manages_people_and_does_not_chat(served: Served, store: Path) -> None:
    (found,) = running_gateways(store)
    shown = found.key_for("another tenant")
    assert send(served, "POST", "/v1/users", record("ann"), key=shown).status == 201
    assert [each["id"] for each in send(served, "GET", "/v1/users", key=shown).json["data"]] == ["ann"]
    assert send(served, "POST", "/v1/chat/completions", HELLO, key=shown).status == 403
