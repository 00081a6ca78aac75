"""Claims on the calls that are being made at present, so that no call is lost track of when its process dies.

A claim is a row with the token of the cache whose process makes the call. It does not keep others from making the same
call. That cache is alive as long as it holds the OS lock on the file `<database>.<token>.alive` beside the database. A
lock ends with its process, however that ends, and is visible across containers that share the folder, where process ids
are meaningless. The claims of dead caches become *uncertain* calls: perhaps paid for, never kept. In the same way
`<database>.erasing` is locked while a user is being forgotten.

Functions that take a connection run inside a transaction of the caller.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import filelock

from idiolect.errors import CacheError

_PAUSE = 0.05  # seconds between checks whether an erasure is still under way


class Living:
    """The caches opened on one database, of which some are still alive; `token` is the name of this one."""

    def __init__(self, database: Path, *, lock_timeout: float) -> None:
        """Take the lock. Call this inside a transaction, so that nobody removes the file before it is locked."""
        self._database = database
        self.token = secrets.token_hex(8)
        self._lock = filelock.FileLock(self._file(self.token), timeout=lock_timeout, mode=0o600, thread_local=False)
        self._lock.acquire()

    def is_alive(self, token: str) -> bool:
        """Return whether the cache with that token is open."""
        return token == self.token or _is_locked(self._file(token))

    def others(self) -> Iterator[str]:
        """Yield the tokens of all other lock files, of caches alive or dead."""
        before, after = f"{self._database.name}.", ".alive"
        for file in self._database.parent.iterdir():
            if file.name.startswith(before) and file.name.endswith(after):
                token = file.name[len(before) : -len(after)]
                if token != self.token:
                    yield token

    def tidy(self) -> None:
        """Remove the lock files of dead caches. Call this inside a transaction."""
        for token in list(self.others()):
            if not self.is_alive(token):
                self._file(token).unlink(missing_ok=True)

    def end(self) -> None:
        """Release the lock and remove its file."""
        with suppress(OSError):
            self._file(self.token).unlink(missing_ok=True)
        self._lock.release()

    def _file(self, token: str) -> Path:
        return self._database.with_name(f"{self._database.name}.{token}.alive")


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
    """Keep caches from being opened on this database, which need not exist; open caches are not disturbed.

    Opening a cache takes its lock first and then looks for an erasure; an erasure works in the opposite order. So
    either the opening waits, or the erasure sees the open cache (`CallCache.in_use_by_others`).

    Raises:
        CacheError: another erasure holds the lock.
        OSError: the lock's file cannot be created.
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
    """Return whether an erasure keeps this database from being opened."""
    return _is_locked(_erasing_file(database))


def wait_for_erasure(database: Path, *, deadline: float) -> None:
    """Wait until no erasure is under way in this database.

    Raises:
        CacheError: one still is at the deadline (of `time.monotonic`).
    """
    while is_being_erased(database):
        if time.monotonic() > deadline:
            raise _being_erased(database)
        time.sleep(_PAUSE)


def _erasing_file(database: Path) -> Path:
    return database.with_name(f"{database.name}.erasing")


def _being_erased(database: Path) -> CacheError:
    return CacheError(f"cache {database}: a user is being forgotten; try again after that")


@dataclass(frozen=True, slots=True)
class UncertainCall:
    """A call that was begun and never ended, because its process died. Perhaps it was paid for."""

    operation: str
    model: str
    owner: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """The details of a call that is being made."""

    operation: str
    model: str
    owner: str


def make_claims(database: sqlite3.Connection, keys: Sequence[bytes], *, token: str, claim: Claim) -> None:
    """Record that the cache with this token is making the calls, all with the details of `claim`."""
    now = time.time()
    database.executemany(
        "INSERT OR REPLACE INTO claims (key, token, started_at, operation, model, owner) VALUES (?, ?, ?, ?, ?, ?)",
        [(key, token, now, claim.operation, claim.model, claim.owner) for key in keys],
    )


def end_claims(database: sqlite3.Connection, keys: Sequence[bytes], *, token: str) -> dict[bytes, Claim]:
    """End the claims of the cache with this token on these calls, and return those that existed."""
    query = "DELETE FROM claims WHERE key = ? AND token = ? RETURNING operation, model, owner"
    rows = {key: database.execute(query, (key, token)).fetchone() for key in keys}
    return {key: Claim(*row) for key, row in rows.items() if row is not None}


def bury_the_dead(database: sqlite3.Connection, living: Living) -> None:
    """Turn the claims of all dead caches into uncertain calls."""
    columns = "started_at, operation, model, owner"
    for (token,) in database.execute("SELECT DISTINCT token FROM claims").fetchall():
        if not living.is_alive(token):
            database.execute(
                f"INSERT INTO uncertain ({columns}) SELECT {columns} FROM claims WHERE token = ?", (token,)
            )
            database.execute("DELETE FROM claims WHERE token = ?", (token,))


def uncertain_calls(database: sqlite3.Connection) -> tuple[list[UncertainCall], int]:
    """Return all uncertain calls, in the order in which they became so, and the id of the last (0 if there is none)."""
    rows = database.execute("SELECT id, operation, model, owner, started_at FROM uncertain ORDER BY id").fetchall()
    calls = [
        UncertainCall(operation, model, owner, datetime.fromtimestamp(started_at, UTC))
        for _, operation, model, owner, started_at in rows
    ]
    return calls, rows[-1][0] if rows else 0
