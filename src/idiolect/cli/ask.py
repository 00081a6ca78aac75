"""`idiolect ask`: one question in a user's place. Its arguments; the flow is `asking`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from idiolect.cli.options import JsonOption, StoreOption

EXAMPLES = (
    'idiolect ask --user u1 "How much garlic belongs into a soup?"',
    'idiolect ask --user u1 "How spicy should a curry be?" --choices "Mild|Medium|Hot" --ordinal --base',
    'idiolect ask --user u1 --method both "How much garlic belongs into a soup?"',
    'idiolect ask --group readers "What makes a good novel?"',
)


class AskedMethod(StrEnum):
    """What answers."""

    FERMI = "fermi"
    CHAMELEON = "chameleon"
    BOTH = "both"


def ask(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="What is asked.", show_default=False)],
    user: Annotated[str | None, typer.Option(metavar="ID", help="In whose place.", show_default=False)] = None,
    group: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Under what was learned for a group, for anybody, in it or not.", show_default=False
        ),
    ] = None,
    method: Annotated[
        AskedMethod | None,
        typer.Option(help="What answers. Default: what was learned; prompts before the edit.", show_default=False),
    ] = None,
    choices: Annotated[
        str | None,
        typer.Option(metavar="A|B|…", help="The answers to choose from. Without: free text.", show_default=False),
    ] = None,
    ordinal: Annotated[bool, typer.Option("--ordinal", help="The choices are a scale in order.")] = False,
    base: Annotated[
        bool,
        typer.Option("--base", help="Show beside it what the model answers without anything learned; edits always do."),
    ] = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Answer a question in a user's place, and say why.

    Fermi: the prompt that does best on the user's nearest opinions answers. Shown are these opinions, the score of
    every prompt on them, and the wrong answers that led to the chosen one.

    CHAMELEON: the model answers with the user's edit and without it, side by side. With --method both, the edited model
    answers under Fermi's prompt. What speaks for the base model on held-out answers is shown, and not used.
    """
    from idiolect.people.user import Question

    if (user is None) == (group is None):
        raise typer.BadParameter("name either a user or a group", param_hint="'--user' / '--group'")
    if group is not None and method not in (None, AskedMethod.CHAMELEON):
        raise typer.BadParameter("only CHAMELEON learns for groups", param_hint="'--method'")
    try:
        asked = Question(question, split_choices(choices), ordinal)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    from idiolect.cli.asking import AskOrder, answer

    chosen = None if method is None else method.value
    answer(AskOrder(asked, user, group, chosen, store, base, json))


def split_choices(choices: str | None) -> tuple[str, ...]:
    """The choices of "a|b|c"; none for None."""
    return () if choices is None else tuple(choice.strip() for choice in choices.split("|"))
