"""The ablations: settings with one part taken away or added, and which two are compared to show what a part does.

Where `idiolect evaluate` has an ablation, it has its name and its settings here. Two parts are off in the preset `api`,
so they are added. What the preset's other settings leave without effect is taken from the old preset, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from idiolect.evaluate.methods import fermi
from idiolect.methods.evidence import EvidenceSettings
from idiolect.methods.fermi.presets import preset
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.methods.setting_changes import changed
from simulated_models.compared_settings import OLD

Change = Callable[[FermiSettings], FermiSettings]


def _setting(path: str, value: object) -> Change:
    """Return a change of one setting."""
    return lambda settings: changed(settings, {path: value})


def without_gate(settings: FermiSettings) -> FermiSettings:
    """Return the settings under which the learned prompts always answer."""
    return replace(settings, evidence=EvidenceSettings())


_OF_THE_PRESET: Mapping[str, Change] = {
    "fermi": fermi.as_it_is,
    "fermi-no-retrieval": fermi.without_retrieval,
    "fermi-no-failures": fermi.without_failures,
    "fermi-paper-form": _setting("meta_prompt.form", "paper"),
    "fermi-symmetric": fermi.symmetric,
    "fermi-no-crossing": fermi.without_crossing,
    "fermi-no-kinds": fermi.without_kinds,
    "fermi-one-prompt": fermi.one_prompt,
    "fermi-no-examples": fermi.without_examples,
    "fermi-no-median": fermi.without_median,
    "fermi-no-shrinkage": _setting("retrieval.shrinkage", 0.0),
    "fermi-no-pareto": _setting("search.parents", "memory"),
    "fermi-no-gate": without_gate,
    "fermi-no-gate-no-crossing": lambda settings: fermi.without_crossing(without_gate(settings)),
    "fermi+own-answers": _setting("ensemble.own_answers", 1.0),
    "fermi+dispositions": lambda settings: changed(settings, {"dispositions.number": 4, "dispositions.folds": 2}),
}
_OF_THE_OLD_PRESET: Mapping[str, Change] = {
    "old-api": fermi.as_it_is,
    "old-api-symmetric": fermi.symmetric,
    "old-api-first-only": _setting("meta_prompt.failures", "first_only"),
}

ARMS: Mapping[str, FermiSettings] = {
    **{name: change(preset("api")) for name, change in _OF_THE_PRESET.items()},
    **{name: change(OLD) for name, change in _OF_THE_OLD_PRESET.items()},
}
"""The settings of every arm, by name."""


@dataclass(frozen=True)
class Comparison:
    """What a part does: the accuracy of the arm that has it, minus that of the arm that does not.

    Args:
        part: the part, in words.
        having, lacking: names of the two arms.
    """

    part: str
    having: str
    lacking: str

    @property
    def arms(self) -> tuple[str, str]:
        """The two arms, the one that has the part first."""
        return self.having, self.lacking


COMPARISONS = (
    Comparison("retrieval", "fermi", "fermi-no-retrieval"),
    Comparison("failures in the meta-prompt", "fermi", "fermi-no-failures"),
    Comparison("failures, in the form `paper`", "fermi-paper-form", "fermi-no-failures"),
    Comparison("form `diagnosis`", "fermi", "fermi-paper-form"),
    Comparison("asymmetry (the form `diagnosis` leaves it without effect)", "fermi", "fermi-symmetric"),
    Comparison("asymmetry in the old preset", "old-api", "old-api-symmetric"),
    Comparison("indices of failures in the old preset", "old-api", "old-api-first-only"),
    Comparison("crossing", "fermi", "fermi-no-crossing"),
    Comparison("crossing, without the gate", "fermi-no-gate", "fermi-no-gate-no-crossing"),
    Comparison("kinds of texts", "fermi", "fermi-no-kinds"),
    Comparison("several prompts", "fermi", "fermi-one-prompt"),
    Comparison("examples behind the text", "fermi", "fermi-no-examples"),
    Comparison("own answers, added", "fermi+own-answers", "fermi"),
    Comparison("median", "fermi", "fermi-no-median"),
    Comparison("dispositions, added", "fermi+dispositions", "fermi"),
    Comparison("shrinkage", "fermi", "fermi-no-shrinkage"),
    Comparison("Pareto parents", "fermi", "fermi-no-pareto"),
    Comparison("gate", "fermi", "fermi-no-gate"),
)
"""What is compared, a row of the tables each."""
