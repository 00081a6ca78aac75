"""Letters and numbers that stand for a choice's place: "B", "(b) …", "Option C", "#2".

Our questions list the choices without letters, so a letter means a place. A letter in running text, such as "A" or "I",
is no label: it has to stand alone, to begin the text with a mark behind it, or to follow "option", "choose" and the
like.
"""

from __future__ import annotations

import re

from idiolect.methods.reading import vocabulary as words
from idiolect.methods.reading.choice_forms import ChoiceForms, words_in

_NOUN = r"(?:option|choice|letter|answer|category)"
_ALONE = re.compile(rf"^[\s\"'(\[{{<]*+(?:{_NOUN}\s+)?[\s\"'(\[{{]*+([A-Za-z])[\s\"')\]}}>.,:;!]*$", re.IGNORECASE)
_NUMBERED = re.compile(
    r"^[\s\"'(\[]*+(?:(?:option|choice|answer|number|no\.|item)\s*#?|#)\s*(\d{1,2})[\s\"')\].!]*$", re.IGNORECASE
)
_NUMBER_FIRST = re.compile(r"^[\s\"'(\[]*+(\d{1,2})\s?([.):,=(]|-|/\d{1,2}\b)(?=[\s\"\w])")
_FIRST = re.compile(
    rf"^[\s\"'(\[]*+(?:{_NOUN}\s+)?[\"'(\[]*+([A-Za-z])\"?"
    r"(?:([)\].:,])\"?(?=[\s\"]|$)|\s+(-)\s|\s*\n|\s+\(|\s+(?=because\b))",
    re.IGNORECASE,
)
_ALONE_ON_LINE = re.compile(r"^[\s\"'(\[]*+\w[\s\"')\]]*\n")
_WITHIN = re.compile(
    rf"\b{_NOUN}\s+[\"(]*([A-Z])[\")]*(?![\w'])(?!(?<=[AI])\s+[a-z])|\(([A-Z])\)|(?:[.;,]\s|\band\s)([A-Z])\)\s\w"
)
_CHOSEN = re.compile(
    r"\b(?:choose|pick|select|say|answer|take|go with|going with|is|be)\s+[\"(]*([A-Z])[\")]*"
    r"(?=\s*(?:[.,;:!\n]|$)|\s+because\b)"
)
_ANOTHER = re.compile(r"^[\s\"]*(?:(?:and|or|&|/|,)\s*)?[\"(]*[A-Z][\")]*(?:[\s,.;)]|$)(?!\s*[a-z])")


_NUMBER_WITHIN = re.compile(
    r"\b(?:(?:option|choice|number|no\.)\s*#?\s*\(?|(?:choose|pick|select|go with|going with)\s+\()"
    r"(\d{1,2})\)?(?![\w.,]\d)",
    re.IGNORECASE,
)
_LETTER_IT_IS = re.compile(r"\b([A-Z]) it is\b")


def numbers_in(text: str) -> frozenset[int]:
    """Return the numbers that are labels within a text ("option 2", "I choose (2)")."""
    return frozenset(int(found[1]) for found in _NUMBER_WITHIN.finditer(text))


def whole_label(text: str, forms: ChoiceForms) -> int | None:
    """Return the choice whose letter or numbered place is all that a text says."""
    letter, number = _ALONE.match(text), _NUMBERED.match(text)
    if letter:
        return forms.of_letter(letter[1])
    return forms.of_number(float(number[1])) if number else None


def leading_number(text: str) -> float | None:
    """Return the number that begins a text as a label ("2. …", "4 - …"); None for "1.", which begins any list."""
    found = _NUMBER_FIRST.match(text)
    return None if found is None or found.group(1, 2) == ("1", ".") else float(found[1])


def labels_in(text: str) -> tuple[frozenset[str], int]:
    """Return the letters that are labels in a text, and where the text after a leading one begins (0: there is none).

    If another letter follows the leading one ("A, B"), both are returned.
    """
    letters = {found[1] or found[2] or found[3] for found in _WITHIN.finditer(text)}
    letters |= {found[1] for found in _CHOSEN.finditer(text) if found[1] not in "IA" or "." in text}
    letters |= {found[1] for found in _LETTER_IT_IS.finditer(text)}
    first = _FIRST.match(text)
    if first is None or not _is_label(first, text):
        return frozenset(letters), 0
    letters.add(first[1].upper())
    rest = text[first.end() :]
    another = re.search(r"[A-Z]", rest) if rest.strip() and _ANOTHER.match(rest) else None
    return frozenset(letters | ({another[0]} if another else set())), first.end()


def negates(text: str) -> bool:
    """Return whether a text has a negator."""
    return not words.NEGATORS.isdisjoint(words_in(text))


def _is_label(found: re.Match[str], text: str) -> bool:
    """Return whether an opening letter is a label, not a word ("A", "I") or the mark of an answer ("A:")."""
    letter, mark = found[1], found[2]
    if mark in (")", "]"):
        return True
    if (mark == ":" and letter in "Aa") or (mark == "," and letter == "I"):
        return False
    return letter.isupper() or mark == "." or _ALONE_ON_LINE.match(text) is not None
