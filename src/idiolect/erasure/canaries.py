"""Canaries: strings that only one person's data contains, so that one found after the erasure means that data is left.

They are cut from all data about the person. A string that other people's data or Idiolect's own files contain too is
not a canary, because it may stay: two people may share a question and, with it, a model's answer.

Canaries of tensors are slices of their bytes. A database cuts a long value into pages (SQLite: 4,092 bytes each in a
page of 4,096). Slices lie closer together than that, so every page contains whole ones. A slice that another row
contains too (a constant of a model or a format) is not a canary.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import chain
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from idiolect.erasure.byte_search import Patterns
from idiolect.people.user import User
from idiolect.store.group_rows import is_learned_from, is_started_with
from idiolect.store.schema import (
    api_keys,
    checkpoints,
    companions,
    feedback,
    group_members,
    group_personalizations,
    group_refits,
    group_sources,
    groups,
    jobs,
    metadata,
    opinions,
    personalizations,
    receipts,
    responses,
    tenants,
    users,
)
from idiolect.store.tenant_rows import TenantConnection

WIDTH = 24  # characters of a canary; any remnant of a longer text with twice as many characters contains one
SHORTEST = 6  # minimum number of characters of a canary
MOST = 50_000  # with this many, the search takes some 10 s and half a GiB
_FEWEST_CHARACTERS = 4  # minimum number of different characters; a line of dashes identifies nobody
_NUMBERS = re.compile(r"[\d\W_]{0,11}")  # dates, shares, counts, which any data may contain
# Keys with values that are nobody's data; "start" has measurements of the model, and what it wrote without guidance.
_OURS = frozenset({"method", "format", "model", "optimizer", "settings", "start"})
_SOURCE = (".py", ".jinja", ".toml")
SLICE_WIDTH = 32  # bytes of a canary of tensors
MOST_SLICES = 20_000
_SLICE_STEP = 1000  # bytes from one slice to the next; more only if there would otherwise be too many
_FEWEST_BYTES = 10  # minimum number of different bytes; zeros and padding identify nobody
_HEADER_LENGTH = 8  # bytes at the start of a safetensors file that give the length of its header


def texts_of_user(user: User) -> Iterator[str]:
    """Yield every text in the user's data."""
    yield user.id
    for opinion in user.opinions:
        yield opinion.question.text
        yield from opinion.question.choices
        yield opinion.answer
        yield from strings(opinion.extra, keys=True)
    yield from user.texts
    yield from strings(user.profile.attributes, keys=True)
    yield from strings(user.extra, keys=True)


def texts_of_learned(payload: Mapping[str, Any]) -> Iterator[str]:
    """Yield every learned text, such as prompts, responses and quotes; keys and settings are the method's own words."""
    for name, value in payload.items():
        if name not in _OURS:
            yield from strings(value)


def strings(value: object, *, keys: bool = False) -> Iterator[str]:
    """Yield the strings in a plain JSON value, with or without the keys of its objects."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if keys:
                yield key
            yield from strings(item, keys=keys)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from strings(item, keys=keys)


def candidates(texts: Iterable[str]) -> list[str]:
    """Return the possible canaries of these texts: short texts whole, longer ones in pieces of `WIDTH` characters.

    At most `MOST` are returned, spread evenly.
    """
    found = list(dict.fromkeys(piece for text in texts for piece in _pieces(text) if _is_distinctive(piece)))
    step = -(-len(found) // MOST)
    return found[:: max(step, 1)]


def _pieces(text: str) -> Iterator[str]:
    if len(text) <= WIDTH:
        yield text
        return
    for start in range(0, len(text) - WIDTH + 1, WIDTH):
        yield text[start : start + WIDTH]
    yield text[-WIDTH:]


def _is_distinctive(piece: str) -> bool:
    return len(piece) >= SHORTEST and len(set(piece)) >= _FEWEST_CHARACTERS and not _NUMBERS.fullmatch(piece)


def without_shared(pieces: list[str], others: Iterable[str]) -> list[str]:
    """Return the pieces that do not occur in any of the other texts."""
    kept = set(unshared(map(utf8, pieces), map(utf8, others)))
    return [piece for piece in pieces if utf8(piece) in kept]


def forms(piece: str) -> set[bytes]:
    """Return the spellings of the piece in a file: UTF-8 and UTF-16, and JSON with few and with all escapes."""
    spellings = (piece, json.dumps(piece, ensure_ascii=False)[1:-1], json.dumps(piece)[1:-1])
    return {*map(utf8, spellings), *(piece.encode(code, "surrogatepass") for code in ("utf-16-le", "utf-16-be"))}


def utf8(text: str) -> bytes:
    """Return the UTF-8 bytes of a text; lone surrogates, which a model may have written, are allowed."""
    return text.encode("utf-8", "surrogatepass")


def texts_of_others(connection: TenantConnection, user_id: str) -> Iterator[str]:
    """Yield every value in the rows, of all tenants, that are not the user's, and the SQL that creates the tables."""
    yield from (str(sa.schema.CreateTable(table)) for table in metadata.sorted_tables)
    for table in (tenants, companions, groups, group_refits, receipts):
        yield from chain.from_iterable(_rows(connection.whole, table, sa.true()))
    theirs = (opinions, personalizations, checkpoints, group_members, group_sources, jobs, responses, feedback)
    of_others = [(table, of_another(connection, table, user_id)) for table in (users, *theirs, api_keys)]
    for table, condition in (*of_others, (group_personalizations, ~is_learned_from(connection, user_id))):
        for row in _rows(connection.whole, table, condition):
            for value in row:
                yield value
                if "\\" in value:
                    yield from _unescaped(value)


def of_another(connection: TenantConnection, table: sa.Table, user_id: str) -> sa.ColumnElement[bool]:
    """Return the condition that a row, of any tenant, is not the user's, who is the connection's tenant's."""
    owner = table.c.id if table is users else table.c.user_id
    return sa.or_(~connection.theirs(table), owner.is_distinct_from(user_id))


def row_texts(connection: Connection) -> Iterator[str]:
    """Yield every value, except tensors, in every row of the store."""
    for table in metadata.sorted_tables:
        yield from chain.from_iterable(_rows(connection, table, sa.true()))


def _rows(connection: Connection, table: sa.Table, condition: sa.ColumnElement[bool]) -> Iterator[tuple[str, ...]]:
    columns = (column for column in table.c if not isinstance(column.type, sa.LargeBinary))
    as_text = [sa.cast(column, sa.Text) for column in columns]  # JSON as it is stored
    rows = connection.execution_options(yield_per=500).execute(sa.select(*as_text).where(condition))
    for row in rows:
        yield tuple(value for value in row if value is not None)


def _unescaped(value: str) -> Iterator[str]:
    try:
        yield from strings(json.loads(value), keys=True)
    except ValueError:  # a text with a backslash, not JSON
        return


@cache
def own_words() -> tuple[str, ...]:
    """Return the source, templates and price lists of Idiolect, without the bundled people."""
    return tuple(_source_texts(files("idiolect")))


def _source_texts(folder: Traversable) -> Iterator[str]:
    for entry in folder.iterdir():
        if entry.is_dir():
            if entry.name != "data":
                yield from _source_texts(entry)
        elif entry.name.endswith(_SOURCE):
            yield entry.read_text(encoding="utf-8")


def slices(tensors: bytes) -> list[bytes]:
    """Return the possible canaries of a safetensors file: slices of its numbers, spread evenly if there are many."""
    start = _first_number(tensors)
    step = max(_SLICE_STEP, -(-(len(tensors) - start) // MOST_SLICES))
    places = range(start, len(tensors) - SLICE_WIDTH + 1, step)
    found = dict.fromkeys(tensors[place : place + SLICE_WIDTH] for place in places)
    return [piece for piece in found if len(set(piece)) >= _FEWEST_BYTES]


def _first_number(tensors: bytes) -> int:
    """Return the offset at which the header (names and shapes, as in any such file) ends; 0 if there is no header."""
    end = _HEADER_LENGTH + int.from_bytes(tensors[:_HEADER_LENGTH], "little")
    return end if tensors[_HEADER_LENGTH : _HEADER_LENGTH + 1] == b"{" and end < len(tensors) else 0


def unshared(pieces: Iterable[bytes], others: Iterable[bytes]) -> list[bytes]:
    """Return the pieces that do not occur in any of the other contents."""
    pieces = list(pieces)
    if not pieces:
        return []  # without reading the others
    patterns = Patterns(pieces)
    shared = {found for content in others for found in patterns.find(content)}
    return [piece for piece in pieces if piece not in shared]


def tensors_of_others(connection: TenantConnection, user_id: str) -> Iterator[bytes]:
    """Yield, one at a time, the tensors of all tenants' other users, and of groups that were not fitted on the user.

    The edit of another user that began at the edit of a group that was is deleted with it, and holds parts of it, so it
    is not among them.
    """
    of_others = sa.and_(of_another(connection, personalizations, user_id), ~is_started_with(connection, user_id))
    yield from tensors_in(connection.whole, personalizations, of_others)
    yield from tensors_in(connection.whole, group_personalizations, ~is_learned_from(connection, user_id))


def row_tensors(connection: Connection) -> Iterator[bytes]:
    """Yield, one at a time, all tensors of the store."""
    for table in (personalizations, group_personalizations):
        yield from tensors_in(connection, table, sa.true())


def tensors_in(connection: Connection, table: sa.Table, condition: sa.ColumnElement[bool]) -> Iterator[bytes]:
    """Yield, one at a time, the tensors of the rows that meet the condition, also of another type in a damaged row."""
    chosen = sa.select(sa.cast(table.c.tensors, sa.LargeBinary)).where(condition, table.c.tensors.is_not(None))
    for content in connection.execution_options(yield_per=1).scalars(chosen):
        yield bytes(content)
