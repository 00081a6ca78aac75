"""Alignment of a response with what the user said: parsing, and Fermi's `s(a, â)` (arXiv 2406.18678, Algorithm 1).

    multiple choice   s = 1 if â = a else 0
    ordinal           s = 1 − |rank(a) − rank(â)| / (n_choices − 1)
    free text         s = ROUGE-L F-measure of â against a (rouge-score)

A response that can't be parsed into a choice is mis-aligned: s = 0, and it is kept as it was said.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from functools import cache
from typing import Any

from idiolect.people.user import Question, QuestionKind

_LABEL = re.compile(r"^\(?([A-Za-z])[).:](?:\s|$)|^([A-Za-z])$")


@dataclass(frozen=True, slots=True)
class AlignmentThresholds:
    """τ: a response with `s < τ` is mis-aligned. Each in (0, 1].

    Re-implementations use 1.0 for exact answers and 0.2 for ROUGE-L; the paper doesn't print them.
    """

    choice: float = 1.0
    ordinal: float = 1.0
    free_text: float = 0.2

    def __post_init__(self) -> None:
        for name in ("choice", "ordinal", "free_text"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"threshold {name} is {getattr(self, name)}, must be in (0, 1]")

    def of(self, kind: QuestionKind) -> float:
        """τ for a kind of question."""
        table = {
            QuestionKind.MULTIPLE_CHOICE: self.choice,
            QuestionKind.ORDINAL: self.ordinal,
            QuestionKind.FREE_TEXT: self.free_text,
        }
        return table[kind]


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).strip(string.punctuation + string.whitespace + "“”‘’")


def _first_lines(text: str) -> str:
    """The reply without an "Answer:" in front; small models ramble, so the first non-empty line decides first."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    first = lines[0] if lines else ""
    return re.sub(r"^(?:the\s+)?answer\s*(?:is)?\s*[:\-]?\s*", "", first, flags=re.IGNORECASE)


def parse_choice(text: str, question: Question) -> str | None:
    """The choice that a generated reply names, or None where it names none or more than one.

    Tried in this order: the reply is a choice; a letter label ("B", "(b) …") where no choice is a single letter;
    the one choice whose words occur in the first line, then anywhere; a choice contained in another one that also
    occurs doesn't count ("Satisfied" in "Not satisfied").
    """
    if not question.choices:
        raise ValueError("question has no choices to parse")
    plain_choices = {choice: _plain(choice) or choice.strip() for choice in question.choices}
    first = _first_lines(text)
    for candidate in (first, text):
        exact = [choice for choice, plain in plain_choices.items() if plain == _plain(candidate)]
        if len(exact) == 1:
            return exact[0]
    label = _LABEL.match(first)
    if label and not any(len(plain) == 1 for plain in plain_choices.values()):
        index = ord((label[1] or label[2]).lower()) - ord("a")
        if index < len(question.choices):
            return question.choices[index]
    for candidate in (first, text):
        named = _named(candidate, plain_choices)
        if len(named) == 1:
            return named[0]
        if named:
            return None
    return None


def _named(text: str, plain_choices: dict[str, str]) -> list[str]:
    """Choices whose words occur in the text, each occurrence counted for the longest choice that covers it."""
    plain_text = " ".join(text.casefold().split())
    taken = [False] * len(plain_text)
    found: list[str] = []
    for choice, plain in sorted(plain_choices.items(), key=lambda item: -len(item[1])):
        for match in re.finditer(rf"(?<!\w){re.escape(plain)}(?!\w)", plain_text):
            if not any(taken[match.start() : match.end()]):
                taken[match.start() : match.end()] = [True] * (match.end() - match.start())
                if choice not in found:
                    found.append(choice)
    return found


@cache
def _rouge() -> Any:
    from rouge_score.rouge_scorer import RougeScorer  # slow to import, and needed for free text only

    return RougeScorer(["rougeL"], use_stemmer=True)


def rouge_l(reference: str, candidate: str) -> float:
    """ROUGE-L F-measure with stemming, in [0, 1]; 0 where either side has no words."""
    return float(_rouge().score(reference, candidate)["rougeL"].fmeasure)


def alignment_score(question: Question, answer: str, response: str | None) -> float:
    """`s(a, â)` in [0, 1]; see the module's equations.

    Args:
        question: what was asked.
        answer: what the user said, `a`.
        response: the choice or text of the model, `â`; None if it could not be parsed.
    """
    if response is None:
        return 0.0
    if question.kind is QuestionKind.FREE_TEXT:
        return rouge_l(answer, response)
    if question.kind is QuestionKind.ORDINAL:
        ranks = {choice: rank for rank, choice in enumerate(question.choices)}
        return 1.0 - abs(ranks[answer] - ranks[response]) / (len(question.choices) - 1)
    return float(answer == response)
