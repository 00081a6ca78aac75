"""Commands of `idiolect users`: make users files; list, inspect, correct, export and forget what the store holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

import typer

from idiolect.cli.options import JsonOption, StoreOption, examples
from idiolect.cli.terminal import err, one_line, print_finished_erasures, print_json, print_table, visible
from idiolect.cli.users import add_opinion, dispositions, export, forget, import_users, remove_opinion, show

if TYPE_CHECKING:
    from idiolect.store import DamagedUser, UserSummary

    Listed: TypeAlias = UserSummary | DamagedUser

_ID = 60  # characters of an id in a table

app = typer.Typer(help="Manage the people in the store.", no_args_is_help=True, epilog=examples("idiolect users list"))


@app.command("list", epilog=examples("idiolect users list", "idiolect users list --store ./people --json | jq .id"))
def list_users(store: StoreOption = None, json: JsonOption = False) -> None:
    """List all users.

    With --json: one object per line. A user whose data is damaged is marked, and a warning says what to do.
    """
    from idiolect.cli.opening import open_store

    damaged: list[DamagedUser] = []
    with open_store(store) as opened:
        print_finished_erasures(opened.finished_erasures)
        listed = _noting(opened.listed(), damaged)
        if json:
            from idiolect.application.people_documents import listed_user_document

            for user in listed:
                print_json(listed_user_document(user))
        else:
            print_table(("ID", "OPINIONS", "TEXTS", "LEARNED BY"), map(_row, listed))
    for user in damaged:
        remedy = "fit the user again, or forget the user" if user.named else "restore a backup of the store"
        err().print(f"warning: the data of user {one_line(repr(user.id))} is damaged; {remedy}", markup=False)


def _noting(listed: Iterator[Listed], damaged: list[DamagedUser]) -> Iterator[Listed]:
    """Yield the users, and append those whose data is damaged to a list."""
    from idiolect.store import DamagedUser

    for user in listed:
        if isinstance(user, DamagedUser):
            damaged.append(user)
        yield user


def _row(user: Listed) -> tuple[str, str, str, str]:
    from idiolect.store import DamagedUser

    if isinstance(user, DamagedUser):
        return visible(user.id, limit=_ID), "damaged", "damaged", "-"
    return visible(user.id, limit=_ID), str(user.n_opinions), str(user.n_texts), ", ".join(user.methods) or "-"


app.command("import", epilog=examples(*import_users.EXAMPLES))(import_users.import_users)
app.command("show", epilog=examples(*show.EXAMPLES))(show.show_user)
app.command("export", epilog=examples(*export.EXAMPLES))(export.export_user)
app.command("forget", epilog=examples(*forget.EXAMPLES))(forget.forget)
app.command("add-opinion", epilog=examples(*add_opinion.EXAMPLES))(add_opinion.add_opinion)
app.command("remove-opinion", epilog=examples(*remove_opinion.EXAMPLES))(remove_opinion.remove_opinion)
app.command("dispositions", epilog=examples(*dispositions.EXAMPLES))(dispositions.dispositions)
