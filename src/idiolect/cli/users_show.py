"""`idiolect users show`: what is known about a user, and what was learned for them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from idiolect.cli.options import JsonOption, StoreOption
from idiolect.cli.terminal import one_line, out, print_json, safe

if TYPE_CHECKING:
    from idiolect.methods.chameleon.personalization import ChameleonPersonalization
    from idiolect.methods.fermi.personalization import FermiPersonalization
    from idiolect.people.user import Opinion, User
    from idiolect.store import PersonalizationRecord, UserSummary

EXAMPLES = ("idiolect users show u1", "idiolect users show u1 --json")
UserId = Annotated[str, typer.Argument(metavar="ID", help="The user's id.", show_default=False)]
_SHOWN_OPINIONS = 3
_SHOWN_CHARACTERS = 100


def show_user(user_id: UserId, store: StoreOption = None, json: JsonOption = False) -> None:
    """Show what is known and learned about a user.

    Their profile, some of their opinions (those of add-opinion are marked as entered) and their groups; then what each
    method learned: the best prompt, or the edit with its diagnostics; and whether answers that were held out speak for
    using it.
    """
    from idiolect.store import Store

    with Store.open(store, create=False) as opened:
        user, learned, entered = opened.user(user_id), opened.personalizations(user_id), opened.entered(user_id)
        in_groups = opened.groups.groups_of(user_id)
        if json:
            shown = {**_show_json(opened.summary(user_id), user, learned), "groups": list(in_groups)}
            print_json({**shown, "entered": [_opinion_json(user.opinions[place]) for place in entered]}, indent=2)
            return
    _print_user(user, entered)
    if in_groups:
        out().print(f"groups    {', '.join(map(_line, in_groups))}")
    for record in learned:
        _print_learned(record, user)
    if not learned:
        out().print("learned   nothing yet")


def summary_json(summary: UserSummary) -> dict[str, Any]:
    """The user, counted, for machines."""
    return {
        "id": summary.id,
        "opinions": summary.n_opinions,
        "texts": summary.n_texts,
        "methods": list(summary.methods),
        "created_at": summary.created_at.isoformat(),
        "updated_at": summary.updated_at.isoformat(),
    }


def _show_json(summary: UserSummary, user: User, learned: Iterable[PersonalizationRecord]) -> dict[str, Any]:
    return {
        **summary_json(summary),
        "profile": dict(user.profile.attributes),
        "learned": [_learned_json(record, user) for record in learned],
    }


def _opinion_json(opinion: Opinion) -> dict[str, Any]:
    return {"question": opinion.question.text, "choices": list(opinion.question.choices), "answer": opinion.answer}


def _learned_json(record: PersonalizationRecord, user: User) -> dict[str, Any]:
    shown = {
        "method": record.method,
        "digest": record.digest,
        "created_at": record.created_at.isoformat(),
        "updated_at": record.updated_at.isoformat(),
    }
    fermi = _fermi(record)
    if fermi is not None:
        from idiolect.cli.prompt_report import prompt_json

        best_prompt = prompt_json(fermi.best, fermi)
        return {**shown, "prompts": len(fermi.prompts), "best_prompt": best_prompt, **_gate_json(fermi)}
    if record.method == "chameleon":
        return {**shown, **_edit_json(record, user)}
    prompts = _prompts(record.payload)
    best = _best(prompts)
    told = None if best is None else {"text": best["text"], "score": best.get("score")}
    return {**shown, "prompts": len(prompts), "best_prompt": told}


def _gate_json(fermi: FermiPersonalization) -> dict[str, Any]:
    evidence = fermi.evidence
    shown = None
    if evidence is not None:
        shown = {"n": evidence.n, "difference": evidence.difference, "used": evidence.used, "reason": evidence.reason}
    return {"finished": fermi.finished, "evidence": shown}


def _fermi(record: PersonalizationRecord) -> FermiPersonalization | None:
    """What Fermi learned, if the record holds that and is whole."""
    if record.method != "fermi":
        return None
    from idiolect.errors import PersonalizationError
    from idiolect.methods.fermi.personalization import FermiPersonalization

    try:
        return FermiPersonalization.from_json(record.payload)
    except PersonalizationError:
        return None


def _chameleon(record: PersonalizationRecord) -> ChameleonPersonalization | str:
    """What CHAMELEON learned; what is wrong where the record is damaged, or its packages are not installed."""
    from idiolect.cli.chameleon_order import with_extra
    from idiolect.errors import MissingExtraError, PersonalizationError

    try:
        with_extra()
        from idiolect.methods.chameleon.personalization import ChameleonPersonalization

        return ChameleonPersonalization.from_parts(record.payload, record.tensors)
    except (MissingExtraError, PersonalizationError) as error:
        return str(error)


def _edit_json(record: PersonalizationRecord, user: User) -> dict[str, Any]:
    from idiolect.cli.edit_report import edit_json
    from idiolect.cli.stale_edits import stale

    edit = _chameleon(record)
    told = {"error": edit} if isinstance(edit, str) else edit_json(edit)
    return {**told, "stale": stale(record, user)}


def _print_edit(record: PersonalizationRecord, user: User) -> None:
    from idiolect.cli.edit_report import print_diagnostics, print_edit
    from idiolect.cli.stale_edits import USER_NOTE, stale

    edit = _chameleon(record)
    if isinstance(edit, str):
        out().print(f"          cannot be read: {one_line(edit)}", markup=False)
        return
    out().print(f"          {edit.gate}", markup=False)
    if stale(record, user):
        out().print(f"          {USER_NOTE}", markup=False)
    print_edit(edit, indent=10)
    print_diagnostics(edit, indent=10)


def _print_user(user: User, entered: Collection[int]) -> None:
    console = out()
    console.print(f"[bold]{safe(one_line(user.id))}[/bold]")
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
    console = out()
    when = record.updated_at.astimezone().strftime("%Y-%m-%d %H:%M")
    console.print(f"learned   [bold]{_line(record.method)}[/bold]  {when}  {record.digest[:12]}")
    fermi = _fermi(record)
    if fermi is not None:
        from idiolect.cli.prompt_report import print_prompt

        console.print(f"          {_prompt_count(len(fermi.prompts))}, the best scores {fermi.best.score:.3g}:")
        print_prompt(fermi.best, fermi, indent=12)
        stopped = "" if fermi.finished or "stopped early" in fermi.gate else "learning was stopped early"
        for line in (fermi.gate, stopped):
            if line:
                console.print(f"          {line}", markup=False)
        return
    if record.method == "chameleon":
        _print_edit(record, user)
        return
    prompts = _prompts(record.payload)
    best = _best(prompts)
    if best is None:
        return
    score = best.get("score")
    scored = f", the best scores {score:.3g}" if _is_number(score) else ""
    console.print(f"          {_prompt_count(len(prompts))}{scored}:")
    for line in best["text"].splitlines():
        console.print(f"            {safe(line)}")


def _prompt_count(count: int) -> str:
    return f"{count} prompt{'' if count == 1 else 's'}"


def _prompts(payload: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The prompts that a payload holds, whatever else it holds: mappings with a text."""
    prompts = payload.get("prompts")
    if not isinstance(prompts, list):
        return []
    return [prompt for prompt in prompts if isinstance(prompt, Mapping) and isinstance(prompt.get("text"), str)]


def _best(prompts: list[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The first prompt of the highest score; without scores the first one."""
    scored = [prompt for prompt in prompts if _is_number(prompt.get("score"))]
    return max(scored, key=lambda prompt: float(prompt["score"])) if scored else next(iter(prompts), None)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
