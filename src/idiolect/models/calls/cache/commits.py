"""Group commit: the changes that many tasks make in one tick of the event loop become one transaction.

    add(change) … add(change) → end of the tick: BEGIN, every change, COMMIT (one fsync) → their awaiters go on

An error undoes the whole group, and reaches every awaiter of it. While another process has the database's lock, the
group is tried again and again, with pauses in which the loop goes on: the results in it are paid for.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from idiolect.errors import CacheError
from idiolect.models.calls.cache.schema import cache_errors, transaction
from idiolect.sqlite import primary_code

T = TypeVar("T")
_MOMENT = 0.02  # seconds for which the loop stands still to wait for a lock
_PAUSE = 0.05  # seconds for which it goes on before the next try
_PATIENCE = 6  # how many times as long as for one lock a group waits


@dataclass(slots=True, eq=False)
class _Change:
    apply: Callable[[sqlite3.Connection], Any]
    future: asyncio.Future[Any]
    outcome: Any = None


class GroupCommit:
    """Collects changes of one event loop; used from its thread only.

    Args:
        database: where they are made.
        path: its file.
        lock_timeout: seconds that its connection waits for another process's lock.
    """

    def __init__(self, database: sqlite3.Connection, path: Path, *, lock_timeout: float) -> None:
        self._database, self._path, self._lock_timeout = database, path, lock_timeout
        self._locked_since: float | None = None
        self._waiting: list[_Change] = []
        self._loop: asyncio.AbstractEventLoop | None = None  # where a flush is due

    def add(self, apply: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Return a future of what `apply` returns, done as soon as that is durable; CacheError if it cannot be written.

        The change is made in any case from now on, whether or not anyone still awaits the future.
        """
        loop = asyncio.get_running_loop()
        change = _Change(apply, loop.create_future())
        self._waiting.append(change)
        if self._loop is not loop:
            self._loop = loop
            loop.call_soon(self._tick, loop)
        return change.future

    def flush(self) -> None:
        """Commit now what is waiting. Raises nothing: an error reaches the awaiters."""
        self._write(again=False)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not loop:
            return
        self._loop = None
        if not self._waiting:  # flushed meanwhile, perhaps because the database is closed now
            return
        now = time.monotonic()
        since = now if self._locked_since is None else self._locked_since
        with self._lock_waited_for(_MOMENT):
            written = self._write(again=now - since < _PATIENCE * self._lock_timeout)
        self._locked_since = None if written else since
        if not written:
            self._loop = loop
            loop.call_later(_PAUSE, self._tick, loop)

    @contextmanager
    def _lock_waited_for(self, seconds: float) -> Iterator[None]:
        self._database.execute(f"PRAGMA busy_timeout = {round(1000 * seconds)}")
        try:
            yield
        finally:
            self._database.execute(f"PRAGMA busy_timeout = {round(1000 * self._lock_timeout)}")

    def _write(self, *, again: bool) -> bool:
        """Commit what is waiting. With `again`, false if the database is locked: then it is still waiting."""
        group, self._waiting = self._waiting, []
        if not group:
            return True
        try:
            with cache_errors(self._path), transaction(self._database):
                for change in group:
                    change.outcome = change.apply(self._database)
        except BaseException as error:
            if again and _is_locked(error):
                self._waiting = group
                return False
            known = isinstance(error, Exception)
            _fail(group, error if known else CacheError(f"cache {self._path}: interrupted"))
            if not known:
                raise
        else:
            _succeed(group)
        return True


def _is_locked(error: BaseException) -> bool:
    return primary_code(error.__cause__) == sqlite3.SQLITE_BUSY


def _succeed(group: list[_Change]) -> None:
    for change in group:
        if _awaited(change.future):
            change.future.set_result(change.outcome)


def _fail(group: list[_Change], error: BaseException) -> None:
    for change in group:
        if _awaited(change.future):
            change.future.set_exception(error)


def _awaited(future: asyncio.Future[Any]) -> bool:
    return not future.done() and not future.get_loop().is_closed()
