"""Errors carry facts; the command line adds which option avoids them, and which command learns what is missing."""

from __future__ import annotations

import pytest
import typer

from idiolect.cli.advice import Invocation, advised, invocation_of
from idiolect.cli.app import app
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
    assert advised(error, Invocation()) == f"{error}; {command}"
    assert advised(error, Invocation(store="my people")) == f"{error}; {command} --store 'my people'"
    assert advised(error, Invocation(store="postgresql://ann:pw@h/x")) == f"{error}; {command} --store URL"


FIT = Invocation("fit", frozenset({"answering", "max_tokens"}))
EVALUATE = Invocation("evaluate", frozenset({"answering", "setting"}))
GENERATE = SettingsError("no log-probabilities", remedy=Remedy("answering", "generate"))
SIMILARITY = SettingsError("no embeddings", remedy=Remedy("similarity", "bm25", "does without"))


@pytest.mark.parametrize(
    ("error", "invocation", "told"),
    [
        (GENERATE, FIT, "no log-probabilities: use --answering generate"),
        (SettingsError("too few tokens", remedy=Remedy("max_tokens")), FIT, "too few tokens: see --max-tokens"),
        (GENERATE, Invocation("ask"), "no log-probabilities; fit again with --answering generate"),
        (GENERATE, Invocation("list"), "no log-probabilities"),
        (SIMILARITY, EVALUATE, "no embeddings; --set similarity=bm25 does without"),
        (IdiolectError("plain"), FIT, "plain"),
        (ValueError("of Python"), FIT, "of Python"),
    ],
)
def test_remedy_is_spelled_as_an_option_of_the_command(error: Exception, invocation: Invocation, told: str) -> None:
    assert advised(error, invocation) == told


@pytest.mark.parametrize(
    ("arguments", "command", "store"),
    [
        (["ask", "--store", "./people", "q"], "ask", "./people"),
        (["users", "show", "--store=postgresql://x/y"], "show", "postgresql://x/y"),
        (["ask", "--store"], "ask", None),
        (["ask", "--", "--store", "q"], "ask", None),
        ([], "", None),
        (["nonsense"], "", None),
    ],
)
def test_invocation_is_read_from_the_arguments(arguments: list[str], command: str, store: str | None) -> None:
    invocation = invocation_of(typer.main.get_group(app), arguments)
    assert (invocation.command, invocation.store) == (command, store)
    assert ("question" in invocation.options) == (command == "ask")
