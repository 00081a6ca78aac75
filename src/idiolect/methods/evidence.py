"""Do no harm: held-out opinions decide whether a personalization is used, or the base model answers as before.

    used  ⇔  d = mean(s of the personalization) − mean(s of the base model) > margin    on the same held-out opinions
             or 0 ≤ d ≤ margin (a tie) and the personalization is ahead on the opinions that it was learned from,
                each answered as would have been chosen without it

A method keeps a share of the opinions out of learning, has both sides answer them, and hands the alignment scores here.
With four opinions held out a tie is common, and the opinions that were learned from are a weak witness, but a witness
(docs/results/evidence-gate.md). Nothing here knows a method, so that one gate serves them all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from idiolect.methods.setting_checks import require, require_one_of

Ties = Literal["learned", "base"]


@dataclass(frozen=True, slots=True)
class EvidenceSettings:
    """The gate.

    Args:
        share: of a user's opinions that are held out, in [0, 1); 0: no gate, what was learned is always used.
        margin: the personalization has to score more than this above the base model, in [0, 1).
        ties: who decides where it is ahead by no more than that and not behind: "learned" asks the base model the
            opinions that were learned from too, and compares there; "base" takes the base model.

    Raises:
        SettingsError: a value that makes no sense.
    """

    share: float = 0.0
    margin: float = 0.0
    ties: Ties = "learned"

    def __post_init__(self) -> None:
        require_one_of(Ties, "evidence.ties", self.ties)
        require(0 <= self.share < 1, "evidence.share", self.share, "in [0, 1)")
        require(0 <= self.margin < 1, "evidence.margin", self.margin, "in [0, 1)")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the held-out opinions say.

    Args:
        personalized: per held-out opinion, the alignment score of the personalization's answer, in [0, 1].
        base: the same of the base model's.
        margin: as in the settings.
        learned_from: what decides a tie, where that was asked: mean alignment scores of the personalization and of
            the base model on the opinions that were learned from. The personalization's are best leave-one-out: on
            each opinion, of what would have been chosen without it.
        kind: what was held out, in the plural.

    Raises:
        ValueError: nothing is held out, the two sides differ in length, or a score is outside of [0, 1].
    """

    personalized: tuple[float, ...]
    base: tuple[float, ...]
    margin: float = 0.0
    learned_from: tuple[float, float] | None = None
    kind: str = "opinions"

    def __post_init__(self) -> None:
        if not self.personalized:
            raise ValueError("no evidence: nothing is held out")
        if len(self.personalized) != len(self.base):
            raise ValueError(f"{len(self.personalized)} personalized scores, but {len(self.base)} of the base model")
        for score in (*self.personalized, *self.base, *(self.learned_from or ())):
            if not 0 <= score <= 1:
                raise ValueError(f"score is {score!r}, must be in [0, 1]")

    @property
    def n(self) -> int:
        """How many opinions were held out; ≥ 1."""
        return len(self.base)

    @property
    def difference(self) -> float:
        """Mean score of the personalization minus that of the base model, in [−1, 1]; rounded once."""
        return math.fsum((*self.personalized, *(-score for score in self.base))) / self.n

    @property
    def tied(self) -> bool:
        """The personalization is not behind, and not ahead by more than the margin."""
        return 0 <= self.difference <= self.margin

    @property
    def used(self) -> bool:
        """The personalization beats the base model by more than the margin; in a tie, where it was learned from."""
        if self.tied and self.learned_from is not None:
            personalized, base = self.learned_from
            return personalized > base
        return self.difference > self.margin

    @property
    def reason(self) -> str:
        """One sentence for people."""
        kind = self.kind.removesuffix("s") if self.n == 1 else self.kind
        opinions = f"{self.n} held-out {kind}"
        means = (math.fsum(self.personalized) / self.n, math.fsum(self.base) / self.n)
        scores = "on {} the personalization scored {}, the base model {}".format(opinions, *map(shown_score, means))
        if self.tied and self.learned_from is not None:
            known = map(shown_score, self.learned_from)
            scores += "; on those it was learned from {} and {}".format(*known)
        elif 0 < self.difference <= self.margin:
            scores += f", a lead within the margin of {self.margin:.2f}"
        return f"{scores}: {'the personalization' if self.used else 'the base model'} answers"


def shown_score(score: float) -> str:
    """A score in [0, 1] for people; probabilities of texts are small, and need more digits than two."""
    return f"{score:.2f}" if score >= 0.1 or score == 0 else f"{score:.3g}"


def weigh(personalized: Sequence[float], base: Sequence[float], settings: EvidenceSettings) -> Evidence:
    """Compare the two sides' scores on the same held-out opinions.

    Args:
        personalized: one alignment score in [0, 1] an opinion.
        base: the same of the base model, in the same order.
        settings: whose margin counts.

    Raises:
        ValueError: no scores, not as many on both sides, or one outside of [0, 1].
    """
    return Evidence(tuple(personalized), tuple(base), settings.margin)
