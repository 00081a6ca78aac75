"""Settings with a held-out gate, a lazy pool and pruning, and nothing that goes beyond: preset `api` as it was."""

from __future__ import annotations

from dataclasses import replace

from idiolect.methods.evidence import EvidenceSettings
from idiolect.methods.fermi.presets import MAX_OPINIONS, preset
from idiolect.methods.fermi.settings import MetaPromptSettings

_OFFLINE = preset("paper-offline")

HELD_OUT = replace(
    _OFFLINE,
    preset="custom",
    max_opinions=MAX_OPINIONS,
    scoring_share=0.6,
    pruning=True,
    meta_prompt=MetaPromptSettings(max_failures=8),
    retrieval=replace(_OFFLINE.retrieval, pool="last+memory", tie_break="complete", lazy=True),
    evidence=EvidenceSettings(share=0.2),
)
