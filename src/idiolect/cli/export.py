"""The command `idiolect export`: write a CHAMELEON edit as an adapter for other engines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from idiolect.cli.options import JsonOption, StoreOption, named_owner, option
from idiolect.cli.terminal import err, out, print_json

if TYPE_CHECKING:
    from idiolect.export.exporting import Exported

EXAMPLES = (
    "idiolect export adapters --user u1 --format peft --verify",
    "idiolect export adapters --group critics --format gguf --dtype float16",
)

Format = Literal["peft", "gguf"]
Dtype = Literal["float32", "bfloat16", "float16"]


def export(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder in which the adapter's folder is created.")],
    format: Annotated[Format, typer.Option("--format", help="peft: PEFT, vLLM, SGLang. gguf: llama.cpp, Ollama.")],
    user: Annotated[str | None, option("User whose edit is exported.", "ID")] = None,
    group: Annotated[str | None, option("Group whose edit is exported.", "ID")] = None,
    dtype: Annotated[Dtype, typer.Option(help="Type of the adapter's tensors.")] = "float32",
    verify: Annotated[
        bool, typer.Option("--verify", help="Load the adapter back and compare; write nothing if it differs.")
    ] = False,
    even_if_unused: Annotated[
        bool, typer.Option("--even-if-unused", help="Export even if held-out history speaks against the edit.")
    ] = False,
    name_owner: Annotated[
        bool, typer.Option("--name-owner", help="Write the user's or group's id into the adapter's card.")
    ] = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Export a CHAMELEON edit as a LoRA adapter that stock engines load.

    The folder DIR/idiolect-HASH is named after its content; serve it under that name. The adapter is valid only for the
    weights that it was learned on. For serving, see docs/serving-adapters.md.
    """
    from idiolect.application.blocking import Workspace
    from idiolect.application.choices import require_chameleon
    from idiolect.cli.progress import SCREEN

    owner = named_owner(user, group)
    require_chameleon()
    from idiolect.export.exporting import ExportOptions

    options = ExportOptions(format, directory, dtype, verify)
    with Workspace.open(store, create=False, events=SCREEN) as space:
        adapter = space.export_adapter(owner, options, even_if_unused=even_if_unused, name_owner=name_owner)
    if adapter.stale:
        err().print(f"note: {adapter.stale}", markup=False)
    if json:
        print_json(adapter.exported.to_json())
    else:
        _print_exported(adapter.exported)


def _print_exported(exported: Exported) -> None:

    console = out()
    console.print(str(exported.published.path), markup=False)
    there = "" if exported.published.new else " (it existed already)"
    layers = f"{len(exported.layers)} layer" + ("" if len(exported.layers) == 1 else "s")
    console.print(f"{exported.name}: rank {exported.rank}, {layers}{there}", markup=False)
    if exported.verification is not None:
        console.print(f"verified: {exported.verification}", markup=False)
