"""Reading of replies to LaMP's questions, whose labels are known words, stars or references (arXiv 2304.11406).

LaMP's evaluation compares whole replies, and takes `float(reply)` for stars. These rules do the same, and also find a
label in a longer first line ("The tag is: comedy.") or, if that names none, anywhere. Two labels are unreadable.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from idiolect.methods.reading.choice_forms import number_in
from idiolect.methods.reading.forms import folded
from idiolect.methods.reading.whole_replies import exact_choice
from idiolect.people.lamp_forms import FORMS
from idiolect.people.user import Question

_LABELS = frozenset(map(frozenset, (form.labels for form in FORMS if form.labels)))
_BRACKETED = re.compile(r"\[[^\[\]]+\]|\([^()]+\)")
_ANSWER = re.compile(r"^(?:the\s+)?answer(?:\s+is\b\s*:?|\s*:)\s*", re.IGNORECASE)
_AROUND = " .,;:!?\"'*_`()[]{}<>-"


def has_lamps_labels(question: Question) -> bool:
    """Return whether a question's choices are the labels of a LaMP task, in any order."""
    return frozenset(question.choices) in _LABELS


def read_label(reply: str, question: Question) -> str | None:
    """Return the label that a reply names, or None if it names none or more than one.

    Raises:
        ValueError: the question has no choices.
    """
    choices = question.choices
    if not choices:
        raise ValueError("question has no choices to parse")
    lines = [line.strip() for line in reply.splitlines() if line.strip()]
    first = _ANSWER.sub("", lines[0]) if lines else ""
    for candidate in (reply, first):
        place = exact_choice(candidate, choices)
        if place is None:
            place = _same_number(candidate, choices)
        if place is not None:
            return choices[place]
    for part in (first, reply):
        named = _named(part, choices)
        if named:
            return named[0] if len(named) == 1 else None
    return None


def _same_number(reply: str, choices: Sequence[str]) -> int | None:
    number = number_in(reply)
    same = [place for place, choice in enumerate(choices) if number is not None and number_in(choice) == number]
    return same[0] if len(same) == 1 and not _BRACKETED.fullmatch(choices[same[0]]) else None


def _named(text: str, choices: Sequence[str]) -> list[str]:
    """Return the labels that occur, with their brackets if all labels have them and one occurs so."""
    bracketed = all(_BRACKETED.fullmatch(choice.strip()) for choice in choices)
    whole = _occurring(text, {choice: folded(choice) for choice in choices}) if bracketed else []
    return whole or _occurring(text, {choice: folded(choice).strip(_AROUND) or folded(choice) for choice in choices})


def _occurring(text: str, words: dict[str, str]) -> list[str]:
    """Return the labels whose words occur in the text; each occurrence counts for the longest label there."""
    plain_text = folded(text)
    alternatives = sorted(words.values(), key=len, reverse=True)
    pattern = rf"(?<!\w)(?<!\d[.,/])(?:{'|'.join(map(re.escape, alternatives))})(?!\w|[.,/]\d)"
    found = set(re.findall(pattern, plain_text))
    return [choice for choice, label in words.items() if label in found]
