"""Group commit: the changes that many tasks make in one tick of the event loop become one transaction.

    add(change) … add(change) → end of the tick: BEGIN, every change, COMMIT (one fsync) → their awaiters go on

An error undoes the whole group, and reaches every awaiter of it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from idiolect.errors import CacheError
from idiolect.models.calls.cache_schema import cache_errors, transaction

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Change:
    apply: Callable[[sqlite3.Connection], Any]
    settled: Callable[[Any], None]
    droppable: bool
    future: asyncio.Future[Any]
    outcome: Any = None


class GroupCommit:
    """Collects changes of one event loop; used from its thread only."""

    def __init__(self, database: sqlite3.Connection, path: Path) -> None:
        self._database, self._path = database, path
        self._waiting: list[_Change] = []
        self._loop: asyncio.AbstractEventLoop | None = None  # where a flush is due

    def add(
        self,
        apply: Callable[[sqlite3.Connection], T],
        *,
        settled: Callable[[T | None], None] = lambda _: None,
        droppable: bool = False,
    ) -> asyncio.Future[T]:
        """What `apply` returns, as soon as it is durable; raises CacheError if it could not be written.

        Args:
            apply: makes the change, inside a transaction; returns anything but None.
            settled: told the outcome right after the commit, before any task runs; told None if that failed.
            droppable: the change is not made if no one awaits it any more when its turn comes.
        """
        loop = asyncio.get_running_loop()
        change = _Change(apply, settled, droppable, loop.create_future())
        self._waiting.append(change)
        if self._loop is not loop:
            self._loop = loop
            loop.call_soon(self._tick, loop)
        return change.future

    def flush(self) -> None:
        """Commit now what is waiting. Raises nothing: what fails is told to the awaiters."""
        group = [change for change in self._waiting if not (change.droppable and change.future.cancelled())]
        self._waiting.clear()
        if not group:
            return
        try:
            with cache_errors(self._path), transaction(self._database):
                for change in group:
                    change.outcome = change.apply(self._database)
        except BaseException as error:
            known = isinstance(error, Exception)
            _fail(group, error if known else CacheError(f"cache {self._path}: interrupted"))
            if not known:
                raise
        else:
            _succeed(group)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is loop:
            self._loop = None
            self.flush()


def _succeed(group: list[_Change]) -> None:
    for change in group:
        change.settled(change.outcome)
    for change in group:
        if _awaited(change.future):
            change.future.set_result(change.outcome)


def _fail(group: list[_Change], error: BaseException) -> None:
    for change in group:
        change.settled(None)
    for change in group:
        if _awaited(change.future):
            change.future.set_exception(error)


def _awaited(future: asyncio.Future[Any]) -> bool:
    return not future.done() and not future.get_loop().is_closed()
