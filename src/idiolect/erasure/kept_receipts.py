"""Receipts that are kept for those who asked for an erasure, so that no lost answer and no crash takes one away.

    deletion: begin (the same transaction) → scrubbed, searched → finish
    asked again: find → the receipt, or the one of an erasure that was interrupted, without its last search

Whoever asks gives a random key of their own. What is kept is named by a hash of that key and the person's id, and does
not contain the id, so that it is about nobody for those who do not know both.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from idiolect.erasure.receipt import Found, Receipt
from idiolect.errors import StoreError
from idiolect.store.faults import damage_errors
from idiolect.store.schema import receipts
from idiolect.store.scrubbing import finish_interrupted
from idiolect.store.strict_json import checked_json
from idiolect.store.tenant_rows import TenantConnection, TenantDatabase
from idiolect.store.users import Store

KEPT = timedelta(days=30)
UNFINISHED = (
    "the search after the deletion is missing: the server ended before it, and does the rest when it starts again; or"
    " it is still searching"
)
_log = logging.getLogger(__name__)
_LISTS = ("unreadable", "caches_missed", "unfinished", "limits")


def name_of(user_id: str, key: str) -> str:
    """Return the name under which the receipt of an erasure is kept.

    Args:
        user_id: id of the person.
        key: the random key of whoever asks for the erasure.
    """
    return hashlib.sha256(json.dumps([user_id, key]).encode()).hexdigest()


def begin(connection: TenantConnection, name: str, receipt: Receipt) -> None:
    """Keep the receipt of a deletion, in its transaction, and drop old ones; the search is still to come."""
    _put(connection, name, receipt, finished=False)


def finish(rows: TenantDatabase, name: str, receipt: Receipt) -> None:
    """Keep the final receipt; if that fails, the unfinished one stays, because the deletion cannot be undone."""
    try:
        with rows.writing() as connection:
            _put(connection, name, receipt, finished=True)
    except StoreError as error:
        _log.warning("the receipt of an erasure could not be kept to its end: %s", error)


def _put(connection: TenantConnection, name: str, receipt: Receipt, *, finished: bool) -> None:
    old = receipts.c.erased_at < receipt.erased_at - KEPT
    connection.execute(connection.delete(receipts).where(old | (receipts.c.request == name)))
    row = {"request": name, "finished": finished, "receipt": _plain(receipt), "erased_at": receipt.erased_at}
    connection.insert(receipts, row)


def find(store: Store, user_id: str, key: str) -> Receipt | None:
    """Return the receipt of an earlier erasure, None if none is kept; what a crash interrupted is scrubbed first.

    Raises:
        StoreError: the store cannot be read.
    """
    named = receipts.c.request == name_of(user_id, key)
    recent = receipts.c.erased_at >= datetime.now(UTC) - KEPT
    with store.rows.reading() as connection:
        row = connection.execute(connection.select(receipts).where(named, recent)).mappings().first()
    if row is None:
        return None
    if not row["finished"]:
        finish_interrupted(store.database)
    with damage_errors(store.where):
        return _receipt(user_id, row["receipt"])


def _plain(receipt: Receipt) -> dict[str, Any]:
    """Return a receipt as strict JSON, without the person's id and the hash of it in the names of files."""
    plain = asdict(receipt)
    hashed = hashlib.sha256(plain.pop("user_id").encode()).hexdigest()
    plain["erased_at"] = receipt.erased_at.isoformat()
    text = json.dumps(plain).replace(hashed, "…")
    return dict(checked_json(json.loads(text), at="the receipt"))


def _receipt(user_id: str, plain: Mapping[str, Any]) -> Receipt:
    read = {name: Found(plain[name]["places"]) for name in ("before", "after")}
    lists = {name: tuple(plain[name]) for name in _LISTS}
    moment = datetime.fromisoformat(plain["erased_at"])
    return Receipt(**{**plain, **read, **lists, "user_id": user_id, "erased_at": moment})
