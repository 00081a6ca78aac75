"""Missing values in a record of the users file: null and NaN, as pandas writes them for a column that a row lacks.

Between `json_line.py` (bytes to an object) and `user_record.py` (an object to a user). A null or NaN in place of an
optional field means that the field is absent; so does a null in place of an attribute of the profile. NaN is not JSON:
anywhere else it is a fault. What is taken for absent is noted, by field, never silently dropped.
"""

from __future__ import annotations

import math
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from idiolect.people.json_line import MAX_DEPTH, MAX_VALUES, Problem, UnreadableLineError, field_path, kind_of
from idiolect.people.user import OPINION_KEYS, USER_KEYS

MAX_FIELDS_NOTED = 20
"""Maximum number of fields of a file that are noted; attributes of profiles are fields, too."""

_PLACES = re.compile(r"\[\d+\]")
_OPTIONAL = frozenset({"profile", "opinions", "texts"})
_OPTIONAL_OF_OPINION = frozenset({"choices", "ordinal"})


@dataclass(slots=True)
class AbsentFields:
    """A log of the fields of a file that were taken as left out: for each, its first place and the number of lines."""

    _first: dict[str, tuple[int, Problem]] = field(default_factory=dict)
    _lines: Counter[str] = field(default_factory=Counter)

    def add(self, line: int, notes: Iterable[Problem]) -> None:
        """Add the notes on one line."""
        of_line = {_PLACES.sub("[]", note.field): note for note in reversed(list(notes))}
        for name, note in reversed(of_line.items()):
            if name in self._first or len(self._first) < MAX_FIELDS_NOTED:
                self._first.setdefault(name, (line, note))
                self._lines[name] += 1

    def notes(self) -> Iterator[tuple[int, Problem]]:
        """Yield the line and the note of each field's first place; the note counts the lines if there are several."""
        for name, (line, note) in self._first.items():
            more = self._lines[name] - 1
            also = f", and on {more:,} more {'line' if more == 1 else 'lines'}" if more else ""
            yield line, Problem(note.field, note.message + also)


def drop_absent(record: dict[str, Any]) -> list[Problem]:
    """Remove the fields of a record that are absent, in place, and return a note on each.

    Args:
        record: one parsed line of a users file.

    Raises:
        UnreadableLineError: there is NaN where no field can be absent.
    """
    notes = _drop(record, (), optional=_OPTIONAL, own=USER_KEYS)
    profile = record.get("profile")
    if isinstance(profile, dict):
        for name in [name for name, value in profile.items() if value is None]:
            del profile[name]
            notes.append(_note(("profile", name), None))
    opinions = record.get("opinions")
    for place, opinion in enumerate(opinions if isinstance(opinions, list) else ()):
        if isinstance(opinion, dict):
            path = ("opinions", place)
            notes += _drop(opinion, path, optional=_OPTIONAL_OF_OPINION, own=OPINION_KEYS)
    _refuse_other_nan(record)
    return notes


def _drop(
    values: dict[str, Any], path: tuple[str | int, ...], *, optional: frozenset[str], own: frozenset[str]
) -> list[Problem]:
    """Remove optional fields that are null or NaN, and unknown keys that are NaN; an unknown key may be null."""
    absent = [
        key
        for key, value in values.items()
        if (key in optional and (value is None or _is_nan(value))) or (key not in own and _is_nan(value))
    ]
    return [_note((*path, key), values.pop(key)) for key in absent]


def _note(path: tuple[str | int, ...], value: object) -> Problem:
    return Problem(field_path(path), f"is {kind_of(value)}, and was taken as left out")


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _refuse_other_nan(record: dict[str, Any]) -> None:
    """Raise if the record still contains NaN; deeper or larger records than allowed are refused later."""
    pending: deque[tuple[Any, tuple[str | int, ...]]] = deque([(record, ())])
    values = 0
    while pending and values <= MAX_VALUES:
        container, path = pending.popleft()
        values += len(container)
        for step, value in container.items() if isinstance(container, dict) else enumerate(container):
            if isinstance(value, dict | list) and len(path) < MAX_DEPTH:
                pending.append((value, (*path, step)))
            elif _is_nan(value):
                where = field_path((*path, step))
                raise UnreadableLineError(f"is not JSON: NaN at {where} is not a JSON number; leave the value out")
