"""`idiolect users remove-opinion`: takes an answer of a user back, which `add-opinion` or a users file gave them."""

from __future__ import annotations

from typing import Annotated

import typer

from idiolect.application.names import CHAMELEON
from idiolect.cli.options import JsonOption, StoreOption, UserIdArgument, split_choices
from idiolect.cli.terminal import one_line, out, print_json, safe

EXAMPLES = ('idiolect users remove-opinion u1 "How spicy should a curry be?" --choices "Mild|Medium|Hot"',)


def remove_opinion(
    user_id: UserIdArgument,
    question: Annotated[
        str, typer.Argument(metavar="QUESTION", help="What was asked: the whole text.", show_default=False)
    ],
    choices: Annotated[
        str | None,
        typer.Option(metavar="A|B|…", help="Its choices, where a question was asked with several sets of them."),
    ] = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Remove one opinion of a user.

    Nothing is learned: prompts stay as they are until the next fit --resume or add-opinion, and an edit (CHAMELEON)
    until it is fitted anew. An opinion of a users file comes back with the next fit of that file.
    """
    from idiolect.application.opinions import remove_from
    from idiolect.store import Store

    with Store.open(store, create=False) as opened:
        left = remove_from(opened, user_id, question, None if choices is None else split_choices(choices))
    if json:
        print_json({"user": user_id, "removed": True, "opinions": left.n_opinions})
        return
    whose = f"{safe(one_line(user_id))}, who has {left.n_opinions} now"
    out().print(f"removed an opinion of {whose}; nothing was learned from that:")
    edited = CHAMELEON in left.methods
    if set(left.methods) - {CHAMELEON} or not edited:
        out().print("fit --resume, or the next add-opinion, learns anew")
    if edited:
        out().print("the edit stays as it was: idiolect fit USERS --method chameleon learns one anew")
