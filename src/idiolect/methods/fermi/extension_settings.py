"""Settings of what goes beyond the paper: crossing, hybrid prompts, answering by several prompts, dispositions.

All of these are off by default, and in the presets `paper` and `paper-offline`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Literal

from idiolect.methods.setting_checks import require, require_one_of

Parents = Literal["memory", "pareto"]
Decision = Literal["mode", "median"]

_MOST_EXPONENT = 1000.0  # products with logarithms of probabilities, and their differences, stay finite far beyond it
_LEAST_NEARNESS = 1e-6
_MOST_ORDERS = 100  # each is a call for every prompt and question


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """Settings of the search for prompts.

    Args:
        crossing: number of folds F of the scoring opinions; 1: no crossing, as in the paper. With F ≥ 2, each draw
            belongs to a fold. Its optimizer sees only the opinions of the other folds, and the prompt is scored only on
            its own fold, so that no score comes from an answer that the optimizer could have copied.
        parents: prompts that a draw starts from. "memory": the meta-prompt lists the whole memory, as in the paper.
            "pareto": each draw gets one parent, drawn from the prompts that are best on at least one opinion, with a
            probability proportional to the number of these opinions (GEPA, arXiv 2507.19457).
        plateau: number of iterations without a better prompt after which the search stops; None: it never stops early.
        stop_when_perfect: stop if the memory is full of prompts without a mis-aligned response.
    """

    crossing: int = 1
    parents: Parents = "memory"
    plateau: int | None = None
    stop_when_perfect: bool = False

    def __post_init__(self) -> None:
        require(self.crossing >= 1, "search.crossing", self.crossing, "at least 1")
        require_one_of(Parents, "search.parents", self.parents)
        require(self.plateau is None or self.plateau >= 1, "search.plateau", self.plateau, "at least 1, or None")


@dataclass(frozen=True, slots=True)
class HybridSettings:
    """Settings of hybrid prompts: the learned text, and behind it the person's answers nearest to the question.

    Args:
        examples: number of nearest opinions behind each prompt; 0: none, as in the paper. With examples, `P⁰` is
            few-shot prompting, so the search starts from it.
        max_prompt_tokens: limit on a prompt's length in tokens, estimated as 4 bytes each; the farthest examples are
            left out until the prompt fits, but never the text. None: no limit.
    """

    examples: int = 0
    max_prompt_tokens: int | None = None

    def __post_init__(self) -> None:
        require(self.examples >= 0, "hybrid.examples", self.examples, "0 or greater")
        limit = self.max_prompt_tokens
        require(limit is None or limit >= 1, "hybrid.max_prompt_tokens", limit, "at least 1, or None for no limit")


@dataclass(frozen=True, slots=True)
class EnsembleSettings:
    """Settings of answering by several prompts instead of the one that Retrieval-of-Prompt chooses.

    Args:
        prompts: number of prompts that answer a question, the best ones for it; 1: one, as in the paper.
        tolerance: difference of estimated scores to the best prompt, in [0, 1], up to which a prompt takes part.
        orders: number of orders of the examples in which each of them answers, at most 100; only for prompts with
            examples.
        calibrate: whether each prompt's distribution is divided by its mean over the person's own questions with the
            same choices, so that what the model prefers whatever it is asked does not count (compare Batch Calibration,
            arXiv 2309.17249). These questions are asked as for scoring, once.
        sharpness: exponent of each prompt's distribution, above 0 and at most 1000. Below 1 it counts for less beside
            the person's own answers, because small models are too sure.
        own_answers: exponent of the person's own distribution of answers to questions with the same choices, which
            multiplies the prompts' mean distribution, at most 1000; 0: it is not used.
        own_nearness: difference of similarity to the question by which a person's answer counts e times less in that
            distribution, at least 1e-6; None: all answers count equally.
        decide: the answer to a question with ordinal choices. "mode" is the likeliest choice; "median" is the middle of
            the distribution, which minimizes the expected distance. Other questions always take the likeliest choice.
    """

    prompts: int = 1
    tolerance: float = 1.0
    orders: int = 1
    calibrate: bool = False
    sharpness: float = 1.0
    own_answers: float = 0.0
    own_nearness: float | None = None
    decide: Decision = "mode"

    def __post_init__(self) -> None:
        require(self.prompts >= 1, "ensemble.prompts", self.prompts, "at least 1")
        require(0 <= self.tolerance <= 1, "ensemble.tolerance", self.tolerance, "in [0, 1]")
        require(1 <= self.orders <= _MOST_ORDERS, "ensemble.orders", self.orders, f"from 1 to {_MOST_ORDERS}")
        most = _MOST_EXPONENT
        require(0 < self.sharpness <= most, "ensemble.sharpness", self.sharpness, f"above 0 and at most {most:g}")
        require(0 <= self.own_answers <= most, "ensemble.own_answers", self.own_answers, f"in [0, {most:g}]")
        near, least = self.own_nearness, _LEAST_NEARNESS
        near_enough = near is None or (isfinite(near) and near >= least)
        require(near_enough, "ensemble.own_nearness", near, f"at least {least:g}, or None")
        require_one_of(Decision, "ensemble.decide", self.decide)

    @property
    def combines(self) -> bool:
        """Whether an answer is more than one prompt's."""
        several = self.prompts > 1 or self.orders > 1
        return several or self.calibrate or self.own_answers > 0 or self.decide != "mode"


@dataclass(frozen=True, slots=True)
class DispositionSettings:
    """Settings of dispositions: short statements on the person, which stand behind the prompt that answers.

    Args:
        number: number of dispositions that the optimizer is asked for in each fold; 0: none, as in the paper.
        folds: number of folds of the scoring opinions; those of a fold are hidden from the optimizer, which is asked
            once for each, and what it states is tried on them. These folds are not those of `search.crossing`.
        retrieved: maximum number of the optimizer's dispositions behind a prompt; a person's own always stand there.
        tests: maximum number of opinions that each is tried on, those that it bears on most.
        nearness: how near a question has to be to a disposition: as near as the nearest 1 − `nearness` of the person's
            own questions; 0: every question is near enough.
        max_shown: maximum number of the person's answers in the request, wrong ones of the model first; None: all.
        temperature: temperature of the optimizer.
        max_tokens: maximum number of tokens of its reply.
    """

    number: int = 0
    folds: int = 2
    retrieved: int = 2
    tests: int = 3
    nearness: float = 0.9
    max_shown: int | None = 40
    temperature: float = 1.0
    max_tokens: int = 600

    def __post_init__(self) -> None:
        require(self.number >= 0, "dispositions.number", self.number, "0 or greater")
        require(self.folds >= 2, "dispositions.folds", self.folds, "at least 2")
        require(self.retrieved >= 1, "dispositions.retrieved", self.retrieved, "at least 1")
        require(self.tests >= 1, "dispositions.tests", self.tests, "at least 1")
        require(0 <= self.nearness <= 1, "dispositions.nearness", self.nearness, "in [0, 1]")
        most = self.max_shown
        require(most is None or most >= 1, "dispositions.max_shown", most, "at least 1, or None for all")
        finite = isfinite(self.temperature) and self.temperature >= 0
        require(finite, "dispositions.temperature", self.temperature, "0 or greater")
        require(self.max_tokens >= 1, "dispositions.max_tokens", self.max_tokens, "at least 1")
