"""The settings of Fermi that are compared: the preset `api` as it was until November 2026, and its successor."""

from __future__ import annotations

from collections.abc import Sequence

from idiolect.methods.answering import AnsweringSettings
from idiolect.methods.evidence import EvidenceSettings
from idiolect.methods.fermi.presets import MAX_OPINIONS, preset
from idiolect.methods.fermi.settings import FermiSettings, MetaPromptSettings, RetrievalSettings
from idiolect.methods.setting_changes import changed_by_text

OLD = FermiSettings(
    preset="old api",
    iterations=10,
    proposals=4,
    memory_size=5,
    max_opinions=MAX_OPINIONS,
    scoring_share=0.6,
    answering=AnsweringSettings(mode="generate", output_rule=False),
    meta_prompt=MetaPromptSettings(max_failures=8),
    retrieval=RetrievalSettings(pool="last+memory", tie_break="complete", lazy=True, similarity="minilm"),
    evidence=EvidenceSettings(share=0.2),
)
"""The preset `api` until its successor, written out so that it stays what it was."""


def new_settings(name: str, changes: Sequence[str]) -> FermiSettings:
    """Return the settings to compare with `OLD`: a preset, with changes such as "search.crossing=3".

    Raises:
        SettingsError: there is no such preset or setting, or a value is invalid.
        ValueError: a change has no value.
    """
    pairs = []
    for change in changes:
        path, equals, value = change.partition("=")
        if not equals:
            raise ValueError(f"{change!r} has no value: write SETTING=VALUE")
        pairs.append((path, value))
    return changed_by_text(preset(name), pairs)
