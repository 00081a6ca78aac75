"""Fits that a server is asked for, of one tenant: a queue in the database, and what became of them.

    queued ─ take (job_queue) → running ─→ done | failed
       └────── cancel ──────────┴──→ cancelled

Methods raise `StoreError` if the store cannot be read or written.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from idiolect.people.user import unstorable_part
from idiolect.store.faults import damage_errors
from idiolect.store.people_rows import lock_known
from idiolect.store.schema import jobs
from idiolect.store.strict_json import checked_json
from idiolect.store.tenant_rows import TenantConnection, TenantDatabase

State = Literal["queued", "running", "done", "failed", "cancelled"]
ACTIVE: tuple[State, ...] = ("queued", "running")
STATES: tuple[State, ...] = get_args(State)
_KEPT = 50  # jobs of a user that have ended


@dataclass(frozen=True, slots=True)
class Job:
    """A fit that a server was asked for.

    Args:
        tenant: the user's tenant.
        id: name of the job within the tenant.
        user: the user's id.
        method: method that learns.
        options: what the caller chose, as JSON.
        state: what became of it.
        cancelling: whether it is to end, while a worker has it.
        attempts: number of workers that began it.
        progress: counts and scores so far, as JSON, without texts.
        begun: what its workers noted for those after them, as JSON.
        result: what was learned, in numbers, as JSON.
        error: why it failed, or was given up; None if it did not.
        created_at, started_at, finished_at: when it was asked for, first begun, and ended.
        lease_until: when its worker is taken for dead, unless it is heard of before.
    """

    tenant: str
    id: str
    user: str
    method: str
    options: Mapping[str, Any]
    state: State
    cancelling: bool
    attempts: int
    progress: Mapping[str, Any]
    begun: Mapping[str, Any]
    result: Mapping[str, Any]
    error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    lease_until: datetime | None

    @property
    def ended(self) -> bool:
        """Whether the job is over."""
        return self.state not in ACTIVE


def job_of(row: RowMapping) -> Job:
    """Return the job of a row of `jobs`."""
    if row["state"] not in STATES:
        raise ValueError("the state of a job is none")
    return Job(
        tenant=row["tenant_id"],
        id=row["id"],
        user=row["user_id"],
        method=row["method"],
        options=dict(row["options"]),
        state=row["state"],
        cancelling=row["cancelling"],
        attempts=row["attempts"],
        progress=dict(row["progress"]),
        begun=dict(row["begun"] or {}),
        result=dict(row["result"]),
        error=row["error"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        lease_until=row["lease_until"],
    )


def put_job(
    connection: TenantConnection, user_id: str, method: str, options: Mapping[str, Any], *, now: datetime
) -> tuple[Job, bool]:
    """Queue a job, unless one of the user's is active; return it or that one, and whether it is new.

    Raises:
        UnknownUserError: there is no such user.
    """
    lock_known(connection, user_id)  # so that two callers cannot both find no active job
    theirs = jobs.c.user_id == user_id
    active = connection.execute(connection.select(jobs).where(theirs, jobs.c.state.in_(ACTIVE))).mappings().first()
    if active is not None:
        return job_of(active), False
    job_id = secrets.token_hex(12)
    row = {
        "id": job_id,
        "user_id": user_id,
        "method": method,
        "options": checked_json(options, at="the job's options"),
        "state": "queued",
        "cancelling": False,
        "attempts": 0,
        "progress": {},
        "result": {},
        "created_at": now,
    }
    connection.insert(jobs, row)
    _drop_old(connection, theirs)
    made = connection.execute(connection.select(jobs).where(jobs.c.id == job_id)).mappings().one()
    return job_of(made), True


def _drop_old(connection: TenantConnection, theirs: sa.ColumnElement[bool]) -> None:
    ended = connection.select(jobs, jobs.c.id).where(theirs, jobs.c.state.not_in(ACTIVE))
    newest_first = ended.order_by(jobs.c.created_at.desc(), jobs.c.id).offset(_KEPT)
    if connection.kind == "sqlite":
        newest_first = newest_first.limit(-1)  # where an offset needs a limit
    old = list(connection.scalars(newest_first))
    if old:
        connection.execute(connection.delete(jobs).where(jobs.c.id.in_(old)))


class Jobs:
    """The jobs of one tenant.

    Args:
        rows: the tenant's rows.
    """

    def __init__(self, rows: TenantDatabase) -> None:
        self._rows = rows

    def put(self, user_id: str, method: str, options: Mapping[str, Any]) -> tuple[Job, bool]:
        """Queue a job, unless one of the user's is active; return it or that one, and whether it is new.

        Raises:
            UnknownUserError: there is no such user.
            StoreError: the options are not strict JSON.
        """
        with self._rows.writing() as connection:
            return put_job(connection, user_id, method, options, now=datetime.now(UTC))

    def of_user(self, user_id: str) -> list[Job]:
        """Return the jobs of a user, the newest first."""
        if unstorable_part(user_id) is not None:
            return []
        with self._rows.reading() as connection:
            chosen = connection.select(jobs).where(jobs.c.user_id == user_id)
            rows = connection.execute(chosen.order_by(jobs.c.created_at.desc(), jobs.c.id)).mappings()
            return [job_of(row) for row in rows]

    def find(self, user_id: str, job_id: str) -> Job | None:
        """Return a job of a user; None if there is none."""
        if unstorable_part(user_id) is not None or unstorable_part(job_id) is not None:
            return None
        with self._rows.reading() as connection:
            row = connection.execute(_one(connection, user_id, job_id)).mappings().first()
            return None if row is None else job_of(row)

    def cancel(self, user_id: str, job_id: str) -> Job | None:
        """End a job: at once if no worker has it, otherwise as soon as its worker notices; None if there is none."""
        if unstorable_part(user_id) is not None or unstorable_part(job_id) is not None:
            return None
        now = datetime.now(UTC)
        named = (jobs.c.user_id == user_id, jobs.c.id == job_id)
        with self._rows.writing() as connection, damage_errors(self._rows.where):
            waiting = connection.update(jobs).where(*named, jobs.c.state == "queued")
            connection.execute(waiting.values(state="cancelled", cancelling=True, finished_at=now))
            running = connection.update(jobs).where(*named, jobs.c.state == "running")
            connection.execute(running.values(cancelling=True))
            row = connection.execute(_one(connection, user_id, job_id)).mappings().first()
            return None if row is None else job_of(row)


def _one(connection: TenantConnection, user_id: str, job_id: str) -> sa.Select[*tuple[Any, ...]]:
    return connection.select(jobs).where(jobs.c.user_id == user_id, jobs.c.id == job_id)
