"""Negation of a mention: a negator before it in its clause, or a denial behind it.

    "I do not agree", "anything but …", "… would be wrong"; not "no doubt", and not across a comma or "but"

A negated choice is no answer. Where the negated form is itself a choice ("Not worried"), that choice is mentioned, and
its own negator is part of it.
"""

from __future__ import annotations

from typing import NamedTuple

from idiolect.methods.reading import vocabulary as words
from idiolect.methods.reading.surroundings import Surroundings

_NEAR = 7  # words behind a mention


class Negation(NamedTuple):
    """Whether a mention is negated, and whether that rules the choice out on its own ("rather than …")."""

    negated: bool
    excluded: bool = False


def negation_of(around: Surroundings) -> Negation:
    """Return how a mention is negated."""
    if around.before[:1] and around.before[0] in ("too", "less", "least"):
        return Negation(True)
    left = around.left
    for phrase in words.NEUTRAL_PHRASES:
        left = left.replace(f" {phrase} ", "  ")
    if any(f" {phrase} " in left for phrase in words.EXCLUDING_PHRASES):
        return Negation(True, excluded=True)
    if any(f" {phrase} " in left for phrase in words.NEGATING_PHRASES):
        return Negation(True)
    if any(word in words.NEGATORS for word in left.split()):
        return Negation(True, excluded=_is_counterpart(around))
    denied = _denied(around)
    return Negation(denied, excluded=denied)


def _is_counterpart(around: Surroundings) -> bool:
    """Return whether the clause is only "not …", directly behind a comma ("Agree, not strongly agree")."""
    return [word for word in around.before if word not in words.SKIPPED] == ["not"]


def _denied(around: Surroundings) -> bool:
    """Return whether what follows denies the mention ("… is not it", "… would be wrong", "… costs too much")."""
    said = around.after[:_NEAR]
    if said[:3] == ("a", "close", "second") or (len(said) == 1 and said[0] in ("second", "third", "next", "not")):
        return True
    if said and said[0] in words.DENYING:
        return any(word in words.REFUTING or word in ("not", "too") for word in said[1:5])
    return "would be wrong" in " ".join(said)
