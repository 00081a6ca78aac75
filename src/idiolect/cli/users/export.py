"""The command `idiolect users export`: everything held about a user, as one JSON document or as an archive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from idiolect.cli.options import JsonOption, StoreOption, UserIdArgument
from idiolect.cli.terminal import err, json_text, one_line, print_json, safe

EXAMPLES = ("idiolect users export u1 --out u1.zip", "idiolect users export u1 | jq .user")


def export_user(
    user_id: UserIdArgument,
    out: Annotated[str, typer.Option(metavar="FILE|-", help="File to write; - is standard output.")] = "-",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Export everything held about a user.

    If the file's name ends in .zip, it is an archive: the user as a users file for fit, everything learned for them,
    the models' cached answers, and the files learned for them. Otherwise, it is a JSON document with the same content.
    """
    del json  # accepted as in every command; here it only decides how errors are printed
    from idiolect.application.persons import export_from
    from idiolect.application.private_file import private_file
    from idiolect.cli.opening import open_store
    from idiolect.erasure.holdings import write_archive

    with open_store(store) as opened:
        exported = export_from(opened, user_id)
    for missed in exported.missed:
        err().print(f"warning: {one_line(missed)}; its answers are not exported", markup=False)
    document = exported.holdings.document()
    if out == "-":
        print_json(document, indent=2)
        return
    with private_file(Path(out), force=force) as file:
        if out.lower().endswith(".zip"):
            write_archive(file, exported.holdings)
        else:
            file.write((json_text(document, indent=2) + "\n").encode())
    err().print(f"exported user {safe(repr(user_id))} to {safe(out)}")
