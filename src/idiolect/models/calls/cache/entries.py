"""Entries of the cache: the results, and the owners of each.

An entry belongs to every owner who made its call, and is deleted with the last of them. Its result is JSON; an
unreadable result counts as missing. The functions here run on the cache's connection; those that write run inside a
transaction of the caller.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from idiolect.models.calls.cache.claims import Claim

_PAGE = 500
_OWNED = ("owners", "claims", "uncertain")  # tables with a column for a row's owner


@dataclass(frozen=True, slots=True)
class KeptCall:
    """A result in the cache; `shared` if other owners have it too."""

    key: str
    operation: str
    model: str
    kept_at: datetime
    result: Mapping[str, Any]
    shared: bool


@dataclass(frozen=True, slots=True)
class ForgottenCalls:
    """Counts after forgetting an owner: results deleted, results left to other owners, claims dropped."""

    deleted: int = 0
    unlinked: int = 0
    claims: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """A result found in the cache; `linked` if the owner who looked it up owns it already."""

    result: Mapping[str, Any]
    linked: bool


def encode(result: Mapping[str, Any]) -> bytes:
    """Encode a result as UTF-8 JSON; lone surrogates, which a model may have written, are allowed.

    Raises:
        ValueError: the result is not strict JSON.
    """
    try:
        text = json.dumps(result, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    except TypeError as error:
        raise ValueError("the result cannot be written as JSON") from error
    return text.encode("utf-8", "surrogatepass")


def _decode(stored: object) -> Mapping[str, Any] | None:
    """Decode a result that `encode` wrote; return None if it cannot be read."""
    try:
        result = json.loads(stored.decode("utf-8", "surrogatepass")) if isinstance(stored, bytes) else None
    except (ValueError, RecursionError):
        return None
    return result if isinstance(result, dict) else None


def find(database: sqlite3.Connection, keys: Sequence[bytes], *, owner: str) -> dict[bytes, Found]:
    """Return the readable entries with these keys, by key."""
    mine = "EXISTS (SELECT 1 FROM owners WHERE entry = id AND owner = ?)"
    query = f"SELECT key, result, {mine} FROM entries WHERE key IN ({', '.join('?' * len(keys))})"
    return {
        key: Found(result, bool(linked))
        for key, stored, linked in database.execute(query, (owner, *keys))
        if (result := _decode(stored)) is not None
    }


def add(database: sqlite3.Connection, key: bytes, result: bytes, *, claim: Claim, kept_at: float) -> None:
    """Store the result of a claimed call; it replaces a result with the same key, whose owners stay."""
    database.execute(
        "INSERT INTO entries (key, operation, model, kept_at, result) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (key) DO UPDATE SET kept_at = excluded.kept_at, result = excluded.result",
        (key, claim.operation, claim.model, kept_at, result),
    )
    link(database, [key], owner=claim.owner)


def link(database: sqlite3.Connection, keys: Sequence[bytes], *, owner: str) -> None:
    """Make `owner` an owner of the entries with these keys that exist."""
    query = "INSERT OR IGNORE INTO owners (entry, owner) SELECT id, ? FROM entries WHERE key = ?"
    database.executemany(query, [(owner, key) for key in keys])


def page_of(database: sqlite3.Connection, owner: str, *, after: int) -> tuple[list[KeptCall], int | None]:
    """Return a page of this owner's entries with ids above `after`, and the next page's `after`; None at the end."""
    shared = "EXISTS (SELECT 1 FROM owners AS other WHERE other.entry = id AND other.owner <> :owner)"
    query = (
        f"SELECT id, key, operation, model, kept_at, result, {shared} FROM owners JOIN entries ON id = entry "
        f"WHERE owner = :owner AND entry > :after ORDER BY entry LIMIT {_PAGE}"
    )
    # Read completely here: an open cursor that waits for its caller would keep the write-ahead log from being emptied.
    rows = database.execute(query, {"owner": owner, "after": after}).fetchall()
    page = [call for _, *values in rows if (call := _kept_call(*values)) is not None]
    return page, rows[-1][0] if len(rows) == _PAGE else None


def _kept_call(
    key: object, operation: object, model: object, kept_at: object, stored: object, shared: object
) -> KeptCall | None:
    """Return the call of a row; None if the row is damaged."""
    result = _decode(stored)
    if result is None or not isinstance(key, bytes) or not isinstance(kept_at, float):
        return None
    if not isinstance(operation, str) or not isinstance(model, str):
        return None
    try:
        at = datetime.fromtimestamp(kept_at, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return KeptCall(key.hex(), operation, model, at, result, bool(shared))


def holds(database: sqlite3.Connection, owner: str) -> bool:
    """Return whether this owner has anything: an entry, a claim, or an uncertain call."""
    query = " OR ".join(f"EXISTS (SELECT 1 FROM {table} WHERE owner = :owner)" for table in _OWNED)
    (found,) = database.execute(f"SELECT {query}", {"owner": owner}).fetchone()
    return bool(found)


def forget(database: sqlite3.Connection, owner: str) -> ForgottenCalls:
    """Delete the entries that only this owner has, unlink the others, drop the owner's claims and uncertain calls."""
    alone = "NOT EXISTS (SELECT 1 FROM owners AS other WHERE other.entry = entries.id AND other.owner <> :owner)"
    counts = [
        database.execute(f"DELETE FROM {statement}", {"owner": owner}).rowcount
        for statement in (
            f"entries WHERE id IN (SELECT entry FROM owners WHERE owner = :owner) AND {alone}",
            *(f"{table} WHERE owner = :owner" for table in _OWNED),
        )
    ]
    return ForgottenCalls(deleted=counts[0], unlinked=counts[1], claims=counts[2] + counts[3])
