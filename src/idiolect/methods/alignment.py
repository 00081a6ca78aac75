"""Alignment of a response with the user's answer: Fermi's `s(a, â)` (arXiv 2406.18678, Algorithm 1).

    multiple choice   s = 1 if â = a else 0
    ordinal           s = 1 − |rank(a) − rank(â)| / (n_choices − 1)
    free text         s = ROUGE-L F-measure of â against a (rouge-score)

A response in which no choice could be read (`methods.reading`) is mis-aligned: s = 0, and its text is kept verbatim.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from idiolect.methods.setting_checks import require
from idiolect.models.words import words_of
from idiolect.people.user import Question, QuestionKind


@dataclass(frozen=True, slots=True)
class AlignmentThresholds:
    """Thresholds τ in (0, 1] for each kind of question: a response with `s < τ` is mis-aligned.

    Re-implementations use 1.0 for exact answers and 0.2 for ROUGE-L; the paper does not state them.

    Raises:
        SettingsError: a threshold is outside of (0, 1].
    """

    choice: float = 1.0
    ordinal: float = 1.0
    free_text: float = 0.2

    def __post_init__(self) -> None:
        for name in ("choice", "ordinal", "free_text"):
            value = getattr(self, name)
            require(0 < value <= 1, f"thresholds.{name}", value, "in (0, 1]")

    def of(self, kind: QuestionKind) -> float:
        """Return τ for a kind of question."""
        table = {
            QuestionKind.MULTIPLE_CHOICE: self.choice,
            QuestionKind.ORDINAL: self.ordinal,
            QuestionKind.FREE_TEXT: self.free_text,
        }
        return table[kind]


class _Tokenizer:
    """Tokenizer of rouge-score, extended to the scripts that it drops; on ASCII text, both are the same."""

    def __init__(self) -> None:
        from rouge_score.tokenizers import DefaultTokenizer  # slow to import, and only needed for free text

        self._ascii = DefaultTokenizer(use_stemmer=True)

    def tokenize(self, text: str) -> list[str]:
        """Return the words in order; ASCII words are stemmed."""
        tokens: list[str] = []
        for word in words_of(text.lower()):
            tokens += self._ascii.tokenize(word) if word.isascii() else [word]
        return tokens


@cache
def _rouge() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], tokenizer=_Tokenizer())


def rouge_l(reference: str, candidate: str) -> float:
    """Return the ROUGE-L F-measure with stemming, in [0, 1]; 0 if either side has no words."""
    return float(_rouge().score(reference, candidate)["rougeL"].fmeasure)


def alignment_score(question: Question, answer: str, response: str | None) -> float:
    """Return `s(a, â)` in [0, 1]; see the module's equations.

    Args:
        question: the question.
        answer: the user's answer, `a`.
        response: the model's choice or text, `â`; None if no choice could be read.
    """
    if response is None:
        return 0.0
    if question.kind is QuestionKind.FREE_TEXT:
        return rouge_l(answer, response)
    if question.kind is QuestionKind.ORDINAL:
        ranks = {choice: rank for rank, choice in enumerate(question.choices)}
        return 1.0 - abs(ranks[answer] - ranks[response]) / (len(question.choices) - 1)
    return float(answer == response)
