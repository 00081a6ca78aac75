"""Strict JSON: the values that the store's JSON columns may contain, and their digest.

Every value passes `checked_json` before it is written: string keys, finite numbers, and only characters that SQLite
*and* PostgreSQL can store. So the value read back equals the one written, and `digest` (SHA-256 of the canonical text)
proves it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from idiolect.errors import StoreError
from idiolect.people.user import unstorable_part

MAX_DEPTH = 100


def checked_text(text: str, *, at: str) -> str:
    """Return the text itself, if it can be stored.

    Raises:
        StoreError: a database cannot store it; the message gives its place, never its content.
    """
    if part := unstorable_part(text):
        raise StoreError(f"{at}: contains {part}, which cannot be stored")
    return text


def checked_json(value: object, *, at: str) -> Any:
    """Return the value as dicts, lists, strings, numbers, booleans and None.

    Args:
        value: the value to store; mappings and tuples become dicts and lists.
        at: the value's place, for messages.

    Raises:
        StoreError: the value is not strict JSON (NaN, a key that is not a string, another type), is nested too deeply,
            or contains text that a database cannot store.
    """
    try:
        return _unlocated(value, 0)
    except _FaultError:  # rare, so tracking the place of the fault is worth its cost now
        return _located(value, at=at, depth=0)


class _FaultError(Exception):
    """A part of the value cannot be stored."""


def _unlocated(value: object, depth: int) -> Any:
    """Check like `_located`, but without tracking the place, because checkpoints are large and frequent."""
    kind = type(value)
    if kind is str:
        if unstorable_part(value):  # type: ignore[arg-type]
            raise _FaultError
        return value
    if value is None or kind is bool or kind is int:
        return value
    if kind is dict and depth <= MAX_DEPTH:
        for key in value:  # type: ignore[attr-defined]
            if type(key) is not str or unstorable_part(key):
                raise _FaultError
        return {key: _unlocated(item, depth + 1) for key, item in value.items()}  # type: ignore[attr-defined]
    if (kind is list or kind is tuple) and depth <= MAX_DEPTH:
        return [_unlocated(item, depth + 1) for item in value]  # type: ignore[attr-defined]
    if kind is float and math.isfinite(value):  # type: ignore[arg-type]
        return value
    raise _FaultError  # possibly a valid value of a rarer type, which `_located` accepts


def _located(value: object, *, at: str, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise StoreError(f"{at[:80]}…: nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, str):
        return checked_text(value, at=at)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise StoreError(f"{at}: {value} is not a JSON number")
        return value
    if isinstance(value, Mapping):
        return {_key(key, at=at): _located(item, at=f"{at}.{key}", depth=depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_located(item, at=f"{at}[{i}]", depth=depth + 1) for i, item in enumerate(value)]
    raise StoreError(f"{at}: a value of type {type(value).__name__} is not JSON")


def _key(key: object, *, at: str) -> str:
    if not isinstance(key, str):
        raise StoreError(f"{at}: the key {key!r} is not a string")
    return checked_text(key, at=f"{at}: a key")


def dumps(value: object) -> str:
    """Return the JSON text of a strict value, with its keys in their given order."""
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def digest(value: object) -> str:
    """Return the SHA-256 (hex) of the canonical JSON of a strict value: sorted keys, no spaces, UTF-8."""
    canonical = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
