"""Choices that a whole reply is: the same text, or the same but for punctuation, accents, a slip, or words left out."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Sequence
from difflib import SequenceMatcher

from idiolect.methods.reading.choice_forms import SMALL, TURNING, words_in
from idiolect.methods.reading.forms import folded

_AROUND = string.whitespace + ".,;:!?\"'()[]{}*_`~"
_RANGE = re.compile(
    r"(?:from |between )?([$€£]?[\d.,]*\d[%k]?)\s*(?:-|to|and)\s*([$€£]?[\d.,]*\d[%k]?)(?: (?:years|years old))?"
)
_LONG = 6  # characters
_SHORTEST_SLIP = 5
_LONGEST_SLIP = 200
_ALIKE = 0.9
_MOST_WORDS = 4
_MOST_OUTSIDE = 400  # characters of a reply beside its choice: typographic marks, blanks, brackets
_NEGATING = frozenset(("not", "no", "never", "less", "non", "neither", "hardly", "without", "least", "nor"))


def exact_choice(text: str, choices: Sequence[str]) -> int | None:
    """Return the index of the only choice equal to the text: as it is, or ignoring case, or outer punctuation."""
    if len(text) > _MOST_OUTSIDE + 2 * max(map(len, choices), default=0):
        return None
    for form in (str.strip, folded, _bare, _squeezed, _unaccented, _amounts):
        wanted = form(text)
        same = [place for place, choice in enumerate(choices) if wanted and form(choice) == wanted]
        if len(same) == 1:
            return same[0]
        if same:
            return None
    return None


def _bare(text: str) -> str:
    bare = folded(text).strip(_AROUND)
    return "" if bare[:1] == "-" and not bare[1:2].isdigit() else bare


def _squeezed(text: str) -> str:
    """Return the text's letters and digits without what separates them ("non-profit" is "nonprofit")."""
    words = words_in(text)
    return "".join(words) if len(words) > 1 or len(text) > _LONG else ""


def _unaccented(text: str) -> str:
    """Return the text's words without accents ("Si" for "Sí"); "" in other scripts than the Latin one."""
    apart = unicodedata.normalize("NFD", _bare(text))
    plainer = "".join(character for character in apart if not unicodedata.combining(character))
    return plainer if plainer.isascii() else ""


def _amounts(text: str) -> str:
    """Return the two ends of a range ("$25,000 to $49,999" is "$25,000 - $49,999"); "" for anything else."""
    found = _RANGE.fullmatch(_bare(text))
    return "" if found is None else f"{found[1]} {found[2]}"


def only_choice_with(text: str, choices: Sequence[str]) -> int | None:
    """Return the index of the only choice that has all the telling words of a short text, and negates nothing more."""
    wanted = [word for word in words_in(text) if word not in SMALL]
    if not wanted or len(wanted) > _MOST_WORDS or any(word in TURNING for word in wanted):
        return None
    near = [place for place, choice in enumerate(choices) if set(wanted) & set(words_in(choice))]
    if len(near) != 1:
        return None
    rest = set(words_in(choices[near[0]])) - set(wanted)
    return near[0] if set(wanted) <= set(words_in(choices[near[0]])) and not rest & _NEGATING else None


def close_choice(text: str, choices: Sequence[str]) -> int | None:
    """Return the index of the choice that a text is, but for a slip in one of its letters; None if unsure."""
    wanted = words_in(text)
    joined = " ".join(wanted)
    if not _LONG <= len(joined) <= _LONGEST_SLIP:
        return None
    near = []
    for place, choice in enumerate(choices):
        words = words_in(choice)
        same_length = len(words) == len(wanted) and len(wanted) > 1
        slips = [(a, b) for a, b in zip(words, wanted, strict=False) if a != b]
        if same_length and len(slips) == 1 and _one_slip(*slips[0]):
            near.append(place)
    return near[0] if len(near) == 1 else None


def _one_slip(one: str, other: str) -> bool:
    """Return whether two long words differ in one letter that is doubled, left out or changed inside them."""
    if min(len(one), len(other)) < _SHORTEST_SLIP or one[0] != other[0] or not (one + other).isalpha():
        return False
    return SequenceMatcher(None, one, other).ratio() >= _ALIKE
