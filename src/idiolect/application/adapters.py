"""Export of a CHAMELEON edit as an adapter that other engines load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from idiolect.application.chameleon import read_edit, stale_note
from idiolect.application.names import CHAMELEON
from idiolect.application.owner import Owner
from idiolect.application.workspace import AsyncWorkspace
from idiolect.errors import ExportError, Remedy
from idiolect.models.catalog import as_local_model

if TYPE_CHECKING:
    from idiolect.export.exporting import Exported, ExportOptions


@dataclass(frozen=True, slots=True)
class AdapterExported:
    """An exported adapter; `stale` is one sentence if its edit is stale, otherwise ""."""

    exported: Exported
    stale: str


async def export_adapter(
    workspace: AsyncWorkspace,
    owner: Owner,
    options: ExportOptions,
    *,
    even_if_unused: bool = False,
    name_owner: bool = False,
) -> AdapterExported:
    """Export the owner's edit as a LoRA, in a folder that is named after its content.

    Args:
        workspace: store and models.
        owner: owner of the edit.
        options: format, folder, and whether to verify the adapter.
        even_if_unused: export the edit even if the evidence favours the base model.
        name_owner: write the owner's id into the adapter's card.

    Raises:
        NotFittedError: CHAMELEON has learned nothing for the owner.
        ExportError: the edit is not used, is not linear, or the model does not run in this process.
        VerificationError: the adapter does not do what the edit does; no files were left.
        ModelError, MissingExtraError: the model cannot be opened.
        StoreError: there is no such user or group, or the store cannot be read.
    """
    from idiolect.export.card import Origin
    from idiolect.export.exporting import export_edit
    from idiolect.export.lora import check_linear

    store = workspace.store
    find = store.groups.personalization if owner.kind == "group" else store.personalization_record
    record = find(owner.id, CHAMELEON)
    learned, stale = read_edit(record), stale_note(store, record, owner)
    if not learned.used and not even_if_unused:
        raise ExportError(
            f"the base model answers for {owner}, not the edit ({learned.gate}); an engine that loads the adapter "
            "would use the edit anyway",
            remedy=Remedy("even_if_unused", effect="exports it"),
        )
    check_linear(learned.edit)
    opened = await workspace.models.model(learned.model)
    local = as_local_model(opened.model)
    if local is None:
        raise ExportError(
            f"the model {opened.name!r} does not run in this process, so a LoRA cannot be made from its weights"
        )
    origin = Origin(learned.model, learned.fingerprint, whose=str(owner) if name_owner else "")
    with workspace.models.waiting("exporting" + (" and verifying" if options.verify else "")):
        exported = await export_edit(learned.edit, local, origin, options)
    return AdapterExported(exported, stale)
