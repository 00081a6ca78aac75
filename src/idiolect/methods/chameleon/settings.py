"""Settings of CHAMELEON, one for every choice in the method, and its presets.

The paper is arXiv 2503.01048. A setting that the paper leaves open is marked [?] below. Our departures from the paper
are settings too, which are off in the preset `paper`. An invalid value is a `SettingsError`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from typing import Literal

from idiolect.errors import SettingsError
from idiolect.methods.answering import AnsweringSettings
from idiolect.methods.chameleon.ccs import CcsSettings
from idiolect.methods.chameleon.evidence import JudgingSettings
from idiolect.methods.evidence import EvidenceSettings
from idiolect.methods.setting_checks import MOST_RANK, require, require_one_of
from idiolect.models.edits import Gate, Positions

RuleName = Literal["literal", "contrastive", "orthogonalized", "p_only", "n_only", "addition", "gradient", "grouped"]
_MOST_STEP = 1000.0  # relative to the activations; far greater ones have no finite result
PersonalizedSide = Literal["generated", "own"]

ADDING_RULES: tuple[RuleName, ...] = ("addition", "gradient", "grouped")
"""Rules that add vectors where a read is constant, with one strength; the others are the paper's two steps."""


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    """Settings of "fake it", in which the model writes preference data about a user.

    Args:
        history_items: k, the number of history items that guide the model: those furthest out on the first principal
            component of their embeddings. 5 is from a re-implementation [?].
        max_item_chars: maximum length of an item; longer items are cut.
        pairs: K, the number of queries that are answered twice.
        max_tokens: maximum number of tokens in an answer.
        insight_tokens: maximum number of tokens in an insight.
        whole_sentences: whether an answer or an insight that reached the maximum is cut at the end of its last whole
            sentence. A pair with an answer that has none is dropped as "cut off". The preset `paper` does so; without
            it, directions are read in the middle of a sentence.
        temperature: temperature of both; 0 is greedy. [?]
        personalized: source of the personalized side: "generated" by the model with the user's insight (the paper), or
            the user's "own" texts and answers, paired with the model's texts without guidance (ours).
        least_difference: a pair whose two sides share at least 1 − this of their words is degenerate and dropped.
        least_pairs: minimum number of remaining pairs; fewer are an error.
        seed: seed of every draw.
    """

    history_items: int = 5
    max_item_chars: int = 600
    pairs: int = 16
    max_tokens: int = 80
    insight_tokens: int = 80
    whole_sentences: bool = False
    temperature: float = 0.7
    personalized: PersonalizedSide = "generated"
    least_difference: float = 0.1
    least_pairs: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.history_items >= 1, "generation.history_items", self.history_items, "at least 1")
        require(self.max_item_chars >= 20, "generation.max_item_chars", self.max_item_chars, "at least 20")
        require(self.pairs >= 2, "generation.pairs", self.pairs, "at least 2")
        require(self.max_tokens >= 1, "generation.max_tokens", self.max_tokens, "at least 1")
        require(self.insight_tokens >= 1, "generation.insight_tokens", self.insight_tokens, "at least 1")
        finite = isfinite(self.temperature) and self.temperature >= 0
        require(finite, "generation.temperature", self.temperature, "0 or greater")
        require_one_of(PersonalizedSide, "generation.personalized", self.personalized)
        require(0 <= self.least_difference < 1, "generation.least_difference", self.least_difference, "in [0, 1)")
        most = self.pairs
        require(2 <= self.least_pairs <= most, "generation.least_pairs", self.least_pairs, f"in [2, {most}]")

    @property
    def draws_are_unbiased(self) -> bool:
        """Whether the neutral sides are draws from the base model itself: at temperature 1, and without guidance.

        Only then is minus the change of their log-probability under an edit an estimate of KL(base ‖ edited). Below
        temperature 1 they are too probable, and a guided text is scored without its guidance.
        """
        return self.temperature == 1 and self.personalized == "own"


@dataclass(frozen=True, slots=True)
class DirectionSettings:
    """Settings of the two directions per layer.

    Args:
        ccs: settings of CCS, which finds θ_N.
        held_out_share: share of the pairs that is held out to break ties between layers, in [0, 1).
        sample: number of tokens per layer for fitting the reader of an addition.
    """

    ccs: CcsSettings = field(default_factory=CcsSettings)
    held_out_share: float = 0.25
    sample: int = 2048

    def __post_init__(self) -> None:
        require(self.sample >= 1, "directions.sample", self.sample, "at least 1")
        require(0 <= self.held_out_share < 1, "directions.held_out_share", self.held_out_share, "in [0, 1)")


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to turn directions into an edit.

    Args:
        rule: "literal" is the paper's (θ_P: SVD of the personalized side, uncentred); "contrastive" takes θ_P from the
            differences of the pairs; "orthogonalized" also makes θ_N orthogonal to it; "p_only" and "n_only" do one of
            the paper's two steps; "addition" adds the mean difference of the pairs' activations; "gradient" (ours) adds
            a vector along the gradient of the personalized sides' log-likelihood, alpha times as long as the mean
            activation; "grouped" (ours, with `stepping` only) is a trained edit of a group with a person's step.
        alpha, beta: strengths of the two steps, ≥ 0; 1 in the paper. "addition", "gradient" and "grouped" have only
            alpha, which multiplies every write of "grouped".
        layers: number of layers to edit, those with the lowest CCS loss; "elbow": as many as lie before the
            largest jump of the losses (`layer_choice.elbow`), as in the ancestor's code (docs/methods.md); None: all.
    """

    rule: RuleName = "literal"
    alpha: float = 1.0
    beta: float = 1.0
    layers: int | Literal["elbow"] | None = 6

    def __post_init__(self) -> None:
        require_one_of(RuleName, "variant.rule", self.rule)
        for name in ("alpha", "beta"):
            value = getattr(self, name)
            require(isfinite(value) and value >= 0, f"variant.{name}", value, "0 or greater")
        require(self.alpha > 0 or self.beta > 0, "variant.alpha", self.alpha, "greater than 0, or beta")
        counted = not isinstance(self.layers, str) and (self.layers is None or self.layers >= 1)
        require(
            counted or self.layers == "elbow", "variant.layers", self.layers, "at least 1, 'elbow', or None for all"
        )

    def __str__(self) -> str:
        strengths = f"α {self.alpha:g}" if self.rule in ADDING_RULES else f"α {self.alpha:g}, β {self.beta:g}"
        layers = "layers by the elbow" if self.layers == "elbow" else f"{self.layers or 'all'} layers"
        return f"{self.rule}, {strengths}, {layers}"


@dataclass(frozen=True, slots=True)
class SteppingSettings:
    """Settings of a group's trained edit and of a person's step from it (`grouped`), instead of pairs and directions.

    Args:
        rank: rank r of a group's edit in every layer, and of a step from an edit that changes nothing; a step from a
            group's edit has the group's.
        epochs, batch_size, learning_rate: training of a group's edit by Adam (`models.edit_training`).
        most_targets: maximum number of texts and answers that a group's edit is trained on, drawn evenly from its
            members; a long text counts once per window.
        most_held_out: maximum number of items of a group that judge its edit.
        group_strength: greatest factor of a group's trained writes; a smaller one is taken if this one costs too much.
        step: length of a person's step per layer, relative to the layer's activations.
        strength: greatest factor of all writes, the group's and the person's; as for a group, a smaller one is taken
            if this one costs too much.
        from_group: whether a person's step begins at a group's edit; otherwise, it begins at an edit that changes
            nothing.
        refit: whether a person's items that judge are learned from as well, by the edit that is kept.
        neutral_texts: number of texts of the model itself on which a change is measured.
        neutral_tokens: maximum number of tokens in each.
    """

    rank: int = 1
    epochs: int = 2
    batch_size: int = 4
    learning_rate: float = 5e-4
    most_targets: int = 96
    most_held_out: int = 16
    group_strength: float = 0.35
    step: float = 0.005
    strength: float = 0.75
    from_group: bool = True
    refit: bool = True
    neutral_texts: int = 8
    neutral_tokens: int = 64

    def __post_init__(self) -> None:
        for name in ("rank", "epochs", "batch_size", "most_targets", "most_held_out", "neutral_tokens"):
            require(getattr(self, name) >= 1, f"stepping.{name}", getattr(self, name), "at least 1")
        most = 32  # subjects that are packaged
        require(1 <= self.neutral_texts <= most, "stepping.neutral_texts", self.neutral_texts, f"in [1, {most}]")
        require(self.rank <= MOST_RANK, "stepping.rank", self.rank, f"at most {MOST_RANK}")
        for name in ("learning_rate", "step", "group_strength", "strength"):
            value = getattr(self, name)
            require(0 < value <= _MOST_STEP, f"stepping.{name}", value, f"greater than 0, and at most {_MOST_STEP:g}")


@dataclass(frozen=True, slots=True)
class ChameleonSettings:
    """CHAMELEON's settings.

    Args:
        preset: name of the preset that the settings come from, or "custom".
        generation: settings of the preference data.
        directions: settings of the directions.
        variants: variants to try; with too little history for choosing, the first is taken.
        stepping: settings of a group's edit and a person's step; None: pairs, directions and variants, as in the paper.
        positions: tokens on which the edit acts; only "all" can be exported. "generated" edits the last token of every
            pass and no other: the prompt's last token, then every generated one; answers are scored in the same way.
        gate: "positive" makes the edit non-linear (`models.edits`), and it cannot be exported either.
        choosing_share: share of the history that is kept for choosing a variant, in [0, 1); with `stepping`, nothing is
            kept, whatever it is.
        max_fluency_cost: maximum loss of log-probability on the model's own texts, the neutral sides that the base
            model wrote, in nat per token. It estimates KL(base ‖ edited) only if `generation.draws_are_unbiased`. A
            variant above the limit is not chosen; if all are above it, the base model answers. None: no limit.
        answering: form of the person's questions.
        similarity: name of the similarity whose embeddings select the history.
        evidence: settings of the gate: a share of the history judges the result; 0: no gate.
        judging: settings for weighing the texts and the opinions that judge.
    """

    preset: str = "custom"
    generation: GenerationSettings = field(default_factory=GenerationSettings)
    directions: DirectionSettings = field(default_factory=DirectionSettings)
    variants: tuple[Variant, ...] = (Variant(),)
    stepping: SteppingSettings | None = None
    positions: Positions = "all"
    gate: Gate = "none"
    choosing_share: float = 0.0
    max_fluency_cost: float | None = 0.05
    answering: AnsweringSettings = field(default_factory=AnsweringSettings)
    similarity: str = "minilm"
    evidence: EvidenceSettings = field(default_factory=EvidenceSettings)
    judging: JudgingSettings = field(default_factory=JudgingSettings)

    def __post_init__(self) -> None:
        require(bool(self.variants), "variants", self.variants, "not empty")
        require_one_of(Positions, "positions", self.positions)
        require_one_of(Gate, "gate", self.gate)
        require(0 <= self.choosing_share < 1, "choosing_share", self.choosing_share, "in [0, 1)")
        room = 1 - self.evidence.share
        require(self.choosing_share < room, "choosing_share", self.choosing_share, f"less than {room:g}, to learn")
        limit = self.max_fluency_cost
        require(limit is None or limit >= 0, "max_fluency_cost", limit, "0 or greater, or None for no limit")
        untrained = all(variant.rule != "grouped" for variant in self.variants)
        require(untrained, "variants", "grouped", "another rule; the preset grouped has a rule of its own")
        linear = self.positions == "all" and self.gate == "none"
        require(linear or self.stepping is None, "positions", self.positions, "all without a gate, with stepping")
        several = len(self.variants) > 1
        require(not several or self.choosing_share > 0, "choosing_share", self.choosing_share, "> 0 with > 1 variants")


_LIKELIHOOD = AnsweringSettings(mode="likelihood", show_choices=False, prompt_role="system")

PRESETS: dict[str, ChameleonSettings] = {
    "paper": ChameleonSettings(
        preset="paper",
        generation=GenerationSettings(whole_sentences=True),
        max_fluency_cost=None,
        answering=AnsweringSettings(mode="generate"),
    ),
    # docs/experiments.md describes how the settings of the next two were chosen, and on which people.
    "grouped": ChameleonSettings(
        preset="grouped",
        generation=GenerationSettings(personalized="own", temperature=1.0),
        stepping=SteppingSettings(),
        max_fluency_cost=0.15,
        answering=_LIKELIHOOD,
        evidence=EvidenceSettings(share=0.2),
    ),
    "measured": ChameleonSettings(
        preset="measured",
        generation=GenerationSettings(personalized="own", temperature=1.0),
        stepping=SteppingSettings(step=0.02, strength=1.0, from_group=False),
        max_fluency_cost=0.15,
        answering=_LIKELIHOOD,
        evidence=EvidenceSettings(share=0.2),
    ),
}


def preset(name: str) -> ChameleonSettings:
    """Return the settings of a preset.

    Raises:
        SettingsError: there is no such preset.
    """
    if name not in PRESETS:
        raise SettingsError(f"no preset {name!r} of CHAMELEON: choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
