"""Learning from many users: what is asked and kept, who is learned anew, and how each fault ends."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import DataError, OperationalError

from idiolect.application.fermi import FermiLearner
from idiolect.application.fitting import FitEvents, FitStart
from idiolect.application.run import CallSettings
from idiolect.errors import CacheError, PersonalizationError, SettingsError, StoreError
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.people.user import Opinion, Question, User
from idiolect.store import DEFAULT_TENANT, Store
from tests.api_server import Answer, ApiServer, Body, Status
from tests.application.mimicked import ANN, BOB, FAST, SILENT, opened
from tests.application.served import CALLS, FEW, about, fit, fit_in, people, settings, states
from tests.cli.remote_world import answer, asked_names, kept_names, learned

ALL = ("ann", "bob", "eve")


async def test_every_user_is_learned_and_every_answer_kept(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with ApiServer(answer) as server:
        report = await fit(store, server, people(*ALL))
    assert states(report) == dict.fromkeys(ALL, "learned")
    asked = asked_names(server)
    assert (report.spending.calls, report.spending.money) == (len(asked), None)
    assert kept_names(store) == set(asked)
    assert len(asked) == len(set(asked)), "a request was made twice"
    payload = learned(store)["ann"]["fermi"]
    assert (payload["model"], payload["optimizer"]) == (f"{server.url}#m", f"{server.url}#m")
    with Store.open(store, create=False, tenant=DEFAULT_TENANT) as kept:
        assert kept.checkpoints("ann") == []


async def test_the_same_again_asks_nothing(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with ApiServer(answer) as server:
        assert (await fit(store, server, people("ann", "bob"))).complete
        first, before = learned(store), len(server.requests)
        again = await fit(store, server, people("ann", "bob"))
    assert states(again) == {"ann": "learned", "bob": "learned"}
    assert (len(server.requests), learned(store)) == (before, first)
    assert (again.spending.calls, again.spending.prompt_tokens, again.spending.from_cache) == (0, 0, before)


async def test_resume_skips_who_is_learned_and_learns_anew_who_changed(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with ApiServer(answer) as server:
        assert (await fit(store, server, people("ann", "bob"))).complete
        first, before = learned(store), len(server.requests)
        skipped = await fit(store, server, people("ann", "bob"), resume=True)
        assert (states(skipped), skipped.complete) == ({"ann": "already learned", "bob": "already learned"}, True)
        assert len(server.requests) == before
        changed = await fit(store, server, [*people("ann", n=6), *people("bob")], resume=True)
        assert states(changed) == {"ann": "learned", "bob": "already learned"}
        assert all(about(received.body, "ann") for received in server.requests[before:])
        others = await fit(store, server, people("bob"), replace(FEW, seed=5), resume=True)
        assert states(others) == {"bob": "learned"}, "other settings"
    assert learned(store)["ann"] != first["ann"]


async def test_what_was_learned_before_servers_were_noted_is_not_learned_anew(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with ApiServer(answer) as server:
        assert (await fit(store, server, people("ann"))).complete
        payload = learned(store)["ann"]["fermi"]
        del payload["made_with"]
        with Store.open(store, create=False, tenant=DEFAULT_TENANT) as kept:
            kept.save_personalization("ann", "fermi", payload)
        assert states(await fit(store, server, people("ann"), resume=True)) == {"ann": "already learned"}


async def test_without_a_cache_every_call_is_made_and_none_is_kept(tmp_path: Path) -> None:
    store, uncached = tmp_path / "store", replace(CALLS, cached=False)
    with ApiServer(answer) as server:
        assert (await fit(store, server, people("ann"), calls=uncached)).complete
        first, needed = learned(store), len(server.requests)
        assert (await fit(store, server, people("ann"), calls=uncached)).complete
        assert len(server.requests) == 2 * needed
        assert Counter(asked_names(server)[:needed]) == Counter(asked_names(server)[needed:])
    assert learned(store) == first
    assert not list(store.glob("calls.db*"))


async def test_calls_in_flight_stay_within_the_bound_and_users_take_turns(tmp_path: Path) -> None:
    ids = [f"u{n}" for n in range(6)]
    with ApiServer(answer, latency=0.005) as server:
        assert (await fit(tmp_path / "store", server, people(*ids), calls=CallSettings(concurrency=3))).complete
    assert server.peak == 3
    first = [next(i for i, each in enumerate(server.requests) if about(each.body, user_id)) for user_id in ids]
    assert max(first) < len(server.requests) / 3, "a user waited for the others to be done"


async def test_events_come_in_the_order_of_the_work(tmp_path: Path) -> None:
    """Saved opinions that were added one by one are counted first; every user's steps end with their outcome."""
    seen: list[object] = []
    events = FitEvents(seen.append, lambda step: seen.append(step.user_id), lambda one: seen.append((one.user_id,)))
    with Store.open(tmp_path / "store", tenant=DEFAULT_TENANT) as store:
        store.save_users([ANN])
        store.put_opinion("ann", Opinion(Question("Tea?", ("yes", "no")), "yes"))
    report = await fit_in(opened(tmp_path / "store"), [ANN, SILENT, BOB], FAST, events=events)
    assert seen[0] == FitStart(users=3, kept_entered=1, side_by_side=False)
    order = [each for i, each in enumerate(seen[1:], 1) if each != seen[i - 1]]
    assert order == ["ann", ("ann",), ("silent",), "bob", ("bob",)]
    assert states(report) == {"ann": "learned", "silent": "failed", "bob": "learned"}
    assert isinstance(report.outcomes[1].error, PersonalizationError)


async def test_the_newest_answer_to_a_question_counts_and_older_ones_are_counted(tmp_path: Path) -> None:
    """Older answers are neither stored nor learned from, whoever hands over the users."""
    started: list[FitStart] = []
    first = ANN.opinions[0]
    changed = replace(first, answer=next(c for c in first.question.choices if c != first.answer))
    twice = replace(ANN, opinions=(changed, *ANN.opinions, ANN.opinions[1]))
    report = await fit_in(opened(tmp_path / "store"), [twice, BOB], FAST, events=FitEvents(started.append))
    assert started[0].superseded == {"ann": 2}
    assert {outcome.user_id: outcome.superseded for outcome in report.outcomes} == {"ann": 2, "bob": 0}
    with Store.open(tmp_path / "store", create=False, tenant=DEFAULT_TENANT) as kept:
        assert kept.user("ann").opinions == ANN.opinions


# Who fails alone, and what ends the run


async def test_a_user_whose_requests_fail_does_not_stop_the_others(tmp_path: Path) -> None:
    def failing(body: Body, number: int) -> Answer:
        refused = Status(400, body={"error": {"message": "no", "code": "invalid_value"}})
        return refused if about(body, "bob") else answer(body, number)

    store = tmp_path / "store"
    with ApiServer(failing) as server:
        report = await fit(store, server, people(*ALL))
    assert (states(report), report.complete) == ({"ann": "learned", "bob": "failed", "eve": "learned"}, False)
    assert {user_id for user_id, kept in learned(store).items() if kept} == {"ann", "eve"}
    (failed,) = [outcome for outcome in report.outcomes if outcome.error is not None]
    assert "HTTP 400" in str(failed.error)
    assert "o'clock" not in str(failed.error), "a message repeats what a person was asked"


def _unkeepable(learned: FermiPersonalization) -> FermiPersonalization:
    return replace(learned, optimizer="no\0name")


def _raising(error: Exception, cause: Exception | None = None) -> Callable[[FermiPersonalization], Any]:
    def fail(_: FermiPersonalization) -> None:
        raise error from cause

    return fail


def _bobs(monkeypatch: pytest.MonkeyPatch, change: Callable[[FermiPersonalization], Any], *, after: ApiServer) -> None:
    """What is learned for bob comes out changed, once the server has been busy for a while."""
    learn = FermiLearner.learn

    async def changed(self: FermiLearner, user: User, **given: Any) -> Any:
        while user.id == "bob" and len(after.requests) < 8:
            await asyncio.sleep(0.005)
        learned = await learn(self, user, **given) if user.id != "bob" or change is _unkeepable else None
        return learned if user.id != "bob" else change(learned)  # type: ignore[arg-type]

    monkeypatch.setattr(FermiLearner, "learn", changed)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (_unkeepable, StoreError, "contains a NUL"),
        (_raising(SettingsError("no such thing")), SettingsError, "no such thing"),
        (_raising(ValueError("SECRET is no score")), PersonalizationError, "unexpected value (ValueError)"),
        (_raising(StoreError("refused"), DataError("", {}, Exception())), StoreError, "refused"),
    ],
    ids=["payload", "settings", "value", "row"],
)
async def test_what_fails_for_one_user_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any, kind: type[Exception], message: str
) -> None:
    with ApiServer(answer) as server:
        _bobs(monkeypatch, change, after=server)
        report = await fit(tmp_path / "store", server, people(*ALL))
    assert states(report) == {"ann": "learned", "bob": "failed", "eve": "learned"}
    (failed,) = [outcome for outcome in report.outcomes if outcome.error is not None]
    assert isinstance(failed.error, kind)
    assert message in str(failed.error)
    assert "SECRET" not in str(failed.error)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (StoreError("the store is locked"), OperationalError("", {}, Exception())),
        (CacheError("the cache is full"), None),
        (RuntimeError("a bug"), None),
    ],
    ids=["store", "cache", "bug"],
)
async def test_what_is_not_one_users_ends_the_run_and_calls_in_flight_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, cause: Exception | None
) -> None:
    store = tmp_path / "store"
    with ApiServer(answer, latency=0.05) as server:
        with monkeypatch.context() as patched:
            _bobs(patched, _raising(error, cause), after=server)
            with pytest.raises(type(error), match=str(error)):
                await fit(store, server, people(*ALL))
        asked = asked_names(server)
        assert kept_names(store) == set(asked), "a call that was in flight was not kept"
        server.latency = 0.0
        assert (await fit(store, server, people(*ALL), resume=True)).complete
        uncached = replace(CALLS, cached=False)
        assert (await fit(tmp_path / "undisturbed", server, people(*ALL), calls=uncached)).complete
    assert len(asked) < len(set(asked_names(server))), "the others were learned all the same"
    assert learned(store) == learned(tmp_path / "undisturbed")


async def test_a_user_who_failed_is_learned_by_the_same_fit_later(tmp_path: Path) -> None:
    store, both = tmp_path / "store", people("ann", "bob")
    with ApiServer(answer) as server:
        assert (await fit(tmp_path / "undisturbed", server, both)).complete
        needed = len(set(asked_names(server)))
        server.log.clear()
        server.answer = lambda body, n: Status(400) if about(body, "bob") and n > 20 else answer(body, n)
        assert not (await fit(store, server, both)).complete
        server.answer = answer
        assert states(await fit(store, server, both, resume=True)) == {"ann": "already learned", "bob": "learned"}
    assert learned(store) == learned(tmp_path / "undisturbed")
    assert len(set(asked_names(server))) == needed


async def test_a_user_forgotten_meanwhile_does_not_stop_the_others(tmp_path: Path) -> None:
    store, forgotten = tmp_path / "store", list[int]()

    def forgetting(body: Body, number: int) -> str:
        if number == 10:  # as from another computer: here, forgetting waits until the run has ended
            database = sqlite3.connect(store / "idiolect.db", timeout=10)
            database.execute("PRAGMA foreign_keys = ON")
            with database:
                forgotten.append(database.execute("DELETE FROM users WHERE id = 'eve'").rowcount)
            database.close()
        return answer(body, number)

    with ApiServer(forgetting) as server:
        report = await fit(store, server, people(*ALL), calls=CallSettings(concurrency=1))
    assert forgotten == [1]
    assert states(report) == {"ann": "learned", "bob": "learned", "eve": "failed"}
    assert "eve" not in learned(store)


# Several servers


KEY = "sk-hush-hush-0123456789"
OPENAI = "openai:m"


@pytest.mark.parametrize("limit", [None, 12], ids=["learned", "stopped early"])
async def test_resume_with_the_same_name_on_another_server_learns_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int | None
) -> None:
    """What OPENAI_BASE_URL says is part of what a model is, for what was learned and for each kept answer."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    store = tmp_path / "store"

    def other(body: Body, number: int) -> Answer:
        return str(answer(body, number)).replace("This person likes", "This person hates")

    with ApiServer(answer) as first, ApiServer(other) as second:
        named = replace(settings(store, first), model=OPENAI)
        budget = named.calls if limit is None else replace(named.calls, run=replace(named.calls.run, calls=limit))
        monkeypatch.setenv("OPENAI_BASE_URL", first.url)
        assert (await fit_in(replace(named, calls=budget), people("ann"))).complete is (limit is None)
        monkeypatch.setenv("OPENAI_BASE_URL", second.url)
        assert states(await fit_in(named, people("ann"), resume=True)) == {"ann": "learned"}
        asked = len(second.requests)
        assert states(await fit_in(named, people("ann"), resume=True)) == {"ann": "already learned"}
        assert len(second.requests) == asked
        assert (await fit_in(replace(named, target=tmp_path / "undisturbed"), people("ann"))).complete
        assert len(second.requests) == 2 * asked, "answers of the first server were taken for the second one's"
    assert learned(store) == learned(tmp_path / "undisturbed")


async def test_prompts_may_be_written_by_another_server(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with ApiServer(answer) as server, ApiServer(answer, models=["big"]) as other:
        workspace = replace(settings(store, server), optimizer=f"{other.url}#big")
        assert (await fit_in(workspace, people("ann"))).complete
    assert {received.body["model"] for received in server.requests} == {"m"}
    assert {received.body["model"] for received in other.requests} == {"big"}
    assert all("square brackets" in str(received.body["messages"]) for received in other.requests)
    assert not any("square brackets" in str(received.body["messages"]) for received in server.requests)
    assert learned(store)["ann"]["fermi"]["optimizer"] == f"{other.url}#big"


async def test_a_key_is_in_requests_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with ApiServer(lambda body, n: Status(400, body=KEY) if about(body, "bob") else answer(body, n)) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        report = await fit_in(replace(settings(tmp_path / "store", server), model=OPENAI), people("ann", "bob"))
    assert states(report) == {"ann": "learned", "bob": "failed"}
    assert {received.headers["authorization"] for received in server.log} == {f"Bearer {KEY}"}
    assert KEY not in str(report)
    files = [file.read_bytes() for file in (tmp_path / "store").rglob("*") if file.is_file()]
    assert not any(KEY.encode() in content for content in files)
