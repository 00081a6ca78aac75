"""Fits over HTTP: queued, done by whichever replica has a worker, watched, cancelled, budgeted, and given back."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from idiolect.models.doubles import FunctionModel
from idiolect.serve.errors import HttpError
from idiolect.serve.job_work import FitOptions
from idiolect.serve.routes.fits import method_of
from idiolect.serve.settings import GatewaySettings
from idiolect.store import DEFAULT_TENANT, Store
from idiolect.store.job_queue import GIVEN_UP, MOST_ATTEMPTS
from idiolect.store.jobs import Jobs
from idiolect.store.schema import jobs, spending
from tests.api_server import ApiServer, Body, Hang
from tests.cli import learning
from tests.cli.learning import mimic
from tests.cli.remote_world import answer, person
from tests.serve.requesting import path_of, record, send
from tests.serve.serving import HELLO, Reply, Served, forwarding, key

FEW = {"preset": "api", "similarity": "bm25", "iterations": 1}


class _World:
    """A server of models, whose answers about a user can be held back."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.free.set()
        self.server = ApiServer(self._answer)

    def _answer(self, body: Body, number: int) -> str | Hang:
        return answer(body, number) if self.free.is_set() else Hang()


@pytest.fixture(scope="module")
def upstream() -> Iterator[ApiServer]:
    with ApiServer(answer) as server:
        yield server


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    with Store.open(folder, tenant=DEFAULT_TENANT):
        pass
    return folder


def _fit(served: Served, user_id: str = "ann", **changes: Any) -> Reply:
    return send(served, "POST", path_of(user_id, "/fits"), {**FEW, **changes})


def _ended(served: Served, job: str, user_id: str = "ann") -> Any:
    """The last event of a fit."""
    url = f"{served.root}{path_of(user_id, f'/fits/{job}/events')}"
    with urllib.request.urlopen(url, timeout=60) as reply:
        assert reply.headers["Content-Type"].startswith("text/event-stream")
        events = [json.loads(line[6:]) for line in reply if line.startswith(b"data: ")]
    assert all(each["state"] in ("queued", "running") for each in events[:-1])
    return events[-1]


def _served(upstream: ApiServer, store: Path, **changes: Any) -> Served:
    return Served(forwarding(f"{upstream.url}#m", store, anonymous_people=True, **changes))


def test_a_fit_is_done_and_the_next_answer_uses_it(upstream: ApiServer, store: Path) -> None:
    with _served(upstream, store, max_age=3600) as served:
        send(served, "POST", "/v1/users", person("ann"))
        before = served.ask(body={**HELLO, "user": "ann"})
        assert before.headers["x-idiolect-why"].startswith("nothing")
        asked = _fit(served)
        assert (asked.status, asked.json["state"], asked.json["method"]) == (202, "queued", "fermi")
        assert asked.headers["location"] == path_of("ann", f"/fits/{asked.json['id']}")
        last = _ended(served, asked.json["id"])
        assert (last["state"], last["error"], last["result"]["state"]) == ("done", None, "learned")
        assert last["attempts"] == 1
        assert send(served, "GET", asked.headers["location"]).json == last
        listed = send(served, "GET", path_of("ann", "/fits")).json["data"]
        assert [each["id"] for each in listed] == [last["id"]]
        assert [each["method"] for each in send(served, "GET", path_of("ann")).json["learned"]] == ["fermi"]
        after = served.ask(body={**HELLO, "user": "ann"})
        assert not after.headers["x-idiolect-why"].startswith("nothing")
        again = _ended(served, _fit(served, **{"continue": True}).json["id"])
        assert (again["state"], again["result"]["continued"]) == ("done", True)


def test_a_fit_whose_worker_died_after_the_result_was_stored_is_not_done_twice(
    upstream: ApiServer, store: Path
) -> None:
    with _served(upstream, store) as served:
        send(served, "POST", "/v1/users", person("ann"))
        for expected in ("fermi", "continued"):
            job = _ended(served, _fit(served, **{"continue": True}).json["id"])
            assert job["state"] == "done", expected
    with Store.open(store, tenant=DEFAULT_TENANT) as opened:
        learned = opened.personalization_record("ann", "fermi")
        with opened.rows.writing() as connection:
            running = connection.update(jobs).where(jobs.c.id == job["id"])
            connection.execute(running.values(state="running", lease_until=learned.updated_at, result={}))
    asked = len(upstream.requests)
    with _served(upstream, store) as served:
        last = _ended(served, job["id"])
        assert (last["state"], last["attempts"], last["result"]["state"]) == ("done", 2, "learned")
    assert len(upstream.requests) == asked
    with Store.open(store, tenant=DEFAULT_TENANT) as opened:
        assert opened.personalization("ann", "fermi") == learned.payload


@pytest.mark.parametrize(
    ("left", "ends"),
    [
        ({"attempts": MOST_ATTEMPTS}, ("failed", GIVEN_UP)),
        ({"cancelling": True}, ("cancelled", None)),
        ({"attempts": MOST_ATTEMPTS + 1}, ("failed", GIVEN_UP)),
    ],
)
def test_what_dead_workers_of_a_fit_that_is_over_spent_is_counted(
    upstream: ApiServer, store: Path, left: dict[str, Any], ends: tuple[str, str | None]
) -> None:
    before = len(upstream.requests)
    with _served(upstream, store) as served:
        send(served, "POST", "/v1/users", person("ann"))
        job = _ended(served, _fit(served).json["id"])
    asked = len(upstream.requests) - before
    with Store.open(store, tenant=DEFAULT_TENANT) as opened, opened.rows.writing() as connection:
        connection.execute(connection.delete(spending))
        begun = connection.scalar(connection.select(jobs, jobs.c.begun)) | {"calls": asked - 3}
        died = {"state": "running", "lease_until": datetime.now(UTC) - timedelta(seconds=1), "begun": begun}
        connection.execute(connection.update(jobs).values(**died, **left))
    with _served(upstream, store) as served:
        last = _ended(served, job["id"])
    assert (last["state"], last["error"]) == ends
    assert len(upstream.requests) == before + asked
    with Store.open(store, tenant=DEFAULT_TENANT) as opened, opened.rows.reading() as connection:
        counted = set(connection.scalars(connection.select(spending, spending.c.calls)))
    assert counted == (set() if left.get("attempts") == MOST_ATTEMPTS + 1 else {3})  # nobody is left to count them


def test_one_fit_of_a_user_at_a_time_and_a_replica_without_workers_watches_it(upstream: ApiServer, store: Path) -> None:
    with _served(upstream, store, workers=0) as queues:
        send(queues, "POST", "/v1/users", person("ann"))
        first = _fit(queues)
        second = _fit(queues)
        assert (second.status, second.error["code"], second.headers["location"]) == (
            409,
            "fit_active",
            first.headers["location"],
        )
        with _served(upstream, store) as _works:
            assert _ended(queues, first.json["id"])["state"] == "done"


def test_a_fit_that_waits_is_cancelled(upstream: ApiServer, store: Path) -> None:
    with _served(upstream, store, workers=0) as served:
        send(served, "POST", "/v1/users", person("ann"))
        asked = _fit(served)
        cancelled = send(served, "DELETE", asked.headers["location"])
        assert (cancelled.status, cancelled.json["state"]) == (200, "cancelled")
        assert _ended(served, asked.json["id"])["state"] == "cancelled"
        assert _fit(served).status == 202


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"method": "chameleon"}, "method"),
        ({"method": "x"}, "method"),
        ({"similarity": "/etc/passwd"}, "similarity"),
        ({"iterations": 0}, "iterations"),
        ({"model": "https://evil.example/v1"}, "model"),
        ({"preset": "grouped"}, "preset"),
    ],
)
def test_options_that_are_refused(upstream: ApiServer, store: Path, body: Any, param: str) -> None:
    with _served(upstream, store, workers=0) as served:
        send(served, "POST", "/v1/users", person("ann"))
        refused = send(served, "POST", path_of("ann", "/fits"), body)
        assert (refused.status, refused.error["param"]) == (400, param)
        assert send(served, "POST", path_of("bob", "/fits"), FEW).error["code"] == "user_not_found"
        assert send(served, "GET", path_of("ann", "/fits/none")).error["code"] == "fit_not_found"
        assert send(served, "DELETE", path_of("ann", "/fits/none")).status == 404
        assert send(served, "GET", path_of("bob", "/fits")).status == 404


@pytest.mark.parametrize(("body", "param"), [({"iterations": 3}, "iterations"), ({"continue": True}, "continue")])
def test_options_of_prompts_are_refused_where_an_edit_is_learned(body: dict[str, Any], param: str) -> None:
    settings = GatewaySettings(model="embedded", method="chameleon")
    for named in (body, body | {"method": "chameleon"}):
        with pytest.raises(HttpError, match="are learned in iterations") as refused:
            method_of(settings, FitOptions.model_validate(named))
        assert (refused.value.status, refused.value.param) == (400, param)
    assert method_of(settings, FitOptions.model_validate(body | {"method": "fermi"})) == "fermi"
    assert method_of(settings, FitOptions()) == "chameleon"


def test_a_user_from_whom_nothing_can_be_learned_fails_with_a_reason(upstream: ApiServer, store: Path) -> None:
    with _served(upstream, store) as served:
        send(served, "POST", "/v1/users", {"id": "silent", "texts": ["I write, but answer nothing."]})
        last = _ended(served, _fit(served, "silent").json["id"], "silent")
        assert last["state"] == "failed"
        assert "PersonalizationError" in last["error"]


def test_a_budget_ends_a_fit_and_allows_no_other(upstream: ApiServer, store: Path) -> None:
    with _served(upstream, store, user_calls_per_day=3) as served:
        send(served, "POST", "/v1/users", person("ann"))
        last = _ended(served, _fit(served).json["id"])
        assert last["state"] == "failed"
        assert "calls" in last["error"]
        refused = _fit(served)
        assert (refused.status, refused.error["code"]) == (429, "budget_spent")


def test_fits_of_a_tenant_use_its_store_and_cache(upstream: ApiServer, store: Path) -> None:
    keys = (key("other", "k", scopes=("people", "chat"), tenant="other"),)
    with _served(upstream, store, keys=keys) as served:
        send(served, "POST", "/v1/users", person("ann"), key="k")
        asked = send(served, "POST", path_of("ann", "/fits"), FEW, key="k")
        deadline = time.monotonic() + 60
        while send(served, "GET", asked.headers["location"], key="k").json["state"] in ("queued", "running"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert not (store / "calls.db").exists()
    assert len(list(store.glob("tenants/*/calls.db"))) == 1


def test_at_the_end_a_fit_returns_to_the_queue_and_the_next_server_goes_on(store: Path) -> None:
    held = _World()
    held.free.clear()
    with held.server as upstream:
        with _served(upstream, store, shutdown_grace=0.2) as served:
            send(served, "POST", "/v1/users", person("ann"))
            job = _fit(served).json["id"]
            _until(lambda: bool(upstream.requests))
        with Store.open(store, tenant=DEFAULT_TENANT) as opened:
            found = Jobs(opened.rows).find("ann", job)
            assert found is not None
            assert (found.state, found.attempts) == ("queued", 0)
        held.free.set()
        with _served(upstream, store) as served:
            assert _ended(served, job)["state"] == "done"


def test_an_erasure_does_not_wait_for_the_end_of_others_fits(store: Path) -> None:
    held = _World()
    held.free.clear()
    with held.server as upstream, _served(upstream, store, shutdown_grace=0.2) as served:
        for user_id in ("ann", "bob"):
            send(served, "POST", "/v1/users", person(user_id))
        job = _fit(served).json["id"]
        _until(lambda: bool(upstream.requests))
        erased = send(served, "DELETE", path_of("bob"))
        assert (erased.status, erased.json["proven"]) == (200, True)
        held.free.set()
        assert _ended(served, job)["state"] == "done"
        held.free.clear()
        waits = _fit(served, seed=7).json["id"]
        erased = send(served, "DELETE", path_of("ann"))
        assert erased.json["rows"]["jobs"] == 2
        assert send(served, "GET", path_of("ann", f"/fits/{waits}")).status == 404


def test_a_user_created_again_is_another(upstream: ApiServer, store: Path) -> None:
    with _served(upstream, store, workers=0) as served:
        send(served, "POST", "/v1/users", record("ann"))
        _fit(served)
        send(served, "DELETE", path_of("ann"))
        send(served, "POST", "/v1/users", record("ann"))
        assert send(served, "GET", path_of("ann", "/fits")).json["data"] == []


def _until(holds: Any) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_fits_of_a_model_in_this_process_share_it(double: Callable[..., dict[str, FunctionModel]], store: Path) -> None:
    models = double(embedded=mimic())
    settings = GatewaySettings(model="embedded", store=str(store), port=0, anonymous_people=True)
    with Served(settings) as served:
        send(served, "POST", "/v1/users", learning.ANN)
        asked = _fit(served, preset="demo", iterations=2)
        assert _ended(served, asked.json["id"])["state"] == "done"
        assert served.call(lambda gateway: [each.model for each in gateway.workspace.models.opened_models()]) == [
            models["embedded"]
        ]
