"""Advice on errors in terms of this command line: an option that avoids the error, or a command that fixes it.

Errors carry facts (`idiolect.errors`); this module turns them into options of the command that was called.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import typer.core

from idiolect.errors import GroupNeedsRefitError, IdiolectError, NotFittedError, OtherWeightsError, Remedy

_URL = "--model names a server, too: URL#NAME"
# Options of other tools, by which people look for what a model's name and the environment do here.
INSTEAD_OF_OPTION = {
    "--base-url": _URL,
    "--api-base": _URL,
    "--api-key": "Keys are read from the environment: OPENAI_API_KEY, or IDIOLECT_API_KEY for a URL",
}
_FIXED_BY_FIT = ("ask", "add-opinion")  # commands that take their settings from the fit


@dataclass(frozen=True, slots=True)
class Invocation:
    """A command that was called.

    Args:
        command: last word of its name; "" if unknown.
        options: names of its parameters.
        store: store that its arguments name; None: the default store.
    """

    command: str = ""
    options: frozenset[str] = frozenset()
    store: str | None = None


def invocation_of(root: typer.core.TyperGroup, arguments: Sequence[str]) -> Invocation:
    """Return the command that the arguments call; arguments after "--" are not read as options."""
    command: object = root
    name = ""
    for argument in arguments:
        if isinstance(command, typer.core.TyperGroup) and argument in command.commands:
            command, name = command.commands[argument], argument
    parameters = command.params if isinstance(command, typer.core.TyperCommand) else []
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return Invocation(name, frozenset(each.name or "" for each in parameters), _store_of(options))


def advised(error: Exception, invocation: Invocation) -> str:
    """Return the error's message, with advice if there is any."""
    advice = _advice(error, invocation) if isinstance(error, IdiolectError) else ""
    return f"{error}{advice}"


def _advice(error: IdiolectError, invocation: Invocation) -> str:
    if isinstance(error, NotFittedError):
        again = " again" if isinstance(error, GroupNeedsRefitError) else ""
        return f"; fit it{again}: {_fit_command(error.kind, error.owner, error.method, invocation.store)}"
    if isinstance(error, OtherWeightsError):
        command = _fit_command(error.kind, error.owner, "chameleon", invocation.store, model=error.model)
        return f"; learn it again: {command}"
    return "" if error.remedy is None else _remedy(error.remedy, invocation)


def _remedy(remedy: Remedy, invocation: Invocation) -> str:
    option = f"--{remedy.setting.replace('_', '-')} {remedy.value}".rstrip()
    if remedy.setting not in invocation.options:
        if "setting" in invocation.options:
            option = f"--set {remedy.setting}={remedy.value or '…'}"
        elif invocation.command in _FIXED_BY_FIT:
            return f"; fit again with {option}"
        else:
            return ""
    if remedy.effect:
        return f"; {option} {remedy.effect}"
    return f": use {option}" if remedy.value else f": see {option}"


def _fit_command(kind: str, owner: str, method: str, store: str | None, *, model: str = "") -> str:
    options = f" --model {shlex.quote(model)}" if model else ""
    shown = "URL" if store and "://" in store and "@" in store else store  # a URL may contain a password
    options += f" --store {shlex.quote(shown)}" if shown else ""
    if kind == "group":
        return f"idiolect groups fit {shlex.quote(owner)}{options}"
    chosen = "" if method == "fermi" else f" --method {method}"
    return f"idiolect fit USERS{chosen} --user {shlex.quote(owner)}{options}"


def _store_of(arguments: Sequence[str]) -> str | None:
    for place, argument in enumerate(arguments):
        if argument == "--store" and place + 1 < len(arguments):
            return arguments[place + 1]
        if argument.startswith("--store="):
            return argument.removeprefix("--store=")
    return None
