"""Evidence on an edit: held-out texts and opinions, each kind on its own scale, and the decision that follows.

    x_i    a text: log p(text | edited) − log p(text | base), in nat per token
           an opinion: alignment of the edited model's answer − alignment of the base model's, in [−1, 1]
    s̃²     = (d₀ s₀² + Σ (x_i − x̄)²) / (d₀ + n − 1)              moderated variance of the n items of a kind
    t      = √n (x̄ − margin) / s̃                                 moderated t statistic of the kind
    used   ⇔  Σ t over the kinds > 0,  and for each kind  √n x̄ / s̃ ≥ −harm_limit

The moderated t statistic is Smyth's (Statistical Applications in Genetics and Molecular Biology 3(1), 2004); a sum of
standardized statistics with equal weights is Stouffer's method. With one kind of item, only the sign of x̄ − margin
counts. Opinions alone can tie. The items that the variant was chosen with then decide, as in `methods.evidence`; if
there are none, the log-probability of the choices on the same opinions does. How often this errs, beside other rules:
docs/results/chameleon-gate.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

from idiolect.methods.evidence import Evidence
from idiolect.methods.setting_checks import require

Kind = Literal["texts", "opinions"]


@dataclass(frozen=True, slots=True)
class JudgingSettings:
    """Settings for weighing held-out texts and opinions against each other (ours).

    Args:
        text_margin: lead that texts must exceed, in nat per token, ≥ 0. That of opinions is `evidence.margin`.
        harm_limit: largest standardized loss of one kind with which the edit may still answer, > 0; None: no limit.
        prior_df: d₀, the number of items that the prior standard deviations count for, > 0.
        text_sd: s₀ of texts: standard deviation of a text's lead before any is seen, in nat per token, > 0.
        opinion_sd: s₀ of opinions, in alignment, > 0.

    Raises:
        SettingsError: a value is invalid.
    """

    text_margin: float = 0.0
    harm_limit: float | None = 1.5
    prior_df: float = 4.0
    text_sd: float = 0.2
    opinion_sd: float = 0.5

    def __post_init__(self) -> None:
        margin, limit = self.text_margin, self.harm_limit
        require(isfinite(margin) and margin >= 0, "judging.text_margin", margin, "0 or greater")
        require(limit is None or limit > 0, "judging.harm_limit", limit, "greater than 0, or None for no limit")
        for name in ("prior_df", "text_sd", "opinion_sd"):
            value = getattr(self, name)
            require(isfinite(value) and value > 0, f"judging.{name}", value, "greater than 0")


@dataclass(frozen=True, slots=True)
class TextEvidence:
    """Evidence from held-out texts.

    Args:
        edited: log-probability of each text under the edited model, in nat per token.
        base: the same under the base model.
        tokens: number of tokens of each text, ≥ 1.

    Raises:
        ValueError: there is no text, the lengths differ, or a value is not finite.
    """

    edited: tuple[float, ...]
    base: tuple[float, ...]
    tokens: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.base:
            raise ValueError("no evidence: no text is held out")
        if not len(self.edited) == len(self.base) == len(self.tokens):
            raise ValueError(
                f"{len(self.edited)} edited, {len(self.base)} base log-probabilities and {len(self.tokens)} counts of "
                "tokens, must be as many"
            )
        for value in (*self.edited, *self.base):
            if not isfinite(value):
                raise ValueError(f"log-probability is {value!r}, must be finite")
        if min(self.tokens) < 1:
            raise ValueError(f"tokens is {min(self.tokens)!r}, must be at least 1")

    @property
    def n(self) -> int:
        """Number of held-out texts; ≥ 1."""
        return len(self.base)

    @property
    def log_ratios(self) -> tuple[float, ...]:
        """Log-probability under the edited model minus that under the base model, per text, in nat per token."""
        return tuple(edited - base for edited, base in zip(self.edited, self.base, strict=True))

    @property
    def difference(self) -> float:
        """Mean of the log-ratios, in nat per token; each text counts once, however long it is."""
        return math.fsum(self.log_ratios) / self.n


@dataclass(frozen=True, slots=True)
class ChameleonEvidence:
    """Evidence from held-out texts and opinions.

    Args:
        texts: evidence from texts; None if none is held out.
        opinions: evidence from opinions, with their margin; None if none is held out.
        settings: settings for weighing one kind against the other.
        known: decides a tie, if computed: the same on the items that the variant was chosen with.
        likelihood: decides a tie otherwise, if computed: mean change of the log-probability of the person's own answers
            to the held-out opinions, in nat.

    Raises:
        ValueError: nothing is held out.
    """

    texts: TextEvidence | None
    opinions: Evidence | None
    settings: JudgingSettings
    known: ChameleonEvidence | None = None
    likelihood: float | None = None

    def __post_init__(self) -> None:
        if self.texts is None and self.opinions is None:
            raise ValueError("no evidence: nothing is held out")

    @property
    def n(self) -> int:
        """Number of held-out texts and opinions; ≥ 1."""
        return sum(each.n for each in (self.texts, self.opinions) if each is not None)

    @property
    def tied(self) -> bool:
        """Whether only opinions are held out, and their lead is between 0 and the margin."""
        return self.texts is None and self.opinions is not None and self.opinions.tied

    @property
    def leads(self) -> dict[Kind, float]:
        """Moderated t statistic of each kind that is held out, measured from its margin."""
        return {kind: each.statistic(each.margin) for kind, each in self._samples.items()}

    @property
    def harmed(self) -> tuple[Kind, ...]:
        """Kinds whose standardized loss exceeds the limit."""
        limit = self.settings.harm_limit
        return tuple(kind for kind, each in self._samples.items() if limit is not None and each.statistic(0.0) < -limit)

    @property
    def used(self) -> bool:
        """Whether the edit answers, and not the base model."""
        if self.tied and self.known is not None:
            return self.known.used
        if self.tied and self.likelihood is not None:
            return self.likelihood > 0
        return math.fsum(self.leads.values()) > 0 and not self.harmed

    @property
    def reason(self) -> str:
        """Explanation of the decision in one sentence."""
        parts = _described(self, "held-out ", "")
        if self.tied and (self.known is not None or self.likelihood is not None):
            parts[-1] += ", a tie" if self._samples["opinions"].mean == 0 else ", a lead within the margin"
            if self.known is not None:
                parts += _described(self.known, "", " that the variant was chosen with")
            elif self.likelihood is not None:
                parts.append(f"their answers {_compared(self.likelihood, 'nat')} under the base model")
        elif weighing := self._weighing:
            parts.append(weighing)
        return f"{'; '.join(parts)}: {'the edit' if self.used else 'the base model'} answers"

    @property
    def _weighing(self) -> str:
        """How kinds that disagree are weighed, or that a lead is within its margin; "" if neither is the case."""
        leads, samples = self.leads, self._samples
        ahead, behind = max(leads, key=leads.__getitem__), min(leads, key=leads.__getitem__)
        if leads[ahead] > 0 and samples[behind].mean < 0:
            if self.harmed:
                return f"the loss on {behind} is too large"
            won, lost = f"the lead on {ahead}", f"the loss on {behind}"
            return f"{won} outweighs {lost}" if self.used else f"{lost} outweighs {won}"
        small = [kind for kind, each in samples.items() if 0 < each.mean <= each.margin]
        return f"the lead on {small[0]} is within the margin" if small and not self.used else ""

    @property
    def _samples(self) -> dict[Kind, _Sample]:
        """The items of each kind that is held out."""
        made, settings = dict[Kind, _Sample](), self.settings
        if self.texts is not None:
            made["texts"] = _Sample(
                self.texts.log_ratios, self.texts.difference, settings.text_margin, settings.text_sd, settings.prior_df
            )
        if self.opinions is not None:
            found = self.opinions
            gains = tuple(edited - base for edited, base in zip(found.personalized, found.base, strict=True))
            made["opinions"] = _Sample(gains, found.difference, found.margin, settings.opinion_sd, settings.prior_df)
        return made


@dataclass(frozen=True, slots=True)
class _Sample:
    """Leads of the items of one kind, with their mean, margin and prior."""

    leads: tuple[float, ...]
    mean: float
    margin: float
    prior_sd: float
    prior_df: float

    def statistic(self, margin: float) -> float:
        """Return the moderated t statistic of the leads, measured from a margin."""
        return moderated_t(self.leads, mean=self.mean - margin, prior_sd=self.prior_sd, prior_df=self.prior_df)


def moderated_t(values: Sequence[float], *, mean: float, prior_sd: float, prior_df: float) -> float:
    """Return √n · mean / s̃, where s̃ is the moderated standard deviation of the values (Smyth 2004).

    Args:
        values: n ≥ 1 values.
        mean: their mean, from which a margin may have been taken.
        prior_sd: their standard deviation before any is seen, > 0.
        prior_df: the number of values that this prior counts for, > 0.
    """
    n = len(values)
    centre = math.fsum(values) / n
    squares = math.fsum((value - centre) ** 2 for value in values)
    return mean * math.sqrt(n * (prior_df + n - 1) / (prior_df * prior_sd**2 + squares))


def evidence_numbers(evidence: ChameleonEvidence | Evidence) -> dict[str, dict[str, Any] | None]:
    """Return the numbers of both kinds for a report; None for a kind that is not held out.

    Evidence from before texts had a scale of their own (`Evidence`) mixes the kinds, and has no number of either.
    """
    if isinstance(evidence, Evidence):
        return {"texts": None, "opinions": None}
    texts, opinions = evidence.texts, evidence.opinions
    return {
        "texts": None
        if texts is None
        else {"n": texts.n, "tokens": sum(texts.tokens), "nat_per_token": texts.difference},
        "opinions": None
        if opinions is None
        else {"n": opinions.n, "edited": _mean(opinions.personalized), "base": _mean(opinions.base)},
    }


def _described(evidence: ChameleonEvidence, before: str, behind: str) -> list[str]:
    """Return one phrase on each kind, with words before and behind the name of the kind."""
    parts = list[str]()
    if (texts := evidence.texts) is not None:
        where = f"on {_counted(texts.n, f'{before}text')}{behind}"
        parts.append(f"{where}, {_compared(texts.difference)} under the base model")
    if (opinions := evidence.opinions) is not None:
        where = f"on {_counted(opinions.n, f'{before}opinion')}{behind}"
        edited, base = _mean(opinions.personalized), _mean(opinions.base)
        parts.append(f"{where}, {edited:.2f} against the base model's {base:.2f}")
    return parts


def _compared(change: float, unit: str = "nat per token") -> str:
    if change == 0:
        return "as likely as"
    size = f"{abs(change):.2f}" if round(abs(change), 2) >= 0.1 else f"{abs(change):.2g}"
    return f"{size} {unit} {'likelier' if change > 0 else 'less likely'} than"


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _mean(scores: Sequence[float]) -> float:
    return math.fsum(scores) / len(scores)
