"""Texts without names: proper names are replaced, because the people and places in a text give its writer away.

    texts of all people → counts of words in lower case and capitalized → names of each person → masked texts

A name is a capitalized word within a sentence: not at the beginning of a text, a line or a sentence, nor behind an
opening quote or a colon, where any word may be capitalized. All capitalized occurrences of such a word in the texts of
the same person are masked, wherever they stand. Not masked are "I" and "O", and words that all people's texts have in
lower case at least as often as capitalized within a sentence ("will", "nothing"). Adjectives such as "French", titles,
days and months are masked.

Adjacent names become one `MASK`, and so do a title or an initial, its period and the name behind it ("Mr. J. Turner").
A possessive keeps its ending: "Turner's" becomes "NAME's". Nothing is drawn, and the order of people has no effect.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from idiolect.people.user import User

MASK = "NAME"
"""What a name is replaced by."""

_WORD = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*")
_POSSESSIVE = re.compile(r"['’][sS]$")
_PRONOUN = re.compile(r"I(?:['’](?i:m|ve|ll|d|s|re))*|O")  # I, I'm, I’d've …; O Lord; but not O'Brien
_TITLES = frozenset(
    {"mr", "mrs", "ms", "messrs", "mme", "mlle", "dr", "prof", "rev", "st", "sir", "hon", "capt", "col", "gen", "lt"}
)
_ENDS = ".!?…:"
_QUOTES = "\"'“”‘’«»„‚`"
_OPENING = _QUOTES + "([{"
_CLOSING = _QUOTES + ")]}"
_BETWEEN = re.compile(r"[^\S\n]+")  # between the words of one name


@dataclass(frozen=True, slots=True)
class MaskedNames:
    """Users whose texts have no names, and how much was masked.

    Args:
        users: the users, in the same order.
        words: number of words in all of their texts before masking.
        masked: number of these that were masked.
    """

    users: tuple[User, ...]
    words: int
    masked: int

    @property
    def share(self) -> float:
        """Share of the words that were masked; 0 if there are no words."""
        return self.masked / self.words if self.words else 0.0


def mask_names(users: Sequence[User]) -> MaskedNames:
    """Return the users with names masked in their texts; profiles and opinions stay as they are."""
    texts = [list(map(_words, user.texts)) for user in users]
    every_word = [word for of_user in texts for of_text in of_user for word in of_text]
    lower = Counter(word.key for word in every_word if word.lower)
    within = Counter(word.key for word in every_word if word.named)
    common = {key for key, count in within.items() if lower[key] >= count}
    masked, found = 0, list[User]()
    for user, of_user in zip(users, texts, strict=True):
        names = {word.key for of_text in of_user for word in of_text if word.named} - common
        hidden = [[word for word in of_text if word.capital and word.key in names] for of_text in of_user]
        masked += sum(map(len, hidden))
        found.append(replace(user, texts=tuple(map(_masked, user.texts, hidden))))
    return MaskedNames(tuple(found), len(every_word), masked)


@dataclass(frozen=True, slots=True)
class _Word:
    """A word of a text, without the ending of a possessive.

    Args:
        start, end: where it stands.
        key: its text in lower case, by which occurrences are the same word.
        lower: whether all of it is in lower case.
        capital: whether it begins with a capital and is no pronoun.
        named: whether it is capitalized although its place in the sentence does not require it.
    """

    start: int
    end: int
    key: str
    lower: bool
    capital: bool
    named: bool


def _words(text: str) -> list[_Word]:
    found = []
    for match in _WORD.finditer(text):
        word = _POSSESSIVE.sub("", match[0])
        capital = word[0].isupper() and not _PRONOUN.fullmatch(word)
        named = capital and not _begins_sentence(text, match.start())
        found.append(_Word(match.start(), match.start() + len(word), word.casefold(), word.islower(), capital, named))
    return found


def _begins_sentence(text: str, start: int) -> bool:
    """Return whether a word at this place would be capitalized whatever it is."""
    before = text[:start].rstrip(_OPENING)
    if any(mark in _QUOTES for mark in text[len(before) : start]):
        return True
    line = before.rstrip(" \t\r\f\v\u00a0")
    if not line or line[-1] == "\n":
        return True
    bare = line.rstrip(_CLOSING)
    return bare.endswith(tuple(_ENDS)) and not _is_abbreviation(bare)


def _is_abbreviation(before: str) -> bool:
    """Return whether a text ends with a title or an initial and its period, behind which a sentence goes on."""
    found = re.search(r"(?:^|[^\w])([^\W\d_]+)\.$", before[-12:])
    return found is not None and (found[1].casefold() in _TITLES or (len(found[1]) == 1 and found[1].isupper()))


def _masked(text: str, names: Iterable[_Word]) -> str:
    parts, done = list[str](), 0
    for start, end in _joined(text, names):
        parts += [text[done:start], MASK]
        done = end
    return "".join((*parts, text[done:]))


def _joined(text: str, names: Iterable[_Word]) -> Iterator[tuple[int, int]]:
    """Yield where each name stands; adjacent ones are one name, if only blanks or a title's period are between."""
    start = end = -1
    for word in names:
        between = text[end : word.start] if end >= 0 else ""
        if end >= 0 and (_BETWEEN.fullmatch(between) or (between.strip() == "." and _is_abbreviation(text[: end + 1]))):
            end = word.end
            continue
        if end >= 0:
            yield start, end
        start, end = word.start, word.end
    if end >= 0:
        yield start, end
