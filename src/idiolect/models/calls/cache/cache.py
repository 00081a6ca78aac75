"""`CallCache`: every answer that was paid for, kept in one SQLite file, so that none is paid for twice.

    look_up → (not there) → begin: a durable claim → the call → keep: the result, durable; or abandon

Plain `sqlite3`, no ORM, because this path sees every call. What is written in one tick of the event loop is one
transaction. Requests (what people wrote) are not stored, only their hashes; results (what models said back) are.

A cache belongs to the thread that opened it, and its async methods to one event loop at a time. Several processes may
open one file, and one process may open it twice: they see each other's results, and wait for each other's calls.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from idiolect.errors import CacheError
from idiolect.models.calls.cache import entries
from idiolect.models.calls.cache.claims import (
    Claim,
    Claimed,
    Living,
    UncertainCall,
    bury_the_dead,
    end_claim,
    is_being_erased,
    make_claim,
    uncertain_calls,
    wait_for_erasure,
)
from idiolect.models.calls.cache.commits import GroupCommit
from idiolect.models.calls.cache.entries import ForgottenCalls, KeptCall, Sealed
from idiolect.models.calls.cache.schema import cache_errors, open_database, transaction
from idiolect.people.user import unstorable_part

_LOCK_TIMEOUT = 10.0
_SHORT, _LONG = 0.05, 0.5  # seconds between looks at another process's claim: at first, at most
_PAGE = 500  # keys looked up at a time


class CallCache:
    """What calls answered. Open with `CallCache.open`; close, or use as a context manager."""

    def __init__(self, database: sqlite3.Connection, path: Path, living: Living, *, lock_timeout: float) -> None:
        self._database, self._path, self._living = database, path, living
        self._commits = GroupCommit(database, path, lock_timeout=lock_timeout)
        # The calls that this cache has begun. The event is set when the call has ended, or when its end could not be
        # written: it is then still here, and anyone may take it over.
        self._begun: dict[str, asyncio.Event] = {}
        self._told = 0
        self._closed = False

    @classmethod
    def open(cls, path: Path, *, lock_timeout: float = _LOCK_TIMEOUT) -> CallCache:
        """Open the cache at `path`; made if there is none (mode 0600, in a folder of mode 0700).

        Args:
            path: the file; `-wal`, `-shm` and `.<token>.alive` files lie beside it while it is open.
            lock_timeout: seconds to wait for another process's lock, here and in every later call; the event loop's
                calls wait six times as long, without stopping the loop.

        Raises:
            CacheError: cannot be opened or made, is no cache, is made by a newer Idiolect, is locked, or an erasure
                (`claims.erasing`) is under way.
        """
        path = Path(os.path.realpath(path.expanduser()))  # one spelling, so that its lock files are the same for all
        deadline = time.monotonic() + lock_timeout
        while True:
            with cache_errors(path):
                wait_for_erasure(path, deadline=deadline)
            if cache := cls._opened(path, lock_timeout=lock_timeout):
                return cache

    @classmethod
    def _opened(cls, path: Path, *, lock_timeout: float) -> CallCache | None:
        """None: an erasure has begun meanwhile. One that begins later sees that this cache is alive."""
        database = open_database(path, lock_timeout=lock_timeout)
        living: Living | None = None
        try:
            with cache_errors(path), transaction(database):
                living = Living(path, lock_timeout=lock_timeout)
                bury_the_dead(database, living)
                living.tidy()
            with cache_errors(path):
                if not is_being_erased(path):
                    return cls(database, path, living, lock_timeout=lock_timeout)
        except BaseException:
            _put_down(database, living)
            raise
        _put_down(database, living)
        return None

    @property
    def path(self) -> Path:
        """The database's file."""
        return self._path

    def close(self) -> None:
        """Write what waits to be written, and close. Calls that were begun and not ended become uncertain."""
        if self._closed:
            return
        self._commits.flush()
        self._closed = True
        for event in self._begun.values():
            event.set()  # those who wait are told that the cache is closed
        self._living.end()
        with cache_errors(self._path):
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def look_up(self, keys: Sequence[str], *, owner: str) -> list[Mapping[str, Any] | None]:
        """The results of these calls, None for those that are not there. `owner` becomes an owner of each that is.

        A damaged entry is not there: it is deleted, so that its call is made (and paid for) again.

        Raises:
            ValueError: a key is no `call_key`, or the owner cannot be stored.
            CacheError: the cache cannot be read or written.
        """
        _check_storable(owner=owner)
        results: list[Mapping[str, Any] | None] = []
        for start in range(0, len(keys), _PAGE):
            if start:
                await asyncio.sleep(0)  # others go on during a long look-up
            results += await self._look_up_page(keys[start : start + _PAGE], owner)
        return results

    async def begin(self, key: str, *, operation: str, model: str, owner: str) -> Mapping[str, Any] | None:
        """None: the call is now claimed, durably: make it, then `keep` or `abandon`. Else: its result is there.

        While another task or living process makes the same call, this waits until it has ended; if it ended without
        a result, this claims it. The claim of a process that is gone is taken over. After None, every path must lead
        to `keep` or `abandon`, also that of a cancelled task: others may be waiting.

        Raises:
            ValueError: the key is no `call_key`, or another argument cannot be stored.
            CacheError: the cache cannot be read or written, or is closed.
        """
        _check_storable(owner=owner, operation=operation, model=model)
        claim = Claim(_digest(key), operation, model, owner)
        while True:
            if (begun := self._begun.get(key)) is not None and not begun.is_set():
                await begun.wait()
            claimed = await self._claim(key, claim)
            if claimed.result is not None:
                return claimed.result
            if claimed.holder is None:
                return None
            if claimed.holder != self._living.token:
                await self._until_ended(claim.key, claimed.holder)

    async def keep(self, key: str, result: Mapping[str, Any], *, owner: str) -> None:
        """Keep the result of a call that was begun, which ends it. Durable when this returns.

        Nothing is kept if the owner was forgotten meanwhile. If it cannot be written, the same may be tried again.

        Raises:
            ValueError: the call was not begun, the result is not strict JSON, or the owner cannot be stored.
            CacheError: the cache cannot be written, or is closed.
        """
        _check_storable(owner=owner)
        digest, sealed = _digest(key), Sealed.of(result)
        begun = key in self._begun

        def store(database: sqlite3.Connection) -> bool:
            ended = end_claim(database, digest, token=self._living.token)
            if not ended:
                return bool(entries.find(database, [digest], owner=owner))
            entries.add(database, (digest, *ended, time.time()), sealed)
            entries.link(database, [digest], owner=owner)
            return True

        self._check_open()
        is_there = await self._commits.add(store, settled=partial(self._settle_end, key))
        if not begun and not is_there:
            raise ValueError(f"the call {key[:12]} was not begun")

    async def abandon(self, key: str) -> None:
        """End a call that was begun and, as is known, brought no result. Those who wait for it try themselves.

        To be called once; nothing happens if the call was not begun.

        Raises:
            ValueError: the key is no `call_key`.
            CacheError: the cache cannot be written, or is closed.
        """
        await self._end(key, _digest(key))

    def uncertain(self) -> list[UncertainCall]:
        """Calls that processes left behind that are gone, oldest first; each until `clear_uncertain`.

        Raises:
            CacheError: the cache cannot be read or written.
        """
        with self._writing() as database:
            bury_the_dead(database, self._living)
            calls, self._told = uncertain_calls(database)
        return calls

    def clear_uncertain(self) -> None:
        """Drop the uncertain calls that `uncertain` has told; later ones stay.

        Raises:
            CacheError: the cache cannot be written.
        """
        with self._writing() as database:
            database.execute("DELETE FROM uncertain WHERE id <= ?", (self._told,))

    def holds(self, owner: str) -> bool:
        """Whether anything here is this owner's: a result, damaged or not, or a call that was begun.

        Raises:
            CacheError: the cache cannot be read.
        """
        with self._reading() as database:
            return entries.holds(database, owner)

    def forget(self, owner: str) -> ForgottenCalls:
        """Delete the results that only this owner has, leave the others to their other owners, drop all claims.

        Calls of this owner that are still being made are not kept. Bytes of what was deleted may stay in the file's
        write-ahead log until `scrub`.

        Raises:
            CacheError: the cache cannot be written.
        """
        with self._writing() as database:
            return entries.forget(database, owner)

    def scrub(self) -> None:
        """Rewrite the file without what was deleted, and empty its write-ahead log. Needs memory for a copy of it.

        Raises:
            CacheError: another process kept it from doing so, or the cache cannot be written.
        """
        self._flush()
        with cache_errors(self._path):
            self._database.execute("VACUUM")
            busy, _, _ = self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise CacheError(
                f"cache {self._path}: another process is reading it, so bytes of what was deleted may still be in its "
                "-wal file, until it is scrubbed when that process has ended"
            )

    def calls_of(self, owner: str) -> Iterator[KeptCall]:
        """Every result that this owner has, in the order in which they were kept; read page by page.

        Damaged ones are passed over; `damaged_of` names them.

        Raises:
            CacheError: the cache cannot be read.
        """
        after: int | None = 0
        while after is not None:
            with self._reading() as database:
                page, after = entries.page_of(database, owner, after=after)
            yield from page

    def damaged_of(self, owner: str) -> list[str]:
        """The keys of this owner's results that are not what was stored any more.

        Raises:
            CacheError: the cache cannot be read.
        """
        with self._reading() as database:
            return list(entries.damaged_of(database, owner))

    def in_use_by_others(self) -> bool:
        """Whether someone else has this cache open: another living process, or this one a second time.

        Raises:
            CacheError: the folder cannot be read.
        """
        with cache_errors(self._path):
            return any(self._living.is_alive(token) for token in self._living.others())

    async def _look_up_page(self, keys: Sequence[str], owner: str) -> list[Mapping[str, Any] | None]:
        digests = [_digest(key) for key in keys]
        with self._reading() as database:
            found = {entry.key: entry for entry in entries.find(database, digests, owner=owner)}
            results = {key: entry.result.opened() for key, entry in found.items()}
        if damaged := [key for key, result in results.items() if result is None]:
            await self._commits.add(partial(entries.drop_damaged, keys=damaged))
        if unlinked := [key for key, entry in found.items() if not entry.linked and key not in damaged]:
            await self._commits.add(partial(entries.link, keys=unlinked, owner=owner))
        return [results.get(digest) for digest in digests]

    async def _claim(self, key: str, claim: Claim) -> Claimed:
        self._check_open()
        apply = partial(
            make_claim, claim=claim, token=self._living.token, is_held=partial(self._is_held, key), now=time.time()
        )
        future = self._commits.add(apply, settled=partial(self._settle_claim, key), droppable=True)
        try:
            claimed: Claimed = await future
        except asyncio.CancelledError:  # perhaps between the commit and this task's next step: then no one has the call
            committed = future.done() and not future.cancelled() and not future.exception()
            if committed and future.result().ours and not self._closed:
                self._end(key, claim.key)
            raise
        return claimed

    def _is_held(self, key: str, token: str) -> bool:
        if token != self._living.token:
            return self._living.is_alive(token)
        begun = self._begun.get(key)
        return begun is None or not begun.is_set()  # None: begun in this very transaction

    def _settle_claim(self, key: str, claimed: Claimed | None) -> None:
        if claimed is not None and claimed.ours:
            self._begun[key] = asyncio.Event()

    def _settle_end(self, key: str, ended: bool | None) -> None:
        begun = self._begun.get(key)
        if begun is not None:
            begun.set()
            if ended is not None:
                del self._begun[key]

    def _end(self, key: str, digest: bytes) -> asyncio.Future[bool]:
        self._check_open()

        def end(database: sqlite3.Connection) -> bool:
            end_claim(database, digest, token=self._living.token)
            return True

        return self._commits.add(end, settled=partial(self._settle_end, key))

    async def _until_ended(self, digest: bytes, holder: str) -> None:
        """Wait until another cache's claim has ended, or that cache is gone."""
        pause = _SHORT
        while True:
            await asyncio.sleep(pause)
            pause = min(1.5 * pause, _LONG)
            with self._reading() as database:
                held = database.execute("SELECT 1 FROM claims WHERE key = ? AND token = ?", (digest, holder)).fetchone()
                if not held or not self._living.is_alive(holder):
                    return

    def _check_open(self) -> None:
        if self._closed:
            raise CacheError(f"cache {self._path}: is closed")

    def _flush(self) -> None:
        self._check_open()
        self._commits.flush()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        self._check_open()
        with cache_errors(self._path):
            yield self._database

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        self._flush()
        with cache_errors(self._path), transaction(self._database):
            yield self._database


def _put_down(database: sqlite3.Connection, living: Living | None) -> None:
    if living is not None:
        living.end()
    database.close()


def _digest(key: str) -> bytes:
    digest = bytes.fromhex(key)
    if len(digest) != 32:
        raise ValueError(f"{key[:80]!r} is no key of a call")
    return digest


def _check_storable(**texts: str) -> None:
    for name, text in texts.items():
        if part := unstorable_part(text):
            raise ValueError(f"{name} holds {part}")
