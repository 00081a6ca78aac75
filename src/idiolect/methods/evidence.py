"""Do no harm: held-out opinions decide whether a personalization is used, or the base model answers as before.

    used  ⇔  mean(s of the personalization) − mean(s of the base model) > margin        on the same held-out opinions

A method keeps a share of the opinions out of learning, has both sides answer them, and hands the alignment scores here.
A tie is no evidence: then the base model answers. Nothing here knows a method, so that one gate serves them all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from idiolect.methods.setting_checks import require


@dataclass(frozen=True, slots=True)
class EvidenceSettings:
    """The gate.

    Args:
        share: of a user's opinions that are held out, in [0, 1); 0: no gate, what was learned is always used.
        margin: the personalization has to score more than this above the base model, in [0, 1).

    Raises:
        SettingsError: a value that makes no sense.
    """

    share: float = 0.0
    margin: float = 0.0

    def __post_init__(self) -> None:
        require(0 <= self.share < 1, "evidence.share", self.share, "in [0, 1)")
        require(0 <= self.margin < 1, "evidence.margin", self.margin, "in [0, 1)")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the held-out opinions say.

    Args:
        personalized: per held-out opinion, the alignment score of the personalization's answer, in [0, 1].
        base: the same of the base model's.
        margin: as in the settings.

    Raises:
        ValueError: nothing is held out, the two sides differ in length, or a score is outside of [0, 1].
    """

    personalized: tuple[float, ...]
    base: tuple[float, ...]
    margin: float = 0.0

    def __post_init__(self) -> None:
        if not self.personalized:
            raise ValueError("no evidence: nothing is held out")
        if len(self.personalized) != len(self.base):
            raise ValueError(f"{len(self.personalized)} personalized scores, but {len(self.base)} of the base model")
        for score in (*self.personalized, *self.base):
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
    def used(self) -> bool:
        """The personalization beats the base model by more than the margin."""
        return self.difference > self.margin

    @property
    def reason(self) -> str:
        """One sentence for people."""
        opinions = f"{self.n} held-out opinion{'s' if self.n != 1 else ''}"
        means = (math.fsum(self.personalized) / self.n, math.fsum(self.base) / self.n)
        scores = "on {} the personalization scored {:.2f}, the base model {:.2f}".format(opinions, *means)
        if self.used:
            return f"{scores}: the personalization answers"
        short = f", a lead within the margin of {self.margin:.2f}" if self.difference > 0 else ""
        return f"{scores}{short}: the base model answers"


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
