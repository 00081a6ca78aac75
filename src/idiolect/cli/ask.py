"""The command `idiolect ask`: answer one question as a user, or with what was learned for a group."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from idiolect.application.names import CHAMELEON, FERMI, AskedMethod
from idiolect.cli.options import JsonOption, OrdinalOption, StoreOption, named_owner, option, stated_question
from idiolect.cli.terminal import out, print_json

EXAMPLES = (
    'idiolect ask --user u1 "How much garlic belongs in a soup?"',
    'idiolect ask --user u1 "How spicy should a curry be?" --choices "Mild|Medium|Hot" --ordinal --base',
    'idiolect ask --user u1 --method both "How much garlic belongs in a soup?"',
    'idiolect ask --group readers "What makes a good novel?"',
)


def ask(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="Question to answer.", show_default=False)],
    user: Annotated[str | None, option("User to answer as.", "ID")] = None,
    group: Annotated[str | None, option("Group whose edit answers; works for members and others.", "NAME")] = None,
    method: Annotated[
        AskedMethod | None, option("Method that answers. Default: whichever has learned; fermi if both have.")
    ] = None,
    choices: Annotated[str | None, option("Answers to choose from. Default: free text.", "A|B|…")] = None,
    ordinal: OrdinalOption = False,
    base: Annotated[
        bool,
        typer.Option("--base", help="Also show the base model's answer (always shown with an edit)."),
    ] = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Answer a question as a user, and explain the answer.

    Fermi: the model answers with the prompt that scores best on the user's nearest opinions. The output lists these
    opinions, the score of every prompt on them, and the wrong answers that led to the chosen prompt.

    CHAMELEON: the model answers with and without the user's edit, side by side. With --method both, the edited model
    answers with Fermi's prompt. If held-out answers do not support an edit, its answer is shown but not used.
    """
    from idiolect.application.blocking import Workspace
    from idiolect.application.documents import asked_document
    from idiolect.cli.ask_screen import print_asked
    from idiolect.cli.interrupts import even_if_interrupted
    from idiolect.cli.progress import SCREEN

    owner = named_owner(user, group)
    if owner.kind == "group" and method not in (None, CHAMELEON):
        raise typer.BadParameter("only CHAMELEON learns for groups", param_hint="'--method'")
    asked_question = stated_question(question, choices, ordinal=ordinal)
    with Workspace.open(store, create=False, events=SCREEN) as space:
        asked = even_if_interrupted(partial(space.ask, owner, asked_question, method=method, with_base=base))
    if json:
        print_json(asked_document(asked), indent=2)
        return
    print_asked(asked, with_base=base)
    if method is None and {FERMI, CHAMELEON} <= set(asked.learned_by):
        out().print("\nCHAMELEON has learned for this user too: see --method chameleon, or --method both")
