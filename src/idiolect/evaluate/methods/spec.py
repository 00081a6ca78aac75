"""Names of methods on the command line and in a configuration: `name`, or `name[setting=value,part.name=value]`.

    "vanilla,fermi[iterations=4,retrieval.pool=memory]" → MethodSpec, MethodSpec

The text in brackets changes settings of the method, by dotted path (`methods.setting_changes.changed_by_text`).
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
    """A method with the settings that the user changed; `str` gives its written form."""

    name: str
    overrides: Overrides = ()

    def __str__(self) -> str:
        return self.written()

    def written(self, *remarks: str) -> str:
        """Return the written form of the method, with remarks after its settings: `fermi[iterations=2,remark]`."""
        inside = ",".join((*(f"{key}={value}" for key, value in self.overrides), *remarks))
        return f"{self.name}[{inside}]" if inside else self.name

    def overriding(self, key: str, value: object) -> MethodSpec:
        """Return the method with one more change, which replaces an earlier change of the same setting."""
        kept = tuple(pair for pair in self.overrides if pair[0] != key)
        return replace(self, overrides=(*kept, (key, str(value))))


def parse_specs(text: str) -> tuple[MethodSpec, ...]:
    """Return the distinct methods in a text, separated by commas outside of brackets.

    Raises:
        SettingsError: the text does not have this form, or is empty.
    """
    specs = [parse_spec(part) for part in re.split(r",(?![^\[\]]*\])", text) if part.strip()]
    if not specs:
        raise SettingsError("no method is named")
    return tuple(dict.fromkeys(specs))


def parse_spec(text: str) -> MethodSpec:
    """Return the method in a text.

    Raises:
        SettingsError: the text does not have the form of a method, or sets a setting twice.
    """
    found = _SPEC.fullmatch(text)
    if found is None:
        raise SettingsError(f"expected a method such as fermi or fermi[iterations=2], found {text.strip()!r}")
    pairs: list[tuple[str, str]] = []
    for part in filter(str.strip, (found[2] or "").split(",")):
        setting = _SETTING.fullmatch(part)
        if setting is None:
            raise SettingsError(f"expected a setting such as iterations=2 in {text.strip()!r}, found {part.strip()!r}")
        if setting[1] in dict(pairs):
            raise SettingsError(f"{setting[1]} is set twice in {text.strip()!r}: set it once")
        pairs.append((setting[1], setting[2]))
    return MethodSpec(found[1], tuple(pairs))
