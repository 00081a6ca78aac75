"""Checks of settings, so that an invalid value is an error where settings are created, not where they are used."""

from __future__ import annotations

from typing import Any, get_args

from idiolect.errors import SettingsError

MOST_RANK = 4096
"""Maximum rank of an edit or a LoRA: far more than is useful, and as much as memory holds."""


def require(holds: bool, name: str, value: object, must_be: str) -> None:
    """Check a condition on a setting.

    Raises:
        SettingsError: the condition does not hold; the message states the setting, its value and what it must be.
    """
    if not holds:
        raise SettingsError(f"{name} is {value!r}, must be {must_be}")


def require_one_of(literal: Any, name: str, value: object) -> None:
    """Check that a setting has one of the values of a `Literal`.

    Raises:
        SettingsError: it has not; the message states the setting, its value and the possible values.
    """
    possible = get_args(literal)
    require(value in possible, name, value, f"one of {', '.join(map(repr, possible))}")
