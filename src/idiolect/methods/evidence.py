"""Do no harm: held-out opinions decide whether a personalization is used, or the base model answers instead.

    used  ⇔  d = mean(s of the personalization) − mean(s of the base model) > margin    on the same held-out opinions
             or 0 ≤ d ≤ margin (a tie) and the personalization is ahead on the opinions that it was learned from,
                each scored leave-one-out, that is, with the choice that would have been made without it

A method holds out a share of the opinions, has both sides answer them, and passes the alignment scores to this module.
With four held-out opinions a tie is common. The opinions that were learned from are then weak evidence, but evidence
(docs/results/evidence-gate.md). This module depends on no method, so that all methods share one gate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from idiolect.methods.setting_checks import require, require_one_of

Ties = Literal["learned", "base"]
Basis = Literal["held_out", "crossed"]
Side = Literal["personalization", "few-shot", "base"]


_NAMES: dict[Side, str] = {"personalization": "the personalization", "few-shot": "few-shot", "base": "the base model"}


@dataclass(frozen=True, slots=True)
class EvidenceSettings:
    """Settings of the gate.

    Args:
        share: share of a user's opinions to hold out, in [0, 1); 0: no gate, the personalization is always used.
        margin: lead that the personalization must exceed, in [0, 1): over few-shot where it is compared and leads the
            base model, and over the base model where few-shot is not compared.
        ties: decision if the lead is between 0 and the margin: "learned" also asks the base model the opinions that
            were learned from, and compares the scores on these; "base" uses the base model.
        by: scores that decide. "held_out": of the held-out opinions; "crossed": of all opinions, each with prompts
            whose optimizer did not see it, which needs crossing.
        fold_back: whether held-out opinions are learned from after they have judged, as examples and by their scores.

    Raises:
        SettingsError: a value is invalid.
    """

    share: float = 0.0
    margin: float = 0.0
    ties: Ties = "learned"
    by: Basis = "held_out"
    fold_back: bool = False

    def __post_init__(self) -> None:
        require_one_of(Ties, "evidence.ties", self.ties)
        require_one_of(Basis, "evidence.by", self.by)
        fits = self.by == "held_out" or not self.share
        require(fits, "evidence.share", self.share, "0 with evidence.by=crossed, which holds out nothing")
        require(0 <= self.share < 1, "evidence.share", self.share, "in [0, 1)")
        require(0 <= self.margin < 1, "evidence.margin", self.margin, "in [0, 1)")


@dataclass(frozen=True, slots=True)
class Evidence:
    """Evidence from the held-out opinions.

    Args:
        personalized: alignment score of the personalization's answer to each held-out opinion, in [0, 1].
        base: alignment score of the base model's answer to each of them.
        margin: margin of the settings.
        learned_from: decides a tie, if computed: mean alignment scores of the personalization and of the base model on
            the opinions that were learned from. The personalization's are best computed leave-one-out: on each
            opinion, with the choice that would have been made without it.
        kind: kind of the held-out items, in the plural.
        few_shot: alignment score of few-shot prompting with the nearest opinions; empty if it was not compared.

    Raises:
        ValueError: nothing is held out, the two sides differ in length, or a score is outside of [0, 1].
    """

    personalized: tuple[float, ...]
    base: tuple[float, ...]
    margin: float = 0.0
    learned_from: tuple[float, float] | None = None
    kind: str = "opinions"
    few_shot: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.personalized:
            raise ValueError("no evidence: nothing is held out")
        if len(self.personalized) != len(self.base):
            raise ValueError(f"{len(self.personalized)} personalized scores, but {len(self.base)} of the base model")
        if self.few_shot and len(self.few_shot) != len(self.base):
            raise ValueError(f"{len(self.few_shot)} scores of few-shot, but {len(self.base)} of the base model")
        for score in (*self.personalized, *self.base, *self.few_shot, *(self.learned_from or ())):
            if not 0 <= score <= 1:
                raise ValueError(f"score is {score!r}, must be in [0, 1]")

    @property
    def n(self) -> int:
        """Number of held-out opinions; ≥ 1."""
        return len(self.base)

    @property
    def difference(self) -> float:
        """Mean score of the personalization minus that of the base model, in [−1, 1]; rounded once."""
        return math.fsum((*self.personalized, *(-score for score in self.base))) / self.n

    @property
    def tied(self) -> bool:
        """Whether the personalization is neither behind nor ahead by more than the margin."""
        return 0 <= self.difference <= self.margin

    @property
    def winner(self) -> Side:
        """The side that answers.

        With few-shot: if few-shot leads the base model, the personalization if it leads few-shot by more than the
        margin, and otherwise few-shot. If few-shot does not, it is no candidate, and the personalization answers if it
        leads the base model at all. Otherwise the base model answers.
        """
        if not self.few_shot:
            return "personalization" if self._leads else "base"
        own, shown, plain = (math.fsum(each) / self.n for each in (self.personalized, self.few_shot, self.base))
        if shown > plain:
            return "personalization" if own > shown + self.margin else "few-shot"
        return "personalization" if own > plain else "base"

    @property
    def used(self) -> bool:
        """Whether the personalization or few-shot answers, and not the base model."""
        return self.winner != "base"

    @property
    def _leads(self) -> bool:
        """Whether the personalization is ahead by more than the margin, or, in a tie, where it was learned from."""
        if self.tied and self.learned_from is not None:
            personalized, base = self.learned_from
            return personalized > base
        return self.difference > self.margin

    @property
    def reason(self) -> str:
        """Explanation of the decision in one sentence."""
        items, comma, rest = self.kind.partition(",")
        kind = f"{items.removesuffix('s') if self.n == 1 else items}{comma}{rest}"
        held_out = "" if "," in kind else "held-out "
        opinions = f"{self.n} {held_out}{kind}"
        winner = _NAMES[self.winner]
        if self.few_shot:  # alignment scores, never probabilities of texts
            sides = (self.personalized, self.few_shot, self.base)
            own, shown, plain = (f"{math.fsum(each) / self.n:.2f}" for each in sides)
            means = f"the personalization scored {own}, few-shot {shown}, the base model {plain}"
            return f"on {opinions}, {means}: {winner} answers"
        own, plain = (shown_score(math.fsum(each) / self.n) for each in (self.personalized, self.base))
        scores = f"on {opinions}{comma} the personalization scored {own}, the base model {plain}"
        if self.tied and self.learned_from is not None:
            known = map(shown_score, self.learned_from)
            scores += "; on those it was learned from {} and {}".format(*known)
        elif 0 < self.difference <= self.margin:
            scores += f", a lead within the margin of {self.margin:.2f}"
        return f"{scores}: {winner} answers"


def shown_score(score: float) -> str:
    """Return a score in [0, 1] for display; probabilities of texts are small, and need more than two digits."""
    return f"{score:.2f}" if score >= 0.1 or score == 0 else f"{score:.3g}"


def weigh(
    personalized: Sequence[float],
    base: Sequence[float],
    settings: EvidenceSettings,
    *,
    few_shot: Sequence[float] = (),
) -> Evidence:
    """Compare the scores of both sides on the same held-out opinions.

    Args:
        personalized: alignment score of the personalization for each opinion, in [0, 1].
        base: alignment score of the base model for each opinion, in the same order.
        settings: settings with the margin.
        few_shot: alignment score of few-shot prompting for each opinion; empty: it is not compared.

    Raises:
        ValueError: there are no scores, the two sides differ in length, or a score is outside of [0, 1].
    """
    return Evidence(tuple(personalized), tuple(base), settings.margin, few_shot=tuple(few_shot))
