"""Settings: every bad value is refused by name, and the preset `paper` holds no departure of ours."""

from __future__ import annotations

import math
from typing import Any

import pytest

from idiolect.errors import SettingsError
from idiolect.methods.alignment import AlignmentThresholds
from idiolect.methods.answering import AnsweringSettings
from idiolect.methods.evidence import EvidenceSettings
from idiolect.methods.fermi.extension_settings import EnsembleSettings, HybridSettings, SearchSettings
from idiolect.methods.fermi.presets import PRESETS, preset
from idiolect.methods.fermi.settings import DemonstrationSettings, FermiSettings, MetaPromptSettings, RetrievalSettings

BAD = [
    (FermiSettings, "", {"iterations": 0}),
    (FermiSettings, "", {"proposals": 0}),
    (FermiSettings, "", {"memory_size": 0}),
    (FermiSettings, "", {"max_opinions": 3}),
    (FermiSettings, "", {"scoring_share": 0.0}),
    (FermiSettings, "", {"scoring_share": 1.1}),
    (FermiSettings, "", {"scoring_share": math.nan}),
    (FermiSettings, "", {"proposers": ()}),
    (FermiSettings, "", {"proposers": ("llm", "llm")}),
    (FermiSettings, "", {"redraws": -1}),
    (FermiSettings, "", {"wave": 0}),
    (FermiSettings, "", {"quoted": "never"}),
    (MetaPromptSettings, "meta_prompt.", {"failures": "all"}),
    (MetaPromptSettings, "meta_prompt.", {"listed_first": "best"}),
    (MetaPromptSettings, "meta_prompt.", {"max_failures": 0}),
    (MetaPromptSettings, "meta_prompt.", {"brackets": "round"}),
    (MetaPromptSettings, "meta_prompt.", {"temperature": -0.1}),
    (MetaPromptSettings, "meta_prompt.", {"temperature": math.nan}),
    (MetaPromptSettings, "meta_prompt.", {"temperature": math.inf}),
    (MetaPromptSettings, "meta_prompt.", {"max_tokens": 0}),
    (MetaPromptSettings, "meta_prompt.", {"min_chars": -1}),
    (MetaPromptSettings, "meta_prompt.", {"max_chars": 9}),
    (MetaPromptSettings, "meta_prompt.", {"max_chars": 0, "min_chars": 0}),
    (DemonstrationSettings, "demonstrations.", {"max_demonstrations": 0}),
    (DemonstrationSettings, "demonstrations.", {"keep_share": -0.1}),
    (DemonstrationSettings, "demonstrations.", {"keep_share": math.nan}),
    (RetrievalSettings, "retrieval.", {"pool": "all"}),
    (RetrievalSettings, "retrieval.", {"neighbours": 0}),
    (RetrievalSettings, "retrieval.", {"tie_break": "last"}),
    (RetrievalSettings, "retrieval.", {"similarity": ""}),
    (RetrievalSettings, "retrieval.", {"demonstration_order": "random"}),
]


@pytest.mark.parametrize(("kind", "prefix", "values"), BAD)
def test_a_bad_value_is_refused_by_name(kind: Any, prefix: str, values: dict[str, Any]) -> None:
    name, value = next(iter(values.items()))
    with pytest.raises(SettingsError, match=rf"^{prefix}{name} is ") as refused:
        kind(**values)
    assert repr(value) in str(refused.value)


def test_an_unknown_proposer_is_refused() -> None:
    with pytest.raises(SettingsError, match="proposers is 'oracle', must be one of 'llm', 'demonstrations'"):
        FermiSettings(proposers=("oracle",))  # type: ignore[arg-type]


def test_a_template_that_is_none_is_refused_before_anything_is_paid() -> None:
    with pytest.raises(SettingsError, match="template can't be used"):
        MetaPromptSettings(template="{% for %}")


@pytest.mark.parametrize(
    "edge",
    [
        lambda: FermiSettings(iterations=1, proposals=1, memory_size=1, scoring_share=1, redraws=0, wave=1),
        lambda: MetaPromptSettings(max_failures=1, temperature=0, max_tokens=1, min_chars=0, max_chars=1),
        lambda: DemonstrationSettings(max_demonstrations=1, keep_share=0),
        lambda: DemonstrationSettings(keep_share=1),
        lambda: RetrievalSettings(neighbours=1),
    ],
)
def test_the_edges_are_allowed(edge: Any) -> None:
    assert edge() is not None


def test_paper_is_the_paper() -> None:
    assert preset("paper") == FermiSettings(
        preset="paper",
        iterations=10,
        proposals=4,
        memory_size=5,
        scoring_share=0.8,
        thresholds=AlignmentThresholds(1.0, 1.0, 0.2),
        proposers=("llm",),
        redraws=2,
        pruning=False,
        quoted="skip",
        seed=0,
        answering=AnsweringSettings("generate", "sum", 64, True, "user"),
        meta_prompt=MetaPromptSettings("asymmetric", "lowest", None, None, "", "required", 1.0, 512, 10, 4000),
        retrieval=RetrievalSettings("last", 3, "first", False, True, "all-mpnet-base-v2", True, "as_scored"),
    )


def test_paper_offline_differs_in_the_similarity_only() -> None:
    paper, offline = preset("paper"), preset("paper-offline")
    assert offline.retrieval.similarity == "minilm"
    assert (offline.pruning, offline.retrieval.lazy, offline.retrieval.tie_break) == (False, False, "first")
    assert (offline.proposers, offline.meta_prompt, offline.answering) == (
        paper.proposers,
        paper.meta_prompt,
        paper.answering,
    )


def test_api_has_crossed_scores_hybrid_prompts_and_a_gate_on_all_opinions() -> None:
    api = preset("api")
    assert (api.search.crossing, api.hybrid.examples, api.ensemble.prompts) == (4, 16, 3)
    assert (api.evidence.by, api.evidence.share, api.scoring_share) == ("crossed", 0.0, 1.0)
    assert (api.meta_prompt.form, len(api.meta_prompt.kinds), api.max_opinions) == ("diagnosis", 4, 400)


@pytest.mark.parametrize("name", ["paper", "paper-offline"])
def test_the_papers_presets_have_nothing_that_goes_beyond(name: str) -> None:
    settings = preset(name)
    assert (settings.search, settings.hybrid, settings.ensemble) == (
        SearchSettings(),
        HybridSettings(),
        EnsembleSettings(),
    )
    assert (settings.meta_prompt.form, settings.meta_prompt.kinds, settings.retrieval.shrinkage) == ("paper", (), 0.0)


@pytest.mark.parametrize("name", ["paper", "paper-offline", "demo"])
def test_other_presets_hold_nothing_out(name: str) -> None:
    assert preset(name).evidence == EvidenceSettings(0.0)


def test_what_scores_and_what_is_held_out_is_at_most_all() -> None:
    for scoring, share in ((0.8, 0.2), (0.3, 0.7), (0.9, 0.1)):
        FermiSettings(scoring_share=scoring, evidence=EvidenceSettings(share))
    with pytest.raises(SettingsError, match=r"scoring_share is 0.9, must be at most 0.8, evidence.share is held out"):
        FermiSettings(scoring_share=0.9, evidence=EvidenceSettings(0.2))


def test_presets_know_their_names() -> None:
    assert {name: settings.preset for name, settings in PRESETS.items()} == {name: name for name in PRESETS}
    assert FermiSettings().preset == "custom"


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="no preset 'best': choose one of paper, paper-offline, demo, api, local"):
        preset("best")
