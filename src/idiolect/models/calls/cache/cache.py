"""`CallCache`, which keeps every paid answer in one SQLite file, so that none is paid for twice.

    look_up → (not there) → begin: a durable claim → the call → keep: the result, durable; or abandon

Plain `sqlite3`, no ORM, because every call takes this path. All writes in one tick of the event loop are one
transaction. Requests, which contain people's texts, are stored only as hashes; results, which models wrote, in full.

A cache belongs to the thread that opened it, and its async methods to one event loop at a time. Several processes may
open one file, and one process may open it twice; they see each other's results. If two of them make the same call at
the same time, both pay for it; both results are valid, and the later one stays.
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
from typing import Any, Self

from idiolect.errors import CacheError
from idiolect.models.calls.cache import entries
from idiolect.models.calls.cache.claims import (
    Claim,
    Living,
    UncertainCall,
    bury_the_dead,
    end_claims,
    is_being_erased,
    make_claims,
    uncertain_calls,
    wait_for_erasure,
)
from idiolect.models.calls.cache.commits import GroupCommit
from idiolect.models.calls.cache.entries import ForgottenCalls, KeptCall
from idiolect.models.calls.cache.schema import cache_errors, open_database, transaction
from idiolect.paths import expanded, printable_path
from idiolect.people.user import unstorable_part

_LOCK_TIMEOUT = 10.0
_PAGE = 500  # keys looked up at a time


class CallCache:
    """The answers to calls. Open with `CallCache.open`; close, or use as a context manager.

    Methods that read or write raise `CacheError` if the cache cannot be read or written, or is closed.

    Attributes:
        path: the database's file.
        in_flight: the calls that tasks of this process are making (`calls.kept_calls`): by key, a future that is done
            when the call has ended, with or without a result.
    """

    def __init__(self, database: sqlite3.Connection, path: Path, living: Living, *, lock_timeout: float) -> None:
        self._database, self.path, self._living = database, path, living
        self._commits = GroupCommit(database, path, lock_timeout=lock_timeout)
        self._begun: set[str] = set()
        self.in_flight: dict[str, asyncio.Future[None]] = {}
        self._last_uncertain = 0  # id of the last uncertain call that `uncertain` returned
        self._closed = False

    @classmethod
    def open(cls, path: Path, *, lock_timeout: float = _LOCK_TIMEOUT) -> CallCache:
        """Open the cache at `path`; create it if there is none (mode 0600, in a folder of mode 0700).

        Args:
            path: the file; `-wal`, `-shm` and `.<token>.alive` files lie beside it while it is open.
            lock_timeout: seconds to wait for another process's lock, here and in every later call; the async methods
                wait six times as long, without blocking the event loop.

        Raises:
            CacheError: the file cannot be opened or created, is not a cache, was made by a newer Idiolect, is locked,
                or an erasure (`claims.erasing`) is under way.
        """
        path = Path(os.path.realpath(expanded(path, CacheError)))  # one spelling, so that all use the same lock files
        deadline = time.monotonic() + lock_timeout
        while True:
            with cache_errors(path):
                wait_for_erasure(path, deadline=deadline)
            if cache := cls._opened(path, lock_timeout=lock_timeout):
                return cache

    @classmethod
    def _opened(cls, path: Path, *, lock_timeout: float) -> CallCache | None:
        """Open the cache; return None if an erasure has begun in the meantime.

        An erasure that begins later sees that this cache is alive.
        """
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

    def close(self) -> None:
        """Write the waiting changes and close. Calls that were begun and not ended become uncertain."""
        if self._closed:
            return
        self._commits.flush()
        self._closed = True
        self._living.end()
        with cache_errors(self.path):
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def look_up(self, keys: Sequence[str], *, owner: str) -> list[Mapping[str, Any] | None]:
        """Return the results of these calls, None for missing ones; `owner` becomes an owner of those found.

        A result that cannot be read counts as missing: its call is made (and paid for) again.

        Raises:
            ValueError: a key is not a `call_key`, or the owner cannot be stored.
        """
        _check_storable(owner=owner)
        results: list[Mapping[str, Any] | None] = []
        for start in range(0, len(keys), _PAGE):
            if start:
                await asyncio.sleep(0)  # lets other tasks run during a long look-up
            results += await self._look_up_page(keys[start : start + _PAGE], owner)
        return results

    async def begin(self, keys: Sequence[str], *, operation: str, model: str, owner: str) -> None:
        """Claim calls durably before they are made; if this process dies before they end, they become uncertain.

        After this, every path must lead to `keep` or `abandon`, even if the task is cancelled here.

        Raises:
            ValueError: a key is not a `call_key`, or another argument cannot be stored.
        """
        _check_storable(owner=owner, operation=operation, model=model)
        digests = [_digest(key) for key in keys]
        self._check_open()
        self._begun.update(keys)
        claim = Claim(operation, model, owner)
        await self._commits.add(partial(make_claims, keys=digests, token=self._living.token, claim=claim))

    async def keep(self, results: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep the results of calls that were begun, by key, and end these calls. They are durable when this returns.

        The results are kept even if the task is cancelled while it waits. Nothing is kept for an owner who was
        forgotten in the meantime. If writing fails, the same call may be tried again.

        Raises:
            ValueError: a call was not begun, or a result is not strict JSON.
        """
        for key in results:
            if key not in self._begun:
                raise ValueError(f"the call {key[:12]} was not begun")
        encoded = {_digest(key): entries.encode(result) for key, result in results.items()}
        self._check_open()
        await self._commits.add(partial(_store, results=encoded, token=self._living.token))
        self._begun.difference_update(results)

    async def abandon(self, keys: Sequence[str]) -> None:
        """End calls that were begun and are known to have no result; calls that have already ended do not change.

        The calls are ended even if the task is cancelled while it waits.

        Raises:
            ValueError: a key is not a `call_key`.
        """
        digests = [_digest(key) for key in keys]
        self._check_open()
        self._begun.difference_update(keys)
        await self._commits.add(partial(end_claims, keys=digests, token=self._living.token))

    def uncertain(self) -> list[UncertainCall]:
        """Return the calls that dead processes left behind, oldest first; each is returned until `clear_uncertain`."""
        with self._writing() as database:
            bury_the_dead(database, self._living)
            calls, self._last_uncertain = uncertain_calls(database)
        return calls

    def clear_uncertain(self) -> None:
        """Drop the uncertain calls that `uncertain` has returned; later ones stay."""
        with self._writing() as database:
            database.execute("DELETE FROM uncertain WHERE id <= ?", (self._last_uncertain,))

    def holds(self, owner: str) -> bool:
        """Return whether the cache has anything of this owner: a result, or a call that was begun."""
        with self._reading() as database:
            return entries.holds(database, owner)

    def forget(self, owner: str) -> ForgottenCalls:
        """Delete the results that only this owner has, leave the others to their other owners, drop all claims.

        Calls of this owner that are still being made are not kept. Bytes of deleted results may stay in the file's
        write-ahead log until `scrub`.
        """
        with self._writing() as database:
            return entries.forget(database, owner)

    def scrub(self) -> None:
        """Rewrite the file without the deleted data, and empty its write-ahead log. Needs memory for a copy of it.

        Raises:
            CacheError: another process prevented this, or the cache cannot be written.
        """
        self._flush()
        with cache_errors(self.path):
            self._database.execute("VACUUM")
            busy, _, _ = self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise CacheError(
                f"cache {printable_path(self.path)}: another process is reading it, so bytes of deleted results may "
                "still be in its -wal file; scrub it again after that process has ended"
            )

    def calls_of(self, owner: str) -> Iterator[KeptCall]:
        """Yield every result that this owner has, in the order in which they were kept; read page by page.

        Results that cannot be read are skipped.
        """
        after: int | None = 0
        while after is not None:
            with self._reading() as database:
                page, after = entries.page_of(database, owner, after=after)
            yield from page

    def in_use_by_others(self) -> bool:
        """Return whether the cache is open elsewhere too: in another living process, or a second time in this one.

        Raises:
            CacheError: the folder cannot be read.
        """
        with cache_errors(self.path):
            return any(self._living.is_alive(token) for token in self._living.others())

    async def _look_up_page(self, keys: Sequence[str], owner: str) -> list[Mapping[str, Any] | None]:
        digests = [_digest(key) for key in keys]
        with self._reading() as database:
            found = entries.find(database, digests, owner=owner)
        if unlinked := [key for key, entry in found.items() if not entry.linked]:
            await self._commits.add(partial(entries.link, keys=unlinked, owner=owner))
        return [found[digest].result if digest in found else None for digest in digests]

    def _check_open(self) -> None:
        if self._closed:
            raise CacheError(f"cache {printable_path(self.path)}: is closed")

    def _flush(self) -> None:
        self._check_open()
        self._commits.flush()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        self._check_open()
        with cache_errors(self.path):
            yield self._database

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        self._flush()
        with cache_errors(self.path), transaction(self._database):
            yield self._database


def _store(database: sqlite3.Connection, results: Mapping[bytes, bytes], *, token: str) -> None:
    """Turn claims into entries. A missing claim belonged to an owner who was forgotten in the meantime."""
    now = time.time()
    for key, claim in end_claims(database, list(results), token=token).items():
        entries.add(database, key, results[key], claim=claim, kept_at=now)


def _put_down(database: sqlite3.Connection, living: Living | None) -> None:
    if living is not None:
        living.end()
    database.close()


def _digest(key: str) -> bytes:
    digest = bytes.fromhex(key)
    if len(digest) != 32:
        raise ValueError(f"{key[:80]!r} is not the key of a call")
    return digest


def _check_storable(**texts: str) -> None:
    for name, text in texts.items():
        if part := unstorable_part(text):
            raise ValueError(f"{name} contains {part}")
