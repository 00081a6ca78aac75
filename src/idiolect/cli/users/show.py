"""The command `idiolect users show`: what is known about a user, and what was learned for them."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from idiolect.application.names import CHAMELEON, FERMI
from idiolect.cli.options import JsonOption, StoreOption, UserIdArgument
from idiolect.cli.terminal import one_line, out, print_json, safe, visible

if TYPE_CHECKING:
    from idiolect.people.user import Opinion, User
    from idiolect.store import PersonalizationRecord

EXAMPLES = ("idiolect users show u1", "idiolect users show u1 --json")
_SHOWN_OPINIONS = 3
_SHOWN_CHARACTERS = 100
_INDENT = 10


def show_user(user_id: UserIdArgument, store: StoreOption = None, json: JsonOption = False) -> None:
    """Show what is known about a user and what was learned for them.

    The output lists their profile, some of their opinions (those from add-opinion are marked as entered) and their
    groups. Then, for each method, it shows the best prompt, or the edit with its diagnostics, and whether the
    evidence supports its use.
    """
    from idiolect.application.documents import user_document
    from idiolect.application.persons import known_in
    from idiolect.cli.opening import open_store

    with open_store(store) as opened:
        known = known_in(opened, user_id)
    if json:
        print_json(user_document(known), indent=2)
        return
    _print_user(known.user, known.entered)
    if known.groups:
        out().print(f"groups    {', '.join(map(_line, known.groups))}")
    for record in known.learned:
        _print_learned(record, known.user)
    if not known.learned:
        out().print("learned   nothing yet")


def _print_user(user: User, entered: Collection[int]) -> None:
    console = out()
    console.print(f"[bold]{safe(visible(user.id))}[/bold]")
    for name, value in user.profile.attributes.items():
        console.print(f"profile   {_line(name)}: {_line(value)}")
    console.print(f"opinions  {len(user.opinions)}" + (f", {len(entered)} of them entered" if entered else ""))
    shown = sorted({*range(len(user.opinions))[:_SHOWN_OPINIONS], *sorted(entered)[-_SHOWN_OPINIONS:]})
    for place in shown:
        console.print(f"          {_opinion_line(user.opinions[place])}" + (" (entered)" if place in entered else ""))
    if len(user.opinions) > len(shown):
        console.print(f"          and {len(user.opinions) - len(shown)} more")
    console.print(f"texts     {len(user.texts)}")


def _opinion_line(opinion: Opinion) -> str:
    return f"{_line(opinion.question.text)} → [bold]{_line(opinion.answer)}[/bold]"


def _line(text: str) -> str:
    return safe(one_line(text, limit=_SHOWN_CHARACTERS))


def _print_learned(record: PersonalizationRecord, user: User) -> None:
    from idiolect.errors import MissingExtraError, PersonalizationError

    when = record.updated_at.astimezone().strftime("%Y-%m-%d %H:%M")
    out().print(f"learned   [bold]{_line(record.method)}[/bold]  {when}  {record.digest[:12]}")
    try:
        if record.method == FERMI:
            _print_prompts(record)
        elif record.method == CHAMELEON:
            _print_edit(record, user)
    except (MissingExtraError, PersonalizationError) as error:
        _print_indented(f"cannot be read: {one_line(str(error))}")


def _print_prompts(record: PersonalizationRecord) -> None:
    from idiolect.cli.learned_screen import print_prompt, scored_on
    from idiolect.methods.fermi.dispositions import shown_dispositions
    from idiolect.methods.fermi.personalization import FermiPersonalization

    learned = FermiPersonalization.from_json(record.payload)
    n = len(learned.prompts)
    best = learned.best
    _print_indented(f"{n} prompt{'' if n == 1 else 's'}, the best scores {best.score:.3g} {scored_on(best, learned)}:")
    print_prompt(best, learned, indent=_INDENT + 2)
    if stated := shown_dispositions(learned.dispositions):
        _print_indented("dispositions, to change with users dispositions:")
        for number, each in enumerate(stated, start=1):
            _print_indented(f"  {number}  {one_line(each.stated)}{' (struck)' if each.struck else ''}")
    _print_indented(learned.gate)
    if not learned.finished and "stopped early" not in learned.gate:
        _print_indented("learning was stopped early")


def _print_edit(record: PersonalizationRecord, user: User) -> None:
    from idiolect.application.chameleon import USER_NOTE, is_stale, read_edit
    from idiolect.cli.learned_screen import print_diagnostics, print_edit

    learned = read_edit(record)
    _print_indented(learned.gate)
    if is_stale(record, user):
        _print_indented(USER_NOTE)
    print_edit(learned, indent=_INDENT)
    print_diagnostics(learned, indent=_INDENT)


def _print_indented(line: str) -> None:
    if line:
        out().print(" " * _INDENT + line, markup=False)
