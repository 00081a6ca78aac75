"""`idiolect ask`: one question in a user's place. Its arguments; the flow is `asking`."""

from __future__ import annotations

from typing import Annotated

import typer

from idiolect.cli.options import JsonOption, StoreOption

EXAMPLES = (
    'idiolect ask --user u1 "How much garlic belongs into a soup?"',
    'idiolect ask --user u1 "How spicy should a curry be?" --choices "Mild|Medium|Hot" --ordinal --base',
)


def ask(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="What is asked.", show_default=False)],
    user: Annotated[str, typer.Option(metavar="ID", help="In whose place.", show_default=False)],
    choices: Annotated[
        str | None,
        typer.Option(metavar="A|B|…", help="The answers to choose from. Without: free text.", show_default=False),
    ] = None,
    ordinal: Annotated[bool, typer.Option("--ordinal", help="The choices are a scale in order.")] = False,
    base: Annotated[
        bool, typer.Option("--base", help="Show beside it what the model answers without anything learned.")
    ] = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Answer a question in a user's place, and say why.

    The prompt that does best on the user's nearest opinions answers. Shown are these opinions, the score of every
    prompt on them, and the wrong answers that led to the chosen one.
    """
    from idiolect.people.user import Question

    try:
        asked = Question(question, split_choices(choices), ordinal)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    from idiolect.cli.asking import ask_user

    ask_user(user, asked, target=store, with_base=base, json=json)


def split_choices(choices: str | None) -> tuple[str, ...]:
    """The choices of "a|b|c"; none for None."""
    return () if choices is None else tuple(choice.strip() for choice in choices.split("|"))
