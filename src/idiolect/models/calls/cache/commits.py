"""Group commit: the changes that many tasks make in one tick of the event loop become one transaction.

    add(change) … add(change) → end of the tick: BEGIN, every change, COMMIT (one fsync) → their awaiters go on

An error undoes the whole group and reaches all of its awaiters. While another process has the database's lock, the
group is retried, with pauses in which the loop runs on, because the results in it are paid for.
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
_MOMENT = 0.02  # seconds for which the loop is blocked to wait for a lock
_PAUSE = 0.05  # seconds for which it runs on before the next try
_PATIENCE = 6  # a group waits this many times the timeout of one lock


@dataclass(slots=True, eq=False)
class _Change:
    apply: Callable[[sqlite3.Connection], Any]
    future: asyncio.Future[Any]
    outcome: Any = None


class GroupCommit:
    """A collector of the changes of one event loop; used from its thread only.

    Args:
        database: the connection through which the changes are made.
        path: the database's file.
        lock_timeout: seconds that the connection waits for another process's lock.
    """

    def __init__(self, database: sqlite3.Connection, path: Path, *, lock_timeout: float) -> None:
        self._database, self._path, self._lock_timeout = database, path, lock_timeout
        self._locked_since: float | None = None
        self._waiting: list[_Change] = []
        self._loop: asyncio.AbstractEventLoop | None = None  # the loop on which a tick is due

    def add(self, apply: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Add a change, and return a future of the result of `apply`, which is done once the change is durable.

        The future raises CacheError if the change cannot be written. From now on the change is made in any case, even
        if nobody awaits the future any more.
        """
        loop = asyncio.get_running_loop()
        change = _Change(apply, loop.create_future())
        self._waiting.append(change)
        if self._loop is not loop:
            self._loop = loop
            loop.call_soon(self._tick, loop)
        return change.future

    def flush(self) -> None:
        """Commit the waiting changes now. Errors are not raised here; they reach the awaiters."""
        self._write(again=False)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not loop:
            return
        self._loop = None
        if not self._waiting:  # flushed in the meantime; the database may even be closed by now
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
        """Commit the waiting changes. With `again`, return False if the database is locked; they then keep waiting."""
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
