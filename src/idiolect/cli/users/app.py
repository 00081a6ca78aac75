"""Commands of `idiolect users`: make users files; list, inspect, correct, export and forget what the store holds."""

from __future__ import annotations

import typer

from idiolect.cli.options import JsonOption, StoreOption, examples
from idiolect.cli.terminal import print_finished_erasures, print_json, print_table, visible
from idiolect.cli.users import add_opinion, export, forget, import_users, remove_opinion, show

_ID = 60  # characters of an id in a table

app = typer.Typer(help="Manage the people in the store.", no_args_is_help=True, epilog=examples("idiolect users list"))


@app.command("list", epilog=examples("idiolect users list", "idiolect users list --store ./people --json | jq .id"))
def list_users(store: StoreOption = None, json: JsonOption = False) -> None:
    """List all users.

    With --json: one object per line.
    """
    from idiolect.application.documents import user_summary_document
    from idiolect.store import Store

    with Store.open(store, create=False) as opened:
        print_finished_erasures(opened.finished_erasures)
        if json:
            for summary in opened.users():
                print_json(user_summary_document(summary))
            return
        rows = (
            (visible(user.id, limit=_ID), str(user.n_opinions), str(user.n_texts), ", ".join(user.methods) or "-")
            for user in opened.users()
        )
        print_table(("ID", "OPINIONS", "TEXTS", "LEARNED BY"), rows)


app.command("import", epilog=examples(*import_users.EXAMPLES))(import_users.import_users)
app.command("show", epilog=examples(*show.EXAMPLES))(show.show_user)
app.command("export", epilog=examples(*export.EXAMPLES))(export.export_user)
app.command("forget", epilog=examples(*forget.EXAMPLES))(forget.forget)
app.command("add-opinion", epilog=examples(*add_opinion.EXAMPLES))(add_opinion.add_opinion)
app.command("remove-opinion", epilog=examples(*remove_opinion.EXAMPLES))(remove_opinion.remove_opinion)
