"""The form of a question, guessed from all answers to it: its choices, whether they are a scale, or free text.

answers to one question → options' sets and scales → numbers → known scales → few different answers → free text
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from idiolect.people.survey_non_answers import is_non_answer
from idiolect.people.tables.known_words import SCALES
from idiolect.people.tables.options import ImportOptions
from idiolect.people.typography import folded

CODES_OF_NO_ANSWER = frozenset({-1, -2, -7, -8, -9, -77, -88, -99, 77, 88, 96, 97, 98, 99, 777, 888, 997, 998, 999})
"""Numbers that surveys enter for "no answer", if all other answers to a question are far from them."""

MAX_CHOICES = 12
"""Maximum number of different answers that are taken for the choices of a question."""

_HIGHEST_RATING = 11
_MOST_NUMBERED = 21  # such as from 0 to 20
_FAR = 5  # a code of no answer is at least this far beyond the ratings
_FEW_EXTRA = 2  # answers beside a known scale, such as "Don't know"
_SHORT_CHARACTERS, _SHORT_WORDS = 40, 5
_YES_NO = ("yes", "no")
_TWO_NUMBERS = "two numbers"
AS_STATED = "as stated"
_INTEGER = re.compile(r"([+-]?\d{1,9})(?:\.0+|,0{1,2})?")
_CODED = re.compile(r"\s*([+-]?\w{1,8})\s*=\s*(\S.*)")
_LABELLED = re.compile(r"(\d{1,2})(?:\s*[-=:.–—()]\s*\S.*|\s+[^\W\d].*|\s*\+)?", re.DOTALL)
_NUMBER = re.compile(r"\A\d{1,2}\s*[-=:.–—()]?\s*")
_SEPARATORS = {";": 0.5, "|": 0.5, "\n": 0.5, ",": 1.0}  # the least part of the pieces that occur again elsewhere


@dataclass(frozen=True, slots=True)
class Form:
    """The form of a question.

    Args:
        choices: the choices; empty for free text.
        ordinal: whether they are a scale.
        why: how this is known, in words.
        spelling: the choice for each folded answer.
        usable: whether the question can be imported; otherwise, `why` is the reason.
    """

    choices: tuple[str, ...]
    ordinal: bool
    why: str
    spelling: Mapping[str, str] = field(default_factory=dict)
    usable: bool = True

    def choice(self, answer: str) -> str | None:
        """Return the choice that an answer is, or the answer itself in free text; None if it is none of the choices."""
        return _spelled(answer, self.spelling) if self.choices else answer


def form_of_choices(choices: Sequence[str], *, ordinal: bool, why: str) -> Form:
    """Return the form with these choices."""
    return Form(tuple(choices), ordinal, why, {folded(choice): choice for choice in choices})


@dataclass(frozen=True, slots=True)
class KnownScales:
    """The known scales, with the answers of the whole table that each of them covers."""

    seen: Mapping[tuple[str, ...], frozenset[str]]

    @classmethod
    def of(cls, questions: Collection[Collection[str]]) -> KnownScales:
        """Return the scales as the folded answers to all questions of a table show them."""
        seen: dict[tuple[str, ...], frozenset[str]] = {}
        for scale in SCALES:
            fitting = [frozenset(answers) for answers in questions if len(answers) > 1 and set(answers) <= set(scale)]
            seen[scale] = frozenset().union(*fitting)
        return cls(seen)

    def best(self, answers: Collection[str]) -> tuple[str, ...] | None:
        """Return the scale with all answers of which the table shows the largest part; None if there is none."""
        fitting = [scale for scale in self.seen if set(answers) <= set(scale)]
        return max(fitting, key=lambda scale: (len(self.seen[scale]) / len(scale), -len(scale)), default=None)


def form_of(
    question: str,
    answers: Sequence[str],
    options: ImportOptions,
    scales: KnownScales,
    others: tuple[int, int] | None = None,
) -> Form:
    """Return the form of a question.

    Args:
        question: its text, or the name of its column.
        answers: all answers to it, without entries that stand for no answer; at least one.
        options: sets and scales of choices, and the questions that are scales or not.
        scales: the known scales.
        others: the lowest and highest number in questions that are asked in the same way, if this one has numbers.
    """
    form = (
        _given(answers, options)
        or _of_numbers(answers, others)
        or _of_labelled_numbers(answers)
        or _of_known_scale(answers, scales)
        or _of_several_at_once(answers)
        or _of_few(answers)
    )
    if question in options.nominal and form.ordinal:
        return form_of_choices(form.choices, ordinal=False, why=f"{form.why}; no scale, as stated")
    if question in options.ordinal and not form.ordinal:
        if form.why == _TWO_NUMBERS:
            return form_of_choices(form.choices, ordinal=True, why=f"{form.why}; a scale, as stated")
        return Form((), False, "the order of the choices is unknown: state them as a scale", usable=False)
    return form


def _given(answers: Sequence[str], options: ImportOptions) -> Form | None:
    """Return the stated choices that most of the different answers are among; of several, those that fit best."""
    different = dict.fromkeys(answers)
    best, best_cover = None, (0.0, 0.0)
    stated = [(each, True) for each in options.scales] + [(each, False) for each in options.sets]
    for choices, ordinal in stated:
        spelling = _with_codes(choices)
        found = [choice for answer in different if (choice := _spelled(answer, spelling)) is not None]
        texts = tuple(dict.fromkeys(spelling.values()))
        cover = (len(found) / len(different), len(set(found)) / len(texts))
        if len(found) * 2 > len(different) and cover > best_cover:
            best, best_cover = Form(texts, ordinal, AS_STATED, spelling), cover
    return best


def _spelled(answer: str, spelling: Mapping[str, str]) -> str | None:
    """Return the choice that an answer is; a whole number may be written with a point, as pandas does."""
    choice = spelling.get(folded(answer))
    return spelling.get(key_of(answer)) if choice is None else choice


def key_of(answer: str) -> str:
    """Return the folded answer, or a whole number in one spelling: "3" for "3.0" and "3,00"."""
    number = whole_number(answer)
    return folded(answer) if number is None else str(number)


def stated_choices(choices: Sequence[str]) -> tuple[str, ...]:
    """Return stated choices without their codes."""
    return tuple(dict.fromkeys(_with_codes(choices).values()))


def _with_codes(choices: Sequence[str]) -> dict[str, str]:
    """Return the choice for each folded answer. If all are written like "1=Never", the codes are answers, too."""
    coded = [match for choice in choices if (match := _CODED.fullmatch(choice))]
    if len(coded) < len(choices):
        return {folded(choice): choice for choice in choices}
    texts = {folded(match[2]): match[2] for match in coded}
    return texts | {folded(match[1]): match[2] for match in coded}


def whole_number(answer: str) -> int | None:
    """Return the number that an answer is; None if it is no whole number."""
    match = _INTEGER.fullmatch(answer)
    return None if match is None else int(match[1])


def codes_of_no_answer(answers: Sequence[str]) -> frozenset[int]:
    """Return the numbers among the answers to a question that stand for no answer."""
    numbers = {number for answer in answers if (number := whole_number(answer)) is not None}
    codes = numbers & CODES_OF_NO_ANSWER
    others = numbers - codes
    if _is_around_zero(numbers):
        return frozenset()
    if not codes or not others or min(others) < 0 or max(others) > _HIGHEST_RATING:
        return frozenset()
    return frozenset(code for code in codes if code < 0 or code > max(others) + _FAR)


def _is_around_zero(numbers: Collection[int]) -> bool:
    """Return whether numbers form a scale such as -2 … 2; -1, 0 and 1 alone are taken for a code beside two answers."""
    low, high = min(numbers, default=0), max(numbers, default=0)
    return low == -high and 2 <= high <= _HIGHEST_RATING // 2 and len(set(numbers)) * 2 > high - low + 1


def ratings(answers: Sequence[str]) -> list[int]:
    """Return the different numbers among the answers to a question; [] unless all answers are ratings."""
    known = [whole_number(answer) for answer in dict.fromkeys(answers)]
    numbers = [number for number in known if number is not None]
    if len(numbers) < len(known) or not numbers or max(numbers) > _HIGHEST_RATING:
        return []
    return numbers if min(numbers) >= 0 or _is_around_zero(numbers) else []


def _of_numbers(answers: Sequence[str], others: tuple[int, int] | None) -> Form | None:
    """Return the form of ratings; `others` is the range of the questions that are asked in the same way."""
    own = ratings(answers)
    if not own:
        return None
    known = [*own, *(others or ())]
    low, high = min(1, *known), max(known)
    if high - low < 1:
        return None
    choices = tuple(str(number) for number in range(low, high + 1))
    spelling = {folded(answer): str(whole_number(answer)) for answer in answers}
    two = high - low == 1
    why = _TWO_NUMBERS if two else f"numbers from {low} to {high}"
    if others is not None and (min(1, *own), max(own)) != (low, high):
        why = f"{why}, as in other questions"
    return Form(choices, not two, why, {choice: choice for choice in choices} | spelling)


def _of_labelled_numbers(answers: Sequence[str]) -> Form | None:
    """Return the form of answers such as "1 - very bad", in the order of their numbers.

    Numbers may stand alone, as where only the ends of a scale have words; those in between that nobody chose are added.
    """
    spelling = _spellings(answers)
    numbered: dict[int, str] = {}
    for choice in dict.fromkeys(spelling.values()):
        match = _LABELLED.fullmatch(choice)
        if match is None or int(match[1]) in numbered:
            return None
        numbered[int(match[1])] = choice
    alone = [number for number, choice in numbered.items() if choice.isdecimal()]
    if (
        not 2 <= len(numbered) <= _MOST_NUMBERED
        or len(alone) == len(numbered)
        or (alone and max(numbered) > _HIGHEST_RATING)
    ):
        return None
    if alone:
        numbered |= {n: str(n) for n in range(min(numbered), max(numbered)) if n not in numbered}
    choices = tuple(numbered[number] for number in sorted(numbered))
    spelling |= {folded(choice): choice for choice in choices}
    if any(is_non_answer(_NUMBER.sub("", choice)) for choice in choices):
        why = "numbers with words and other answers, so no scale unless these are stated as missing"
        return Form(choices, False, why, spelling)
    return Form(choices, True, "numbers with words, in their order", spelling)


def _of_known_scale(answers: Sequence[str], scales: KnownScales) -> Form | None:
    spelling = _spellings(answers)
    if set(spelling) <= set(_YES_NO):
        return _completed(_YES_NO, spelling, ordinal=False, why="yes or no")
    scale = scales.best(spelling) if len(spelling) > 1 else None
    if scale is not None:
        return _completed(scale, spelling, ordinal=True, why="a known scale")
    return _of_scale_with_others(spelling, scales)


def _of_scale_with_others(spelling: Mapping[str, str], scales: KnownScales) -> Form | None:
    """Return the form of a known scale with one or two answers beside it, such as "Don't know": no scale."""
    known = {answer for scale in SCALES for answer in scale}
    on_scale = {answer: spelled for answer, spelled in spelling.items() if answer in known}
    beside = {answer: spelled for answer, spelled in spelling.items() if answer not in known}
    scale = scales.best(on_scale) if len(on_scale) > 1 and 0 < len(beside) <= _FEW_EXTRA else None
    if scale is None:
        return None
    form = _completed(scale, on_scale, ordinal=False, why="")
    why = "a known scale and other answers, so no scale unless these are stated as missing"
    return Form((*form.choices, *beside.values()), False, why, {**form.spelling, **beside})


def _completed(scale: Sequence[str], spelling: Mapping[str, str], *, ordinal: bool, why: str) -> Form:
    """Return the form with a scale's words, spelled as in the table, or like the table's words."""
    shown = list(spelling.values())
    upper = sum(text[:1].isupper() for text in shown) * 2 >= len(shown)
    spelled = {word: spelling.get(word, word) for word in scale}
    whole = {word: text[:1].upper() + text[1:] if upper else text for word, text in spelled.items()}
    return Form(tuple(whole.values()), ordinal, why, whole)


def _of_several_at_once(answers: Sequence[str]) -> Form | None:
    """Return the form of a question to which people could give several answers, in one cell: free text."""
    different = list(dict.fromkeys(answers))
    for separator, least in _SEPARATORS.items():
        parts = [[part for each in text.split(separator) if (part := folded(each))] for text in different]
        joint = [each for each in parts if len(each) > 1]
        pieces = Counter(chain.from_iterable(map(set, parts)))
        alone = {each[0] for each in parts if len(each) == 1}
        in_joint = set(chain.from_iterable(joint))
        again = sum(pieces[piece] > 1 for piece in in_joint)
        if joint and again >= least * len(in_joint) and (least < 1 or in_joint & alone) and again > 1:
            name = "line breaks" if separator == "\n" else separator
            return Form((), False, f"several answers in one cell, separated by {name}")
    return None


def _of_few(answers: Sequence[str]) -> Form:
    spelling = _spellings(answers)
    n, different = len(answers), len(spelling)
    if different == 1 and _is_short(answers[0]):
        return Form((), False, "everybody gave the same answer: state the choices", usable=False)
    repeated = different <= MAX_CHOICES and n >= 2 * different
    short = different * 2 <= MAX_CHOICES + 2 and n > different and all(map(_is_short, answers))
    if different > 1 and (repeated or short):
        choices = tuple(dict.fromkeys(spelling.values()))
        return Form(choices, False, f"the {different} answers that occur", spelling)
    return Form((), False, "free text")


def _is_short(answer: str) -> bool:
    return len(answer) <= _SHORT_CHARACTERS and len(answer.split()) <= _SHORT_WORDS


def _spellings(answers: Sequence[str]) -> dict[str, str]:
    """Return the most frequent spelling of each folded answer, capitals first, in order of appearance."""
    spellings: dict[str, Counter[str]] = {}
    for answer in answers:
        spellings.setdefault(folded(answer), Counter())[answer] += 1
    return {key: max(counts, key=lambda text: (counts[text], text[:1].isupper())) for key, counts in spellings.items()}
