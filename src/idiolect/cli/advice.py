"""Advice on errors, in the words of this command line: an option that avoids one, a command that mends one.

Errors carry facts (`idiolect.errors`); this table turns them into options and commands.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from idiolect.errors import GroupNeedsRefitError, IdiolectError, NotFittedError


def advised(error: Exception, store: str | None = None) -> str:
    """Return the error's message with what to do about it.

    Args:
        error: any error.
        store: the store as the command line names it; None for the default one.
    """
    advice = _advice(error, store) if isinstance(error, IdiolectError) else ""
    return f"{error}{advice}"


def store_of(arguments: Sequence[str]) -> str | None:
    """Return the store that a command's arguments name; None where they name none."""
    for place, argument in enumerate(arguments):
        if argument == "--store" and place + 1 < len(arguments):
            return arguments[place + 1]
        if argument.startswith("--store="):
            return argument.removeprefix("--store=")
    return None


def _advice(error: IdiolectError, store: str | None) -> str:
    if isinstance(error, NotFittedError):
        again = " again" if isinstance(error, GroupNeedsRefitError) else ""
        return f"; fit it{again}: {_fit_command(error, store)}"
    if error.remedy is None:
        return ""
    option = "--" + error.remedy.setting.replace("_", "-")
    return f": use {option} {error.remedy.value}" if error.remedy.value else f": see {option}"


def _fit_command(error: NotFittedError, store: str | None) -> str:
    where = f" --store {shlex.quote(store)}" if store else ""
    owner = shlex.quote(error.owner)
    if error.kind == "group":
        return f"idiolect groups fit {owner}{where}"
    method = "" if error.method == "fermi" else f" --method {error.method}"
    return f"idiolect fit USERS{method} --user {owner}{where}"
