"""Commands of `idiolect groups`: create, inspect, change and forget groups of people who share one edit.

The commands are a thin layer over `Store.groups`. The edit of a group serves its members and people never seen, until
a member that it was learned from is forgotten or removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from idiolect.cli.boundary import FAILED
from idiolect.cli.groups import fit as fitting
from idiolect.cli.options import GroupIdArgument, JsonOption, StoreOption, YesOption, examples
from idiolect.cli.terminal import (
    confirm_deletion,
    err,
    listed,
    one_line,
    out,
    print_finished_erasures,
    print_json,
    print_table,
    safe,
    visible,
)

if TYPE_CHECKING:
    from idiolect.store import GroupFit, Store

app = typer.Typer(
    help="Manage groups of people in the store.",
    no_args_is_help=True,
    epilog=examples("idiolect groups create readers --members u1,u2", "idiolect groups list"),
)
Members = Annotated[
    list[str] | None,
    typer.Option("--members", metavar="ID,…", help="Ids of users. Repeatable.", show_default=False),
]
EveryoneOption = Annotated[bool, typer.Option("--all", help="All users in the store.")]


@app.command(
    "create", epilog=examples("idiolect groups create readers --members u1,u2", "idiolect groups create town --all")
)
def create(
    group_id: GroupIdArgument,
    members: Members = None,
    everyone: EveryoneOption = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Create a group of users in the store."""
    from idiolect.application.documents import group_document
    from idiolect.cli.opening import open_store

    if not group_id.strip():
        raise typer.BadParameter("the group's name is blank")
    ids = _ids(members, everyone=everyone)
    with open_store(store) as opened:
        made = opened.groups.create(group_id, tuple(opened.user_ids()) if everyone else ids)
    if json:
        print_json(group_document(made), indent=2)
        return
    out().print(f"created group {safe(repr(group_id))} of {_people(len(made.members))}")


@app.command("list", epilog=examples("idiolect groups list", "idiolect groups list --json | jq .id"))
def list_groups(store: StoreOption = None, json: JsonOption = False) -> None:
    """List all groups.

    With --json: one object per line.
    """
    from idiolect.application.documents import group_document
    from idiolect.cli.opening import open_store

    with open_store(store) as opened:
        print_finished_erasures(opened.finished_erasures)
        if json:
            for group in opened.groups.list():
                print_json(group_document(group))
            return
        rows = (
            (
                visible(group.id, limit=60),
                str(len(group.members)),
                ", ".join(fit.method for fit in group.fits) or "-",
                group.state,
            )
            for group in opened.groups.list()
        )
        print_table(("GROUP", "MEMBERS", "LEARNED BY", "STATE"), rows)


@app.command("show", epilog=examples("idiolect groups show readers", "idiolect groups show readers --json"))
def show(group_id: GroupIdArgument, store: StoreOption = None, json: JsonOption = False) -> None:
    """Show a group's members, what was learned, and whether to fit again."""
    from idiolect.application.documents import group_document
    from idiolect.cli.opening import open_store

    with open_store(store) as opened:
        group = opened.groups.get(group_id)
    if json:
        print_json(group_document(group), indent=2)
        return
    console = out()
    console.print(f"[bold]{safe(visible(group.id))}[/bold]")
    members = f"{len(group.members)}: {safe(listed(group.members))}" if group.members else "none"
    console.print(f"members   {members}")
    for fit in group.fits:
        when = fit.since.astimezone().strftime("%Y-%m-%d %H:%M")
        console.print(f"learned   [bold]{safe(one_line(fit.method))}[/bold]  {when}  {(fit.digest or '-')[:12]}")
        for line in _advice(fit):
            console.print(f"          {line}")
    if not group.fits:
        console.print("learned   nothing yet")


@app.command("add", epilog=examples("idiolect groups add readers --members u4,u5", "idiolect groups add town --all"))
def add(
    group_id: GroupIdArgument,
    members: Members = None,
    everyone: EveryoneOption = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Add users to a group.

    The group's edit serves them too. Fit the group again to learn from them.
    """
    from idiolect.application.documents import group_document
    from idiolect.cli.opening import open_store

    ids = _ids(members, everyone=everyone)
    with open_store(store) as opened:
        added = opened.groups.add_members(group_id, tuple(opened.user_ids()) if everyone else ids)
        group = opened.groups.get(group_id)
    if json:
        print_json({**group_document(group), "n_added": added}, indent=2)
        return
    out().print(f"added {_people(added)} to group {safe(repr(group_id))}, which has {_people(len(group.members))} now")


@app.command("remove", epilog=examples("idiolect groups remove readers --members u2"))
def remove(
    group_id: GroupIdArgument, members: Members = None, store: StoreOption = None, json: JsonOption = False
) -> None:
    """Remove users from a group; they stay in the store.

    An edit that was learned from any of them is deleted, and the group must be fitted again before it can be used. The
    edits of people that began at it (fit --from-group) are deleted, too.
    """
    from idiolect.application.documents import group_document, removal_document
    from idiolect.cli.opening import open_store

    ids = _ids(members, everyone=False)
    with open_store(store) as opened:
        removal = opened.groups.remove_members(group_id, ids)
        group = opened.groups.get(group_id)
    if json:
        print_json({**group_document(group), **removal_document(removal)}, indent=2)
    else:
        out().print(
            f"removed {_people(len(ids))} from group {safe(repr(group_id))}; {_people(len(group.members))} left"
        )
        for method in removal.refit:
            out().print(f"deleted what {safe(method)} had learned from them; fit the group again")
        if removal.begun_edits:
            out().print(f"deleted the edits of people that began at it: {safe(_begun(removal.begun_edits))}")
    _fail_if_unfinished(removal.unfinished)


@app.command("forget", epilog=examples("idiolect groups forget readers", "idiolect groups forget readers --yes --json"))
def forget(
    group_id: GroupIdArgument, yes: YesOption = False, store: StoreOption = None, json: JsonOption = False
) -> None:
    """Delete a group and its edit; its members stay in the store.

    The edits of people that began at it (fit --from-group) are deleted, too; fit them again. The store's files are
    rewritten without the deleted bytes.
    """
    from idiolect.application.documents import removal_document
    from idiolect.cli.opening import open_store

    with open_store(store) as opened:
        print_finished_erasures(opened.finished_erasures)
        if not yes:
            confirm_deletion(_what_goes(opened, group_id))
        removal = opened.groups.forget(group_id)
    if json:
        print_json({"group": group_id, **removal_document(removal)}, indent=2)
    else:
        rows = ", ".join(f"{count} {name}" for name, count in removal.rows.items())
        begun = [("begun edits", f"deleted: {_begun(removal.begun_edits)}")] if removal.begun_edits else []
        print_table(("RECEIPT", ""), [("forgotten", group_id), ("rows deleted", rows), *begun])
    _fail_if_unfinished(removal.unfinished)


def _ids(members: Sequence[str] | None, *, everyone: bool) -> tuple[str, ...]:
    """Return the distinct ids in --members.

    Raises:
        typer.BadParameter: both or neither of --members and --all are set, or --members contains no id.
    """
    if bool(members) == everyone:
        raise typer.BadParameter("use either --members or --all, not both" if everyone else "--members is required")
    ids = (each.strip() for part in members or () for each in part.split(","))
    found = tuple(dict.fromkeys(each for each in ids if each))
    if members and not found:
        raise typer.BadParameter("--members contains no id")
    return found


def _what_goes(store: Store, group_id: str) -> str:
    group = store.groups.get(group_id)
    learned = ", ".join(fit.method for fit in group.fits if fit.digest is not None) or "nothing"
    begun = f"edits of people that began at it {len(store.groups.begun_edits(group_id))}"
    members = f"members {len(group.members)} (they stay)"
    return f"{one_line(group_id)} in {store.where}: {members}; learned by {learned}; {begun}"


def _begun(user_ids: Sequence[str]) -> str:
    """Return the number of people and their ids."""
    return f"{_people(len(user_ids))} to fit again: {listed(user_ids)}"


def _fail_if_unfinished(unfinished: Iterable[str]) -> None:
    for fault in (faults := list(unfinished)):
        err().print(f"error: deleted, but not scrubbed from the files yet: {one_line(fault)}", markup=False)
    if faults:
        err().print("error: the next command that opens the store (such as idiolect groups list) completes this")
        raise typer.Exit(FAILED)


def _advice(fit: GroupFit) -> list[str]:
    """Return lines about the sources and the state of a fit, in rich markup."""
    from idiolect.store import GroupState

    if fit.state == GroupState.NEEDS_REFIT:
        return [
            "deleted because a member it was learned from was forgotten or removed; fit the group again before using it"
        ]
    lines = [f"from {_people(len(fit.sources))}"]
    if fit.added:
        lines.append(f"{_people(len(fit.added))} joined since: {safe(listed(fit.added))}")
    if fit.changed:
        lines.append(f"the history of {_people(len(fit.changed))} has changed since: {safe(listed(fit.changed))}")
    return [*lines, "fit the group again to include this"] if len(lines) > 1 else lines


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count:,} people"


app.command("fit", epilog=examples(*fitting.EXAMPLES))(fitting.fit)
app.command("save", epilog=examples(*fitting.SAVE_EXAMPLES))(fitting.save)
