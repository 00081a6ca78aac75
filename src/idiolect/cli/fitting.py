"""The flow of `idiolect fit`: check the file, open the models, and only then write; then user by user, many at a time.

    users file ─ check ─ models ─ store ─→ workers: user → fit, checkpoint by checkpoint → personalization → store

A user's personalization is saved the moment it exists. A user who cannot be learned does not stop the others; a limit,
Ctrl-C, or an error that is not one user's stops all of them: calls in flight are kept, what was learned until then is
usable (never in place of something learned to the end), and goes on with --resume.
"""

from __future__ import annotations

import asyncio
import sys
import time
import traceback
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from idiolect.cli.assembly import Workbench, opened
from idiolect.cli.boundary import stop
from idiolect.cli.fit_order import FitOrder
from idiolect.cli.outcomes import Learned, Ledger, Outcome, State
from idiolect.cli.progress import UsersProgress
from idiolect.cli.run_calls import STOPPED_BY_HAND, RunCalls, check_prices, run_calls
from idiolect.cli.terminal import debugging, err, one_line, print_json, printable
from idiolect.errors import (
    CacheError,
    HaltedError,
    IdiolectError,
    NotFittedError,
    PersonalizationError,
    SettingsError,
    StoreError,
)
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.profile_prompt import profile_prompt
from idiolect.people.user import User
from idiolect.people.users_file import UsersFileReport, read_users
from idiolect.store import Store
from idiolect.store.records import PersonalizationRecord

METHOD = "fermi"
_GOING_ON = "the same command with --resume goes on from here"
_USERS_PER_TURN = 2  # users at work per call in flight: enough that some always has calls to make


def fit_users(order: FitOrder) -> bool:
    """Learn every user of the file and print what became of them; whether all went well.

    Raises:
        UsersFileError: the file has faults; nothing was written.
        SettingsError, ModelError, MissingExtraError: a model cannot be opened; nothing was written.
        StoreError, CacheError: they cannot be opened or written; what was learned before is kept.
    """
    people = people_of(order)
    ledger = Ledger(table=not order.json)
    with opened(order.settings, model=order.model, optimizer=order.optimizer, order=order.calls) as bench:
        check_prices(order.calls, bench.unpriced())
        run = asyncio.run(_prepared(order, bench, people, ledger))
    _print_end(run, bench, ledger)
    return ledger.complete and not run.halted


def people_of(order: FitOrder) -> Iterable[User]:
    """The users to learn; the file has been checked as a whole.

    Raises:
        UsersFileError: the file has faults.
        SettingsError: a user is asked for who is not in it.
    """
    report = _report_left_out if order.skip_invalid else None
    people = read_users(order.source, skip_invalid=order.skip_invalid, on_report=report)
    if not order.only:
        return people
    chosen = {user.id: user for user in people if user.id in order.only}
    if missing := [user_id for user_id in order.only if user_id not in chosen]:
        raise SettingsError(f"the file holds no user {', '.join(map(repr, missing))}")
    return list(chosen.values())


def _report_left_out(report: UsersFileReport) -> None:
    if report.fault_count and report.users:  # without users it is an error, which tells the faults itself
        lines = "1 line is" if report.invalid_lines == 1 else f"{report.invalid_lines:,} lines are"
        for line in (f"{report}: {lines} left out", *report.faults):
            err().print(one_line(str(line)), markup=False)


async def _prepared(order: FitOrder, bench: Workbench, people: Iterable[User], ledger: Ledger) -> RunCalls:
    """Check what only a running event loop can, then open the store and learn."""
    async with closing(bench):
        await bench.check_models()
        await bench.check_similarity()
        with Store.open(order.store) as store, run_calls(order.calls, store.cache_path) as run:
            ids: list[str] = []
            saved = store.save_users(_noting(people, ids))
            if saved.entered:
                told = "1 opinion that was" if saved.entered == 1 else f"{saved.entered:,} opinions that were"
                err().print(f"{told} entered by add-opinion and differ from the file stay as entered", markup=False)
            ledger.total = len(ids)
            many = bench.remote and len(ids) > 1
            with UsersProgress(len(ids), many=many, note=run.note) as progress:
                work = _Work(order, bench.calling(run.calls), store, run, progress, ledger)
                await run.halting(work.all(ids))
            return run


@asynccontextmanager
async def closing(bench: Workbench) -> AsyncIterator[None]:
    """Close the workbench's connections at the end, in the loop in which they were opened."""
    try:
        yield
    finally:
        await bench.aclose()


def _noting(people: Iterable[User], ids: list[str]) -> Iterator[User]:
    for user in people:
        ids.append(user.id)
        yield user


@dataclass(slots=True)
class StoredCheckpoints:
    """A `CheckpointSink` in the store. `fresh`: what an earlier run left there is not looked at."""

    store: Store
    user_id: str
    fresh: bool
    _identity: object = field(default=None, init=False)

    def load(self) -> Mapping[str, Any] | None:
        """What was saved last."""
        payload = None if self.fresh else self.store.checkpoint(self.user_id, METHOD)
        self._identity = None if payload is None else payload.get("identity")
        return payload

    def save(self, payload: Mapping[str, Any]) -> None:
        """Durable when it returns."""
        self.store.save_checkpoint(self.user_id, METHOD, payload)
        self._identity = payload.get("identity")

    def drop(self) -> None:
        """Delete the checkpoint that was saved or gone on from; one that another run has put in its place stays."""
        held = self.store.checkpoint(self.user_id, METHOD)
        if held is not None and self._identity is not None and held.get("identity") == self._identity:
            self.store.drop_checkpoint(self.user_id, METHOD)


def held_record(store: Store, user_id: str) -> PersonalizationRecord | None:
    """What the store holds for this user, with its digest.

    Raises:
        UnknownUserError: no such user.
        StoreError: the store cannot be read, or what it holds is damaged.
    """
    return next((record for record in store.personalizations(user_id) if record.method == METHOD), None)


@dataclass(frozen=True, slots=True)
class _Work:
    """The work of one run: workers that take user after user. `failures`: what ends the run, the first first."""

    order: FitOrder
    bench: Workbench
    store: Store
    run: RunCalls
    progress: UsersProgress
    ledger: Ledger
    failures: list[Exception] = field(default_factory=list)

    async def all(self, ids: list[str]) -> None:
        """Every user; ends early when the run is halted. An error that ends it is raised when all workers are done."""
        n = min(len(ids), _USERS_PER_TURN * self.order.calls.concurrency) if self.bench.remote else 1
        waiting = iter(ids)
        async with asyncio.TaskGroup() as workers:
            for _ in range(n):
                workers.create_task(self._take(waiting))
        if self.failures:
            raise self.failures[0]

    async def _take(self, waiting: Iterator[str]) -> None:
        for user_id in waiting:
            await asyncio.sleep(0)  # a model that never waits would leave Ctrl-C no chance
            try:
                self._tell(await self._fit_stored(user_id))
            except Exception as error:  # not one user's; the others are not cancelled, calls in flight are paid for
                self.failures.append(error)
                self.run.calls.budget.halt(f"an error ended the run ({type(error).__name__})")
            if self.run.halted:
                return

    def _tell(self, outcome: Outcome) -> None:
        self.ledger.add(outcome)
        self.progress.finished(outcome.user_id, str(outcome))
        if self.order.json:
            with self.progress.aside():
                print_json(outcome.to_json())
                sys.stdout.flush()

    async def _fit_stored(self, user_id: str) -> Outcome:
        """What becomes of one user; what fails for them alone is told in it."""
        start, n = time.perf_counter(), 0
        state: State
        learned: Learned | None = None
        error: IdiolectError | None = None
        try:
            user = self.store.user(user_id)
            n = len(user.opinions)
            state, learned = await self._fit_one(user)
        except HaltedError as halted:
            state, error = "not learned", halted
        except (IdiolectError, ValueError) as failed:
            if _ends_the_run(failed):
                raise
            state, error = "failed", self._told(failed)
        return Outcome(user_id, n, time.perf_counter() - start, state, learned, error)

    async def _fit_one(self, user: User) -> tuple[State, Learned]:
        if self.order.resume and (kept := self._kept(user)) is not None:
            return "already learned", Learned.of(kept)
        checkpoints = StoredCheckpoints(self.store, user.id, fresh=not self.order.resume)
        learned = await self.bench.fit(user, observer=self.progress.observe, checkpoints=checkpoints)
        if not learned.finished:
            return "stopped early", Learned.of(learned, kept=self._save_unfinished(learned))
        self.store.save_personalization(user.id, METHOD, learned.to_json())
        checkpoints.drop()
        return "learned", Learned.of(learned)

    def _save_unfinished(self, learned: FermiPersonalization) -> bool:
        """Keep it, unless something is held that was learned to the end; whether it was kept."""
        held = held_record(self.store, learned.user_id)
        if held is not None and held.payload.get("finished", True):  # the format before had no such field
            return False
        expected = None if held is None else held.digest
        payload = learned.to_json()
        return self.store.compare_and_save_personalization(learned.user_id, METHOD, payload, expected_digest=expected)

    def _kept(self, user: User) -> FermiPersonalization | None:
        """What an earlier run learned for this user, if nothing has changed since."""
        try:
            kept = FermiPersonalization.from_json(self.store.personalization(user.id, METHOD))
        except (NotFittedError, PersonalizationError):
            return None  # nothing yet, or of another version
        return kept if kept.finished and self.bench.made(kept) and _learned_from(kept, user) else None

    def _told(self, error: IdiolectError | ValueError) -> IdiolectError:
        """The error as it may be shown: a `ValueError` may name a value that is somebody's text."""
        if isinstance(error, IdiolectError):
            return error
        if debugging():
            with self.progress.aside():
                sys.stderr.write(printable("".join(traceback.format_exception(error))))
        return PersonalizationError(f"a value makes no sense ({type(error).__name__}; IDIOLECT_DEBUG=1 shows where)")


def _ends_the_run(error: IdiolectError | ValueError) -> bool:
    """Whether it is nothing of one user's: the cache fails, or the database (but for a row that it refuses)."""
    refused = isinstance(error.__cause__, DataError | IntegrityError)
    of_the_store = isinstance(error, StoreError) and isinstance(error.__cause__, SQLAlchemyError) and not refused
    return of_the_store or isinstance(error, CacheError)


def _learned_from(kept: FermiPersonalization, user: User) -> bool:
    """Whether it was learned from just this profile and these opinions."""
    seen = [*kept.opinions, *kept.examples, *kept.held_out]
    same = len(seen) == len(user.opinions) and all(opinion in user.opinions for opinion in seen)
    return same and kept.initial.prompt.text == profile_prompt(user.profile)


def _print_end(run: RunCalls, bench: Workbench, ledger: Ledger) -> None:
    ledger.print_table()
    ledger.print_failures()
    console = err()
    for note in bench.notes():
        console.print(one_line(note), markup=False)
    if run.reason is not None and run.reason != STOPPED_BY_HAND:
        console.print(one_line(run.reason), markup=False)
    console.print(f"{ledger.told()}; {run.summary()}", markup=False)
    if run.interrupted:
        stop(_GOING_ON if ledger.total else "nothing was written")
    if not ledger.complete and not ledger.failures:
        console.print(_GOING_ON, markup=False)
