"""Forgetting a user by asking a gateway that is running: only it can drop what it keeps in memory and holds open.

url, key, user → DELETE /v1/users/ID → receipt
                     └ the connection broke → again, with the same Idempotency-Key → receipt
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx2

from idiolect.erasure.receipt import Found, Receipt
from idiolect.errors import IdiolectError, UnknownUserError

_SECONDS = 600.0  # a large store is searched twice
_PAUSES = (1.0, 3.0, 9.0)  # seconds before a request that may have been received is sent again


def ask_to_forget(url: str, key: str, user_id: str, *, directly: bool = False, key_named: str = "the key") -> Receipt:
    """Ask a gateway to forget a user, and return the receipt.

    Args:
        url: the gateway's URL, with or without `/v1`.
        key: a key with the scope `people`; "": none.
        user_id: id of the user.
        key_named: what messages call the key, such as where it comes from.
        directly: whether the gateway is on this machine, so that no proxy of the environment is used.

    Raises:
        UnknownUserError: nothing is held about this user.
        IdiolectError: the gateway cannot be reached, or refuses.
    """
    address = f"{url.rstrip('/').removesuffix('/v1')}/v1/users/{quote(user_id, safe='')}"
    headers = {"Idempotency-Key": secrets.token_hex(16)} | ({"Authorization": f"Bearer {key}"} if key else {})
    try:
        with httpx2.Client(timeout=httpx2.Timeout(_SECONDS, connect=10.0), trust_env=not directly) as client:
            reply = _asked(client, address, headers)
    except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError):  # their messages may quote the address, with the id
        raise IdiolectError("the gateway cannot be reached, or did not answer; check its URL, and ask again") from None
    try:
        document = reply.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        document = None
    if reply.status_code == 200 and isinstance(document, dict):
        return receipt_of(document)
    fault = document.get("error") if isinstance(document, dict) else None
    words = fault.get("message") if isinstance(fault, dict) else None
    if isinstance(fault, dict) and fault.get("code") == "user_not_found":
        raise UnknownUserError(f"the gateway knows no user {user_id!r}")
    advice = f"; {key_named} has to be one with the scope people" if reply.status_code in (401, 403) else ""
    said = f": {words}" if words else ""
    raise IdiolectError(f"the gateway answered with HTTP {reply.status_code}{said}{advice}")


def _asked(client: httpx2.Client, address: str, headers: Mapping[str, str]) -> httpx2.Response:
    """Return the answer to a request for an erasure, which is sent again if the gateway ends before it answers."""
    broken: httpx2.HTTPError | None = None
    for pause in (0.0, *_PAUSES):
        time.sleep(pause)
        try:
            return client.delete(address, headers=headers)
        except (httpx2.ReadError, httpx2.RemoteProtocolError) as error:
            broken = error
        except httpx2.ConnectError:
            if broken is None:  # nothing was sent
                raise
    assert broken is not None, "a request that did not break has an answer"
    raise broken


def receipt_of(document: Mapping[str, Any]) -> Receipt:
    """Return the receipt that a document describes, see `documents.receipt_document`.

    Raises:
        IdiolectError: it describes none.
    """
    try:
        return Receipt(
            user_id=document["user"],
            erased_at=datetime.fromisoformat(document["erased_at"]),
            in_store=document["in_store"],
            rows=document["rows"],
            begun_edits_deleted=document["begun_edits_deleted"],
            calls_deleted=document["calls"]["deleted"],
            calls_shared=document["calls"]["left_to_others"],
            artifacts=document["artifacts"],
            searched_files=document["searched"]["files"],
            searched_bytes=document["searched"]["bytes"],
            canaries=document["searched"]["canaries"],
            before=Found(document["found_before"]["places"]),
            after=Found(document["found_after"]["places"]),
            unreadable=tuple(document["unreadable"]),
            caches_missed=tuple(document["caches_missed"]),
            unfinished=tuple(document["unfinished"]),
            limits=tuple(document["limits"]),
        )
    except (KeyError, TypeError, ValueError):
        raise IdiolectError("the gateway's answer is no receipt; are its version and this one the same?") from None
