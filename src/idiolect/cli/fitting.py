"""The flow of `idiolect fit`: check the file, open the models, and only then write; then user by user, many at a time.

    users file ─ check ─ models ─ store ─→ workers: user → fit, checkpoint by checkpoint → personalization → store

What learns is a `Learner`; no method is known here.
A user's personalization is saved the moment it exists. A user who cannot be learned does not stop the others; a limit,
Ctrl-C, or an error that is not one user's stops all of them: calls in flight are kept, what was learned until then is
usable (never in place of something learned to the end), and goes on with --resume.
"""

from __future__ import annotations

import asyncio
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from idiolect.cli.boundary import stop
from idiolect.cli.fit_order import FitOrder
from idiolect.cli.learner import Fitted, Learned, Learner
from idiolect.cli.opening import closing
from idiolect.cli.outcomes import Ledger, Outcome, State
from idiolect.cli.progress import UsersProgress
from idiolect.cli.run_calls import STOPPED_BY_HAND, RunCalls, check_prices, run_calls
from idiolect.cli.stored import StoredCheckpoints, held_record
from idiolect.cli.terminal import debugging, err, one_line, print_json, printable
from idiolect.errors import CacheError, HaltedError, IdiolectError, PersonalizationError, SettingsError, StoreError
from idiolect.people.user import User
from idiolect.people.users_file import UsersFileReport, read_users
from idiolect.store import Store

_GOING_ON = "the same command with --resume goes on from here"
_USERS_PER_TURN = 2  # users at work per call in flight: enough that some always has calls to make


def fit_users(order: FitOrder, opening: AbstractContextManager[Learner]) -> bool:
    """Learn every user of the file and print what became of them; whether all went well.

    Args:
        order: what is to be learned.
        opening: the method; entered when the file has been checked.

    Raises:
        UsersFileError: the file has faults; nothing was written.
        SettingsError, ModelError, MissingExtraError: a model cannot be opened; nothing was written.
        StoreError, CacheError: they cannot be opened or written; what was learned before is kept.
    """
    people = people_of(order)
    with opening as learner:
        ledger = Ledger(table=not order.json, columns=learner.columns, numbers=learner.numbers)
        check_prices(order.calls, learner.unpriced())
        run = asyncio.run(_prepared(order, learner, people, ledger))
    _print_end(run, learner, ledger)
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


async def _prepared(order: FitOrder, learner: Learner, people: Iterable[User], ledger: Ledger) -> RunCalls:
    """Check what only a running event loop can, then open the store and learn."""
    async with closing(learner):
        await learner.check()
        with Store.open(order.store) as store, run_calls(order.calls, store.cache_path) as run:
            ids: list[str] = []
            saved = store.save_users(_noting(people, ids))
            if saved.entered:
                told = "1 opinion that was" if saved.entered == 1 else f"{saved.entered:,} opinions that were"
                err().print(f"{told} entered by add-opinion and differ from the file stay as entered", markup=False)
            ledger.total = len(ids)
            many = learner.remote and len(ids) > 1
            with UsersProgress(len(ids), many=many, note=run.note) as progress:
                work = _Work(order, learner.calling(run.calls), store, run, progress, ledger)
                await run.halting(work.all(ids))
            return run


def _noting(people: Iterable[User], ids: list[str]) -> Iterator[User]:
    for user in people:
        ids.append(user.id)
        yield user


@dataclass(frozen=True, slots=True)
class _Work:
    """The work of one run: workers that take user after user. `failures`: what ends the run, the first first."""

    order: FitOrder
    learner: Learner
    store: Store
    run: RunCalls
    progress: UsersProgress
    ledger: Ledger
    failures: list[Exception] = field(default_factory=list)

    async def all(self, ids: list[str]) -> None:
        """Every user; ends early when the run is halted. An error that ends it is raised when all workers are done."""
        n = min(len(ids), _USERS_PER_TURN * self.order.calls.concurrency) if self.learner.remote else 1
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
        kept = True
        try:
            user = self.store.user(user_id)
            n = len(user.opinions)
            state, learned, kept = await self._fit_one(user)
        except HaltedError as halted:
            state, error = "not learned", halted
        except (IdiolectError, ValueError) as failed:
            if _ends_the_run(failed):
                raise
            state, error = "failed", self._told(failed)
        return Outcome(user_id, n, time.perf_counter() - start, state, learned, error, kept)

    async def _fit_one(self, user: User) -> tuple[State, Learned, bool]:
        """The state, what was learned, and whether the store holds it."""
        method = self.learner.method
        if self.order.resume and (held := held_record(self.store, user.id, method)) is not None:
            known = self.learner.kept(held, user)
            if known is not None:
                return "already learned", known, True
        checkpoints = StoredCheckpoints(self.store, user.id, method, fresh=not self.order.resume)
        fitted = await self.learner.fit(user, observer=self.progress.observe, checkpoints=checkpoints)
        if not fitted.finished:
            return "stopped early", fitted.learned, self._save_unfinished(user.id, fitted)
        self.store.save_personalization(user.id, method, fitted.payload, fitted.tensors)
        checkpoints.drop()
        return "learned", fitted.learned, True

    def _save_unfinished(self, user_id: str, fitted: Fitted) -> bool:
        """Keep it, unless something is held that was learned to the end; whether it was kept."""
        method = self.learner.method
        held = held_record(self.store, user_id, method)
        if held is not None and held.payload.get("finished", True):  # the format before had no such field
            return False
        expected = None if held is None else held.digest
        return self.store.compare_and_save_personalization(user_id, method, fitted.payload, expected_digest=expected)

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


def _print_end(run: RunCalls, learner: Learner, ledger: Ledger) -> None:
    ledger.print_table()
    ledger.print_failures()
    console = err()
    for note in learner.notes():
        console.print(one_line(note), markup=False)
    if run.reason is not None and run.reason != STOPPED_BY_HAND:
        console.print(one_line(run.reason), markup=False)
    console.print(f"{ledger.told()}; {run.summary()}", markup=False)
    if run.interrupted:
        stop(_GOING_ON if ledger.total else "nothing was written")
    if not ledger.complete and not ledger.failures:
        console.print(_GOING_ON, markup=False)
