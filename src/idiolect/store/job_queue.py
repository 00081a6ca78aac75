"""The queue of jobs of all tenants, for workers: leases, which others take over when a worker is not heard of.

    take → Job, leased ─ renew … renew ─→ finish
                            │               release (the server ends): back to the queue
                            └→ "cancel" | "pause" | "lost": the worker ends its work

A lease is a name and a moment. Workers of several processes and machines share the queue: on PostgreSQL each takes
another row (SKIP LOCKED), and the clock is the server's; on SQLite there is one writer at a time, and one machine.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from idiolect.errors import StoreError
from idiolect.store.database import Database
from idiolect.store.faults import damage_errors
from idiolect.store.jobs import Job, State, job_of
from idiolect.store.schema import job_pauses, jobs
from idiolect.store.spending import add_spending
from idiolect.store.strict_json import checked_json
from idiolect.store.tenant_rows import TenantConnection

Notice = Literal["", "cancel", "pause", "lost"]
MOST_ATTEMPTS = 5
GIVEN_UP = "given up: each of the workers that began it ended without a word"


class JobQueue:
    """The jobs of all tenants of a store.

    Args:
        database: the opened database.
        owner: name of the worker's process, which no other has.
        lease: seconds after which a worker that is not heard of is taken for dead.
        most_attempts: workers that may begin a job.
    """

    def __init__(self, database: Database, owner: str, *, lease: float, most_attempts: int = MOST_ATTEMPTS) -> None:
        self._database, self._owner, self._lease = database, owner, timedelta(seconds=lease)
        self._most_attempts = most_attempts

    def take(self) -> Job | None:
        """Return the job that has waited longest, which this worker has now; None if there is none.

        A job whose worker is taken for dead counts as waiting. After so many attempts, or if it was cancelled
        meanwhile, it is given to one more worker, which only settles what the dead ones left (`is_over`).
        """
        while True:
            with self._writing() as (connection, now):
                job = self._next(connection, now)
                if job is None or job.state == "running":
                    return job

    def _next(self, connection: Connection, now: datetime) -> Job | None:
        expired = sa.and_(jobs.c.state == "running", jobs.c.lease_until < now)
        paused = sa.select(job_pauses.c.tenant_id).where(job_pauses.c.until > now)
        waiting = sa.select(jobs).where(sa.or_(jobs.c.state == "queued", expired), jobs.c.tenant_id.not_in(paused))
        first = waiting.order_by(jobs.c.created_at, jobs.c.id).limit(1).with_for_update(skip_locked=True)
        row = connection.execute(first).mappings().first()
        if row is None:
            return None
        if row["attempts"] > self._most_attempts:  # whoever was to settle it has died of that
            state = "cancelled" if row["cancelling"] else "failed"
            changes: dict[str, Any] = {"state": state, "finished_at": now}
            changes["error"] = None if row["cancelling"] else GIVEN_UP
        else:
            changes = {
                "state": "running",
                "attempts": row["attempts"] + 1,
                "started_at": row["started_at"] or now,
                "lease_owner": self._owner,
                "lease_until": now + self._lease,
            }
        named = (jobs.c.tenant_id == row["tenant_id"], jobs.c.id == row["id"])
        connection.execute(jobs.update().where(*named).values(changes))
        return job_of(connection.execute(sa.select(jobs).where(*named)).mappings().one())

    def is_over(self, job: Job) -> bool:
        """Return whether a job that was taken is not to be worked on any more: given up, or cancelled."""
        return job.cancelling or job.attempts > self._most_attempts

    def renew(
        self,
        job: Job,
        progress: Mapping[str, Any],
        *,
        begun: Mapping[str, Any] | None = None,
        calls: int = 0,
        money: Decimal | None = None,
    ) -> Notice:
        """Keep the lease of a job, note its progress, and count what was spent since the last time.

        Args:
            job: a job that this worker has taken.
            progress: counts and scores so far, without texts.
            begun: what the next worker has to know, should this one die; None: as before.
            calls: calls that were made since the last time.
            money: what they cost, in dollars; None: unknown.

        Returns:
            "" if the work may go on; otherwise it has to end: "cancel", because it was asked to; "pause", because an
            erasure needs the tenant's cache; "lost", because another worker has the job, or the user was forgotten.
        """
        with self._writing() as (connection, now):
            values = {"lease_until": now + self._lease, "progress": checked_json(progress, at="the job's progress")}
            if begun is not None:
                values["begun"] = checked_json(begun, at="what was noted with the job")
            if not connection.execute(self._mine(job).values(values)).rowcount:
                return "lost"
            if calls or money:
                add_spending(TenantConnection(connection, job.tenant), job.user, calls=calls, money=money, now=now)
            named = (jobs.c.tenant_id == job.tenant, jobs.c.id == job.id)
            if connection.scalar(sa.select(jobs.c.cancelling).where(*named)):
                return "cancel"
            pauses = sa.select(sa.func.count()).where(job_pauses.c.tenant_id == job.tenant, job_pauses.c.until > now)
            return "pause" if connection.scalar(pauses) else ""

    def finish(self, job: Job, state: State, *, result: Mapping[str, Any], error: str | None = None) -> bool:
        """End a job; return whether this worker still had it.

        Args:
            job: a job that this worker has taken.
            state: "done", "failed" or "cancelled".
            result: what was learned, in numbers.
            error: why it failed, without texts.
        """
        with self._writing() as (connection, now):
            values = {
                "state": state,
                "result": checked_json(result, at="the job's result"),
                "error": error,
                "finished_at": now,
                "lease_owner": None,
                "lease_until": None,
            }
            return bool(connection.execute(self._mine(job).values(values)).rowcount)

    def release(self, job: Job) -> bool:
        """Put a job back into the queue, as if it had not been taken; return whether this worker still had it."""
        with self._writing() as (connection, _):
            values = {"state": "queued", "attempts": jobs.c.attempts - 1, "lease_owner": None, "lease_until": None}
            return bool(connection.execute(self._mine(job).values(values)).rowcount)

    def _mine(self, job: Job) -> sa.Update:
        named = (jobs.c.tenant_id == job.tenant, jobs.c.id == job.id)
        taken = (jobs.c.lease_owner == self._owner, jobs.c.attempts == job.attempts)  # not again, by this process
        return jobs.update().where(*named, jobs.c.state == "running", *taken)

    @contextmanager
    def _writing(self) -> Iterator[tuple[Connection, datetime]]:
        with self._database.writing() as connection, damage_errors(self._database.where):
            yield connection, now_in(connection)


class Pauses:
    """Pauses of the jobs of one tenant, while an erasure needs its caches of calls.

    Args:
        database: the opened database.
        tenant: the tenant's id.
        lease: seconds after which a pause ends by itself, should this process die; it is renewed four times as often.
    """

    def __init__(self, database: Database, tenant: str, *, lease: float) -> None:
        self._database, self._tenant, self._lease = database, tenant, lease

    @contextmanager
    def pausing(self) -> Iterator[None]:
        """Let no job of the tenant begin while the context is open, and end those that run; see `running`."""
        token, over = secrets.token_hex(8), threading.Event()
        with self._database.writing() as connection:
            connection.execute(job_pauses.delete().where(job_pauses.c.until < now_in(connection)))
            self._put(connection, token)
        renewing = threading.Thread(target=self._renew, args=(token, over), name="idiolect-pause", daemon=True)
        renewing.start()
        try:
            yield
        finally:
            over.set()
            renewing.join()
            with suppress(StoreError), self._database.writing() as connection:  # otherwise it ends by itself
                connection.execute(job_pauses.delete().where(*self._named(token)))

    def _renew(self, token: str, over: threading.Event) -> None:
        """Keep a pause until the event is set; while the store cannot be written, no job can be taken either."""
        while not over.wait(self._lease / 4):
            with suppress(StoreError), self._database.writing() as connection:
                connection.execute(job_pauses.delete().where(*self._named(token)))
                self._put(connection, token)

    def _put(self, connection: Connection, token: str) -> None:
        until = now_in(connection) + timedelta(seconds=self._lease)
        connection.execute(job_pauses.insert().values(tenant_id=self._tenant, token=token, until=until))

    def _named(self, token: str) -> tuple[sa.ColumnElement[bool], ...]:
        return job_pauses.c.tenant_id == self._tenant, job_pauses.c.token == token

    def running(self) -> bool:
        """Return whether a worker that is alive still has a job of the tenant."""
        with self._database.reading() as connection:
            alive = (jobs.c.state == "running", jobs.c.lease_until > now_in(connection))
            theirs = sa.select(sa.func.count()).where(jobs.c.tenant_id == self._tenant, *alive)
            return bool(connection.scalar(theirs))


def now_in(connection: Connection) -> datetime:
    """Return the time by the clock that all who use the database share."""
    if connection.dialect.name == "postgresql":
        found: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        return found.astimezone(UTC)
    return datetime.now(UTC)
