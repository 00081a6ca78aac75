"""`idiolect users export`: everything held about a user, as one JSON document or as an archive."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from idiolect.cli.options import JsonOption, StoreOption
from idiolect.cli.terminal import err, json_text, print_json, safe
from idiolect.cli.users_forget import open_cache
from idiolect.cli.users_show import UserId

if TYPE_CHECKING:
    from idiolect.store.archive import Holdings

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
    from idiolect.cli.output_file import write_private_file
    from idiolect.store import Store
    from idiolect.store.archive import holdings

    with Store.open(store, create=False) as opened, open_cache(opened) as cache:
        held = holdings(opened, user_id, cache=cache)
    if file == "-":
        print_json(held.document(), indent=2)
        return
    if file.lower().endswith(".zip"):
        _write_archive(Path(file), held, force=force)
    else:
        write_private_file(Path(file), json_text(held.document(), indent=2) + "\n", force=force)
    err().print(f"exported user {safe(repr(user_id))} to {safe(file)}")


def _write_archive(path: Path, held: Holdings, *, force: bool) -> None:
    from idiolect.store.archive import write_archive

    with _private_file(path, force=force) as file:
        write_archive(file, held)


@contextmanager
def _private_file(path: Path, *, force: bool) -> Iterator[BinaryIO]:
    """A file of mode 0600 that is at `path` once it is whole.

    Raises:
        IdiolectError: the file is there and `force` is false, it is no file, or it cannot be written.
    """
    from idiolect.cli.output_file import _check_place
    from idiolect.errors import IdiolectError

    name = ""
    try:
        _check_place(path, force=force)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)  # made with mode 0600
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError as error:
        raise IdiolectError(f"cannot write {path}: {error.strerror}") from error
    finally:
        if name:
            Path(name).unlink(missing_ok=True)
