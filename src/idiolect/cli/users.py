"""`idiolect users`: what the store holds about people - counted, looked at, handed over, and forgotten.

Registers the commands; those with more to do than listing have a module each.
"""

from __future__ import annotations

import typer

from idiolect.cli import remove_opinion, users_export, users_forget, users_show
from idiolect.cli.options import JsonOption, StoreOption, examples
from idiolect.cli.terminal import print_json, print_table

app = typer.Typer(help="The people in the store.", no_args_is_help=True, epilog=examples("idiolect users list"))


@app.command("list", epilog=examples("idiolect users list", "idiolect users list --store ./people --json | jq .id"))
def list_users(store: StoreOption = None, json: JsonOption = False) -> None:
    """List every user.

    With --json: one object a line.
    """
    from idiolect.store import Store

    with Store.open(store, create=False) as opened:
        users_forget.tell_finished(opened)
        if json:
            for summary in opened.users():
                print_json(users_show.summary_json(summary))
            return
        header = ("ID", "OPINIONS", "TEXTS", "LEARNED BY")
        rows = (
            (user.id, str(user.n_opinions), str(user.n_texts), ", ".join(user.methods) or "-")
            for user in opened.users()
        )
        print_table(header, rows)


app.command("show", epilog=examples(*users_show.EXAMPLES))(users_show.show_user)
app.command("export", epilog=examples(*users_export.EXAMPLES))(users_export.export_user)
app.command("forget", epilog=examples(*users_forget.EXAMPLES))(users_forget.forget)
app.command("remove-opinion", epilog=examples(*remove_opinion.EXAMPLES))(remove_opinion.remove_opinion)
