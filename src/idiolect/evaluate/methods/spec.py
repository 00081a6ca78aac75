"""How a method is named on the command line and in a configuration: `name`, or `name[setting=value,part.name=value]`.

    "vanilla,fermi[iterations=4,retrieval.pool=memory]" → MethodSpec, MethodSpec

What stands in brackets replaces settings of the method, by the way to them; a value is JSON, or else a text.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from idiolect.errors import SettingsError

T = TypeVar("T")

Overrides = tuple[tuple[str, str], ...]

_SPEC = re.compile(r"\s*([a-z0-9][a-z0-9+_-]*)\s*(?:\[([^\[\]]*)\])?\s*")
_SETTING = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.]*)\s*=\s*([^=]+?)\s*")


@dataclass(frozen=True, slots=True)
class MethodSpec:
    """A method with what the user changed of its settings; prints as it is written."""

    name: str
    overrides: Overrides = ()

    def __str__(self) -> str:
        told = ",".join(f"{key}={value}" for key, value in self.overrides)
        return f"{self.name}[{told}]" if told else self.name

    def overriding(self, key: str, value: object) -> MethodSpec:
        """With one more change; an earlier one of the same setting goes."""
        kept = tuple(pair for pair in self.overrides if pair[0] != key)
        return replace(self, overrides=(*kept, (key, str(value))))


def parse_specs(text: str) -> tuple[MethodSpec, ...]:
    """The methods in a text, separated by commas outside of brackets; each once.

    Raises:
        SettingsError: not of that form, or nothing at all.
    """
    specs = [parse_spec(part) for part in re.split(r",(?![^\[\]]*\])", text) if part.strip()]
    if not specs:
        raise SettingsError("no method is named")
    return tuple(dict.fromkeys(specs))


def parse_spec(text: str) -> MethodSpec:
    """One method.

    Raises:
        SettingsError: not of that form.
    """
    found = _SPEC.fullmatch(text)
    if found is None:
        raise SettingsError(f"{text.strip()!r} names no method; it looks like fermi or fermi[iterations=2]")
    pairs = []
    for part in filter(str.strip, (found[2] or "").split(",")):
        setting = _SETTING.fullmatch(part)
        if setting is None:
            raise SettingsError(f"{part.strip()!r} in {text.strip()!r} changes no setting; it looks like iterations=2")
        pairs.append((setting[1], setting[2]))
    return MethodSpec(found[1], tuple(pairs))


def with_overrides(settings: T, overrides: Iterable[tuple[str, str]]) -> T:
    """The settings, a frozen dataclass of frozen dataclasses, with the changes.

    Raises:
        SettingsError: no such setting, or a value that makes no sense.
    """
    for path, value in overrides:
        settings = _replaced(settings, path.split("."), value, path)
    return settings


def _replaced(settings: Any, way: list[str], value: str, path: str) -> Any:
    name, *rest = way
    known = {each.name for each in dataclasses.fields(settings)} if dataclasses.is_dataclass(settings) else set()
    if name not in known:
        told = f"; there are {', '.join(sorted(known))}" if known else ""
        raise SettingsError(f"there is no setting {path!r}{told}")
    if rest:
        return replace(settings, **{name: _replaced(getattr(settings, name), rest, value, path)})
    try:
        return replace(settings, **{name: _value(settings, name, value, path)})
    except ValueError as error:
        raise SettingsError(f"{path} is {value!r}: {error}") from error


def _value(settings: Any, name: str, text: str, path: str) -> object:
    """Of the type that the setting has; a list of texts is written with plus signs."""
    wanted = get_type_hints(type(settings))[name]
    if get_origin(wanted) is tuple:
        return tuple(_one(get_args(wanted)[0], part.strip(), path) for part in text.split("+") if part.strip())
    return _one(wanted, text, path)


def _one(wanted: Any, text: str, path: str) -> object:
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    if not _fits(value, wanted):
        raise SettingsError(f"{path} is {text!r}, must be {_told(wanted)}")
    return float(value) if wanted is float else value


def _fits(value: object, wanted: Any) -> bool:
    if get_origin(wanted) is Literal:
        return value in get_args(wanted)
    if get_origin(wanted) is UnionType:
        return any(_fits(value, each) for each in get_args(wanted))
    if wanted is type(None):
        return value is None
    if wanted is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if wanted in (int, bool):
        return type(value) is wanted
    if dataclasses.is_dataclass(wanted):
        return False
    return isinstance(value, str)


def _told(wanted: Any) -> str:
    if get_origin(wanted) is Literal:
        return f"one of {', '.join(map(repr, get_args(wanted)))}"
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    return names.get(wanted, "another kind of value")
