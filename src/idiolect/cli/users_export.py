"""`idiolect users export`: everything held about a user, as one JSON document or as an archive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from idiolect.cli.options import JsonOption, StoreOption
from idiolect.cli.terminal import err, json_text, one_line, print_json, safe
from idiolect.cli.users_show import UserId

EXAMPLES = ("idiolect users export u1 --out u1.zip", "idiolect users export u1 | jq .user")


def export_user(
    user_id: UserId,
    file: Annotated[str, typer.Option("--out", metavar="FILE|-", help="The file to write; - is stdout.")] = "-",
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Export everything held about a user.

    A name that ends in .zip makes an archive: the user as a users file that fit reads, all that was learned for them,
    the models' cached answers, and files learned for them. Any other name, and -, one JSON document of the same.
    """
    del json  # accepted, like everywhere; here it only says how errors are told
    from idiolect.cli.output_file import private_file
    from idiolect.store import Store
    from idiolect.store.archive import holdings, write_archive
    from idiolect.store.companions import opened_caches

    with Store.open(store, create=False) as opened, opened_caches(opened.database) as caches:
        held = holdings(opened, user_id, caches=caches.opened)
    for missed in caches.missed:
        err().print(f"warning: {one_line(missed)}; its answers are not exported", markup=False)
    if file == "-":
        print_json(held.document(), indent=2)
        return
    with private_file(Path(file), force=force) as opened_file:
        if file.lower().endswith(".zip"):
            write_archive(opened_file, held)
        else:
            opened_file.write((json_text(held.document(), indent=2) + "\n").encode())
    err().print(f"exported user {safe(repr(user_id))} to {safe(file)}")
