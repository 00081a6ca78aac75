"""The command `idiolect users remove-opinion`: remove an answer of a user, from `add-opinion` or from a users file."""

from __future__ import annotations

from typing import Annotated

import typer

from idiolect.application.names import CHAMELEON
from idiolect.cli.options import JsonOption, StoreOption, UserIdArgument, split_choices
from idiolect.cli.terminal import out, print_json, safe, visible

EXAMPLES = ('idiolect users remove-opinion u1 "How spicy should a curry be?" --choices "Mild|Medium|Hot"',)


def remove_opinion(
    user_id: UserIdArgument,
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="Full text of the question.", show_default=False)],
    choices: Annotated[
        str | None,
        typer.Option(metavar="A|B|…", help="The question's choices, if it was asked with several sets of choices."),
    ] = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Remove an opinion of a user.

    This learns nothing: prompts stay as they are until the next fit --resume or add-opinion, and a CHAMELEON edit until
    it is fitted again. If the opinion is in a users file, the next fit of that file adds it again.
    """
    from idiolect.application.opinions import remove_from
    from idiolect.application.people_documents import opinion_removed_document
    from idiolect.cli.opening import open_store

    with open_store(store) as opened:
        left = remove_from(opened, user_id, question, None if choices is None else split_choices(choices))
    if json:
        print_json(opinion_removed_document(left))
        return
    whose = f"{safe(visible(user_id))}, who has {left.n_opinions} now"
    out().print(f"removed an opinion of {whose}; nothing was learned from this:")
    edited = CHAMELEON in left.methods
    if set(left.methods) - {CHAMELEON} or not edited:
        out().print("to learn again, run fit --resume; the next add-opinion also learns again")
    if edited:
        out().print("the edit stays as it was; to learn a new edit: idiolect fit USERS --method chameleon")
