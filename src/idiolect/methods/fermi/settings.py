"""Settings of Fermi, one for every choice in the method, and its presets.

The paper is arXiv 2406.18678. A setting that the paper leaves open is marked [?] below, so that no choice is silent.
Our departures from the paper are settings too, which are off in the preset `paper`. An invalid value is a
`SettingsError`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Literal

from idiolect.methods.alignment import AlignmentThresholds
from idiolect.methods.answering import AnsweringSettings
from idiolect.methods.evidence import EvidenceSettings
from idiolect.methods.fermi.extension_settings import (
    DispositionSettings,
    EnsembleSettings,
    HybridSettings,
    SearchSettings,
)
from idiolect.methods.setting_checks import require, require_one_of
from idiolect.methods.templating import check_source

ProposerName = Literal["llm", "demonstrations"]
FailureContext = Literal["asymmetric", "first_only", "symmetric", "none"]
ListedFirst = Literal["lowest", "highest"]
Brackets = Literal["required", "optional"]
PreferredDemonstrations = Literal["misaligned", "any"]
DemonstrationOrder = Literal["as_scored", "nearest_last"]
PoolName = Literal["last", "last+memory", "memory"]
TieBreak = Literal["first", "complete"]
Quoted = Literal["skip", "score"]
MetaPromptForm = Literal["paper", "diagnosis"]
KindOfText = Literal["dispositions", "scale", "departures", "biography"]

_NO_GATE = EvidenceSettings()
_AS_IN_THE_PAPER = (SearchSettings(), HybridSettings(), EnsembleSettings(), DispositionSettings())


@dataclass(frozen=True, slots=True)
class MetaPromptSettings:
    """Settings for the optimizer's input and for reading its output.

    Args:
        failures: mis-aligned context. "asymmetric" is Fermi's: the first listed prompt shows its failures in full, the
            others only the indices in common with it and the count of further ones. "first_only" drops those indices
            and counts, and "symmetric" shows all failures of all prompts in full (both are ablations). "none" shows
            only prompts and scores, which is OPRO.
        listed_first: which kept prompt is listed first and shows its failures [?]: the memory is listed by score in
            ascending order for "lowest", in descending order for "highest".
        max_failures: maximum number of failures shown in full per prompt, the worst ones; None: all, as in the paper.
        template: source of a user's own meta-prompt template; None: the packaged `meta_prompt.jinja`.
        prefill: beginning of the optimizer's turn, for small local models ("[" makes them fill the brackets); "" in the
            paper. Remote APIs do not support it.
        brackets: "required" accepts only text in square brackets; "optional" takes the first paragraph if there are
            none.
        temperature: temperature of the optimizer.
        max_tokens: maximum number of tokens in a proposal.
        min_chars, max_chars: limits on the length of a proposal; others are rejected.
        max_quoted_share: maximum share of the opinions that a proposal may quote, in [0, 1); others are rejected.
        form: "paper" lists all prompts of the memory. "diagnosis" (ours) states what the answering model sees, shows
            one prompt with its failures, their choices and some right answers, and asks for a diagnosis and one text.
            Without failures (`failures` "none"), it is the same as "paper".
        successes: maximum number of right answers that the form "diagnosis" shows.
        keeps_profile: put the profile prompt before each proposed text (ours); then the text need not repeat it.
        kinds: what the draws of an iteration write about, in turn (ours); empty: the same request for all draws.
    """

    failures: FailureContext = "asymmetric"
    listed_first: ListedFirst = "lowest"
    max_failures: int | None = None
    template: str | None = None
    prefill: str = ""
    brackets: Brackets = "required"
    temperature: float = 1.0
    max_tokens: int = 512
    min_chars: int = 10
    max_chars: int = 4000
    max_quoted_share: float = 0.5
    form: MetaPromptForm = "paper"
    successes: int = 4
    keeps_profile: bool = False
    kinds: tuple[KindOfText, ...] = ()

    @property
    def shows_one(self) -> bool:
        """Whether the optimizer sees the form "diagnosis", and so the failures of one prompt only."""
        return self.form == "diagnosis" and self.failures != "none" and self.template is None

    def __post_init__(self) -> None:
        require_one_of(FailureContext, "meta_prompt.failures", self.failures)
        require_one_of(ListedFirst, "meta_prompt.listed_first", self.listed_first)
        limit = self.max_failures
        require(limit is None or limit >= 1, "meta_prompt.max_failures", limit, "at least 1, or None for all")
        require_one_of(Brackets, "meta_prompt.brackets", self.brackets)
        finite = isfinite(self.temperature) and self.temperature >= 0
        require(finite, "meta_prompt.temperature", self.temperature, "0 or greater")
        require(self.max_tokens >= 1, "meta_prompt.max_tokens", self.max_tokens, "at least 1")
        require(self.min_chars >= 0, "meta_prompt.min_chars", self.min_chars, "0 or greater")
        least = max(1, self.min_chars)
        require(self.max_chars >= least, "meta_prompt.max_chars", self.max_chars, f"at least {least}")
        require(0 <= self.max_quoted_share < 1, "meta_prompt.max_quoted_share", self.max_quoted_share, "in [0, 1)")
        require_one_of(MetaPromptForm, "meta_prompt.form", self.form)
        require(self.successes >= 0, "meta_prompt.successes", self.successes, "0 or greater")
        for kind in self.kinds:
            require_one_of(KindOfText, "meta_prompt.kinds", kind)
        if self.template is not None:
            check_source(self.template)


@dataclass(frozen=True, slots=True)
class DemonstrationSettings:
    """Settings of the demonstration proposer, which composes prompts from mis-aligned opinions (ours).

    Args:
        max_demonstrations: maximum number of opinions in a prompt.
        keep_share: share of the parent prompt's demonstrations to keep if there is no room for new ones; in [0, 1].
        prefer: "misaligned" takes opinions that the parent prompt fails on first, then others; "any" draws from all
            equally, whatever failed (an ablation).
    """

    max_demonstrations: int = 8
    keep_share: float = 0.75
    prefer: PreferredDemonstrations = "misaligned"

    def __post_init__(self) -> None:
        require_one_of(PreferredDemonstrations, "demonstrations.prefer", self.prefer)
        most = self.max_demonstrations
        require(most >= 1, "demonstrations.max_demonstrations", most, "at least 1")
        require(0 <= self.keep_share <= 1, "demonstrations.keep_share", self.keep_share, "in [0, 1]")


@dataclass(frozen=True, slots=True)
class RetrievalSettings:
    """Retrieval-of-Prompt (Eq. 7).

    Args:
        pool: prompts to choose from: those proposed "last" (as in the paper; [?] whether the memory is included),
            "last+memory", or "memory".
        neighbours: Ñ, the number of nearest opinions that decide.
        tie_break: "first" takes the first of equal prompts; "complete" scores the tied prompts on all opinions (ours).
        lazy: score the pool only as far as retrieval needs it (ours; same answers, fewer calls).
        retrieve: False takes the prompt with the best overall score for every question (an ablation).
        similarity: name of the similarity: "bm25", "minilm", or a sentence-transformers id.
        with_choices: embed a question together with its choices.
        demonstration_order: order of the chosen prompt's examples when it answers. "as_scored" keeps their order,
            "nearest_last" puts those nearest to the question last, where small models heed them most (ours).
        shrinkage: λ of `estimates`, in opinions: a prompt is chosen by its advantage over `P⁰` near the question,
            shrunk towards its advantage on all opinions, and that one towards 0 (ours); 0: by the mean score (Eq. 7).
            Estimates rest on all scores, so `lazy` only postpones the scoring of the pool to the first question.
    """

    pool: PoolName = "last"
    neighbours: int = 3
    tie_break: TieBreak = "complete"
    lazy: bool = True
    retrieve: bool = True
    similarity: str = "minilm"
    with_choices: bool = True
    demonstration_order: DemonstrationOrder = "as_scored"
    shrinkage: float = 0.0

    def __post_init__(self) -> None:
        require_one_of(PoolName, "retrieval.pool", self.pool)
        require_one_of(DemonstrationOrder, "retrieval.demonstration_order", self.demonstration_order)
        require(self.neighbours >= 1, "retrieval.neighbours", self.neighbours, "at least 1")
        require_one_of(TieBreak, "retrieval.tie_break", self.tie_break)
        shrinks = isfinite(self.shrinkage) and self.shrinkage >= 0
        require(shrinks, "retrieval.shrinkage", self.shrinkage, "0 or greater")
        require(bool(self.similarity), "retrieval.similarity", self.similarity, "the name of a similarity")


@dataclass(frozen=True, slots=True)
class FermiSettings:
    """Fermi's settings; defaults are the paper's where known.

    Args:
        preset: name of the preset that the settings come from, or "custom".
        iterations: T.
        proposals: K, the number of draws per iteration.
        memory_size: L.
        max_opinions: maximum number of a user's opinions that are learned from (ours); None: all. Of more opinions, the
            newest quarter of this number and a random choice of the older ones are learned from.
        scoring_share: share of the opinions that score prompts; opinions that neither score nor are held out are fixed
            demonstrations for the optimizer.
        thresholds: τ.
        proposers: names of the proposers; two of them take turns with the K proposals of an iteration.
        redraws: number of times to draw again when all K proposals of an iteration are rejected.
        pruning: stop scoring a prompt that can no longer enter the memory (ours; same memory, fewer calls).
        wave: with pruning, number of opinions asked per prompt between comparisons of the bounds.
        quoted: treatment of an opinion that a proposed text quotes: "skip" excludes it from that prompt's score (no
            leakage), "score" includes it. [?] in the paper.
        seed: seed of every draw, combined with user, iteration and draw.
        evidence: "do no harm" (ours): a share of the opinions is held out of learning and decides whether the
            personalization or the base model answers; share 0 holds out nothing.
        search: crossing, parents, and when to stop early (ours).
        hybrid: the nearest opinions behind each prompt (ours).
        ensemble: answering by several prompts (ours).
        dispositions: statements on the person behind the prompts (ours); they need the LLM proposer.
    """

    preset: str = "custom"
    iterations: int = 10
    proposals: int = 4
    memory_size: int = 5
    max_opinions: int | None = None
    scoring_share: float = 0.8
    thresholds: AlignmentThresholds = AlignmentThresholds()
    proposers: tuple[ProposerName, ...] = ("llm",)
    redraws: int = 2
    pruning: bool = True
    wave: int = 4
    quoted: Quoted = "skip"
    seed: int = 0
    answering: AnsweringSettings = AnsweringSettings()
    meta_prompt: MetaPromptSettings = MetaPromptSettings()
    demonstrations: DemonstrationSettings = DemonstrationSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    evidence: EvidenceSettings = _NO_GATE
    search: SearchSettings = _AS_IN_THE_PAPER[0]
    hybrid: HybridSettings = _AS_IN_THE_PAPER[1]
    ensemble: EnsembleSettings = _AS_IN_THE_PAPER[2]
    dispositions: DispositionSettings = _AS_IN_THE_PAPER[3]

    def __post_init__(self) -> None:
        require(self.iterations >= 1, "iterations", self.iterations, "at least 1")
        require(self.proposals >= 1, "proposals", self.proposals, "at least 1")
        require(self.memory_size >= 1, "memory_size", self.memory_size, "at least 1")
        most = self.max_opinions
        require(most is None or most >= 4, "max_opinions", most, "at least 4, or None for all")
        require(0 < self.scoring_share <= 1, "scoring_share", self.scoring_share, "in (0, 1]")
        room = 1 - self.evidence.share
        fits = self.scoring_share <= room + 1e-9  # 1 - 0.7 is less than 0.3
        require(fits, "scoring_share", self.scoring_share, f"at most {room:g}, evidence.share is held out")
        crossed = self.evidence.by != "crossed" or self.search.crossing > 1
        require(crossed, "evidence.by", self.evidence.by, "held_out without crossing")
        n = self.dispositions.number
        require(not n or "llm" in self.proposers, "dispositions.number", n, "0 without the LLM proposer")
        require(bool(self.proposers), "proposers", self.proposers, "not empty")
        for proposer in self.proposers:
            require_one_of(ProposerName, "proposers", proposer)
        require(len(set(self.proposers)) == len(self.proposers), "proposers", self.proposers, "all different")
        require(self.redraws >= 0, "redraws", self.redraws, "0 or greater")
        require(self.wave >= 1, "wave", self.wave, "at least 1")
        require_one_of(Quoted, "quoted", self.quoted)
