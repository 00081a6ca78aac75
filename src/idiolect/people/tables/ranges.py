"""The range of numbers that a question may be answered with, from all questions that are asked in the same way.

Above `building.py`. Few people, or one person in a long table, do not show both ends of a scale; the other items of
the same question, or the other ratings of the table, do.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from idiolect.people.tables.forms import ratings

_FEW = 2  # with so few answers, the other questions show more of the scale than a question's own
_ITEM = re.compile(r"(?P<stem>.{3,}?)(?:\s*\[.+\]|\s+[-–—|:]\s+.+|:\s+.+)", re.DOTALL)

Range = tuple[int, int]


def ranges(answers: Mapping[str, Sequence[str]]) -> dict[str, Range]:
    """Return the lowest and highest number of each question whose range other questions show.

    These are the items of one question, such as "Rate these: Food" and "Rate these [Price]", and questions with one or
    two answers, which have the range of all ratings in the table.

    Args:
        answers: the answers to each question.
    """
    numbers = {question: found for question, each in answers.items() if each and (found := ratings(each))}
    stems: dict[str, list[str]] = {}
    for question in numbers:
        if match := _ITEM.fullmatch(question):
            stems.setdefault(match["stem"], []).append(question)
    result = {q: _range(numbers[each] for each in items) for items in stems.values() if len(items) > 1 for q in items}
    few = [question for question in numbers if question not in result and len(answers[question]) <= _FEW]
    if len(few) > 1:
        whole = _range(numbers.values())
        result |= dict.fromkeys(few, whole)
    return result


def _range(numbers: Iterable[Collection[int]]) -> Range:
    every = [number for each in numbers for number in each]
    return min(every), max(every)
