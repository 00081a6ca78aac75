"""Learning from many users: each result is stored as soon as it is there, and learning resumes from checkpoints.

    users → store → workers: user → fit, checkpoint by checkpoint → personalization → store → outcome

A user who fails does not stop the others. A limit, a halt, or an error that does not belong to one user stops all of
them. Calls in flight are then kept, unfinished results are usable (but never replace finished ones), and the same use
case with `resume` continues.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from idiolect.application.arguments import check_type
from idiolect.application.checkpoints import StoredCheckpoints
from idiolect.application.choices import (
    ChameleonChoices,
    FermiChoices,
    chameleon_settings,
    fermi_settings,
)
from idiolect.application.dispositions import save_with_edits
from idiolect.application.names import FERMI
from idiolect.application.observers import ignore
from idiolect.application.owner import Owner
from idiolect.errors import CacheError, HaltedError, IdiolectError, PersonalizationError, StoreError
from idiolect.methods.personalization import Observer, Progress, ignore_progress
from idiolect.people.user import User

if TYPE_CHECKING:
    from idiolect.application.learner import Fitted, LearnedSummary, Learner
    from idiolect.application.run import Spending
    from idiolect.application.workspace import AsyncWorkspace

State = Literal["learned", "already learned", "stopped early", "not learned", "failed"]
_USERS_PER_TURN = 2  # users in progress per call in flight, so that there is always a call to make


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of learning from one user.

    Args:
        user_id: id of the user.
        n_opinions: number of the user's opinions.
        seconds: wall time.
        state: "stopped early" has a usable result from fewer iterations; "not learned" was halted before any result.
        summary: counts and scores of the result; None if there is none.
        error: reason why nothing was learned. Its cause may contain the user's texts.
        kept: whether the result was stored; False if it was stopped early and a finished result was kept instead.
        superseded: number of the user's older answers to questions that they answered again; they do not count.
        unread: two answers that named no choice, if there were many: the model's words on the user's questions, which
            no log may contain.
    """

    user_id: str
    n_opinions: int
    seconds: float
    state: State
    summary: LearnedSummary | None = None
    error: IdiolectError | None = None
    kept: bool = True
    superseded: int = 0
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FitStart:
    """Start of a fit, when its users are in the store.

    Args:
        users: number of users.
        kept_entered: number of opinions that were added one by one, differ from the given users' and were kept.
        side_by_side: whether several users are learned at a time.
        superseded: number of older answers to questions that a user answered again, by the user's id.
        preset_line: which preset of settings was chosen, and why, in one line; "" if there was no choice.
    """

    users: int
    kept_entered: int
    side_by_side: bool
    superseded: Mapping[str, int] = field(default_factory=dict)
    preset_line: str = ""


@dataclass(frozen=True, slots=True)
class FitEvents:
    """Observers of a fit. They are called in the event loop, and must return quickly.

    Args:
        started: receives the start of the fit, once the users are in the store.
        progress: receives every step of the work on a user: counts, scores and stages, but no texts.
        finished: receives every user's outcome.
    """

    started: Callable[[FitStart], None] = ignore
    progress: Observer = ignore_progress
    finished: Callable[[Outcome], None] = ignore


NO_EVENTS = FitEvents()


@dataclass(frozen=True, slots=True)
class FitReport:
    """Outcomes of a fit.

    Args:
        outcomes: one per user, in order of completion; users that were never started have none.
        users: number of users.
        halted_by: reason why the fit was halted; None if it was not.
        spending: cost of the workspace's run so far.
        notes: notes of the models on how they handled their requests.
    """

    outcomes: tuple[Outcome, ...]
    users: int
    halted_by: str | None
    spending: Spending
    notes: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether every user was learned, and the fit was not halted."""
        learned = sum(outcome.state in ("learned", "already learned") for outcome in self.outcomes)
        return learned == self.users and self.halted_by is None


async def open_learner(
    workspace: AsyncWorkspace,
    choices: FermiChoices | ChameleonChoices,
    *,
    model: str | None = None,
    optimizer: str | None = None,
) -> Learner:
    """Open a method's models and check that they can be reached; only then is the store created.

    Args:
        workspace: workspace that opens the models.
        choices: method and its settings.
        model: name of the answering model; None: the workspace's model.
        optimizer: name of the model that writes prompts; None: the workspace's optimizer, else the answering model.

    Raises:
        TypeError: `choices` has the wrong type.
        SettingsError: a setting or a name is invalid, or money is limited and a price is unknown.
        ModelError, MissingExtraError: a model is not available.
        HaltedError: the run was halted while CHAMELEON measured the model.
        StoreError, CacheError: the store or the cache cannot be opened.
    """
    check_type("choices", choices, (FermiChoices, ChameleonChoices))
    pool, model = workspace.models, model or workspace.model
    learner: Learner
    if isinstance(choices, ChameleonChoices):
        from idiolect.application.chameleon import check_chameleon, open_chameleon
        from idiolect.application.chameleon_learners import begin_steps

        edits = await open_chameleon(pool, chameleon_settings(choices, model=model), model=model)
        await check_chameleon(pool, edits)
        learner = await begin_steps(edits, choices, workspace)
    else:
        from idiolect.application.fermi import check_fermi, open_fermi
        from idiolect.application.presets import choose_preset

        optimizer = optimizer or workspace.optimizer
        chosen = None if choices.preset else await choose_preset(pool, model, optimizer=optimizer)
        settings = fermi_settings(choices, model=model, optimizer=optimizer, chosen=chosen)
        prompts = await open_fermi(pool, settings, model=model, optimizer=optimizer)
        await check_fermi(pool, prompts)
        learner = replace(prompts, calls=workspace.run.calls, chosen=chosen)
    return learner


async def fit_users(
    workspace: AsyncWorkspace,
    learner: Learner,
    users: Iterable[User],
    *,
    resume: bool = False,
    events: FitEvents = NO_EVENTS,
) -> FitReport:
    """Save the users, learn from each of them, and store the results.

    Args:
        workspace: store and run.
        learner: method with its models.
        users: users to learn from, read once; all are stored before learning begins.
        resume: continue from checkpoints, and skip users with the same result already.
        events: observers.

    Raises:
        ValueError: two users have the same id; nothing was saved.
        TypeError: an item of `users` is not a user.
        StoreError, CacheError: the store or the cache cannot be read or written; earlier results were kept.
    """
    ids: list[str] = []
    saved = workspace.store.save_users(_noting(users, ids))
    side_by_side = learner.remote and len(ids) > 1
    events.started(FitStart(len(ids), saved.entered, side_by_side, saved.superseded, learner.preset_line))
    return await _fit_all(_Work(workspace, learner, resume, events, saved.superseded), ids)


async def fit_stored(
    workspace: AsyncWorkspace,
    learner: Learner,
    ids: Sequence[str],
    *,
    resume: bool = False,
    events: FitEvents = NO_EVENTS,
) -> FitReport:
    """Learn from users as the store has them when their turn comes, like `fit_users` otherwise.

    Args:
        workspace: store and run.
        learner: method with its models.
        ids: ids of the users. An unknown one becomes an outcome that failed.
        resume: continue from checkpoints, and skip users with the same result already.
        events: observers.

    Raises:
        StoreError, CacheError: the store or the cache cannot be read or written; earlier results were kept.
    """
    events.started(FitStart(len(ids), 0, learner.remote and len(ids) > 1, preset_line=learner.preset_line))
    return await _fit_all(_Work(workspace, learner, resume, events, {}), list(ids))


async def _fit_all(work: _Work, ids: list[str]) -> FitReport:
    workspace, learner = work.workspace, work.learner
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
    """Work of one fit: concurrent workers that take one user after another.

    `failures` contains the errors that end the fit: errors of the store or the cache, which also halt the workspace's
    calls, and errors of observers.
    """

    workspace: AsyncWorkspace
    learner: Learner
    resume: bool
    events: FitEvents
    superseded: Mapping[str, int]
    outcomes: list[Outcome] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)

    async def all(self, ids: list[str], *, workers: int) -> None:
        """Learn from every user until the run is halted. Raise the first failure once all workers have ended."""
        waiting = iter(ids)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(workers, len(ids))):
                group.create_task(self._take(waiting))
        if self.failures:
            raise self.failures[0]

    async def _take(self, waiting: Iterator[str]) -> None:
        for user_id in waiting:
            await asyncio.sleep(0)  # with a model that never awaits, a halt would otherwise not get through
            try:
                outcome = await self._fit_stored(user_id)
            except Exception as error:  # it does not belong to one user; the others end without losing paid calls
                self.failures.append(error)
                self.workspace.run.halt(f"an error ended the run ({type(error).__name__})")
                return
            self.outcomes.append(outcome)
            self._observed(partial(self.events.finished, outcome))
            if self.workspace.run.halted_by is not None or self.failures:
                return

    def _observed(self, event: Callable[[], None]) -> None:
        """Call an observer. An error of it ends the fit after the users in progress, but not as their failure."""
        try:
            event()
        except BaseException as error:  # one such as SystemExit would end the event loop
            self.failures.append(error)

    async def _fit_stored(self, user_id: str) -> Outcome:
        """Learn from one user; an error that belongs to this user becomes part of the outcome."""
        start, n = time.perf_counter(), 0
        state: State
        summary: LearnedSummary | None = None
        error: IdiolectError | None = None
        kept, unread = True, tuple[str, ...]()
        try:
            with self.workspace.working_on(Owner.user(user_id)):
                user = self.workspace.store.user(user_id)
                n = len(user.opinions)
                state, summary, kept, unread = await self._fit_one(user)
        except HaltedError as halted:
            state, error = "not learned", halted
        except (IdiolectError, ValueError) as failed:
            if _ends_the_run(failed):
                raise
            state, error = "failed", _without_texts(failed)
        superseded = self.superseded.get(user_id, 0)
        return Outcome(user_id, n, time.perf_counter() - start, state, summary, error, kept, superseded, unread)

    def _observe(self, progress: Progress) -> None:
        self._observed(partial(self.events.progress, progress))

    async def _fit_one(self, user: User) -> tuple[State, LearnedSummary, bool, tuple[str, ...]]:
        """Learn from one user; return the state, the summary, whether the result was stored, and unread answers."""
        method = self.learner.method
        if self.resume and (held := self.workspace.store.find_personalization(user.id, method)) is not None:
            known = self.learner.already_learned(held, user)
            if known is not None:
                return "already learned", known, True, ()
        checkpoints = StoredCheckpoints(self.workspace.store, user.id, method, fresh=not self.resume)
        fitted = await self.learner.fit(user, observer=self._observe, checkpoints=checkpoints)
        if not fitted.finished:
            return "stopped early", fitted.summary, self._save_unfinished(user.id, fitted), fitted.unread
        if method == FERMI:
            save_with_edits(self.workspace.store, user.id, fitted.payload)
        else:
            self.workspace.store.save_personalization(user.id, method, fitted.payload, fitted.tensors)
        checkpoints.drop()
        return "learned", fitted.summary, True, fitted.unread

    def _save_unfinished(self, user_id: str, fitted: Fitted) -> bool:
        """Store an unfinished result unless the store has a finished one; return whether it was stored."""
        store, method = self.workspace.store, self.learner.method
        if method == FERMI:
            return save_with_edits(store, user_id, fitted.payload, unless=_is_finished)
        held = store.find_personalization(user_id, method)
        if held is not None and _is_finished(held.payload):
            return False
        expected = None if held is None else held.digest
        return store.compare_and_save_personalization(user_id, method, fitted.payload, expected_digest=expected)


def _is_finished(payload: Mapping[str, Any]) -> bool:
    return bool(payload.get("finished", True))  # the earlier format had no such field


class UnexpectedValueError(PersonalizationError):
    """An unexpected value while learning from one user; its cause may contain the user's texts."""


def _without_texts(error: IdiolectError | ValueError) -> IdiolectError:
    """Return an error that is safe to show: the message of a `ValueError` may contain somebody's text."""
    if isinstance(error, IdiolectError):
        return error
    shown = UnexpectedValueError(f"unexpected value ({type(error).__name__})")
    shown.__cause__ = error
    return shown


def _ends_the_run(error: IdiolectError | ValueError) -> bool:
    """Return whether the error ends the fit: an error of the cache or the database, except for a rejected row."""
    refused = isinstance(error.__cause__, DataError | IntegrityError)
    of_the_store = isinstance(error, StoreError) and isinstance(error.__cause__, SQLAlchemyError) and not refused
    return of_the_store or isinstance(error, CacheError)
