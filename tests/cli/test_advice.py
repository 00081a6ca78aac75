"""Errors carry facts; the command line adds which option avoids them, and which command learns what is missing."""

from __future__ import annotations

import pytest

from idiolect.cli.advice import advised, store_of
from idiolect.errors import GroupNeedsRefitError, IdiolectError, NotFittedError, Remedy, SettingsError


@pytest.mark.parametrize(
    ("error", "command"),
    [
        (NotFittedError("fermi", "ann"), "fit it: idiolect fit USERS --user ann"),
        (NotFittedError("chameleon", "ann"), "fit it: idiolect fit USERS --method chameleon --user ann"),
        (NotFittedError("chameleon", "night readers", kind="group"), "fit it: idiolect groups fit 'night readers'"),
        (GroupNeedsRefitError("chameleon", "readers"), "fit it again: idiolect groups fit readers"),
    ],
)
def test_what_is_not_fitted_names_the_command_and_the_store(error: NotFittedError, command: str) -> None:
    assert advised(error) == f"{error}; {command}"
    assert advised(error, "my people") == f"{error}; {command} --store 'my people'"


def test_remedy_is_spelled_as_an_option() -> None:
    generate = SettingsError("no log-probabilities", remedy=Remedy("answering", "generate"))
    tokens = SettingsError("too few tokens", remedy=Remedy("max_tokens"))
    assert advised(generate) == "no log-probabilities: use --answering generate"
    assert advised(tokens) == "too few tokens: see --max-tokens"
    assert advised(IdiolectError("plain")) == "plain"
    assert advised(ValueError("of Python")) == "of Python"


@pytest.mark.parametrize(
    ("arguments", "store"),
    [
        (["ask", "--store", "./people", "q"], "./people"),
        (["ask", "--store=postgresql://x/y"], "postgresql://x/y"),
        (["ask", "--store"], None),
        (["ask", "q"], None),
    ],
)
def test_store_is_read_from_the_arguments(arguments: list[str], store: str | None) -> None:
    assert store_of(arguments) == store
