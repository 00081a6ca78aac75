"""`Workspace`: use cases from code that does not await - in a running loop, with observers, and under Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from idiolect import (
    AsyncWorkspace,
    CallSettings,
    FitEvents,
    Opinion,
    Outcome,
    Owner,
    Question,
    Spending,
    Workspace,
    WorkspaceSettings,
    fit_users,
    open_learner,
)
from idiolect.application import portal
from idiolect.application.forecasting import ChameleonForecast, FermiForecast
from idiolect.application.persons import forget
from idiolect.errors import BusyError, HaltedError, SettingsError, UnknownUserError
from idiolect.methods.personalization import Progress
from tests.api_server import Answer, ApiServer, Body, Hang
from tests.application.edited import SMALL, U1
from tests.application.mimicked import ANN, BOB, FAST, SILENT
from tests.application.served import CALLS, FEW, fit, people, states
from tests.cli.interrupting import start
from tests.cli.learning import TEA, mimic
from tests.cli.remote_world import answer, asked_names, kept_names, learned

ROOT = Path(__file__).resolve().parents[2]
THIRD = replace(BOB, id="third")


async def test_a_workspace_works_inside_a_running_event_loop(tmp_path: Path) -> None:
    """As in a notebook: it has a loop in a thread of its own, where observers are called."""
    threads: set[threading.Thread] = set()
    events = FitEvents(finished=lambda _: threads.add(threading.current_thread()))
    with Workspace.open(tmp_path / "store", model=mimic()) as space:
        assert space.fit([ANN], FAST, events=events).complete
        assert space.ask("ann", TEA.text, choices=TEA.choices, ordinal=True).text == "always"
        assert await asyncio.to_thread(space.ask, "ann", TEA) == space.ask(Owner.user("ann"), TEA)
    assert len(threads) == 1
    assert threading.current_thread() not in threads


def test_every_use_case_is_a_method(tmp_path: Path) -> None:
    with Workspace.open(tmp_path / "store", model=mimic()) as space:
        assert states(space.fit([ANN, SILENT], FAST)) == {"ann": "learned", "silent": "failed"}
        added = space.add_opinion("ann", Opinion(Question("Wine?", ("yes", "no")), "no"), on_kept=lambda _: None)
        assert (added.change, added.learned) == ("added", True)
        assert space.known_about("ann").summary.n_opinions == 7
        assert space.remove_opinion("ann", "Wine?").n_opinions == 6
        assert space.export_person("ann").holdings.user["id"] == "ann"
        assert space.to_forget("ann").summary == space.store.summary("ann")
        assert space.forget("ann").proven
        with pytest.raises(UnknownUserError):
            space.ask("ann", TEA)
        assert list(space.store.user_ids()) == ["silent"]


def test_a_forecast_calls_nobody_and_writes_nothing(tmp_path: Path) -> None:
    model = mimic()
    with Workspace.open(tmp_path / "store", model=model) as space:
        assert isinstance(space.forecast([ANN], FAST), FermiForecast)
        assert isinstance(space.forecast([U1], SMALL), ChameleonForecast)
        assert space.spending() == Spending()
    assert (model.choice_requests, list(tmp_path.iterdir())) == ([], [])


def test_nothing_is_written_before_everything_is_checked(tmp_path: Path) -> None:
    with Workspace.open(tmp_path / "store", model=" ") as space, pytest.raises(SettingsError, match="name is empty"):
        space.fit([ANN], FAST)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="two models have the name 'mimic'"):
        Workspace.open(tmp_path / "store", model=mimic(), optimizer=mimic())


def test_a_closed_workspace_is_of_no_use(tmp_path: Path) -> None:
    space = Workspace.open(tmp_path, model=mimic())
    assert list(space.store.user_ids()) == []
    space.close()
    space.close()
    with pytest.raises(RuntimeError, match="the workspace is closed"):
        space.ask("ann", TEA)


# Halted


def test_observers_may_ask_what_was_spent_and_halt(tmp_path: Path) -> None:
    """What was learned is kept, a halted workspace makes no calls any more, and another one goes on."""
    spent: list[Spending] = []
    store, model = tmp_path / "store", mimic()

    def finished(outcome: Outcome) -> None:
        spent.append(space.spending())
        if outcome.user_id == "ann":
            space.halt("enough")

    with Workspace.open(store, model=model) as space:
        report = space.fit([ANN, BOB, THIRD], FAST, events=FitEvents(finished=finished))
        assert report.halted_by == "enough"
        assert states(report) == {"ann": "learned"}, "somebody was begun after the halt"
        assert spent[0].calls == report.spending.calls == report.outcomes[0].summary.calls > 0  # type: ignore[union-attr]
        before = learned(store)
        assert states(space.fit([BOB], FAST)) == {"bob": "not learned"}
        with pytest.raises(HaltedError, match="enough"):
            space.ask("ann", TEA)
    with Workspace.open(store, model=model) as space:
        resumed = space.fit([ANN, BOB, THIRD], FAST, resume=True)
    assert states(resumed) == {"ann": "already learned", "bob": "learned", "third": "learned"}
    assert learned(store)["ann"] == before["ann"]


def test_a_halt_while_models_are_opened_stops_before_the_first_call(tmp_path: Path) -> None:
    model = mimic()
    with Workspace.open(tmp_path / "store", model=model) as space:
        space.halt()
        report = space.fit([ANN], FAST)
        assert (report.halted_by, states(report)) == ("halted by the caller", {"ann": "not learned"})
    assert model.choice_requests == []


def test_an_observer_that_fails_ends_the_use_case_with_its_error(tmp_path: Path) -> None:
    def finished(_: Outcome) -> None:
        raise ZeroDivisionError("oh")

    with Workspace.open(tmp_path / "store", model=mimic()) as space:
        with pytest.raises(ZeroDivisionError, match="oh"):
            space.fit([ANN, BOB], FAST, events=FitEvents(finished=finished))
        assert list(learned(tmp_path / "store")["ann"]) == ["fermi"], "what was learned before is kept"
        assert learned(tmp_path / "store")["bob"] == {}, "somebody was begun afterwards"
        assert space.ask("ann", TEA).text == "always", "the workspace goes on"


def test_a_value_error_of_an_observer_is_no_fault_of_the_user(tmp_path: Path) -> None:
    def progress(_: Progress) -> None:
        raise ValueError("of the observer")

    with Workspace.open(tmp_path / "store", model=mimic()) as space:
        with pytest.raises(ValueError, match="of the observer"):
            space.fit([ANN], FAST, events=FitEvents(progress=progress))
        assert list(learned(tmp_path / "store")["ann"]) == ["fermi"]


def test_an_observer_may_read_the_store_and_may_not_wait(tmp_path: Path) -> None:
    seen: list[object] = []

    def finished(outcome: Outcome) -> None:
        seen.append(space.store.summary(outcome.user_id).methods)
        space.ask(outcome.user_id, TEA)

    with (
        Workspace.open(tmp_path / "store", model=mimic()) as space,
        pytest.raises(RuntimeError, match="an observer cannot wait for a use case"),
    ):
        space.fit([ANN], FAST, events=FitEvents(finished=finished))
    assert seen == [("fermi",)]


def test_an_observer_that_exits_leaves_a_workspace_that_closes(tmp_path: Path) -> None:
    def finished(_: Outcome) -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit), Workspace.open(tmp_path / "store", model=mimic()) as space:
        space.fit([ANN], FAST, events=FitEvents(finished=finished))
    assert list(learned(tmp_path / "store")) == ["ann"]


async def test_a_person_who_is_being_learned_is_not_forgotten(tmp_path: Path) -> None:
    """What learning does next would be kept after the receipt."""
    held: set[bool] = set()
    events = FitEvents(progress=lambda progress: held.add(space.works_on(Owner.user(progress.user_id))))
    async with AsyncWorkspace(WorkspaceSettings(tmp_path / "store", model=mimic())) as space:
        learner = await open_learner(space, FAST)
        assert (await fit_users(space, learner, [ANN], events=events)).complete
        assert held == {True}
        with space.working_on(Owner.user("ann")), pytest.raises(BusyError, match="a fit or a question is running"):
            await forget(space, "ann")
        assert (await forget(space, "ann")).proven


def test_a_use_case_that_ends_in_spite_of_ctrl_c_hands_its_result_over() -> None:
    async def ends() -> str:
        await asyncio.sleep(0.2)  # until the other thread waits
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        await asyncio.sleep(0.2)
        return "receipt"

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(portal.Interrupted) as ended:
            portal.run_blocking(ends, interrupted=lambda _: True)
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.value.result == "receipt"


# Ctrl-C, in a process whose main thread waits

INTERRUPTED = """
import sys
from idiolect import Workspace, WorkspaceEvents
from tests.application.served import CALLS, FEW, people
store, url, ids = sys.argv[1], sys.argv[2], sys.argv[3].split(",")
events = WorkspaceEvents(interrupted=lambda calls: print(calls, "in flight", flush=True))
with Workspace.open(store, model=f"{url}#m", calls=CALLS, events=events) as space:
    try:
        space.fit(people(*ids), FEW)
    except KeyboardInterrupt:
        print("stopped after", space.spending().calls, flush=True)
"""


def interrupted(server: ApiServer, store: Path, after: int) -> subprocess.Popen[str]:
    """A process that fits ann and bob, interrupted after so many requests."""
    process = start([sys.executable, "-c", INTERRUPTED, str(store), server.url, "ann,bob"], cwd=ROOT)
    deadline = time.monotonic() + 120
    while len(server.requests) < after:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    return process


def test_ctrl_c_halts_and_waits_and_nothing_is_lost(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with ApiServer(answer, latency=0.2) as server:
        process = interrupted(server, store, 6)
        stdout, stderr = process.communicate(timeout=120)
        asked = asked_names(server)
        assert (process.returncode, stderr) == (0, "")
        in_flight, stopped = stdout.splitlines()
        assert 1 <= int(in_flight.removesuffix(" in flight")) <= 4
        assert stopped == f"stopped after {len(asked)}"
        assert kept_names(store) == set(asked), "a call that was in flight was not kept"
        server.latency = 0.0
        with Workspace.open(store, model=f"{server.url}#m", calls=CALLS) as space:
            assert space.fit(people("ann", "bob"), FEW, resume=True).complete
        uncached = replace(CALLS, cached=False)
        assert asyncio.run(fit(tmp_path / "undisturbed", server, people("ann", "bob"), calls=uncached)).complete
    assert learned(store) == learned(tmp_path / "undisturbed")


def test_a_second_ctrl_c_does_not_wait(tmp_path: Path) -> None:
    def hanging(body: Body, number: int) -> Answer:
        return Hang() if number > 4 else answer(body, number)

    with ApiServer(hanging) as server:
        process = interrupted(server, tmp_path / "store", 8)
        assert process.stdout is not None
        assert process.stdout.readline() == "4 in flight\n"
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        stdout, _ = process.communicate(timeout=120)
        assert (process.returncode, time.monotonic() - begun < 8) == (0, True), stdout


def test_the_end_of_the_grace_cancels_what_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """`KeyboardInterrupt` is raised in this thread by a signal, while a use case hangs."""
    monkeypatch.setattr(portal, "GRACE_SECONDS", 0.1)
    happened: list[str] = []

    async def hangs() -> None:
        try:
            await asyncio.sleep(0.2)  # until the other thread waits
            signal.pthread_kill(main, signal.SIGINT)
            await asyncio.sleep(600)
        finally:
            happened.append("cancelled")

    main = threading.main_thread().ident or 0
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            portal.run_blocking(hangs, interrupted=lambda _: happened.append("interrupted") or True)
    finally:
        signal.signal(signal.SIGINT, before)
    assert happened == ["interrupted", "cancelled"]


def test_a_use_cases_own_error_and_value_come_out() -> None:
    async def value() -> int:
        return 3

    async def error() -> int:
        raise UnknownUserError("nobody")

    assert portal.run_blocking(value) == 3
    with pytest.raises(UnknownUserError, match="nobody"):
        portal.run_blocking(error)


def test_calls_are_made_as_the_settings_have_it(tmp_path: Path) -> None:
    with ApiServer(answer) as server:
        calls = CallSettings(concurrency=1, cached=False)
        with Workspace.open(tmp_path / "store", model=f"{server.url}#m", calls=calls) as space:
            assert space.fit(people("ann"), FEW).complete
            assert space.spending().calls == len(server.requests)
    assert server.peak == 1
    assert not (tmp_path / "store" / "calls.db").exists()
