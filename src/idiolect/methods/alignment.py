"""Alignment of a response with the user's answer: parsing, and Fermi's `s(a, â)` (arXiv 2406.18678, Algorithm 1).

    multiple choice   s = 1 if â = a else 0
    ordinal           s = 1 − |rank(a) − rank(â)| / (n_choices − 1)
    free text         s = ROUGE-L F-measure of â against a (rouge-score)

A response that cannot be parsed into a choice is mis-aligned: s = 0, and its text is kept verbatim.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from idiolect.methods.setting_checks import require
from idiolect.models.words import words_of
from idiolect.people.user import Question, QuestionKind

_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")
_BRACKETED = re.compile(r"\[[^\[\]]+\]|\([^()]+\)")
_AROUND_NUMBERS = string.whitespace + "*_`\"'“”‘’"
_LABEL = re.compile(r"^\(?([A-Za-z])[).:](?:\s|$)|^([A-Za-z])$")


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


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _bare(text: str) -> str:
    return _folded(text).strip(string.punctuation + string.whitespace + "“”‘’")


def _first_line(text: str) -> str:
    """Return the first non-empty line without a leading "Answer:"; it is tried first because small models ramble."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    first = lines[0] if lines else ""
    return re.sub(r"^(?:the\s+)?answer(?:\s+is\b\s*:?|\s*:)\s*", "", first, flags=re.IGNORECASE)


def parse_choice(text: str, question: Question) -> str | None:
    """Return the choice that a generated reply names, or None if it names none or more than one.

    These rules are tried in order: the reply is a choice; the reply is a number, and one choice is the same number
    ("4.0" is "4"); the words of exactly one choice occur in the first line; the reply begins with a letter label ("B",
    "(b) …") and no choice is a single letter (this comes late because our questions show no letters); the words of
    exactly one choice occur anywhere. A choice inside another choice that also occurs does not count ("Satisfied" in
    "Not satisfied"), nor does part of a number ("4" in "4.5" or "4/5"). If all choices are in brackets, "[1]" is
    searched for before a bare "1".
    """
    if not question.choices:
        raise ValueError("question has no choices to parse")
    first = _first_line(text)
    for candidate in (text, first):
        exact = _exactly(candidate, question.choices) or _same_number(candidate, question.choices)
        if exact is not None:
            return exact
    named = _named(first, question.choices)
    if len(named) == 1:
        return named[0]
    label = _LABEL.match(first)
    if label and not any(len(_bare(choice)) == 1 for choice in question.choices):
        index = ord((label[1] or label[2]).lower()) - ord("a")
        if index < len(question.choices):
            return question.choices[index]
    if named:
        return None
    named = _named(text, question.choices)
    return named[0] if len(named) == 1 else None


def _exactly(candidate: str, choices: Sequence[str]) -> str | None:
    """Return the only choice equal to the candidate: exactly, or else ignoring case, or else ignoring punctuation."""
    for form in (str.strip, _folded, _bare):
        wanted = form(candidate)
        same = [choice for choice in choices if wanted and form(choice) == wanted]
        if len(same) == 1 and not (form is _bare and _collides(same[0], choices)):
            return same[0]
    return None


def _same_number(candidate: str, choices: Sequence[str]) -> str | None:
    """Return the only choice with the same number as the candidate; None if there is no such choice or number."""
    number = _number(candidate)
    same = [choice for choice in choices if number is not None and _number(choice) == number]
    return same[0] if len(same) == 1 else None


def _number(text: str) -> float | None:
    plain = _folded(text).strip(_AROUND_NUMBERS).removesuffix(".").strip(_AROUND_NUMBERS)
    return float(plain) if _NUMBER.fullmatch(plain) else None


def _collides(choice: str, choices: Sequence[str]) -> bool:
    """Return whether the choice, without outer punctuation, is empty or equals another one ("-2", "2"; "C", "C++")."""
    bare = _bare(choice)
    return not bare or sum(_bare(other) == bare for other in choices) > 1


def _findable(choices: Sequence[str]) -> dict[str, str]:
    """Return the words to search for, by choice, without choices that differ only in case."""
    texts = {choice: _folded(choice) if _collides(choice, choices) else _bare(choice) for choice in choices}
    return {choice: text for choice, text in texts.items() if list(texts.values()).count(text) == 1}


def _named(text: str, choices: Sequence[str]) -> list[str]:
    """Return the choices whose words occur in the text, with their brackets if all choices have them and one occurs."""
    bracketed = all(_BRACKETED.fullmatch(choice.strip()) for choice in choices)
    whole = _occurring(text, {choice: _folded(choice) for choice in choices}) if bracketed else []
    return whole or _occurring(text, _findable(choices))


def _occurring(text: str, words: dict[str, str]) -> list[str]:
    """Return the choices whose words occur in the text; each occurrence counts for the longest choice there."""
    plain_text = _folded(text)
    taken = [False] * len(plain_text)
    found: list[str] = []
    for choice, plain in sorted(words.items(), key=lambda item: -len(item[1])):
        for match in re.finditer(rf"(?<!\w)(?<!\d[.,/]){re.escape(plain)}(?!\w|[.,/]\d)", plain_text):
            if not any(taken[match.start() : match.end()]):
                taken[match.start() : match.end()] = [True] * (match.end() - match.start())
                if choice not in found:
                    found.append(choice)
    return found


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
        response: the model's choice or text, `â`; None if no choice could be parsed.
    """
    if response is None:
        return 0.0
    if question.kind is QuestionKind.FREE_TEXT:
        return rouge_l(answer, response)
    if question.kind is QuestionKind.ORDINAL:
        ranks = {choice: rank for rank, choice in enumerate(question.choices)}
        return 1.0 - abs(ranks[answer] - ranks[response]) / (len(question.choices) - 1)
    return float(answer == response)
