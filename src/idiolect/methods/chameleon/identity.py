"""The weights that an edit belongs to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """The weights that an edit belongs to: the model's lasting name, and its fingerprint ("": unknown)."""

    name: str
    fingerprint: str = ""
