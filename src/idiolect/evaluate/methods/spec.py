"""How a method is named on the command line and in a configuration: `name`, or `name[setting=value,part.name=value]`.

    "vanilla,fermi[iterations=4,retrieval.pool=memory]" → MethodSpec, MethodSpec

What stands in brackets changes settings of the method, by dotted path (`methods.setting_changes.changed_by_text`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from idiolect.errors import SettingsError

Overrides = tuple[tuple[str, str], ...]

_SPEC = re.compile(r"\s*([a-z0-9][a-z0-9+_-]*)\s*(?:\[([^\[\]]*)\])?\s*")
_SETTING = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.]*)\s*=\s*([^=]+?)\s*")


@dataclass(frozen=True, slots=True)
class MethodSpec:
    """A method with what the user changed of its settings; prints as it is written."""

    name: str
    overrides: Overrides = ()

    def __str__(self) -> str:
        return self.written()

    def written(self, *remarks: str) -> str:
        """Return the text that names the method, with remarks behind its settings: `fermi[iterations=2,remark]`."""
        inside = ",".join((*(f"{key}={value}" for key, value in self.overrides), *remarks))
        return f"{self.name}[{inside}]" if inside else self.name

    def overriding(self, key: str, value: object) -> MethodSpec:
        """Return the method with one more change; an earlier one of the same setting goes."""
        kept = tuple(pair for pair in self.overrides if pair[0] != key)
        return replace(self, overrides=(*kept, (key, str(value))))


def parse_specs(text: str) -> tuple[MethodSpec, ...]:
    """Return the methods in a text, separated by commas outside of brackets; each once.

    Raises:
        SettingsError: not of that form, or nothing at all.
    """
    specs = [parse_spec(part) for part in re.split(r",(?![^\[\]]*\])", text) if part.strip()]
    if not specs:
        raise SettingsError("no method is named")
    return tuple(dict.fromkeys(specs))


def parse_spec(text: str) -> MethodSpec:
    """Return the method that a text names.

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
