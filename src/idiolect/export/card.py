"""What an exported adapter says about itself: a card for machines, a page for people. Nobody's texts are in it.

The user's or group's id is in neither unless it was asked for: adapters travel to servers that need not know whose
they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from idiolect.export.lora import Lora
from idiolect.version import __version__


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an edit comes from.

    Args:
        model: the base model's name, as it is opened.
        fingerprint: of its weights.
        made_by: what learned it.
        whose: "user ID" or "group ID", where that may be written; "" where not.
    """

    model: str
    fingerprint: str
    made_by: str = "chameleon"
    whose: str = ""

    @property
    def base(self) -> str:
        """The model's name without a path of this machine: a Hugging Face id, a folder's or a file's name."""
        if self.model == "embedded":
            from idiolect.models.loading import EMBEDDED_FILE

            return EMBEDDED_FILE
        return PurePath(self.model).name if PurePath(self.model).is_absolute() else self.model


def card(lora: Lora, origin: Origin, *, dtype: str) -> dict[str, Any]:
    """What the adapter is, as JSON."""
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
    """The adapter's README.md: YAML front matter that the Hugging Face Hub reads, and how to serve it."""
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
