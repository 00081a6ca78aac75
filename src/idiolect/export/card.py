"""The description of an exported adapter: a card for machines and a page for people. It contains nobody's texts.

The user's or group's id is in neither unless that was requested, because adapters are copied to servers that need not
know whose they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from idiolect.export.lora import Lora
from idiolect.models.catalog import without_folders
from idiolect.version import __version__


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of an edit.

    Args:
        model: the name by which the base model is opened.
        fingerprint: fingerprint of its weights.
        made_by: the method that learned the edit.
        whose: "user ID" or "group ID" if that may be written; otherwise "".
    """

    model: str
    fingerprint: str
    made_by: str = "chameleon"
    whose: str = ""

    @property
    def base(self) -> str:
        """The model's name without a path on this machine: a Hugging Face id, or the name of a folder or file."""
        if self.model == "embedded":
            from idiolect.models.loading import EMBEDDED_FILE

            return EMBEDDED_FILE
        return without_folders(self.model)


def card(lora: Lora, origin: Origin, *, dtype: str) -> dict[str, Any]:
    """Return the adapter's description as JSON."""
    return {
        "made_by": f"idiolect {__version__}, {origin.made_by}",
        "base_model": origin.base,
        "base_fingerprint": origin.fingerprint,
        "edit_digest": lora.edit_digest,
        "layers": list(lora.layers),
        "rank": lora.rank,
        "dtype": dtype,
        **({"whose": origin.whose} if origin.whose else {}),
    }


def page(name: str, lora: Lora, origin: Origin, *, serving: str) -> str:
    """Return the adapter's README.md: YAML front matter for the Hugging Face Hub, and instructions for serving it."""
    layers = ", ".join(map(str, lora.layers))
    whose = f" of {origin.whose}" if origin.whose else ""
    return f"""---
base_model: {origin.base}
tags: [lora, idiolect]
---

# {name}

A personalization{whose}, learned by idiolect ({origin.made_by}) as an edit of MLP outputs and written as the LoRA that
does the same: rank {lora.rank} on the down projections of layers {layers}.

It holds for these weights only: {origin.base}, fingerprint {origin.fingerprint[:12]}. On other weights, a different
quantization of the same model included, it does something else.

{serving.strip()}

The name is a hash of the content. Keep it, and never give it to another adapter: engines cache by name.
"""
