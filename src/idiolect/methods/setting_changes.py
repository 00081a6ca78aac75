"""Changes of nested settings by dotted path: `changed(settings, {"retrieval.pool": "memory"})`.

Settings are frozen dataclasses of frozen dataclasses, which check their values when they are created. All changes are
applied at once, so that only the result has to be valid, whatever their order. A path that leads through a tuple of
dataclasses changes each of them: `{"variants.layers": "elbow"}`. A part that may be None has settings where it is not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from idiolect.errors import SettingsError

T = TypeVar("T")

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def changed(settings: T, changes: Mapping[str, object]) -> T:
    """Return the settings with the changes applied.

    Args:
        settings: a frozen dataclass.
        changes: values by path, such as {"iterations": 4, "answering.mode": "generate"}.

    Raises:
        SettingsError: there is no such setting, or a value has the wrong type or is invalid.
    """
    checked = {path: _checked(path, value, _type_of(path, settings)) for path, value in changes.items()}
    try:
        result: T = _replaced(settings, checked)
    except ValueError as error:
        values = ", ".join(f"{path} is {value!r}" for path, value in checked.items())
        raise SettingsError(f"{values}: {error}") from error
    return result


def changed_by_text(settings: T, changes: Iterable[tuple[str, str]]) -> T:
    """Return the settings with changes applied that are given as text: pairs of path and value.

    A value is JSON, or otherwise plain text; several values for one setting are joined with plus signs.

    Raises:
        SettingsError: see `changed`.
    """
    return changed(settings, {path: _parsed(text, _type_of(path, settings)) for path, text in changes})


def unusual(settings: Any) -> dict[str, object]:
    """Return the values that differ from the defaults of their classes, by path.

    A setting that is added later, with a default that leaves everything as it was, changes nothing of the result.
    Settings that are None by default, but are not here, have no usual values: all of theirs are returned.

    Args:
        settings: a frozen dataclass; every field has a default.
    """
    return _values(settings, type(settings)())


def _values(settings: Any, usual: Any) -> dict[str, object]:
    """Return by path the values that differ from the usual ones; all of them if `usual` is None."""
    found: dict[str, object] = {}
    for field in fields(settings):
        value, ordinary = getattr(settings, field.name), getattr(usual, field.name, None)
        if is_dataclass(value):
            inside = _values(value, None) if ordinary is None else unusual(value)
            found |= {f"{field.name}.{path}": inner for path, inner in inside.items()}
        elif usual is None or value != ordinary:
            found[field.name] = value
    return found


def _replaced(settings: Any, changes: Mapping[str, object]) -> Any:
    here: dict[str, object] = {}
    below: dict[str, dict[str, object]] = {}
    for path, value in changes.items():
        name, _, rest = path.partition(".")
        if rest:
            below.setdefault(name, {})[rest] = value
        else:
            here[name] = value
    for name, inner in below.items():
        value = here.get(name, getattr(settings, name))
        if value is None:
            paths = ", ".join(f"{name}.{path}" for path in inner)
            raise SettingsError(f"{paths} cannot be set: {name} is null in these settings")
        here[name] = (
            tuple(_replaced(each, inner) for each in value) if isinstance(value, tuple) else _replaced(value, inner)
        )
    return replace(settings, **here)


def _type_of(path: str, settings: object) -> Any:
    found: Any = type(settings)
    for name in path.split("."):
        found = _settings_inside(found)
        known = get_type_hints(found) if is_dataclass(found) else {}
        if name not in known:
            possible = f": choose one of {', '.join(sorted(known))}" if known else ""
            raise SettingsError(f"unknown setting {path!r}{possible}")
        found = known[name]
    return found


def _settings_inside(kind: Any) -> Any:
    """Return the dataclass in a type that is a tuple of it, or it or None; any other type as it is."""
    if get_origin(kind) is tuple:
        inside = [get_args(kind)[0]]
    elif get_origin(kind) in (Union, UnionType):
        inside = [each for each in get_args(kind) if each is not NoneType]
    else:
        return kind
    return inside[0] if len(inside) == 1 and is_dataclass(inside[0]) else kind


def _checked(path: str, value: object, wanted: Any) -> object:
    try:
        return _adapter(wanted).validate_python(value, strict=True)
    except ValidationError as error:
        fault = error.errors()[0]
        of_item = get_origin(wanted) is tuple and fault["loc"]
        must_be = _in_words(get_args(wanted)[0] if of_item else wanted)
        raise SettingsError(f"{path} is {fault['input']!r}, must be {must_be}") from None


@cache
def _adapter(wanted: Any) -> TypeAdapter[Any]:
    return TypeAdapter(wanted)


def _parsed(text: str, wanted: Any) -> object:
    if get_origin(wanted) is tuple:
        return tuple(_json_or_text(part.strip()) for part in text.split("+") if part.strip())
    return _json_or_text(text)


def _json_or_text(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # the latter for JSON that is nested very deeply
        return text


def _in_words(wanted: Any) -> str:
    if get_origin(wanted) is Literal:
        return f"one of {', '.join(map(repr, get_args(wanted)))}"
    if get_origin(wanted) in (Union, UnionType) and NoneType in get_args(wanted):
        values = [each for each in get_args(wanted) if each is not NoneType]
        return f"{', '.join(map(_in_words, values))}, or null"
    return _WORDS.get(wanted, "a value of another type")
