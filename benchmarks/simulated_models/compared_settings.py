"""The settings of Fermi that are compared: the preset `api` as it was until November 2026, and its successor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from idiolect.methods.answering import AnsweringSettings
from idiolect.methods.evidence import EvidenceSettings
from idiolect.methods.fermi.extension_settings import EnsembleSettings, HybridSettings, SearchSettings
from idiolect.methods.fermi.settings import MAX_OPINIONS, FermiSettings, MetaPromptSettings, RetrievalSettings, preset
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

SKETCH = replace(
    OLD,
    preset="sketch",
    iterations=2,
    scoring_share=1.0,
    answering=AnsweringSettings(mode="generate"),
    meta_prompt=MetaPromptSettings(
        form="diagnosis",
        kinds=("dispositions", "scale", "departures", "biography"),
        max_failures=8,
        successes=4,
        max_tokens=700,
    ),
    retrieval=replace(OLD.retrieval, pool="memory", shrinkage=2.0),
    search=SearchSettings(crossing=2, parents="pareto", plateau=2, stop_when_perfect=True),
    hybrid=HybridSettings(examples=16),
    ensemble=EnsembleSettings(prompts=3, decide="median"),
    evidence=EvidenceSettings(by="crossed"),
)
"""A sketch of the successor."""


def new_settings(name: str, changes: Sequence[str]) -> FermiSettings:
    """Return the settings to compare with `OLD`: "sketch" or a preset, with changes such as "search.crossing=3".

    Raises:
        SettingsError: there is no such preset or setting, or a value is invalid.
        ValueError: a change has no value.
    """
    settings = SKETCH if name == "sketch" else preset(name)
    pairs = []
    for change in changes:
        path, equals, value = change.partition("=")
        if not equals:
            raise ValueError(f"{change!r} has no value: write SETTING=VALUE")
        pairs.append((path, value))
    return changed_by_text(settings, pairs)
