"""Learning from many users: each is kept in the store as soon as it is learned, and goes on from its checkpoint.

    users → store → workers: user → fit, checkpoint by checkpoint → personalization → store → outcome

A user who cannot be learned does not stop the others. A limit, a halt, or an error that is not one user's stops all of
them: calls in flight are kept, what was learned until then is usable (and never replaces what was learned to the end),
and the same use case with `resume` goes on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from idiolect.application.arguments import check_type
from idiolect.application.checkpoints import StoredCheckpoints
from idiolect.application.choices import ChameleonChoices, FermiChoices, chameleon_settings, fermi_settings
from idiolect.application.observers import ignore
from idiolect.errors import CacheError, HaltedError, IdiolectError, PersonalizationError, StoreError
from idiolect.methods.personalization import Observer, Progress, ignore_progress
from idiolect.people.user import User

if TYPE_CHECKING:
    from idiolect.application.learner import Fitted, LearnedSummary, Learner
    from idiolect.application.run import Spending
    from idiolect.application.workspace import AsyncWorkspace

State = Literal["learned", "already learned", "stopped early", "not learned", "failed"]
_USERS_PER_TURN = 2  # users at work per call in flight: enough that some always has calls to make


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of learning from one user.

    Args:
        user_id: the user's id.
        n_opinions: number of the user's opinions.
        seconds: wall time.
        state: "stopped early" is usable, with fewer iterations; "not learned" was halted before there was anything.
        summary: what was learned, counted; None where nothing was.
        error: the reason why nothing was learned. Its cause may hold the user's texts.
        kept: whether the store holds it; False where it was stopped early and something learned to the end stays.
    """

    user_id: str
    n_opinions: int
    seconds: float
    state: State
    summary: LearnedSummary | None = None
    error: IdiolectError | None = None
    kept: bool = True


@dataclass(frozen=True, slots=True)
class FitStart:
    """The beginning of a fit, when its users are in the store.

    Args:
        users: how many there are.
        kept_entered: opinions that were added one by one, differ from the given users, and stay as they were added.
        side_by_side: whether several users are learned at a time.
    """

    users: int
    kept_entered: int
    side_by_side: bool


@dataclass(frozen=True, slots=True)
class FitEvents:
    """Observers of a fit. They are called in the event loop, and have to return quickly.

    Args:
        started: receives the number of users, once they are in the store.
        progress: receives every step of the work on a user: counts, scores and stages, no texts.
        finished: receives every user's outcome.
    """

    started: Callable[[FitStart], None] = ignore
    progress: Observer = ignore_progress
    finished: Callable[[Outcome], None] = ignore


NO_EVENTS = FitEvents()


@dataclass(frozen=True, slots=True)
class FitReport:
    """The outcomes of a fit.

    Args:
        outcomes: one a user, in the order in which they were done; users that were never begun have none.
        users: how many there were.
        halted_by: the reason why no further call was made; None where the fit came to its end.
        spending: what the workspace's run has cost so far.
        notes: what the models report about how they took their requests.
    """

    outcomes: tuple[Outcome, ...]
    users: int
    halted_by: str | None
    spending: Spending
    notes: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether every user is learned."""
        learned = sum(outcome.state in ("learned", "already learned") for outcome in self.outcomes)
        return learned == self.users and self.halted_by is None


async def open_learner(
    workspace: AsyncWorkspace,
    choices: FermiChoices | ChameleonChoices,
    *,
    model: str | None = None,
    optimizer: str | None = None,
) -> Learner:
    """Open a method's models and check that they can be reached; the store is made only after that.

    Args:
        workspace: whose models are opened.
        choices: the method, with its settings.
        model: the answering model; None: the workspace's.
        optimizer: the model that writes prompts; None: the workspace's, or else the answering one.

    Raises:
        TypeError: `choices` is something else.
        SettingsError: a setting or a name makes no sense, or money is limited and a price is not known.
        ModelError, MissingExtraError: a model cannot be had.
        StoreError, CacheError: the store or the cache cannot be opened.
    """
    check_type("choices", choices, (FermiChoices, ChameleonChoices))
    pool, model = workspace.models, model or workspace.model
    learner: Learner
    if isinstance(choices, ChameleonChoices):
        from idiolect.application.chameleon import check_chameleon, open_chameleon

        edits = await open_chameleon(pool, chameleon_settings(choices, model=model), model=model)
        await check_chameleon(pool, edits)
        learner = replace(edits, calls=workspace.run.calls)
    else:
        from idiolect.application.fermi import check_fermi, open_fermi

        optimizer = optimizer or workspace.optimizer
        settings = fermi_settings(choices, model=model, optimizer=optimizer)
        prompts = await open_fermi(pool, settings, model=model, optimizer=optimizer)
        await check_fermi(pool, prompts)
        learner = replace(prompts, calls=workspace.run.calls)
    return learner


async def fit_users(
    workspace: AsyncWorkspace,
    learner: Learner,
    users: Iterable[User],
    *,
    resume: bool = False,
    events: FitEvents = NO_EVENTS,
) -> FitReport:
    """Save the users, learn from each of them, and keep what was learned.

    Args:
        workspace: the store, and the run that limits and counts.
        learner: the method with its models.
        users: read once; each is in the store before the first is learned.
        resume: go on from checkpoints, and skip users for whom the same was learned already.
        events: observers.

    Raises:
        ValueError: two users have the same id; nothing is saved then.
        TypeError: `users` holds something else.
        StoreError, CacheError: they cannot be read or written; what was learned before is kept.
    """
    ids: list[str] = []
    saved = workspace.store.save_users(_noting(users, ids))
    side_by_side = learner.remote and len(ids) > 1
    events.started(FitStart(len(ids), saved.entered, side_by_side))
    work = _Work(workspace, learner, resume, events)
    concurrency = workspace.settings.calls.concurrency
    await work.all(ids, workers=_USERS_PER_TURN * concurrency if learner.remote else 1)
    run = workspace.run
    run.come_to_an_end()
    notes = tuple(workspace.models.notes())
    return FitReport(tuple(work.outcomes), len(ids), run.halted_by, run.spending(), notes)


def _noting(users: Iterable[User], ids: list[str]) -> Iterator[User]:
    seen: set[str] = set()
    for user in users:
        check_type("a user", user, User, hint="idiolect.people.users_file reads a file of users")
        if user.id in seen:
            raise ValueError(f"two users have the id {user.id!r}")
        seen.add(user.id)
        ids.append(user.id)
        yield user


@dataclass(frozen=True, slots=True)
class _Work:
    """The work of one fit: workers that take user after user.

    `failures` are errors that end the fit: of the store or the cache, which end the workspace's calls as well, and of
    observers.
    """

    workspace: AsyncWorkspace
    learner: Learner
    resume: bool
    events: FitEvents
    outcomes: list[Outcome] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)

    async def all(self, ids: list[str], *, workers: int) -> None:
        """Learn every user; end early when the run is halted. An error that ends it is raised when all have ended."""
        waiting = iter(ids)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(workers, len(ids))):
                group.create_task(self._take(waiting))
        if self.failures:
            raise self.failures[0]

    async def _take(self, waiting: Iterator[str]) -> None:
        for user_id in waiting:
            await asyncio.sleep(0)  # a model that never waits would leave a halt no chance
            try:
                outcome = await self._fit_stored(user_id)
            except Exception as error:  # not one user's; the others are not cancelled, calls in flight are paid for
                self.failures.append(error)
                self.workspace.run.halt(f"an error ended the run ({type(error).__name__})")
                return
            self.outcomes.append(outcome)
            self._observed(partial(self.events.finished, outcome))
            if self.workspace.run.halted_by is not None or self.failures:
                return

    def _observed(self, event: Callable[[], None]) -> None:
        """Call an observer. Its error ends the fit after the users who are being learned, and is no fault of theirs."""
        try:
            event()
        except BaseException as error:  # one like SystemExit would end the event loop
            self.failures.append(error)

    async def _fit_stored(self, user_id: str) -> Outcome:
        """Learn one user; an error that is only theirs is part of the outcome."""
        start, n = time.perf_counter(), 0
        state: State
        summary: LearnedSummary | None = None
        error: IdiolectError | None = None
        kept = True
        try:
            with self.workspace.working_on(user_id):
                user = self.workspace.store.user(user_id)
                n = len(user.opinions)
                state, summary, kept = await self._fit_one(user)
        except HaltedError as halted:
            state, error = "not learned", halted
        except (IdiolectError, ValueError) as failed:
            if _ends_the_run(failed):
                raise
            state, error = "failed", _without_texts(failed)
        return Outcome(user_id, n, time.perf_counter() - start, state, summary, error, kept)

    def _observe(self, progress: Progress) -> None:
        self._observed(partial(self.events.progress, progress))

    async def _fit_one(self, user: User) -> tuple[State, LearnedSummary, bool]:
        """Return the state, the summary, and whether the store holds what was learned."""
        method = self.learner.method
        if self.resume and (held := self.workspace.store.find_personalization(user.id, method)) is not None:
            known = self.learner.already_learned(held, user)
            if known is not None:
                return "already learned", known, True
        checkpoints = StoredCheckpoints(self.workspace.store, user.id, method, fresh=not self.resume)
        fitted = await self.learner.fit(user, observer=self._observe, checkpoints=checkpoints)
        if not fitted.finished:
            return "stopped early", fitted.summary, self._save_unfinished(user.id, fitted)
        self.workspace.store.save_personalization(user.id, method, fitted.payload, fitted.tensors)
        checkpoints.drop()
        return "learned", fitted.summary, True

    def _save_unfinished(self, user_id: str, fitted: Fitted) -> bool:
        """Keep it, unless the store holds something that was learned to the end; return whether it was kept."""
        store, method = self.workspace.store, self.learner.method
        held = store.find_personalization(user_id, method)
        if held is not None and held.payload.get("finished", True):  # the format before had no such field
            return False
        expected = None if held is None else held.digest
        return store.compare_and_save_personalization(user_id, method, fitted.payload, expected_digest=expected)


class UnexpectedValueError(PersonalizationError):
    """A value that makes no sense, learning from one user; its cause may hold the user's texts."""


def _without_texts(error: IdiolectError | ValueError) -> IdiolectError:
    """Return the error as it may be shown: a `ValueError` may name a value that is somebody's text."""
    if isinstance(error, IdiolectError):
        return error
    shown = UnexpectedValueError(f"a value makes no sense ({type(error).__name__})")
    shown.__cause__ = error
    return shown


def _ends_the_run(error: IdiolectError | ValueError) -> bool:
    """Return whether it is not one user's: the cache fails, or the database (except for a row that it refuses)."""
    refused = isinstance(error.__cause__, DataError | IntegrityError)
    of_the_store = isinstance(error, StoreError) and isinstance(error.__cause__, SQLAlchemyError) and not refused
    return of_the_store or isinstance(error, CacheError)
