"""One answer to each question of a person: of several answers to the same question, the newest counts.

Between the users file, which is read as it was written, and everything that learns or asks. The newest answer is the
last one in the person's list, because a users file has no dates: a log that is only ever appended to is in order.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import replace

from idiolect.people.typography import without_typography
from idiolect.people.user import Opinion, Question, User


def same_question_key(question: Question) -> Hashable:
    """Return a key that is equal for the same question.

    Two questions are the same if their texts and their choices are equal; the order of the choices does not count, nor
    do the number of blanks between words, the kinds of apostrophes, quotation marks and dashes, and the Unicode form.
    """
    return without_typography(question.text), frozenset(map(without_typography, question.choices))


def newest_opinions(opinions: Iterable[Opinion]) -> tuple[Opinion, ...]:
    """Return the last opinion on each question, in the place of the first one."""
    newest: dict[Hashable, Opinion] = {}
    for opinion in opinions:
        newest[same_question_key(opinion.question)] = opinion
    return tuple(newest.values())


def with_newest_answers(user: User) -> tuple[User, int]:
    """Return the user with the newest answer to each question, and the number of older answers that do not count."""
    newest = newest_opinions(user.opinions)
    superseded = len(user.opinions) - len(newest)
    return (replace(user, opinions=newest) if superseded else user), superseded
