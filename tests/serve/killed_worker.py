"""A worker in a process of its own, which a test kills; see `test_workers_survive`."""

from __future__ import annotations

import asyncio
import secrets

from idiolect.application.run import CallSettings
from idiolect.serve.budgets import Budgets
from idiolect.serve.worker import Workers, WorkerSettings
from idiolect.store import DEFAULT_TENANT, Store
from idiolect.store.job_queue import JobQueue

LEASE = 0.5


def work(target: str, model: str) -> None:
    """Take jobs until killed."""
    asyncio.run(_work(target, model, asyncio.Event()))


async def work_until(target: str, model: str, stop: asyncio.Event) -> None:
    """Take jobs until the event is set."""
    await _work(target, model, stop)


async def _work(target: str, model: str, stop: asyncio.Event) -> None:
    with Store.open(target, tenant=DEFAULT_TENANT) as store:
        queue = JobQueue(store.database, secrets.token_hex(4), lease=LEASE, most_attempts=1000)
        settings = WorkerSettings(2, model, target=target, calls=CallSettings(concurrency=2), lease=LEASE, poll=0.05)
        workers = Workers(settings, queue, store.of_tenant, Budgets(), lambda _asker: None)
        task = asyncio.ensure_future(workers.run())
        await stop.wait()
        workers.stop()
        await task
