"""Advice on errors, in the words of this command line: an option that avoids one, a command that mends one.

Errors carry facts (`idiolect.errors`); this table turns them into options and commands.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from idiolect.errors import GroupNeedsRefitError, IdiolectError, NotFittedError, OtherWeightsError


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
        return f"; fit it{again}: {_fit_command(error.kind, error.owner, error.method, store)}"
    if isinstance(error, OtherWeightsError):
        command = _fit_command(error.kind, error.owner, "chameleon", store)
        return f"; learn it again: {command} --model {shlex.quote(error.model)}"
    if error.remedy is None:
        return ""
    option = "--" + error.remedy.setting.replace("_", "-")
    return f": use {option} {error.remedy.value}" if error.remedy.value else f": see {option}"


def _fit_command(kind: str, owner: str, method: str, store: str | None) -> str:
    where = f" --store {shlex.quote(store)}" if store else ""
    if kind == "group":
        return f"idiolect groups fit {shlex.quote(owner)}{where}"
    chosen = "" if method == "fermi" else f" --method {method}"
    return f"idiolect fit USERS{chosen} --user {shlex.quote(owner)}{where}"
