"""Checks of settings, so that every bad value is refused by name where it is made, not where it is first used."""

from __future__ import annotations

from typing import Any, get_args

from idiolect.errors import SettingsError


def require(holds: bool, name: str, value: object, must_be: str) -> None:
    """Refuse a setting that doesn't hold.

    Raises:
        SettingsError: naming the setting, its value and what it must be.
    """
    if not holds:
        raise SettingsError(f"{name} is {value!r}, must be {must_be}")


def require_one_of(literal: Any, name: str, value: object) -> None:
    """Refuse a value that is not one of a `Literal`'s.

    Raises:
        SettingsError: naming the setting, its value and the possible ones.
    """
    possible = get_args(literal)
    require(value in possible, name, value, f"one of {', '.join(map(repr, possible))}")
