"""Entries: the results that the cache holds, and whose they are.

An entry belongs to every owner who asked for its call, and goes with the last of them. Its result is JSON beside its
checksum. The functions here run on the cache's connection, those that write inside a transaction of the caller.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_PAGE = 500
_OWNED = ("owners", "claims", "uncertain")  # tables that say whose a row is


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
    """What forgetting an owner did: results deleted, results left to other owners, claims dropped."""

    deleted: int = 0
    unlinked: int = 0
    claims: int = 0


@dataclass(frozen=True, slots=True)
class Sealed:
    """A result as it is stored: UTF-8 JSON (half characters, which a model may have said, pass), and its CRC-32."""

    text: bytes
    checksum: int

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> Sealed:
        """Seal a result.

        Raises:
            ValueError: it is not strict JSON.
        """
        try:
            text = json.dumps(result, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        except TypeError as error:
            raise ValueError("a result is not JSON") from error
        data = text.encode("utf-8", "surrogatepass")
        return cls(data, zlib.crc32(data))

    def opened(self) -> Mapping[str, Any] | None:
        """The result; None if it is damaged: not what was stored."""
        if not isinstance(self.text, bytes) or zlib.crc32(self.text) != self.checksum:
            return None
        result: Mapping[str, Any] = json.loads(self.text.decode("utf-8", "surrogatepass"))
        return result


@dataclass(frozen=True, slots=True)
class Found:
    """An entry's key and result; `linked` if the one who asks is an owner already."""

    key: bytes
    result: Sealed
    linked: bool


def find(database: sqlite3.Connection, keys: Sequence[bytes], *, owner: str) -> list[Found]:
    """The entries with these keys, in any order."""
    mine = "EXISTS (SELECT 1 FROM owners WHERE entry = id AND owner = ?)"
    query = f"SELECT key, result, checksum, {mine} FROM entries WHERE key IN ({', '.join('?' * len(keys))})"
    found = database.execute(query, (owner, *keys))
    return [Found(key, Sealed(text, checksum), bool(linked)) for key, text, checksum, linked in found]


def add(database: sqlite3.Connection, row: tuple[bytes, str, str, float], sealed: Sealed) -> None:
    """Add an entry: key, operation, model, seconds since the epoch; and its result."""
    columns = "key, operation, model, kept_at, result, checksum"
    values = (*row, sealed.text, sealed.checksum)
    database.execute(f"INSERT OR IGNORE INTO entries ({columns}) VALUES (?, ?, ?, ?, ?, ?)", values)


def link(database: sqlite3.Connection, keys: Sequence[bytes], *, owner: str) -> int:
    """Make `owner` an owner of those of the entries that are there; how many are new."""
    query = "INSERT OR IGNORE INTO owners (entry, owner) SELECT id, ? FROM entries WHERE key = ?"
    return sum(database.execute(query, (owner, key)).rowcount for key in keys)


def drop_damaged(database: sqlite3.Connection, keys: Sequence[bytes]) -> int:
    """Delete those of the entries that are damaged, for all of their owners; how many were."""
    query = "SELECT id, result, checksum FROM entries WHERE key = ?"
    rows = [row for key in keys for row in database.execute(query, (key,)).fetchall()]
    damaged = [(number,) for number, text, checksum in rows if Sealed(text, checksum).opened() is None]
    database.executemany("DELETE FROM entries WHERE id = ?", damaged)
    return len(damaged)


def damaged_of(database: sqlite3.Connection, owner: str) -> Iterator[str]:
    """The keys (hex) of this owner's damaged entries."""
    query = "SELECT key, result, checksum FROM owners JOIN entries ON id = entry WHERE owner = ? ORDER BY entry"
    for key, text, checksum in database.execute(query, (owner,)):
        if Sealed(text, checksum).opened() is None:
            yield key.hex()


def page_of(database: sqlite3.Connection, owner: str, *, after: int) -> tuple[list[KeptCall], int | None]:
    """This owner's whole entries with ids above `after`, and the id to go on from; None at the end."""
    shared = "EXISTS (SELECT 1 FROM owners AS other WHERE other.entry = id AND other.owner <> :owner)"
    query = (
        f"SELECT id, key, operation, model, kept_at, result, checksum, {shared} FROM owners JOIN entries ON id = entry "
        f"WHERE owner = :owner AND entry > :after ORDER BY entry LIMIT {_PAGE}"
    )
    # Opened and closed here: a reader that waits for its caller would keep the write-ahead log from being emptied.
    rows = database.execute(query, {"owner": owner, "after": after}).fetchall()
    page = [
        KeptCall(key.hex(), operation, model, datetime.fromtimestamp(kept_at, UTC), result, bool(is_shared))
        for _, key, operation, model, kept_at, text, checksum, is_shared in rows
        if (result := Sealed(text, checksum).opened()) is not None
    ]
    return page, rows[-1][0] if len(rows) == _PAGE else None


def holds(database: sqlite3.Connection, owner: str) -> bool:
    """Whether anything is this owner's: an entry, a claim, or an uncertain call."""
    query = " OR ".join(f"EXISTS (SELECT 1 FROM {table} WHERE owner = :owner)" for table in _OWNED)
    (found,) = database.execute(f"SELECT {query}", {"owner": owner}).fetchone()
    return bool(found)


def forget(database: sqlite3.Connection, owner: str) -> ForgottenCalls:
    """Delete what only this owner has, unlink the rest, drop their claims and uncertain calls."""
    alone = "NOT EXISTS (SELECT 1 FROM owners AS other WHERE other.entry = entries.id AND other.owner <> :owner)"
    counts = [
        database.execute(f"DELETE FROM {statement}", {"owner": owner}).rowcount
        for statement in (
            f"entries WHERE id IN (SELECT entry FROM owners WHERE owner = :owner) AND {alone}",
            *(f"{table} WHERE owner = :owner" for table in _OWNED),
        )
    ]
    return ForgottenCalls(deleted=counts[0], unlinked=counts[1], claims=counts[2] + counts[3])
