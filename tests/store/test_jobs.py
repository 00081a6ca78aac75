"""Jobs: one of a user's is active, leases are taken over, and nothing of it survives the user."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from idiolect.erasure.forgetting import forget_user
from idiolect.errors import StoreError, UnknownUserError
from idiolect.people.user import User
from idiolect.store import DEFAULT_TENANT, Store
from idiolect.store.job_queue import GIVEN_UP, MOST_ATTEMPTS, JobQueue, Pauses
from idiolect.store.jobs import Job, Jobs
from idiolect.store.spending import Spent, period_of, spent_by


@pytest.fixture
def store(store_target: str) -> Iterator[Store]:
    with Store.open(store_target, tenant=DEFAULT_TENANT) as store:
        store.save_users(User(name, texts=[f"The letters of {name} are long."]) for name in ("ann", "bob", "cy"))
        yield store


def _put(store: Store, user_id: str = "ann") -> Job:
    job, new = Jobs(store.rows).put(user_id, "fermi", {"iterations": 2})
    assert new
    return job


def _queue(store: Store, owner: str = "w1", *, lease: float = 60.0) -> JobQueue:
    return JobQueue(store.database, owner, lease=lease)


def test_a_job_is_taken_once_and_ended_once(store: Store) -> None:
    put = _put(store)
    job = _queue(store).take()
    assert job is not None
    assert (job.id, job.user, job.tenant, job.state, job.attempts) == (put.id, "ann", DEFAULT_TENANT, "running", 1)
    assert dict(job.options) == {"iterations": 2}
    assert _queue(store, "w2").take() is None
    assert _queue(store).renew(job, {"step": 1}) == ""
    assert not _queue(store, "w2").finish(job, "done", result={})
    assert _queue(store).finish(job, "done", result={"prompts": 3})
    assert not _queue(store).finish(job, "failed", result={})
    held = Jobs(store.rows).find("ann", job.id)
    assert held is not None
    assert (held.state, dict(held.result), dict(held.progress), held.ended) == (
        "done",
        {"prompts": 3},
        {"step": 1},
        True,
    )


def test_one_job_of_a_user_is_active(store: Store) -> None:
    first = _put(store)
    again, new = Jobs(store.rows).put("ann", "fermi", {})
    assert (again.id, new) == (first.id, False)
    _put(store, "bob")
    job = _queue(store).take()
    assert job is not None
    assert not Jobs(store.rows).put("ann", "fermi", {})[1]
    _queue(store).finish(job, "failed", result={}, error="the model could not answer")
    assert _put(store).id != first.id
    assert [each.state for each in Jobs(store.rows).of_user("ann")] == ["queued", "failed"]


def test_many_who_ask_at_once_get_one_job_and_many_workers_take_it_once(store: Store) -> None:
    made: list[bool] = []
    taken: list[Job | None] = []
    start = threading.Barrier(4)

    def work(number: int) -> None:
        start.wait()
        made.append(Jobs(store.rows).put("ann", "fermi", {})[1])
        start.wait()
        taken.append(_queue(store, f"w{number}").take())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False, False, False, True]
    assert sum(job is not None for job in taken) == 1


def test_a_lease_that_ends_is_taken_over_and_its_worker_notices(store: Store) -> None:
    _put(store)
    dead = _queue(store, "dead", lease=-1.0)
    job = dead.take()
    assert job is not None
    again = _queue(store, "w2").take()
    assert again is not None
    assert (again.id, again.attempts) == (job.id, 2)
    assert dead.renew(job, {}) == "lost"
    assert not dead.release(job)
    assert not dead.finish(job, "done", result={})
    assert _queue(store, "w2").finish(again, "done", result={})


def test_of_two_workers_of_one_process_the_later_one_has_the_job(store: Store) -> None:
    _put(store)
    late = _queue(store, "w", lease=-1.0).take()
    again = _queue(store, "w").take()
    assert late is not None
    assert again is not None
    assert _queue(store, "w").renew(late, {}) == "lost"
    assert not _queue(store, "w").finish(late, "done", result={})
    assert _queue(store, "w").renew(again, {}) == ""
    assert _queue(store, "w").finish(again, "done", result={})


def test_a_job_that_kills_its_workers_is_given_up(store: Store) -> None:
    put = _put(store)
    dead = _queue(store, "dead", lease=-1.0)
    for _ in range(MOST_ATTEMPTS):
        job = dead.take()
        assert job is not None
        assert not dead.is_over(job)
    job = dead.take()  # by whoever settles what the dead ones left
    assert job is not None
    assert dead.is_over(job)
    assert dead.take() is None
    held = Jobs(store.rows).find("ann", put.id)
    assert held is not None
    assert (held.state, held.error) == ("failed", GIVEN_UP)


def test_a_released_job_waits_again_and_was_no_attempt(store: Store) -> None:
    _put(store)
    for _ in range(MOST_ATTEMPTS + 1):
        job = _queue(store).take()
        assert job is not None
        assert job.attempts == 1
        assert _queue(store).release(job)


def test_a_job_is_cancelled_before_and_while_it_runs(store: Store) -> None:
    jobs = Jobs(store.rows)
    put = _put(store)
    cancelled = jobs.cancel("ann", put.id)
    assert cancelled is not None
    assert cancelled.state == "cancelled"
    assert _queue(store).take() is None
    running = _put(store)
    job = _queue(store).take()
    assert job is not None
    asked = jobs.cancel("ann", running.id)
    assert asked is not None
    assert (asked.state, asked.cancelling) == ("running", True)
    assert _queue(store).renew(job, {}) == "cancel"
    _queue(store).finish(job, "cancelled", result={})
    dead = _queue(store, "dead", lease=-1.0)
    last = _put(store)
    assert dead.take() is not None
    jobs.cancel("ann", last.id)
    over = _queue(store).take()  # to settle what the dead worker left
    assert over is not None
    assert _queue(store).is_over(over)
    assert _queue(store).finish(over, "cancelled", result={})
    assert _queue(store).take() is None
    assert [each.state for each in jobs.of_user("ann")] == ["cancelled"] * 3
    assert jobs.cancel("bob", last.id) is None
    assert jobs.cancel("ann", "none") is None


def test_a_pause_holds_one_tenants_jobs(store: Store) -> None:
    other = store.of_tenant("other", create=True)
    other.save_users([User("ann", texts=["Another one."])])
    _put(store)
    job = _queue(store).take()
    assert job is not None
    pauses = Pauses(store.database, DEFAULT_TENANT, lease=60)
    _put(store, "bob")
    with pauses.pausing():
        assert pauses.running()
        assert _queue(store).renew(job, {}) == "pause"
        assert _queue(store).release(job)
        assert not pauses.running()
        assert _queue(store).take() is None
        _put(other)
        theirs = _queue(store).take()
        assert theirs is not None
        assert theirs.tenant == "other"
    assert _queue(store).take() is not None


def test_a_pause_lasts_as_long_as_its_process(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    _put(store)
    pauses = Pauses(store.database, DEFAULT_TENANT, lease=0.2)
    with pauses.pausing():
        time.sleep(0.5)
        assert _queue(store).take() is None
    monkeypatch.setattr(Pauses, "_renew", lambda *_: None)  # as if the process were dead
    with pauses.pausing():
        assert _queue(store).take() is None
        time.sleep(0.3)
        assert _queue(store).take() is not None


def test_a_pause_that_cannot_be_ended_ends_by_itself(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    _put(store)

    def locked() -> None:
        raise StoreError("the store is locked")

    with Pauses(store.database, DEFAULT_TENANT, lease=0.2).pausing():
        monkeypatch.setattr(store.database, "writing", locked)
    monkeypatch.undo()
    time.sleep(0.3)
    assert _queue(store).take() is not None


def test_jobs_are_of_one_tenant_and_user(store: Store) -> None:
    other = store.of_tenant("other", create=True)
    other.save_users([User("ann", texts=["Another one."])])
    job = _put(store)
    assert Jobs(other.rows).find("ann", job.id) is None
    assert Jobs(other.rows).cancel("ann", job.id) is None
    assert Jobs(store.rows).find("bob", job.id) is None
    assert Jobs(store.rows).find("a\0b", job.id) is None
    assert Jobs(other.rows).of_user("ann") == []
    with pytest.raises(UnknownUserError):
        Jobs(other.rows).put("bob", "fermi", {})


def test_old_jobs_go(store: Store) -> None:
    for _ in range(53):
        job = _put(store)
        Jobs(store.rows).cancel("ann", job.id)
    assert len(Jobs(store.rows).of_user("ann")) == 51


def test_spending_is_counted_by_day_and_month_with_the_lease(store: Store) -> None:
    _put(store)
    job = _queue(store).take()
    assert job is not None
    _queue(store).renew(job, {}, calls=3, money=Decimal("0.0000015"))
    _queue(store).renew(job, {}, calls=2, money=Decimal("0.1"))
    _queue(store, "another").renew(job, {}, calls=100, money=Decimal(100))
    now = datetime.now(UTC)
    for window in ("day", "month"):
        assert spent_by(store.rows, "ann", window, now) == Spent(5, Decimal("0.1000015"))
    assert spent_by(store.rows, "bob", "day", now) == Spent()
    assert period_of("day", datetime(2026, 2, 3, tzinfo=UTC)) == "2026-02-03"
    assert period_of("month", datetime(2026, 2, 3, tzinfo=UTC)) == "2026-02"


def test_a_forgotten_users_job_is_lost(store: Store) -> None:
    _put(store)
    job = _queue(store).take()
    assert job is not None
    _queue(store).renew(job, {}, calls=1)
    receipt = forget_user(store, "ann")
    assert (receipt.rows["jobs"], receipt.rows["spending"], receipt.after.total) == (1, 2, 0)
    assert _queue(store).renew(job, {}, calls=1) == "lost"
    assert not _queue(store).finish(job, "done", result={})
    assert spent_by(store.rows, "ann", "day", datetime.now(UTC)) == Spent()
