"""`idiolect export`: what CHAMELEON learned as an adapter that other engines load. Its arguments and its flow."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from idiolect.cli.options import JsonOption, StoreOption

if TYPE_CHECKING:
    from idiolect.export.exporting import Exported, ExportOrder

EXAMPLES = (
    "idiolect export adapters --user u1 --format peft --verify",
    "idiolect export adapters --group critics --format gguf --dtype float16",
)
METHOD = "chameleon"


class AdapterFormat(StrEnum):
    """What engines load."""

    PEFT = "peft"
    GGUF = "gguf"


class AdapterDtype(StrEnum):
    """What an adapter's tensors are held in."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


def export(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to put the adapter's own folder into.")],
    format: Annotated[
        AdapterFormat, typer.Option("--format", help="peft: PEFT, vLLM, SGLang. gguf: llama.cpp, Ollama.")
    ],
    user: Annotated[str | None, typer.Option(metavar="ID", help="Whose edit.", show_default=False)] = None,
    group: Annotated[str | None, typer.Option(metavar="ID", help="Which group's edit.", show_default=False)] = None,
    dtype: Annotated[AdapterDtype, typer.Option(help="Of the adapter's tensors.")] = AdapterDtype.FLOAT32,
    verify: Annotated[
        bool, typer.Option("--verify", help="Load the adapter back and compare; what differs is not written.")
    ] = False,
    even_if_unused: Annotated[
        bool, typer.Option("--even-if-unused", help="Export although held-out history speaks against the edit.")
    ] = False,
    name_owner: Annotated[
        bool, typer.Option("--name-owner", help="Write the user's or group's id into the adapter's card.")
    ] = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Export what CHAMELEON learned as a LoRA that stock engines load.

    The folder DIR/idiolect-HASH is named by its content; serve it under that name. It holds for the very weights that
    it was learned on. How to serve it: docs/serving-adapters.md.
    """
    if (user is None) == (group is None):
        raise typer.BadParameter("name either a user or a group", param_hint="'--user' / '--group'")
    from idiolect.export.exporting import ExportOrder

    order = ExportOrder(format.value, directory, dtype.value, verify)
    exported = _exported(user, group, order, target=store, even_if_unused=even_if_unused, name_owner=name_owner)
    _print(exported, json=json)


def _exported(
    user: str | None,
    group: str | None,
    order: ExportOrder,
    *,
    target: str | None,
    even_if_unused: bool,
    name_owner: bool,
) -> Exported:
    import asyncio

    from idiolect.cli.progress import waiting
    from idiolect.cli.terminal import err
    from idiolect.errors import ExportError
    from idiolect.export.card import Origin
    from idiolect.export.exporting import export_edit
    from idiolect.export.lora import check_linear

    whose = f"user {user}" if group is None else f"group {group}"
    learned, stale = _learned(user, group, target)
    if not learned.used and not even_if_unused:
        raise ExportError(
            f"the base model answers for {whose}, not the edit ({learned.gate}); an engine that loads the adapter "
            "would use it all the same. --even-if-unused exports it"
        )
    check_linear(learned.edit)
    if stale:
        err().print(f"note: {stale}", markup=False)
    origin = Origin(learned.model, learned.fingerprint, whose=whose if name_owner else "")
    with _opened(learned.model) as model, waiting("exporting" + (" and verifying" if order.verify else "")):
        return asyncio.run(export_edit(learned.edit, model, origin, order))


def _learned(user: str | None, group: str | None, target: str | None) -> tuple[Any, str]:
    """The personalization, and a sentence where it is stale."""
    from idiolect.cli.stale_edits import stale_note
    from idiolect.errors import NotFittedError
    from idiolect.methods.chameleon.personalization import ChameleonPersonalization
    from idiolect.store import Store

    with Store.open(target, create=False) as store:
        if group is not None:
            record = store.groups.personalization(group, METHOD)
        else:
            found = [each for each in store.personalizations(user or "") if each.method == METHOD]
            if not found:
                raise NotFittedError(METHOD, user or "")
            record = found[0]
        stale = stale_note(store, record, user=user, group=group)
    return ChameleonPersonalization.from_parts(record.payload, record.tensors), stale


def _opened(name: str) -> Any:
    from contextlib import closing

    from idiolect.cli.progress import waiting
    from idiolect.errors import ExportError
    from idiolect.models.catalog import open_model

    with waiting("opening the model"):
        model: Any = open_model(name)
    if not hasattr(model, "network"):
        raise ExportError(f"the model {name!r} does not run in this process, so there are no weights to make a LoRA of")
    return closing(model)


def _print(exported: Exported, *, json: bool) -> None:
    from idiolect.cli.terminal import out, print_json

    if json:
        print_json(exported.to_json())
        return
    console = out()
    console.print(str(exported.published.path), markup=False)
    there = "" if exported.published.new else " (it was there already)"
    layers = f"{len(exported.layers)} layer" + ("" if len(exported.layers) == 1 else "s")
    console.print(f"{exported.name}: rank {exported.rank}, {layers}{there}", markup=False)
    if exported.verification is not None:
        console.print(f"verified: {exported.verification}", markup=False)
