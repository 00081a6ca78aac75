"""Canaries of tensors: slices of their bytes, so that finding one after the erasure means a page is left.

A database cuts a long value into pages (SQLite: 4,092 bytes each in a page of 4,096). Slices lie closer together than
that, so every page holds whole ones. A slice that another row holds too (a constant of a model or a format) is not a
canary.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from idiolect.erasure.byte_search import Patterns
from idiolect.store.group_rows import is_learned_from
from idiolect.store.schema import group_personalizations, personalizations

WIDTH = 32  # bytes of a canary
MOST = 20_000
_STEP = 1000  # bytes from one canary to the next; more only where there would be too many
_FEWEST_BYTES = 10  # different ones: zeros and padding identify nobody
_NUMBER = 8  # bytes of a safetensors file that hold the length of its header


def slices(tensors: bytes) -> list[bytes]:
    """Return the possible canaries of a safetensors file: at most `MOST` slices of its numbers, spread evenly."""
    start = _first_number(tensors)
    step = max(_STEP, -(-(len(tensors) - start) // MOST))
    places = range(start, len(tensors) - WIDTH + 1, step)
    found = dict.fromkeys(tensors[place : place + WIDTH] for place in places)
    return [piece for piece in found if len(set(piece)) >= _FEWEST_BYTES]


def _first_number(tensors: bytes) -> int:
    """Return where the header (names and shapes, as in any file of the kind) ends; 0 where there is none."""
    end = _NUMBER + int.from_bytes(tensors[:_NUMBER], "little")
    return end if tensors[_NUMBER : _NUMBER + 1] == b"{" and end < len(tensors) else 0


def unshared(pieces: Iterable[bytes], others: Iterable[bytes]) -> list[bytes]:
    """Return the slices that are in none of the other tensors."""
    pieces = list(pieces)
    if not pieces:
        return []  # reads none of the others
    patterns = Patterns(pieces)
    shared = {found for content in others for found in patterns.find(content)}
    return [piece for piece in pieces if piece not in shared]


def tensors_of_others(connection: Connection, user_id: str) -> Iterator[bytes]:
    """Yield the tensors of everybody else, and of groups that were not fitted on the user; one at a time."""
    yield from _tensors(connection, personalizations, personalizations.c.user_id != user_id)
    yield from _tensors(connection, group_personalizations, ~is_learned_from(user_id))


def row_tensors(connection: Connection) -> Iterator[bytes]:
    """Yield all tensors of the store, one at a time."""
    for table in (personalizations, group_personalizations):
        yield from _tensors(connection, table, sa.true())


def _tensors(connection: Connection, table: sa.Table, condition: sa.ColumnElement[bool]) -> Iterator[bytes]:
    chosen = sa.select(table.c.tensors).where(condition, table.c.tensors.is_not(None))
    for content in connection.execution_options(yield_per=1).scalars(chosen):
        yield bytes(content)
