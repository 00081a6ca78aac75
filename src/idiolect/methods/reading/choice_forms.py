"""The forms in which each choice of a question may be named: its words, their parts, its number, its letter.

    choices → ChoiceForms: words to find in running text, and names that only count if they are everything said

A form that several choices share names none of them.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from idiolect.methods.reading.forms import Token, folded, plain, tokens_of

Words = tuple[str, ...]

NUMBER_WORDS = {
    word: number
    for number, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
    )
}
_DIGITS = {str(number): word for word, number in NUMBER_WORDS.items()}
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")
_ENUMERATOR = re.compile(r"^\s*(?:[(\[]?(\d{1,2}|[A-Za-z])[)\].:=]|(\d{1,2})\s+(?:[-–—=]|(?=\()))\s*(?=\S)")
_PARENTHESIS = re.compile(r"\(([^()]{2,200})\)")
_HEAD_END = re.compile(r"\s*[(,;:]|\s+[-–—/]\s+|\s*[–—]\s*")
_SPECIFY = re.compile(r"\(?[^()\w]*(?:please )?specify\)?|\(?please name\)?", re.IGNORECASE)
_BRACKETED = re.compile(r"\[[^\[\]]+\]|\([^()]+\)")
_AROUND = string.whitespace + ".,;:!?\"'()[]{}*_`~"
_HARD = frozenset("+#%$€£¥<>=&@°")  # marks that tell choices apart ("C", "C++", "C#")
TURNING = frozenset(
    [
        "not",
        "no",
        "never",
        "less",
        "more",
        "un",
        "non",
        "neither",
        "hardly",
        "without",
        "least",
        "most",
        "very",
        "too",
        "nor",
        "than",
    ]
)
_VERBS = frozenset(
    [
        "agree",
        "disagree",
        "support",
        "oppose",
        "approve",
        "disapprove",
        "favor",
        "favour",
        "prefer",
        "trust",
        "distrust",
    ]
)
SMALL = frozenset(
    [
        "a",
        "an",
        "the",
        "of",
        "to",
        "in",
        "on",
        "at",
        "by",
        "for",
        "with",
        "it",
        "is",
        "i",
        "and",
        "or",
        "as",
        "be",
        "are",
        "do",
        "my",
        "me",
        "that",
        "this",
        "all",
    ]
)
_SHORTEST_PART = 2


@dataclass(frozen=True, slots=True)
class ChoiceForms:
    """The forms of a question's choices.

    Args:
        choices: the choices.
        words: index of the choice by its words; −1: several choices have these words.
        parts: index by names that must be all that is said: a head, a parenthesis, some words of it; without those
            that several choices share.
        first: lengths of the entries of `words`, longest first, by their first word.
        numbers: index by number, if choices are numbers.
        longer: by a choice's index, the choices that begin with its words, each with its further words.
        heads: those of `parts` that stand before a bracket ("Basic" in "Basic ($5 a month)").
        extended: indices of choices whose words are part of another choice's, which only adds a degree.
    """

    choices: tuple[str, ...]
    words: dict[Words, int]
    parts: dict[Words, int]
    first: dict[str, tuple[int, ...]]
    numbers: dict[float, int]
    heads: frozenset[Words]
    extended: frozenset[int]
    longer: dict[int, tuple[tuple[int, Words], ...]]
    has_letters: bool
    has_commas: bool

    @property
    def mixes_numbers(self) -> bool:
        """Whether numbers occur in choices that are not numbers, so that a number is no place in the list."""
        return not self.numbers and any(character.isdigit() for choice in self.choices for character in choice)

    def of_letter(self, letter: str) -> int | None:
        """Return the index of the choice at a letter's place; None if there is none or a choice is a letter itself."""
        place = ord(letter.lower()) - ord("a")
        return place if not self.has_letters and not self.numbers and 0 <= place < len(self.choices) else None

    def of_number(self, number: float) -> int | None:
        """Return the index of the choice that is the number, or else of the one at its place, from 1."""
        if self.numbers or self.mixes_numbers:
            return self.numbers.get(number)
        return int(number) - 1 if number == int(number) and 1 <= number <= len(self.choices) else None


@lru_cache(maxsize=2048)
def forms_of(choices: tuple[str, ...]) -> ChoiceForms:
    """Return the forms of choices; kept, because a question is asked under many prompts."""
    own = [words_in(choice) for choice in choices]
    words: dict[Words, int] = {}
    for place, found in enumerate(own):
        if found:
            words[found] = -1 if found in words else place
    _add_alternatives(words, choices)
    for place, found in enumerate(own):
        if third := _third_person(found):
            words.setdefault(third, place)
        if named := words_in(_SPECIFY.sub("", choices[place])):
            words.setdefault(named, place)
    _add_ranges(words, own)
    _add_number_words(words)
    numbers = _numbers(choices)
    for word, number in NUMBER_WORDS.items():
        if number in numbers:
            words.setdefault((word,), numbers[number])
    parts: dict[Words, set[int]] = {}
    for place, choice in enumerate(choices):
        for part in {*_parts(choice), *_subphrases(own[place])}:
            parts.setdefault(part, set()).add(place)
    single = {part: places.pop() for part, places in parts.items() if len(places) == 1 and part not in words and part}
    return ChoiceForms(
        choices,
        words,
        single,
        _by_first(words),
        numbers,
        frozenset(
            head for choice in choices if "(" in choice and (head := words_in(choice.partition("(")[0])) in single
        ),
        _extended(own),
        _longer(own),
        any(len(choice.strip(_AROUND)) == 1 and choice.strip(_AROUND).isalpha() for choice in choices),
        any("," in plain(choice) for choice in choices),
    )


def words_in(text: str) -> Words:
    """Return the words of a text by which it is found: words, numbers, characters and telling marks."""
    return tuple(token.text for token in tokens_of(plain(text)) if counts(token))


def counts(token: Token) -> bool:
    """Return whether a token is one of those by which choices are found."""
    return token.kind != "mark" or token.text in _HARD


def number_in(text: str) -> float | None:
    """Return the number that a text is, in digits or as a word; None if it is none."""
    bare = folded(text).strip(string.whitespace + "*_`\"'().[]!,")
    if bare in NUMBER_WORDS:
        return float(NUMBER_WORDS[bare])
    return float(bare) if _NUMBER.fullmatch(bare) else None


def _add_alternatives(words: dict[Words, int], choices: Sequence[str]) -> None:
    """Add each choice's text without the enumerator that all choices have ("1 - Never" is also "Never")."""
    found = [_ENUMERATOR.match(choice) for choice in choices]
    if not all(found):
        return
    for place, (choice, match) in enumerate(zip(choices, found, strict=True)):
        assert match is not None
        rest = words_in(choice[match.end() :])
        if rest:
            words[rest] = -1 if words.get(rest, place) != place else place


def _add_ranges(words: dict[Words, int], own: Sequence[Words]) -> None:
    """Add the other ways to write a range ("3-5" is "3 to 5", "6+" is "6 or more")."""
    for place, found in enumerate(own):
        head, rest = found[:1], found[1:]
        if not head or not head[0].isdigit():
            continue
        if rest and rest[0].isdigit():
            words.setdefault((*head, "to", *rest), place)
        elif len(rest) == _SHORTEST_PART and rest[0] == "to" and rest[1].isdigit():
            words.setdefault((*head, rest[1]), place)
        elif rest in (("or", "more"), ("and", "more"), ("+",), ("and", "over"), ("or", "older"), ("and", "older")):
            words.setdefault((*head, "+"), place)
            words.setdefault((*head, "or", "more"), place)


def _add_number_words(words: dict[Words, int]) -> None:
    """Add choices with their numbers in words ("4 stars" is "four stars")."""
    for found, place in list(words.items()):
        if len(found) > 1 and any(word in _DIGITS for word in found):
            words.setdefault(tuple(_DIGITS.get(word, word) for word in found), place)


def _third_person(words: Words) -> Words:
    """Return the words with the verb in the third person ("strongly agrees"); () if the last one is no such verb."""
    return (*words[:-1], f"{words[-1]}s") if words and words[-1] in _VERBS else ()


def _parts(choice: str) -> Iterator[Words]:
    """Yield the choice's head (before a bracket, comma or dash) and what stands in its brackets."""
    head = _HEAD_END.split(choice, maxsplit=1)[0]
    if head != choice:
        yield words_in(head)
    words = words_in(choice)
    if words[:1] in (("yes",), ("no",)) and len(words) > _SHORTEST_PART:
        yield words[1:]
    outside = _PARENTHESIS.sub(" ", choice)
    if outside != choice:
        yield words_in(outside)
    for found in _PARENTHESIS.finditer(choice):
        yield words_in(found[1])
        yield from (words_in(part) for part in found[1].split(",") if len(part.strip()) > 2)
    if "/" in choice:
        yield from (words_in(part) for part in choice.split("/") if len(part.strip()) > 2)
    first = words_in(choice)[:1]
    if first in (("neither",), ("both",), ("none",)):
        yield first


def _subphrases(words: Words) -> Iterator[Words]:
    """Yield runs of words that can stand for the choice; what is left out before them turns no meaning around."""
    if not 3 <= len(words) <= 24:
        return
    for start in range(len(words)):
        if any(word in TURNING for word in words[:start]):
            return
        for end in range(start + _SHORTEST_PART, len(words) + 1):
            run = words[start:end]
            telling = sum(word not in SMALL for word in run)
            if telling >= 2 and run != words and not any(word in TURNING for word in words[end:]):
                yield run


def _by_first(words: dict[Words, int]) -> dict[str, tuple[int, ...]]:
    lengths: dict[str, set[int]] = {}
    for found in words:
        lengths.setdefault(found[0], set()).add(len(found))
    return {word: tuple(sorted(found, reverse=True)) for word, found in lengths.items()}


def _numbers(choices: Sequence[str]) -> dict[float, int]:
    found: dict[float, int] = {}
    twice = set()
    for place, choice in enumerate(choices):
        number = None if _BRACKETED.fullmatch(choice.strip()) else number_in(choice)
        if number is None:
            continue
        if number in found:
            twice.add(number)
        found[number] = place
    if not found:
        found = _enumerated(choices)
    return {number: place for number, place in found.items() if number not in twice}


def _enumerated(choices: Sequence[str]) -> dict[float, int]:
    """Return the choices by the numbers that all of them begin with ("3 (Quite stressful)"); {} if one has none."""
    matches = [_ENUMERATOR.match(choice) for choice in choices]
    labels = [(match[1] or match[2]) if match else "" for match in matches]
    if not all(label.isdigit() for label in labels) or len(set(labels)) < len(labels):
        return {}
    return {float(label): place for place, label in enumerate(labels)}


def _extended(own: Sequence[Words]) -> frozenset[int]:
    """Return the choices that another one extends by a word before them ("Agree" beside "Strongly agree")."""
    tails = {words[start:] for words in own for start in range(1, len(words)) if words[start - 1] not in _TURNING_NOT}
    return frozenset(place for place, words in enumerate(own) if words in tails)


def _longer(own: Sequence[Words]) -> dict[int, tuple[tuple[int, Words], ...]]:
    """Return for each choice the others that begin with its words, and how they go on ("Own" → "with a mortgage")."""
    found: dict[int, tuple[tuple[int, Words], ...]] = {}
    for place, words in enumerate(own):
        size = len(words)
        longer = [(other, more[size:]) for other, more in enumerate(own) if len(more) > size and more[:size] == words]
        if words and longer:
            found[place] = tuple(longer)
    return found


_TURNING_NOT = frozenset(("not", "no", "nicht", "pas", "не", "不", "没", "沒", "非", "dis", "un"))
