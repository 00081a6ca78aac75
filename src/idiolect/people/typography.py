"""Differences between two texts that a reader hardly sees: apostrophes, quotes, dashes, blanks, Unicode forms and case.

Used where an answer must be one of the choices: `user_record.py` names the difference, `tables` imports the choice.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

_APOSTROPHES = "'\u2018\u2019\u201a\u201b\u02bc\u02b9\u2032\u00b4`\uff07"
_QUOTES = '"\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033\uff02'
_DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\uff0d\u00ad"
_ZERO_WIDTH = "\u200b\u200c\u200d\u200e\u200f\u2060\ufe0f\ufeff"
_KINDS = (
    ("apostrophe", _APOSTROPHES, "'"),
    ("quotation mark", _QUOTES, '"'),
    ("dash", _DASHES, "-"),
)
_PLAIN_MARKS = str.maketrans({each: plain for _, marks, plain in _KINDS for each in marks})
_NO_ZERO_WIDTH = dict.fromkeys(map(ord, _ZERO_WIDTH))


def folded(text: str) -> str:
    """Return the text with plain marks, single blanks, one Unicode form and without case."""
    return without_typography(text).casefold()


def without_typography(text: str) -> str:
    """Return the text with plain marks, single blanks and one Unicode form, in its own case."""
    return unicodedata.normalize("NFKC", _plain(text))


def _plain(text: str) -> str:
    return " ".join(text.translate(_NO_ZERO_WIDTH).translate(_PLAIN_MARKS).split())


def like_one_of(answer: str, choices: Sequence[str]) -> int | None:
    """Return the index of the only choice that differs from the answer in nothing but typography; None otherwise."""
    key = folded(answer)
    found = [index for index, choice in enumerate(choices) if folded(choice) == key]
    return found[0] if len(found) == 1 else None


def difference(answer: str, choice: str) -> str:
    """Return in words how two texts with equal `folded` forms differ: "the apostrophe (’ U+2019, here ' U+0027)"."""
    parts = [
        f"the {name} ({_shown(choice, marks)}, here {_shown(answer, marks)})"
        for name, marks, _ in _KINDS
        if _used(answer, marks) != _used(choice, marks)
    ]
    if _blanks(answer) != _blanks(choice):
        parts.append("blanks")
    one, other = _plain(answer), _plain(choice)
    if without_typography(answer) != without_typography(choice):
        parts.append("case")
    elif one != other:
        parts.append("the Unicode form of a character")
    return " and ".join(parts)


def _used(text: str, marks: str) -> list[str]:
    return [character for character in text if character in marks]


def _shown(text: str, marks: str) -> str:
    used = dict.fromkeys(_used(text, marks))
    return " ".join(f"{'' if mark == chr(0xAD) else mark + ' '}U+{ord(mark):04X}" for mark in used) or "none"


def _blanks(text: str) -> list[str]:
    return [character for character in text if character.isspace() or character in _ZERO_WIDTH]
