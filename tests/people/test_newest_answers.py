from __future__ import annotations

import pytest

from idiolect.people.newest_answers import newest_opinions, with_newest_answers
from idiolect.people.user import Opinion, Question, User

TEA = Question("Tea or coffee?", ("Tea", "Coffee"))
WHY = Question("Why?")


def test_the_last_answer_counts_in_the_place_of_the_first() -> None:
    opinions = (Opinion(TEA, "Tea"), Opinion(WHY, "Habit."), Opinion(TEA, "Coffee"))
    user, older = with_newest_answers(User("u1", {"Age": "30"}, opinions, ("Hello.",), {"wave": 1}))
    assert user == User("u1", {"Age": "30"}, (Opinion(TEA, "Coffee"), Opinion(WHY, "Habit.")), ("Hello.",), {"wave": 1})
    assert older == 1


def test_a_user_without_repetitions_is_the_same() -> None:
    user = User("u1", opinions=(Opinion(TEA, "Tea"), Opinion(WHY, "Habit.")))
    assert with_newest_answers(user)[0] is user
    assert with_newest_answers(user)[1] == 0


def test_equal_answers_are_one() -> None:
    assert newest_opinions([Opinion(WHY, "Habit."), Opinion(WHY, "Habit.")]) == (Opinion(WHY, "Habit."),)


def test_blanks_and_the_order_of_choices_make_no_other_question() -> None:
    turned = Question("Tea  or coffee? ", ("Coffee", "Tea"))
    assert newest_opinions([Opinion(TEA, "Tea"), Opinion(turned, "Coffee")]) == (Opinion(turned, "Coffee"),)


def test_other_choices_and_other_words_are_other_questions() -> None:
    others = [Opinion(TEA, "Tea"), Opinion(Question(TEA.text), "Tea"), Opinion(Question("Coffee or tea?"), "Tea")]
    assert newest_opinions(others) == tuple(others)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Don't you like tea?", "Don\u2019t you like tea?", True),
        ("Tea - or coffee?", "Tea \u2013 or coffee?", True),
        ("Caf\u00e9?", "Cafe\u0301?", True),
        ("Do you like us?", "Do you like US?", False),
    ],
)
def test_marks_make_no_other_question_but_case_does(one: str, other: str, same: bool) -> None:
    assert (len(newest_opinions([Opinion(one, "Yes"), Opinion(other, "No")])) == 1) is same
