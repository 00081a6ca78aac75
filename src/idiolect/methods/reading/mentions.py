"""Mentions of choices in a passage.

    passage, forms → mentions, each with the place of its words; `standing` judges how it stands in its sentence

The longest choice at a place wins, so "Satisfied" is not found in "Not satisfied". A number is found with the greatest
one beside it ("4/5", "4 out of 5"), and not in another number ("4.5", "4+", "$4").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from idiolect.methods.reading import unspaced
from idiolect.methods.reading.choice_forms import NUMBER_WORDS, ChoiceForms, counts, number_in
from idiolect.methods.reading.passages import Passage

Standing = Literal["asserted", "negated", "aside", "incidental"]

SEVERAL = -1  # `choice` of words that several choices share
_NONE = -2  # of a number that is no choice
_SKIPPABLE = frozenset(",/-()\"':&;|")
_MOST_MENTIONS = 400
_OUT_OF = 2  # words


@dataclass(frozen=True, slots=True)
class Mention:
    """An occurrence of a choice's words.

    Args:
        choice: index of the choice; `SEVERAL`: several choices have these words.
        first, last: places of its first and last token.
        standing: "aside": in a question, under a condition, or of other people or times; "incidental": the words occur,
            but not where an answer stands.
        alone: whether it is a clause of its own.
        excluded: whether the choice is ruled out on its own, such as by "rather than …" or "… would be wrong".
        reported: whether it is said of "him" or "her" by somebody who also speaks of themselves.
        weak: whether nothing around an asserted mention presents it as an answer.
    """

    choice: int
    first: int
    last: int
    standing: Standing = "asserted"
    alone: bool = False
    excluded: bool = False
    reported: bool = False
    weak: bool = False


def found_in(passage: Passage, forms: ChoiceForms, first: int, last: int) -> Iterator[Mention]:
    """Yield the mentions among the tokens from `first` to before `last`, in order, not judged yet."""
    place = number = 0
    place = first
    while place < last and number < _MOST_MENTIONS:
        mention = _match(passage, forms, place, last)
        if mention is not None and mention.choice != _NONE:
            number += 1
            yield mention
        place = place + 1 if mention is None else mention.last + 1


def _match(passage: Passage, forms: ChoiceForms, place: int, last: int) -> Mention | None:
    """Return the longest choice whose words begin here."""
    for length in forms.first.get(passage.tokens[place].text, ()):
        run = _run(passage, forms, place, last, length)
        if run is not None:
            choice = forms.words.get(tuple(passage.tokens[each].text for each in run))
            if choice is not None and not _in_longer_word(passage, run[0], run[-1]):
                number = _number(passage, forms, place) if length == 1 else None
                return number or Mention(choice, run[0], run[-1])
    return _number(passage, forms, place)


def _run(passage: Passage, forms: ChoiceForms, place: int, last: int, length: int) -> list[int] | None:
    """Return the places of `length` counting tokens from here, over commas, hyphens and closing quotes between them."""
    run: list[int] = []
    for each in range(place, last):
        token = passage.tokens[each]
        if counts(token):
            run.append(each)
            if len(run) == length:
                return run if _is_unbroken(passage, forms, run) else None
        elif token.text not in _SKIPPABLE or (run and token.text == '"' and _opens(passage, each)):
            return None
    return None


def _is_unbroken(passage: Passage, forms: ChoiceForms, run: list[int]) -> bool:
    """Return whether no comma stands within the run, if no choice has one ("I don't know, them folks …")."""
    return forms.has_commas or all(passage.tokens[place].text != "," for place in range(run[0], run[-1]))


def _opens(passage: Passage, place: int) -> bool:
    """Return whether a quotation mark opens a quotation."""
    start = passage.tokens[place].start
    return start == 0 or passage.text[start - 1] in " \n("


def _in_longer_word(passage: Passage, first: int, last: int) -> bool:
    """Return whether a hyphen joins the mention to another word, or its word goes on in a script without spaces."""
    text, tokens = passage.text, passage.tokens
    start, end = tokens[first].start, tokens[last].end
    if tokens[last].kind == "char":
        within = unspaced.is_hangul(text[start]) and unspaced.is_hangul(text[start - 1 : start])
        return within or unspaced.in_longer_word(text[end : end + 1])
    before = start > 1 and text[start - 1] == "-" and text[start - 2].isalnum()
    after = end + 1 < len(text) and text[end] == "-" and text[end + 1].isalnum()
    return before or after


def _number(passage: Passage, forms: ChoiceForms, place: int) -> Mention | None:
    """Return the mention of a number with the greatest one ("4/5", "4 out of 5"), or of one that is no choice."""
    tokens, token = passage.tokens, passage.tokens[place]
    if token.kind != "number" and token.text not in NUMBER_WORDS:
        return None
    follows = passage.text[token.end : token.end + 1]
    if (follows and follows in "+%") or (token.start and passage.text[token.start - 1] in "$€£"):
        return Mention(_NONE, place, place)
    number, slash, whole = token.text.partition("/")
    last = place
    ahead = [each for each in range(place + 1, min(place + 6, len(tokens))) if tokens[each].text not in ("(", '"')]
    if not slash and [tokens[each].text for each in ahead[:_OUT_OF]] == ["out", "of"] and len(ahead) > _OUT_OF:
        whole, last = tokens[ahead[_OUT_OF]].text, ahead[_OUT_OF]
    if not whole:
        choice = forms.numbers.get(number_in(number) or 0.0) if "." in number else None
        return None if choice is None else Mention(choice, place, place)
    value, greatest = number_in(number), number_in(whole)
    top = max(forms.numbers) if forms.numbers else float(len(forms.choices))
    if value is None or greatest != top or forms.mixes_numbers:
        return Mention(_NONE, place, last)
    choice = forms.of_number(value)
    return Mention(_NONE if choice is None else choice, place, last)
