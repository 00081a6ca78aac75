"""Presets of Fermi's settings.

paper, paper-offline    the paper's algorithm (arXiv 2406.18678)
demo                    for the embedded model, and others that write no usable prompts
api                     for models behind an API, where a call costs money
local                   for other local models: `api`, by likelihood, with both proposers
"""

from __future__ import annotations

from dataclasses import replace

from idiolect.errors import SettingsError
from idiolect.methods.answering import AnsweringSettings
from idiolect.methods.evidence import EvidenceSettings
from idiolect.methods.fermi.extension_settings import EnsembleSettings, HybridSettings, SearchSettings
from idiolect.methods.fermi.settings import DemonstrationSettings, FermiSettings, MetaPromptSettings, RetrievalSettings

MAX_OPINIONS = 400
"""Maximum number of a user's opinions in `demo`, `api` and `local`: learning from thousands would take hours."""


_PAPER = FermiSettings(
    preset="paper",
    pruning=False,
    answering=AnsweringSettings(mode="generate"),
    retrieval=RetrievalSettings(pool="last", tie_break="first", lazy=False, similarity="all-mpnet-base-v2"),
)

_OFFLINE = replace(_PAPER, preset="paper-offline", retrieval=replace(_PAPER.retrieval, similarity="minilm"))

PRESETS: dict[str, FermiSettings] = {
    "paper": _PAPER,
    "paper-offline": _OFFLINE,
    # docs/experiments.md describes how these settings were chosen, and on which people.
    "demo": FermiSettings(
        preset="demo",
        iterations=2,
        max_opinions=MAX_OPINIONS,
        scoring_share=1.0,  # every opinion scores, and may be an example
        proposers=(
            "demonstrations",
        ),  # the embedded model writes no usable prompts; name a better optimizer to add "llm"
        answering=AnsweringSettings(mode="likelihood", show_choices=False, prompt_role="system"),
        meta_prompt=MetaPromptSettings(
            prefill="[This person", brackets="optional", max_failures=4, temperature=0.7, max_tokens=48, max_chars=600
        ),
        demonstrations=DemonstrationSettings(max_demonstrations=12),
        retrieval=RetrievalSettings(pool="last+memory", demonstration_order="nearest_last"),
        ensemble=EnsembleSettings(calibrate=True, sharpness=0.5, own_answers=1.0, own_nearness=0.05, decide="median"),
    ),
    # For models behind an API, where a call costs money. docs/results/strong-models.md describes what it was chosen by.
    "api": FermiSettings(
        preset="api",
        iterations=4,
        memory_size=8,
        max_opinions=MAX_OPINIONS,
        scoring_share=1.0,  # crossing shows opinions to the optimizer, and the gate needs no held-out ones
        answering=AnsweringSettings(mode="generate"),
        meta_prompt=MetaPromptSettings(
            form="diagnosis",
            kinds=("dispositions", "scale", "departures", "biography"),
            max_failures=20,
            max_tokens=700,
        ),
        retrieval=RetrievalSettings(pool="memory", shrinkage=2.0),
        evidence=EvidenceSettings(by="crossed", margin=0.03),
        search=SearchSettings(crossing=4, parents="pareto", plateau=2, stop_when_perfect=True),
        hybrid=HybridSettings(examples=16),
        ensemble=EnsembleSettings(prompts=3, tolerance=0.1, decide="median"),
    ),
}


# For a local model that writes usable prompts. It has log-probabilities, so that no answer has to be read.
PRESETS["local"] = replace(
    PRESETS["api"],
    preset="local",
    proposers=("llm", "demonstrations"),
    answering=replace(PRESETS["api"].answering, mode="likelihood"),
)


def preset(name: str) -> FermiSettings:
    """Return the settings of a preset: "paper", "paper-offline", "demo", "api" or "local".

    Raises:
        SettingsError: there is no such preset.
    """
    if name not in PRESETS:
        raise SettingsError(f"no preset {name!r}: choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
