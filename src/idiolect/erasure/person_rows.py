"""The texts and tensors in one person's rows, from which the canaries are cut.

Damaged rows, from which no valid value can be read, are read as they are stored: whatever text is left of them can be
searched for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from idiolect.erasure.canaries import slices, strings, tensors_in, texts_of_learned, texts_of_user
from idiolect.errors import StoreError, UnknownUserError
from idiolect.people.user import unstorable_part
from idiolect.store.group_rows import is_learned_from, learned_with
from idiolect.store.schema import api_keys, checkpoints, group_personalizations, opinions, personalizations, users
from idiolect.store.tenant_rows import TenantConnection, TenantDatabase
from idiolect.store.users import Store

_NOT_UTF_8 = re.compile("[\udc80-\udcff]+")  # the surrogates in place of wrong bytes, see `sqlite.read_any_text`
_Condition = Callable[[TenantConnection], sa.ColumnElement[bool]]
_THEIRS = ("id", "profile", "texts", "extra", "question", "choices", "answer", "payload")  # columns with texts


@dataclass(frozen=True, slots=True)
class PersonRows:
    """Texts, slices of tensors, and whether any row was damaged."""

    texts: tuple[str, ...]
    numbers: tuple[bytes, ...]
    damaged: bool


def read_person_rows(store: Store, user_id: str) -> PersonRows:
    """Read everything that the rows of a person contain, and the data that groups learned from them.

    Raises:
        UnknownUserError: the store has no such user.
        StoreError: the store cannot be read.
    """
    texts: list[str] = []
    numbers: list[bytes] = []
    damaged = False
    try:
        texts.extend(texts_of_user(store.user(user_id)))
    except UnknownUserError:
        raise
    except StoreError:
        damaged = True
        texts.extend(_raw_texts(store.rows, users, lambda _: users.c.id == user_id))
        texts.extend(_raw_texts(store.rows, opinions, lambda _: opinions.c.user_id == user_id))
    sources: tuple[tuple[Callable[[], Iterable[tuple[Any, bytes | None]]], sa.Table, _Condition], ...] = (
        (lambda: _personal(store, user_id), personalizations, lambda _: personalizations.c.user_id == user_id),
        (lambda: _unfinished(store, user_id), checkpoints, lambda _: checkpoints.c.user_id == user_id),
        (
            lambda: _of_groups(store.rows, user_id),
            group_personalizations,
            lambda connection: is_learned_from(connection, user_id),
        ),
    )
    for read, table, condition in sources:
        try:
            for payload, tensors in read():
                texts.extend(texts_of_learned(payload))
                numbers.extend(slices(tensors or b""))
        except StoreError:
            damaged = True
            texts.extend(_raw_texts(store.rows, table, condition))
            numbers.extend(_raw_numbers(store.rows, table, condition))
    return PersonRows(tuple(texts), tuple(numbers), damaged)


def key_texts(rows: TenantDatabase, user_id: str) -> list[str]:
    """Return the ids, names and hashed secrets of the API keys that are bound to the user.

    Raises:
        StoreError: the store cannot be read.
    """
    if unstorable_part(user_id) is not None:
        return []
    columns = (api_keys.c.id, api_keys.c.name, api_keys.c.secret_sha256)
    with rows.reading() as connection:
        found = connection.execute(connection.select(api_keys, *columns).where(api_keys.c.user_id == user_id))
        return [text for row in found for text in row]


def _personal(store: Store, user_id: str) -> Iterable[tuple[Any, bytes | None]]:
    return [(record.payload, record.tensors) for record in store.personalizations(user_id)]


def _unfinished(store: Store, user_id: str) -> Iterable[tuple[Any, bytes | None]]:
    return [(record.payload, None) for record in store.checkpoints(user_id)]


def _of_groups(rows: TenantDatabase, user_id: str) -> Iterator[tuple[Any, bytes | None]]:
    with rows.reading() as connection:
        for row in learned_with(connection, user_id):
            yield row["payload"], row["tensors"]


def _raw_texts(rows: TenantDatabase, table: sa.Table, condition: _Condition) -> list[str]:
    """Return the texts in the rows as they are stored: the strings of valid JSON, otherwise the JSON itself."""
    columns = [sa.cast(column, sa.Text) for column in table.c if column.name in _THEIRS]
    with rows.reading() as connection:
        chosen = connection.select(table, *columns).where(condition(connection))
        return [text for row in connection.execute(chosen) for value in row if value for text in _strings_in(value)]


def _strings_in(value: str) -> Iterator[str]:
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        found = value
    whole = strings(found, keys=True) if isinstance(found, Mapping | list | str) else iter((value,))
    for text in whole:
        yield from filter(None, _NOT_UTF_8.split(text))


def _raw_numbers(rows: TenantDatabase, table: sa.Table, condition: _Condition) -> list[bytes]:
    if "tensors" not in table.c:
        return []
    with rows.reading() as connection:
        theirs = sa.and_(connection.theirs(table), condition(connection))
        return [piece for content in tensors_in(connection.whole, table, theirs) for piece in slices(content)]
