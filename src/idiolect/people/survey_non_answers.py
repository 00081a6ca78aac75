"""Choices of survey questions that are no answer, such as "DK/Refused", and questions without them.

Below the reader of GlobalOpinionQA, whose surveys publish them among the other choices. What people volunteer ("Both
(VOL)") is an answer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from idiolect.people.user import Question

_NOTE = re.compile(r"\s*[(\[](?:vol(?:unteered)?\.?|do not read(?: out)?|dnr)[)\]]\s*$", re.IGNORECASE)
_JOINT = re.compile(r"\s*(?:/|,|;|\bor\b)\s*")
_NONE = frozenset(
    {
        "can't choose",
        "can't say",
        "cannot choose",
        "cannot say",
        "decline to answer",
        "declined",
        "declined to answer",
        "dk",
        "difficult to say",
        "do not know",
        "don't know",
        "dont know",
        "hard to say",
        "i don't know",
        "i do not know",
        "missing",
        "n/a",
        "na",
        "no answer",
        "no opinion",
        "no response",
        "nr",
        "not applicable",
        "not asked",
        "not available",
        "not sure",
        "prefer not to answer",
        "prefer not to say",
        "ref",
        "refusal",
        "refuse",
        "refuse to answer",
        "refused",
        "refused to answer",
        "unsure",
    }
)
_APOSTROPHES = str.maketrans("’‘´`", "''''")
_MISSING = ("missing", "other missing")  # the World Values Survey's "Missing; Not available"


class NobodyAnsweredError(ValueError):
    """Nobody gave one of the choices that are answers, or there is no choice left to decide on."""


def is_non_answer(choice: str) -> bool:
    """Return whether a choice is no answer to any question: "Don't know", "DK/Refused", "No answer (DO NOT READ)"."""
    bare = _NOTE.sub("", " ".join(choice.casefold().translate(_APOSTROPHES).split()))
    parts = _JOINT.split(bare)
    return bare in _NONE or parts[0] in _MISSING or all(part.strip(" .") in _NONE for part in parts)


def without_non_answers(question: Question, shares: Sequence[float]) -> tuple[Question, tuple[float, ...]]:
    """Return a question without the choices that are no answer, and the shares of the people who answered.

    Args:
        question: a question with choices.
        shares: one share per choice, summing to 1.

    Raises:
        NobodyAnsweredError: fewer than two choices are left, or their shares are 0.
    """
    kept = [place for place, choice in enumerate(question.choices) if not is_non_answer(choice)]
    if len(kept) == len(question.choices):
        return question, tuple(shares)
    total = math.fsum(shares[place] for place in kept)
    if len(kept) < 2:
        raise NobodyAnsweredError("has fewer than two choices that are answers")
    if total <= 0:
        raise NobodyAnsweredError("nobody gave one of the choices that are answers")
    left = Question(question.text, tuple(question.choices[place] for place in kept), ordinal=question.ordinal)
    return left, tuple(shares[place] / total for place in kept)
