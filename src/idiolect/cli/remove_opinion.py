"""`idiolect users remove-opinion`: takes an answer of a user back, which `add-opinion` or a users file gave them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

from idiolect.cli.options import JsonOption, StoreOption
from idiolect.cli.terminal import one_line, out, print_json, safe
from idiolect.cli.users_show import UserId

EXAMPLES = ('idiolect users remove-opinion u1 "How spicy should a curry be?" --choices "Mild|Medium|Hot"',)
_NEAR = 3  # questions that an error names
_BEGINNING = 60  # characters of each


def remove_opinion(
    user_id: UserId,
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
    from idiolect.cli.ask import split_choices
    from idiolect.errors import StoreError
    from idiolect.store import Store

    with Store.open(store, create=False) as opened:
        if not opened.remove_opinion(user_id, question, None if choices is None else split_choices(choices)):
            near = _near(question, (opinion.question.text for opinion in opened.user(user_id).opinions))
            raise StoreError(f"user {user_id!r} has no such opinion{near}")
        summary = opened.summary(user_id)
    left, edited = summary.n_opinions, "chameleon" in summary.methods
    if json:
        print_json({"user": user_id, "removed": True, "opinions": left})
        return
    out().print(f"removed an opinion of {safe(one_line(user_id))}, who has {left} now; nothing was learned from that:")
    if set(summary.methods) - {"chameleon"} or not edited:
        out().print("fit --resume, or the next add-opinion, learns anew")
    if edited:
        out().print("the edit stays as it was: idiolect fit USERS --method chameleon learns one anew")


def _near(question: str, others: Iterable[str]) -> str:
    """A hint at questions that are near, by their beginnings."""
    from difflib import get_close_matches

    beginnings = dict.fromkeys(one_line(text, limit=_BEGINNING) for text in others)
    found = get_close_matches(one_line(question, limit=_BEGINNING), beginnings, n=_NEAR, cutoff=0.4)
    return f"; near it are {', '.join(map(repr, found))}" if found else ""
