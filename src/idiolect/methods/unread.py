"""How many answers named no choice, so that nobody takes silence for learning.

    responses to questions with choices → Readings: how many were asked, how many were unread, and two that were

An unread answer is kept as it was said, and counts as mis-aligned (`methods.alignment`). Many of them are worth a
warning. If nearly all are unread, scores say nothing about the person, and the result is a failure. If all are empty,
no other prompt helps, and learning can end at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from idiolect.methods.answering import Response
from idiolect.people.user import Question

_EXAMPLES = 2
_MANY, _AT_LEAST = 0.2, 3
_NEARLY_ALL, _OF_AT_LEAST = 0.9, 5
_ALL_OF_AT_LEAST = 2
_SILENT_AT_LEAST = 3


@dataclass(frozen=True, slots=True)
class Readings:
    """Counts of answers to questions with choices.

    Args:
        answers: number of answers; ≥ 0.
        unread: number of those in which no choice could be read.
        empty: number of those that are empty.
        cut_off: number of those that are empty because their tokens were used up, usually within a thought.
        examples: the first different unread texts, at most two. They are people's texts: no log may contain them.
    """

    answers: int = 0
    unread: int = 0
    empty: int = 0
    cut_off: int = 0
    examples: tuple[str, ...] = ()

    @classmethod
    def of(cls, answered: Iterable[tuple[Question, Response]]) -> Readings:
        """Count the responses; questions without choices are left out."""
        responses = [response for question, response in answered if question.choices]
        unread = [response for response in responses if response.answer is None]
        said = dict.fromkeys(text for response in unread if (text := response.text.strip()))
        empty = [response for response in unread if not response.text.strip()]
        cut_off = sum(response.cut_off for response in empty)
        return cls(len(responses), len(unread), len(empty), cut_off, tuple(said)[:_EXAMPLES])

    @property
    def many(self) -> bool:
        """Whether so many are unread that it is worth a warning: at least 20 %, and at least 3."""
        return too_many_unread(self.unread, self.answers)

    @property
    def nearly_all(self) -> bool:
        """Whether nearly all are unread: at least 90 % of at least 5, or all of at least 2."""
        return nearly_all_unread(self.unread, self.answers)

    @property
    def silent(self) -> bool:
        """Whether the model said nothing at all: at least 3 answers, all of them empty."""
        return self.answers >= _SILENT_AT_LEAST and self.empty == self.answers


def too_many_unread(unread: int, answers: int) -> bool:
    """Return whether so many answers are unread that it is worth a warning: at least 20 %, and at least 3."""
    return unread >= _AT_LEAST and unread >= _MANY * answers


def nearly_all_unread(unread: int, answers: int) -> bool:
    """Return whether nearly all answers are unread: at least 90 % of at least 5, or all of at least 2."""
    if answers >= _OF_AT_LEAST:
        return unread >= _NEARLY_ALL * answers
    return answers >= _ALL_OF_AT_LEAST and unread == answers
