"""Workers that take fits from the queue in the database, and give them back when the server ends.

    take → workspace of the tenant → do_job ─ every few seconds: renew (lease, progress, spending) → finish
                                        └─ cancelled | paused | the server ends → halt → cancelled | queue

Fits of remote models run in a thread with an event loop of its own, so that answers do not wait for them. A local model
belongs to the server's loop, in which its fits run too.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from math import inf
from typing import Any

from idiolect.application.model_pool import ModelPool
from idiolect.application.run import CallSettings, Spending
from idiolect.application.workspace import AsyncWorkspace, WorkspaceSettings
from idiolect.errors import CacheError, IdiolectError, StoreError
from idiolect.methods.personalization import Progress
from idiolect.models.calls.budget import Limits
from idiolect.serve.begun import Begun, begin, left_uncounted
from idiolect.serve.budgets import Budgets
from idiolect.serve.identity import Asker
from idiolect.serve.job_work import Done, do_job, progress_document
from idiolect.serve.logs import log
from idiolect.store import Store
from idiolect.store.job_queue import GIVEN_UP, JobQueue
from idiolect.store.jobs import Job

LEASE = 60.0  # seconds after which a worker that is not heard of is taken for dead
_RENEWALS = 12  # in a lease
_POLL = 1.0  # seconds between looks into an empty queue
_AFTER_FAULT = 5.0  # seconds after the store could not be read
_STOPS = "the server stops"


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How workers work.

    Args:
        workers: number of fits at a time.
        model: name of the model that answers in fits.
        optimizer: name of the model that writes prompts; None: the same.
        target: the store, as `WorkspaceSettings` takes it.
        calls: settings for calls of models, without limits of users.
        lease: seconds of a lease.
        grace: seconds that calls in flight may take when a fit is halted.
        poll: seconds between looks into an empty queue.
    """

    workers: int
    model: str
    optimizer: str | None = None
    target: str | None = None
    calls: CallSettings = field(default_factory=CallSettings)
    lease: float = LEASE
    grace: float = 30.0
    poll: float = _POLL


@dataclass(slots=True, eq=False)
class _Work:
    """A job in progress: what is noted with it, what was observed, and what of its spending is counted already."""

    job: Job
    workspace: AsyncWorkspace
    begun: Begun
    progress: dict[str, Any] = field(default_factory=dict)
    counted: Spending = field(default_factory=Spending)
    notice: str = ""
    halted: float = inf
    noticed: asyncio.Event = field(default_factory=asyncio.Event)

    def observe(self, progress: Progress) -> None:
        """Keep the latest step."""
        self.progress = progress_document(progress)

    def uncounted(self) -> tuple[int, Decimal | None]:
        """Return the calls and dollars spent since the last time, and count them."""
        spent, before = self.workspace.spending(), self.counted
        self.counted = spent
        money = None if spent.money is None else spent.money - (before.money or Decimal(0))
        return spent.calls - before.calls, money

    def halt(self, notice: str) -> None:
        """End the work: calls in flight are completed and kept."""
        if not self.notice:
            self.notice, self.halted = notice, time.monotonic()
            self.noticed.set()
            self.workspace.halt(notice)

    def overdue(self, grace: float) -> bool:
        """Return whether the work was halted more than so many seconds ago."""
        return time.monotonic() > self.halted + grace


class Workers:
    """Workers of one process; `run` them in the event loop to which the models belong.

    Args:
        settings: how they work.
        queue: the queue of all tenants.
        store_of: returns the store of a tenant.
        budgets: what users may spend.
        on_learned: called when something was learned for a user, in the workers' loop.
        models: open models of the same loop; None: each job opens its own.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        queue: JobQueue,
        store_of: Callable[[str], Store],
        budgets: Budgets,
        on_learned: Callable[[Asker], None],
        models: ModelPool | None = None,
    ) -> None:
        self._settings, self._queue, self._store_of, self._budgets = settings, queue, store_of, budgets
        self._on_learned, self._models = on_learned, models
        self._stopped = asyncio.Event()
        self._woken = asyncio.Event()
        self._work: set[_Work] = set()

    def stop(self) -> None:
        """End: jobs that run return to the queue."""
        self._stopped.set()
        self._woken.set()
        for work in self._work:
            work.halt(_STOPS)

    def wake(self) -> None:
        """Look into the queue now."""
        self._woken.set()

    async def run(self) -> None:
        """Take jobs until `stop`."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._settings.workers):
                group.create_task(self._take())

    async def _take(self) -> None:
        while not self._stopped.is_set():
            pause = self._settings.poll
            try:
                job = await asyncio.to_thread(self._queue.take)
                if job is not None:
                    await self._carry_out(job)
                    continue
            except Exception as error:  # the lease of a job in progress ends by itself, and it is taken again
                log("worker", level=logging.ERROR, error=error)
                pause = _AFTER_FAULT
            self._woken.clear()
            if not self._stopped.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), pause)

    async def _carry_out(self, job: Job) -> None:
        log("job", job=job.id, state="begun", attempt=job.attempts)
        done = await self._done(job)
        log("job", job=job.id, state=done)

    async def _done(self, job: Job) -> str:
        """Do a job, and end it; return the state in which it is left."""
        store = await asyncio.to_thread(self._store_of, job.tenant)
        begun = await asyncio.to_thread(begin, store, job)
        if job.begun:
            begun = await self._with_uncounted(job, begun, job.progress)
        if self._queue.is_over(job):
            over = Done("cancelled", {}) if job.cancelling else Done("failed", {}, GIVEN_UP)
            return await self._end(job, "", over)
        limits = await asyncio.to_thread(self._budgets.left, store, job.user)
        if limits is None:
            return await self._end(job, "", Done("failed", {}, self._budgets.message))
        async with self._workspace(job, limits) as workspace:
            work = _Work(job, workspace, begun)
            self._work.add(work)
            if self._stopped.is_set():
                work.halt(_STOPS)
            try:
                if not job.begun:
                    await self._renew(work)
                done = await self._watched(work)
            finally:
                self._work.discard(work)
        if job.begun and work.notice != "lost":  # what a worker that was taken for dead did until it noticed
            await self._with_uncounted(job, work.begun, work.progress)
        return await self._end(job, work.notice, done)

    def _workspace(self, job: Job, limits: Limits) -> AsyncWorkspace:
        given = self._settings
        settings = WorkspaceSettings(
            given.target,
            given.model,
            given.optimizer,
            calls=replace(given.calls, user=limits),
            create=False,
            tenant=job.tenant,
        )
        return AsyncWorkspace(settings, models=self._models)

    async def _with_uncounted(self, job: Job, begun: Begun, progress: Mapping[str, Any]) -> Begun:
        """Count what other workers of a job spent after they had counted for the last time."""
        async with self._workspace(job, Limits()) as workspace:
            calls, money = left_uncounted(workspace, job, begun)
        begun = begun.counting(calls, money)
        renew = partial(self._queue.renew, job, progress, begun=begun.document, calls=calls, money=money)
        await asyncio.to_thread(renew)
        return begun

    async def _watched(self, work: _Work) -> Done:
        """Do the work, and renew the lease meanwhile and once after it."""
        task = asyncio.ensure_future(do_job(work.workspace, work.job, work.begun, work.observe))
        noticed, over = asyncio.ensure_future(work.noticed.wait()), False
        try:
            while not over:
                pause = min(self._settings.lease / _RENEWALS, self._settings.grace if work.notice else inf)
                first = {task} if noticed.done() else {task, noticed}
                await asyncio.wait(first, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
                over = task.done()  # asked before the last renewal, which then counts all that was spent
                await self._renew(work)
                if work.overdue(self._settings.grace):
                    return Done(None, {}, work.notice)
            return await task
        except (StoreError, CacheError):
            raise
        except IdiolectError as error:
            return Done("failed", {}, str(error))
        except Exception as error:
            log("failure", level=logging.ERROR, error=error, job=work.job.id)
            return Done("failed", {}, f"unexpected error ({type(error).__name__})")
        finally:
            for each in (task, noticed):
                each.cancel()
            await asyncio.wait({task, noticed})

    async def _renew(self, work: _Work) -> None:
        calls, money = work.uncounted()
        work.begun = work.begun.counting(calls, money)
        renew = partial(self._queue.renew, work.job, work.progress, begun=work.begun.document, calls=calls, money=money)
        if notice := await asyncio.to_thread(renew):
            work.halt(notice)

    async def _end(self, job: Job, notice: str, done: Done) -> str:
        if done.state is None and notice in (_STOPS, "pause"):
            await asyncio.to_thread(self._queue.release, job)
            return "queued"
        if notice == "lost":
            return notice
        if done.state is not None:
            state, error = done.state, done.error
        elif notice == "cancel":
            state, error = "cancelled", None
        else:  # the budget
            state, error = "failed", done.error
        await asyncio.to_thread(self._queue.finish, job, state, result=dict(done.result), error=error)
        self._on_learned(Asker(job.tenant, job.user))
        return state
