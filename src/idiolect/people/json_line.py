"""Parsing one line of a users file: bytes in, plain Python values out, every problem in plain words.

Below `users_file.py`, which deals with files, and `user_record.py`, which deals with users; this module deals only with
JSON. It is stricter than `json`: one object per line, no Infinity, no repeated key, nothing that UTF-8 or a
database cannot store, and limits on depth and size, so that a hostile line causes a message and not a crash.
"""

from __future__ import annotations

import json
import math
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from idiolect.escaping import printable
from idiolect.people.user import unstorable_part

MAX_DEPTH = 64
"""Maximum depth of nested lists and objects, including the line's own object."""

MAX_VALUES = 250_000
"""Maximum number of values in one line, counted through all lists and objects."""

EXCERPT_CHARACTERS = 40
"""Maximum length of a file's own words in a message: the name of a key, never a person's answer."""

_Path = tuple[Any, str | int] | None  # (path of the parent, key or index); None is the line's own object


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem with one field of a record, for example `opinions[3].answer` "is missing"."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


TOO_MANY_VALUES = Problem("line", f"contains more than {MAX_VALUES:,} values")
_PIECE = 2**20  # bytes
_MOST_TEXTS = 3 * MAX_VALUES  # JSON with more has more values, too: an object has a name and a text for each


class UnreadableLineError(ValueError):
    """A line without a JSON object; the message gives the reason, and shows nothing of the line."""


class _ObjectWithRepeats(dict[str, Any]):
    """An object in which some keys were given more than once; the dict contains only their last values."""

    repeated: tuple[str, ...] = ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(pairs)
    if len(built) == len(pairs):
        return built
    with_repeats = _ObjectWithRepeats(built)
    counts = Counter(key for key, _ in pairs)
    with_repeats.repeated = tuple(key for key, count in counts.items() if count > 1)
    return with_repeats


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise UnreadableLineError("is not JSON that Idiolect can store: a number is too large")
    return number


def _constant(name: str) -> float:
    """Return NaN, which `absent_values` takes for a missing value in some fields; refuse infinity."""
    if name == "NaN":
        return math.nan
    raise UnreadableLineError(f"is not JSON: {name} is not a JSON number")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_finite, parse_constant=_constant)


def parse_object(line: bytes) -> dict[str, Any]:
    """Parse the JSON object in `line`. NaN, which is not JSON, becomes a float for `absent_values.drop_absent`.

    Raises:
        UnreadableLineError: the line is not UTF-8, not JSON, nested too deeply, or not an object; or it has more than
            `MAX_VALUES` values, which could take a gigabyte.
    """
    if has_too_many_values(line):
        raise UnreadableLineError(TOO_MANY_VALUES.message)
    value = _parse(_decode(line))
    if not isinstance(value, dict):
        raise UnreadableLineError(f"must be an object {{…}}, but is {kind_of(value)}")
    return value


def has_too_many_values(data: bytes) -> bool:
    """Return whether JSON has `MAX_VALUES` commas outside texts: so many values are not even parsed.

    It takes little memory and time, and lets other threads go on meanwhile.
    """
    if not _has_commas(data, 0, len(data)):
        return False
    plain = data.replace(rb"\\", b"").replace(rb"\"", b"")  # now every quotation mark begins or ends a text
    commas = texts = end = 0
    while commas < MAX_VALUES and texts < _MOST_TEXTS and (start := plain.find(b'"', end)) >= 0:
        commas += plain.count(b",", end, start)
        texts += 1
        end = plain.find(b'"', start + 1) + 1 or len(plain)
    return texts == _MOST_TEXTS or commas >= MAX_VALUES or _has_commas(plain, end, len(plain), commas)


def _has_commas(data: bytes, start: int, end: int, commas: int = 0) -> bool:
    """Return whether there are `MAX_VALUES` commas between two places, if some were found before."""
    for place in range(start, end, _PIECE):
        commas += data.count(b",", place, min(place + _PIECE, end))
        if commas >= MAX_VALUES:
            return True
    return False


def _decode(line: bytes) -> str:
    if b"\0" in line:
        raise UnreadableLineError("contains a NUL byte; the file must be UTF-8 text (is it UTF-16?)")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableLineError(f"is not UTF-8 at byte {error.start + 1} of the line") from None
    if text.startswith("\ufeff"):
        raise UnreadableLineError("starts with a byte order mark, which is allowed only in a file's first line")
    return text


def _parse(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        where = f"{error.msg} (character {error.pos + 1} of the line)"
        begins = text.startswith("{") and error.pos < len(text) and not error.msg.startswith("Extra data")
        hint = "" if begins else "; expected one whole object {…} per line"
        raise UnreadableLineError(f"is not JSON: {where}{hint}") from None
    except RecursionError:
        raise UnreadableLineError(f"is nested more than {MAX_DEPTH} levels deep") from None
    except UnreadableLineError:
        raise
    except ValueError:  # Python's limit on the digits of an integer
        raise UnreadableLineError("is not JSON that Idiolect can store: a number has too many digits") from None


def kind_of(value: object) -> str:
    """Return the JSON name of a value's type in plain words, for example "a number"."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    kinds: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (str, "text"),
        ((int, float), "a number"),
        (list, "a list"),
        (dict, "an object"),
    )
    return next((name for types, name in kinds if isinstance(value, types)), f"of the type {type(value).__name__}")


def object_problems(record: dict[str, Any]) -> list[Problem]:
    """Return everything in `record` that JSON, UTF-8 or a database cannot store, at any depth.

    The walk is not recursive and stops at `MAX_VALUES`; `TOO_MANY_VALUES` is then among the problems.
    """
    problems: list[Problem] = []
    pending: deque[tuple[Any, _Path, int]] = deque([(record, None, 1)])
    values = 0
    while pending:
        container, path, depth = pending.popleft()
        values += len(container)
        if values > MAX_VALUES:
            return [*problems, TOO_MANY_VALUES]
        if depth > MAX_DEPTH:
            problems.append(Problem(_field(path), f"is nested more than {MAX_DEPTH} levels deep"))
            continue
        if isinstance(container, dict):
            problems += _key_problems(container, path)
        for step, value in container.items() if isinstance(container, dict) else enumerate(container):
            if isinstance(value, dict | list):
                pending.append((value, (path, step), depth + 1))
            elif doubt := _doubt(value):
                problems.append(Problem(_field((path, step)), doubt))
    return problems


def _key_problems(container: dict[Any, Any], path: _Path) -> list[Problem]:
    problems = []
    if isinstance(container, _ObjectWithRepeats):
        problems += [Problem(_field((path, key)), "is given more than once") for key in container.repeated]
    for key in container:
        if not isinstance(key, str):
            problems.append(Problem(_field((path, repr(key))), f"has a name that is {kind_of(key)}, must be text"))
        elif part := unstorable_part(key):
            problems.append(Problem(_field((path, key)), f"has a name that contains {part}"))
    return problems


def _doubt(value: object) -> str | None:
    if isinstance(value, str):
        part = unstorable_part(value)
        return part and f"contains {part}"
    if isinstance(value, float) and not math.isfinite(value):
        return "is not a finite number"
    if value is None or isinstance(value, int | float):
        return None
    return f"is {kind_of(value)}, which JSON does not support"


def _field(path: _Path) -> str:
    steps: list[str | int] = []
    while path is not None:
        path, step = path
        steps.append(step)
    return field_path(reversed(steps))


def field_path(steps: Iterable[str | int]) -> str:
    """Return the path to a field for messages: `opinions[3].answer`, `profile["Household Income"]`; "line" if empty."""
    path = ""
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]"
        elif step.isidentifier() and len(step) <= EXCERPT_CHARACTERS:
            path += f".{step}" if path else step
        else:
            path += f'["{_excerpt(step)}"]'
    return path or "line"


def _excerpt(text: str) -> str:
    return printable(text if len(text) <= EXCERPT_CHARACTERS else text[: EXCERPT_CHARACTERS - 1] + "…")
