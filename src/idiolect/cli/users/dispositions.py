"""The command `idiolect users dispositions`: read, strike, restore, reword and add what is stated of a user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from idiolect.cli.options import JsonOption, StoreOption, UserIdArgument
from idiolect.cli.terminal import one_line, out, print_json, print_wrapped

if TYPE_CHECKING:
    from idiolect.application.dispositions import PersonsDispositions
    from idiolect.methods.fermi.dispositions import Disposition, DispositionEdits

EXAMPLES = (
    "idiolect users dispositions u1",
    "idiolect users dispositions u1 --strike 2 --strike 5",
    'idiolect users dispositions u1 --reword 3 "I like spicy food, but not at breakfast"',
    'idiolect users dispositions u1 --add "I do not eat meat"',
)
_SHOWN_OPINIONS = 3
_SHOWN_CHARACTERS = 100


def dispositions(
    user_id: UserIdArgument,
    strike: Annotated[
        list[int] | None,
        typer.Option(metavar="N", help="Number of a disposition that is wrong: it is never used again.", min=1),
    ] = None,
    restore: Annotated[
        list[int] | None, typer.Option(metavar="N", help="Number of a struck disposition that holds after all.", min=1)
    ] = None,
    reword: Annotated[
        tuple[int, str] | None,
        typer.Option(metavar="N TEXT", help="Number of a disposition, and its text in the user's own words."),
    ] = None,
    add: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="A further disposition in the user's own words.")
    ] = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """List what is stated of a user behind Fermi's prompts, or change it.

    The optimizer's dispositions are stated where they bear on a question, and only those that made answers better which
    their optimizer had not seen. What the user rewords or adds is always stated, and what is struck never. Changes stay
    when learning continues or starts again.
    """
    from idiolect.application.dispositions import dispositions_in, edit_in
    from idiolect.cli.opening import open_store

    edits = _edits(strike, restore, reword, add)
    with open_store(store) as opened:
        theirs = dispositions_in(opened, user_id) if edits.empty else edit_in(opened, user_id, edits)
    if json:
        from idiolect.application.documents import dispositions_document

        print_json(dispositions_document(theirs), indent=2)
        return
    _print(theirs)


def _edits(
    strike: list[int] | None, restore: list[int] | None, reword: tuple[int, str] | None, add: list[str] | None
) -> DispositionEdits:
    from idiolect.methods.fermi.dispositions import DispositionEdits

    try:
        return DispositionEdits(
            tuple(strike or ()), tuple(restore or ()), () if reword is None else (reword,), tuple(add or ())
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _print(theirs: PersonsDispositions) -> None:
    numbered = theirs.numbered
    if not numbered:
        out().print("none yet; to add one: --add TEXT", markup=False)
    for number, one in numbered.items():
        print_wrapped(f"{number}  {one_line(one.stated)}", style="dim" if one.struck else "green")
        print_wrapped(_state(one), indent=3)
        for index in one.explains[:_SHOWN_OPINIONS]:
            opinion = theirs.learned.opinions[index]
            question = one_line(opinion.question.text, limit=_SHOWN_CHARACTERS)
            print_wrapped(f"- {question} → {one_line(opinion.answer, limit=_SHOWN_CHARACTERS)}", indent=3)
        if (more := len(one.explains) - _SHOWN_OPINIONS) > 0:
            print_wrapped(f"- and {more} more", indent=3)
    if theirs.note:
        print_wrapped(theirs.note)


def _state(one: Disposition) -> str:
    """Return where a disposition comes from, how it was tried, and whether it was struck."""
    origin = "the user's own words" if one.own else "stated by the optimizer"
    if one.wording and one.wording != one.text:
        origin = f"reworded from: {one_line(one.text)}"
    tried = "" if one.gain is None else f"; answers scored {one.gain:+.2f} with it, tried on {len(one.trials)}"
    return f"{'struck; ' if one.struck else ''}{origin}{tried}"
