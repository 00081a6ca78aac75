"""The form of a question, guessed from all answers to it: its choices, whether they are a scale, or free text.

answers to one question → options' sets and scales → numbers → known scales → few different answers → free text
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from idiolect.people.tables.known_words import SCALES
from idiolect.people.tables.options import ImportOptions
from idiolect.people.typography import folded

CODES_OF_NO_ANSWER = frozenset({-1, -2, -7, -8, -9, -77, -88, -99, 77, 88, 96, 97, 98, 99, 777, 888, 997, 998, 999})
"""Numbers that surveys enter for "no answer", if all other answers to a question are far from them."""

MAX_CHOICES = 12
"""Maximum number of different answers that are taken for the choices of a question."""

_HIGHEST_RATING = 11
_FAR = 5  # a code of no answer is at least this far beyond the ratings
_FEW_EXTRA = 2  # answers beside a known scale, such as "Don't know"
_SHORT_CHARACTERS, _SHORT_WORDS = 40, 5
_YES_NO = ("yes", "no")
_TWO_NUMBERS = "two numbers"
_INTEGER = re.compile(r"[+-]?\d{1,9}(?:\.0+)?")
_CODED = re.compile(r"\s*([+-]?\w{1,8})\s*=\s*(\S.*)")
_LABELLED = re.compile(r"(\d{1,2})\s*[-=:.–—(]\s*\S.*", re.DOTALL)


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
        return self.spelling.get(folded(answer)) if self.choices else answer


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


def form_of(question: str, answers: Sequence[str], options: ImportOptions, scales: KnownScales) -> Form:
    """Return the form of a question.

    Args:
        question: its text, or the name of its column.
        answers: all answers to it, without entries that stand for no answer; at least one.
        options: sets and scales of choices, and the questions that are scales or not.
        scales: the known scales.
    """
    form = (
        _given(answers, options)
        or _of_numbers(answers)
        or _of_labelled_numbers(answers)
        or _of_known_scale(answers, scales)
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
    """Return the stated choices that most of the different answers are among."""
    different = set(map(folded, answers))
    stated = [(each, True) for each in options.scales] + [(each, False) for each in options.sets]
    for choices, ordinal in stated:
        spelling = _with_codes(choices)
        if len(different & spelling.keys()) * 2 > len(different):
            return Form(tuple(dict.fromkeys(spelling.values())), ordinal, "as stated", spelling)
    return None


def _with_codes(choices: Sequence[str]) -> dict[str, str]:
    """Return the choice for each folded answer. If all are written like "1=Never", the codes are answers, too."""
    coded = [match for choice in choices if (match := _CODED.fullmatch(choice))]
    if len(coded) < len(choices):
        return {folded(choice): choice for choice in choices}
    texts = {folded(match[2]): match[2] for match in coded}
    return texts | {folded(match[1]): match[2] for match in coded}


def whole_number(answer: str) -> int | None:
    """Return the number that an answer is; None if it is no whole number."""
    return int(float(answer)) if _INTEGER.fullmatch(answer) else None


def codes_of_no_answer(answers: Sequence[str]) -> frozenset[int]:
    """Return the numbers among the answers to a question that stand for no answer."""
    numbers = {number for answer in answers if (number := whole_number(answer)) is not None}
    codes = numbers & CODES_OF_NO_ANSWER
    others = numbers - codes
    if not codes or not others or min(others) < 0 or max(others) > _HIGHEST_RATING:
        return frozenset()
    return frozenset(code for code in codes if code < 0 or code > max(others) + _FAR)


def _of_numbers(answers: Sequence[str]) -> Form | None:
    numbers = [whole_number(answer) for answer in answers]
    known = [number for number in numbers if number is not None]
    if len(known) < len(numbers) or min(known) < 0 or max(known) > _HIGHEST_RATING:
        return None
    low, high = min(1, *known), max(known)
    if high - low < 1:
        return None
    choices = tuple(str(number) for number in range(low, high + 1))
    spelling = {folded(answer): str(whole_number(answer)) for answer in answers}
    two = high - low == 1
    why = _TWO_NUMBERS if two else f"numbers from {low} to {high}"
    return Form(choices, not two, why, {choice: choice for choice in choices} | spelling)


def _of_labelled_numbers(answers: Sequence[str]) -> Form | None:
    """Return the form of answers such as "1 - very bad", in the order of their numbers."""
    spelling = _spellings(answers)
    numbered: dict[int, str] = {}
    for choice in dict.fromkeys(spelling.values()):
        match = _LABELLED.fullmatch(choice)
        if match is None or int(match[1]) in numbered:
            return None
        numbered[int(match[1])] = choice
    if len(numbered) < 2:
        return None
    choices = tuple(numbered[number] for number in sorted(numbered))
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
