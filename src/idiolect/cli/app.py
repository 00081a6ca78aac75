"""The command `idiolect`: which commands there are, and its entry point.

Every command is registered here, by name, and imports what it needs inside its function, so that help is immediate.
Errors end in `boundary`; the screen is `terminal`'s.
"""

from __future__ import annotations

import gc
import sys
from typing import Annotated

import typer

from idiolect.cli import ask, chat, compare, evaluate, export, fit, serve
from idiolect.cli.boundary import FAILED, Boundary, drop_stderr, flush_stdout
from idiolect.cli.demo import command as demo
from idiolect.cli.groups.app import app as groups
from idiolect.cli.keys.app import app as keys
from idiolect.cli.options import examples
from idiolect.cli.terminal import open_closed_streams, print_json, quiet_libraries
from idiolect.cli.users.app import app as users
from idiolect.version import __version__

# The option --help where it is absent: a value that is no truth value would make Typer import pydantic to convert it.
_NO_HELP = {"help": False}

app = typer.Typer(
    name="idiolect",
    cls=Boundary,
    help="Personalizes any LLM to one user from a handful of their past answers.",
    epilog=examples("idiolect demo", "idiolect fit users.jsonl", 'idiolect ask --user u1 "Tea or coffee?"'),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    pretty_exceptions_show_locals=False,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "default_map": {**_NO_HELP, "users": _NO_HELP, "groups": _NO_HELP, "keys": _NO_HELP},
    },
)


def _print_version(ctx: typer.Context, wanted: bool) -> None:
    if not wanted:
        return
    if ctx.params["verbose"]:
        from idiolect.cli.version import print_installation

        print_installation(json=ctx.params["json"])
    elif ctx.params["json"]:
        print_json({"idiolect": __version__})
    else:
        typer.echo(f"idiolect {__version__}")
    raise typer.Exit


# Options that are eager have their values when the callback of another one runs.
@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", callback=_print_version)] = False,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", help="With --version: everything that a report of a bug needs.", is_eager=True),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="With --version: print JSON.", is_eager=True)] = False,
) -> None:
    del version
    if verbose or json:
        raise typer.BadParameter("goes with --version only", param_hint="'--verbose'" if verbose else "'--json'")


app.command("demo", epilog=examples(*demo.EXAMPLES))(demo.demo)
app.command("fit", help=fit.HELP, epilog=examples(*fit.EXAMPLES))(fit.fit)
app.command("ask", epilog=examples(*ask.EXAMPLES))(ask.ask)
app.command("chat", epilog=examples(*chat.EXAMPLES))(chat.chat)
app.command("evaluate", help=evaluate.HELP, epilog=examples(*evaluate.EXAMPLES))(evaluate.evaluate)
app.command("compare", help=compare.HELP, epilog=examples(*compare.EXAMPLES))(compare.compare)
app.command("serve", epilog=examples(*serve.EXAMPLES))(serve.serve)
app.command("export", epilog=examples(*export.EXAMPLES))(export.export)
app.add_typer(users, name="users")
app.add_typer(groups, name="groups")
app.add_typer(keys, name="keys")


def collect_garbage_less_often() -> None:
    """Look for garbage every 10,000 new objects: imports make little, and every 700 it takes a sixth of `ask`'s CPU."""
    gc.set_threshold(10_000, 10, 10)


def main() -> None:
    """Run the command line; never returns.

    Raises:
        SystemExit: always, with the exit status.
    """
    collect_garbage_less_often()
    quiet_libraries()
    open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except OSError as error:  # a message could not be written: stderr is full, or its reader has gone
        drop_stderr()
        raise SystemExit(getattr(error.__context__, "exit_code", FAILED)) from None
    finally:
        flush_stdout()


if __name__ == "__main__":
    from idiolect.cli import start

    start.main()
