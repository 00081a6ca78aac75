"""Workers killed at random moments while people comment: no job, comment, opinion or paid call is lost or doubled."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

from idiolect.erasure.served_rows import served_rows
from idiolect.store import DEFAULT_TENANT, Store
from idiolect.store.jobs import Job, Jobs
from idiolect.store.responses import Comment, Learning, Response, Responses
from tests.api_server import ApiServer
from tests.application.served import people
from tests.cli.remote_world import answer, asked_names, kept_names
from tests.serve.killed_worker import work, work_until

IDS = ("ann", "bob", "cy")
KILLS = 20
FIT = {"preset": "api", "similarity": "bm25", "iterations": 2}
DAY = 86400.0


def test_killed_workers_lose_and_double_nothing(tmp_path: Path) -> None:
    target, draws = str(tmp_path / "store"), random.Random(7)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.serve.killed_worker", "idiolect.application.fermi"])
    with ApiServer(answer, latency=0.02) as server, Store.open(target, tenant=DEFAULT_TENANT) as store:
        model = f"{server.url}#m"
        store.save_users(people(*IDS))
        for user_id in IDS:
            assert Jobs(store.rows).put(user_id, "fermi", FIT)[1]
        for number in range(KILLS):
            worker = processes.Process(target=work, args=(target, model))
            worker.start()
            time.sleep(draws.uniform(0.1, 0.9))
            _comment(store, number)
            assert worker.pid is not None
            os.kill(worker.pid, signal.SIGKILL)
            worker.join()
        asyncio.run(_finish(target, model, store))
        jobs = [job for user_id in IDS for job in Jobs(store.rows).of_user(user_id)]
        assert Counter(job.state for job in jobs) == {"done": len(jobs)}
        for user_id in IDS:
            _check(store, user_id)
        asked = Counter(asked_names(server))
        doubled = sum(asked.values()) - len(asked)
        assert set(asked) == kept_names(tmp_path / "store")
        assert doubled <= 4 * KILLS  # only calls that were in flight: two workers with two calls each


def _comment(store: Store, number: int) -> None:
    """Comment on a new response, twice, as a client that retries does."""
    user_id = IDS[number % len(IDS)]
    responses, response = Responses(store.rows), f"r{number}"
    responses.keep([Response(response, user_id, f"Question {number} of {user_id}?", "Yes.")], most=9, seconds=DAY)
    comment = Comment(response, "said", {"said": f"Answer {number}."})
    learning = Learning(3, "fermi", {**FIT, "continue": True})
    first, second = (responses.give(comment, user_id=user_id, learning=learning, seconds=DAY) for _ in range(2))
    assert first is not None
    assert second is not None
    assert (first.new, second.new) == (True, False)


async def _finish(target: str, model: str, store: Store) -> None:
    """Let a worker that nobody kills do what is left."""
    stop = asyncio.Event()
    task = asyncio.ensure_future(work_until(target, model, stop))
    deadline = time.monotonic() + 120
    while any(not job.ended for job in await asyncio.to_thread(_all, store)):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    stop.set()
    await task


def _all(store: Store) -> list[Job]:
    return [job for user_id in IDS for job in Jobs(store.rows).of_user(user_id)]


def _check(store: Store, user_id: str) -> None:
    """Compare what the store holds of a user with what was given."""
    numbers = [number for number in range(KILLS) if IDS[number % len(IDS)] == user_id]
    opinions = [each for each in store.user(user_id).opinions if each.question.text.startswith("Question")]
    assert [each.answer for each in opinions] == [f"Answer {number}." for number in numbers]
    held = served_rows(store.rows, user_id)
    assert sorted(row["response_id"] for row in held["feedback"]) == sorted(f"r{number}" for number in numbers)
    assert store.find_personalization(user_id, "fermi") is not None
    assert store.checkpoints(user_id) == []
    fits = Counter(row["job_id"] for row in held["feedback"] if row["job_id"] is not None)
    assert set(fits) <= {row["id"] for row in held["jobs"]}
    assert all(count >= 3 for count in fits.values())
