"""Claims: who is making which call right now, so that no two tasks or processes pay for the same one.

A claim is a row with the token of the cache that made it. That cache is alive as long as it holds the OS lock on the
file `<database>.<token>.alive` beside the database: a lock ends with its process, however that ends, and is seen
across containers that share the folder, where process ids mean nothing. The claims of the dead become *uncertain*
calls: maybe paid for, never kept. In the same way `<database>.erasing` is locked while a user is forgotten.

The functions here run on the cache's connection, inside a transaction of the caller.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock

from idiolect.errors import CacheError
from idiolect.models.calls.cache import entries

_FRESH = 0.05  # seconds for which a sign of life is believed
_CLAIM = (
    "INSERT INTO claims (key, token, started_at, operation, model, owner) SELECT ?, ?, ?, ?, ?, ? "
    "WHERE NOT EXISTS (SELECT 1 FROM entries WHERE key = ?) ON CONFLICT DO NOTHING"
)


class Living:
    """Which of the caches opened on one database are alive; `token` is this one's name."""

    def __init__(self, database: Path, *, lock_timeout: float) -> None:
        """Take the lock. Inside a transaction, so that no one tidies the file up before it is locked.

        Raises:
            OSError: the lock's file cannot be made.
        """
        self._database = database
        self.token = secrets.token_hex(8)
        self._lock = filelock.FileLock(self._file(self.token), timeout=lock_timeout, mode=0o600, thread_local=False)
        self._lock.acquire()
        self._seen: dict[str, float] = {}
        self._dead: set[str] = set()

    def is_alive(self, token: str) -> bool:
        """Whether the cache of that token is open; up to 50 ms late."""
        if token == self.token:
            return True
        if token in self._dead:  # tokens do not come back
            return False
        if time.monotonic() - self._seen.get(token, -_FRESH) < _FRESH:
            return True
        if self._locked(token):
            self._seen[token] = time.monotonic()
            return True
        self._dead.add(token)
        return False

    def others(self) -> Iterator[str]:
        """The tokens of all other lock files, of the living and the dead."""
        before, after = f"{self._database.name}.", ".alive"
        for file in self._database.parent.iterdir():
            if file.name.startswith(before) and file.name.endswith(after):
                token = file.name[len(before) : -len(after)]
                if token != self.token:
                    yield token

    def tidy(self) -> None:
        """Remove the lock files of the dead. Inside a transaction."""
        for token in list(self.others()):
            if not self._locked(token):
                self._file(token).unlink(missing_ok=True)

    def end(self) -> None:
        """Give the lock back."""
        with suppress(OSError):
            self._file(self.token).unlink(missing_ok=True)
        self._lock.release()

    def _file(self, token: str) -> Path:
        return self._database.with_name(f"{self._database.name}.{token}.alive")

    def _locked(self, token: str) -> bool:
        return _is_locked(self._file(token))


def _is_locked(file: Path) -> bool:
    if not file.exists():
        return False
    lock = filelock.FileLock(file, timeout=0, mode=0o600)
    try:
        lock.acquire()
    except filelock.Timeout:
        return True
    lock.release()
    return False


@contextmanager
def erasing(database: Path, *, lock_timeout: float) -> Iterator[None]:
    """Let no one open a cache on this database, which need not be there; those that are open are not disturbed.

    Who opens a cache shows that it lives and then looks for an erasure; who erases does it the other way round. So
    either the one waits, or the other sees it (`CallCache.in_use_by_others`).

    Raises:
        CacheError: another erasure has the lock.
        OSError: the lock's file cannot be made.
    """
    file = _erasing_file(database)
    lock = filelock.FileLock(file, timeout=lock_timeout, mode=0o600, thread_local=False)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise _being_erased(database) from error
    try:
        yield
    finally:
        with suppress(OSError):
            file.unlink(missing_ok=True)
        lock.release()


def is_being_erased(database: Path) -> bool:
    """Whether an erasure keeps this database from being opened."""
    return _is_locked(_erasing_file(database))


def wait_for_erasure(database: Path, *, deadline: float) -> None:
    """Return as soon as nothing is erased from this database.

    Raises:
        CacheError: at the deadline (of `time.monotonic`) something still is.
    """
    while is_being_erased(database):
        if time.monotonic() > deadline:
            raise _being_erased(database)
        time.sleep(_FRESH)


def _erasing_file(database: Path) -> Path:
    return database.with_name(f"{database.name}.erasing")


def _being_erased(database: Path) -> CacheError:
    return CacheError(f"cache {database}: a user is being forgotten; try again when that is done")


@dataclass(frozen=True, slots=True)
class UncertainCall:
    """A call that was begun and never ended: its process is gone. Perhaps it was paid for."""

    operation: str
    model: str
    owner: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """A call that is about to be made."""

    key: bytes
    operation: str
    model: str
    owner: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """How a claim went: there is a result, or another holder, or the claim is ours."""

    result: Mapping[str, Any] | None = None
    holder: str | None = None  # token of the living cache that has it

    @property
    def ours(self) -> bool:
        """Whether the call is ours to make."""
        return self.result is None and self.holder is None


def make_claim(
    database: sqlite3.Connection, claim: Claim, *, token: str, is_held: Callable[[str], bool], now: float
) -> Claimed:
    """Claim the call, unless its result is there (then the owner is linked to it) or another cache holds it.

    A damaged result is deleted, as if it had not been there.

    Args:
        database: in a transaction.
        claim: the call.
        token: of the claiming cache.
        is_held: whether the claim of the cache with that token stands; one that does not is taken over.
        now: seconds since the epoch.
    """
    row = (claim.key, token, now, claim.operation, claim.model, claim.owner, claim.key)
    if database.execute(_CLAIM, row).rowcount:  # nearly always
        return Claimed()
    if found := entries.find(database, [claim.key], owner=claim.owner):
        if (result := found[0].result.opened()) is not None:
            if not found[0].linked:
                entries.link(database, [claim.key], owner=claim.owner)
            return Claimed(result=result)
        entries.drop_damaged(database, [claim.key])
        if database.execute(_CLAIM, row).rowcount:
            return Claimed()
    (holder,) = database.execute("SELECT token FROM claims WHERE key = ?", (claim.key,)).fetchone()
    if is_held(holder):
        return Claimed(holder=holder)
    bury(database, "key = ?", claim.key)
    database.execute(_CLAIM, row)
    return Claimed()


def end_claim(database: sqlite3.Connection, key: bytes, *, token: str) -> tuple[str, str] | None:
    """End this cache's claim; its operation and model, None if there was none."""
    ended: tuple[str, str] | None = database.execute(
        "DELETE FROM claims WHERE key = ? AND token = ? RETURNING operation, model", (key, token)
    ).fetchone()
    return ended


def bury(database: sqlite3.Connection, which: str, value: bytes | str) -> None:
    """Turn claims that no one will end any more into uncertain calls."""
    columns = "started_at, operation, model, owner"
    database.execute(f"INSERT INTO uncertain ({columns}) SELECT {columns} FROM claims WHERE {which}", (value,))
    database.execute(f"DELETE FROM claims WHERE {which}", (value,))


def bury_the_dead(database: sqlite3.Connection, living: Living) -> None:
    """Turn the claims of all caches that are gone into uncertain calls."""
    for (token,) in database.execute("SELECT DISTINCT token FROM claims").fetchall():
        if not living.is_alive(token):
            bury(database, "token = ?", token)


def uncertain_calls(database: sqlite3.Connection) -> tuple[list[UncertainCall], int]:
    """All uncertain calls, in the order in which they became so, and the id of the last (0 if there is none)."""
    rows = database.execute("SELECT id, operation, model, owner, started_at FROM uncertain ORDER BY id").fetchall()
    calls = [
        UncertainCall(operation, model, owner, datetime.fromtimestamp(started_at, UTC))
        for _, operation, model, owner, started_at in rows
    ]
    return calls, rows[-1][0] if rows else 0
