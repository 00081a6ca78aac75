"""`idiolect users`: what the store holds about people - counted, looked at, and handed over in one document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from idiolect.cli.options import JsonOption, StoreOption, examples
from idiolect.cli.terminal import err, json_text, one_line, out, print_json, print_table, safe

if TYPE_CHECKING:
    from idiolect.methods.fermi.personalization import FermiPersonalization
    from idiolect.people.user import Opinion, User
    from idiolect.store import PersonalizationRecord, Store, UserSummary

_SHOWN_OPINIONS = 3
_SHOWN_CHARACTERS = 100

app = typer.Typer(help="The people in the store.", no_args_is_help=True, epilog=examples("idiolect users list"))

UserId = Annotated[str, typer.Argument(metavar="ID", help="The user's id.", show_default=False)]


@app.command("list", epilog=examples("idiolect users list", "idiolect users list --store ./people --json | jq .id"))
def list_users(store: StoreOption = None, json: JsonOption = False) -> None:
    """List every user.

    With --json: one object a line.
    """
    with _open(store) as opened:
        if json:
            for summary in opened.users():
                print_json(_summary_json(summary))
            return
        header = ("ID", "OPINIONS", "TEXTS", "LEARNED BY")
        print_table(header, (_summary_row(summary) for summary in opened.users()))


@app.command("show", epilog=examples("idiolect users show u1", "idiolect users show u1 --json"))
def show_user(user_id: UserId, store: StoreOption = None, json: JsonOption = False) -> None:
    """Show what is known and learned about a user.

    Their profile, some of their opinions, and the best prompt of each method that learned prompts.
    """
    with _open(store) as opened:
        user, learned = opened.user(user_id), opened.personalizations(user_id)
        if json:
            print_json(_show_json(opened.summary(user_id), user, learned), indent=2)
            return
    _print_user(user)
    for record in learned:
        _print_learned(record)
    if not learned:
        out().print("learned   nothing yet")


@app.command("export", epilog=examples("idiolect users export u1 --out u1.json", "idiolect users export u1 | jq .user"))
def export_user(
    user_id: UserId,
    file: Annotated[str, typer.Option("--out", metavar="FILE|-", help="The file to write; - is stdout.")] = "-",
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Export everything held about a user.

    One JSON document, with or without --json: the user as in a users file, and all that was learned for them.
    """
    del json  # accepted, like everywhere; here it only says how errors are told
    with _open(store) as opened:
        document = _document(opened, user_id)
    if file == "-":
        print_json(document, indent=2)
        return
    from idiolect.cli.output_file import write_private_file

    write_private_file(Path(file), json_text(document, indent=2) + "\n", force=force)
    err().print(f"exported user {safe(repr(user_id))} to {safe(file)}")


def _open(target: str | None) -> Store:
    from idiolect.store import Store

    return Store.open(target, create=False)


def _summary_json(summary: UserSummary) -> dict[str, Any]:
    return {
        "id": summary.id,
        "opinions": summary.n_opinions,
        "texts": summary.n_texts,
        "methods": list(summary.methods),
        "created_at": summary.created_at.isoformat(),
        "updated_at": summary.updated_at.isoformat(),
    }


def _summary_row(summary: UserSummary) -> tuple[str, str, str, str]:
    return summary.id, str(summary.n_opinions), str(summary.n_texts), ", ".join(summary.methods) or "-"


def _show_json(summary: UserSummary, user: User, learned: Iterable[PersonalizationRecord]) -> dict[str, Any]:
    return {
        **_summary_json(summary),
        "profile": dict(user.profile.attributes),
        "learned": [_learned_json(record) for record in learned],
    }


def _learned_json(record: PersonalizationRecord) -> dict[str, Any]:
    shown = {
        "method": record.method,
        "digest": record.digest,
        "created_at": record.created_at.isoformat(),
        "updated_at": record.updated_at.isoformat(),
    }
    fermi = _fermi(record)
    if fermi is not None:
        from idiolect.cli.prompt_report import prompt_json

        return {**shown, "prompts": len(fermi.prompts), "best_prompt": prompt_json(fermi.best, fermi)}
    prompts = _prompts(record.payload)
    best = _best(prompts)
    told = None if best is None else {"text": best["text"], "score": best.get("score")}
    return {**shown, "prompts": len(prompts), "best_prompt": told}


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


def _document(store: Store, user_id: str) -> dict[str, Any]:
    """Everything held about the user."""
    from idiolect.people.user_record import user_to_record

    summary = store.summary(user_id)
    return {
        "user": user_to_record(store.user(user_id)),
        "created_at": summary.created_at.isoformat(),
        "updated_at": summary.updated_at.isoformat(),
        "personalizations": [
            {
                "method": record.method,
                "created_at": record.created_at.isoformat(),
                "updated_at": record.updated_at.isoformat(),
                "digest": record.digest,
                "payload": record.payload,
            }
            for record in store.personalizations(user_id)
        ],
    }


def _print_user(user: User) -> None:
    console = out()
    console.print(f"[bold]{safe(one_line(user.id))}[/bold]")
    for name, value in user.profile.attributes.items():
        console.print(f"profile   {_line(name)}: {_line(value)}")
    console.print(f"opinions  {len(user.opinions)}")
    for opinion in user.opinions[:_SHOWN_OPINIONS]:
        console.print(f"          {_opinion_line(opinion)}")
    if len(user.opinions) > _SHOWN_OPINIONS:
        console.print(f"          and {len(user.opinions) - _SHOWN_OPINIONS} more")
    console.print(f"texts     {len(user.texts)}")


def _opinion_line(opinion: Opinion) -> str:
    return f"{_line(opinion.question.text)} → [bold]{_line(opinion.answer)}[/bold]"


def _line(text: str) -> str:
    return safe(one_line(text, limit=_SHOWN_CHARACTERS))


def _print_learned(record: PersonalizationRecord) -> None:
    console = out()
    when = record.updated_at.astimezone().strftime("%Y-%m-%d %H:%M")
    console.print(f"learned   [bold]{_line(record.method)}[/bold]  {when}  {record.digest[:12]}")
    fermi = _fermi(record)
    if fermi is not None:
        from idiolect.cli.prompt_report import print_prompt

        console.print(f"          {_prompt_count(len(fermi.prompts))}, the best scores {fermi.best.score:.3g}:")
        print_prompt(fermi.best, fermi, indent=12)
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
