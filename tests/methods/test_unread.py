"""Counts of answers that name no choice."""

from __future__ import annotations

import pytest

from idiolect import Question
from idiolect.methods.answering import Response
from idiolect.methods.unread import Readings

ASKED = Question("Tea?", ("Yes", "No"))


def readings(*texts: str | None) -> Readings:
    """Count answers; None is one that was read."""
    return Readings.of((ASKED, Response("Yes", "Yes") if text is None else Response(text, None)) for text in texts)


def test_unread_answers_are_counted_with_two_different_examples() -> None:
    found = readings(None, "Hm.", "Hm.", "", "Well …", "Who knows?")
    assert found == Readings(answers=6, unread=5, empty=1, examples=("Hm.", "Well …"))


def test_empty_answers_whose_tokens_were_used_up_are_counted() -> None:
    spoken = [("", True), (" ", False), ("Hm, let me", True)]
    found = Readings.of((ASKED, Response(text, None, cut_off=cut_off)) for text, cut_off in spoken)
    assert (found.unread, found.empty, found.cut_off) == (3, 2, 1)


@pytest.mark.parametrize(
    ("texts", "silent"),
    [(("", " ", ""), True), (("", ""), False), (("", "", "Hm."), False), (("", "", "", None), False), ((), False)],
)
def test_a_model_is_silent_if_all_of_at_least_three_answers_are_empty(
    texts: tuple[str | None, ...], silent: bool
) -> None:
    assert readings(*texts).silent is silent


def test_questions_without_choices_are_left_out() -> None:
    assert Readings.of([(Question("Why?"), Response("", None))]) == Readings()


@pytest.mark.parametrize(
    ("unread", "answers", "many", "nearly_all"),
    [(2, 3, False, False), (3, 15, True, False), (3, 16, False, False), (4, 4, True, True), (5, 5, True, True),
     (9, 10, True, True), (8, 10, True, False), (0, 0, False, False), (1, 1, False, False), (2, 2, False, True),
     (3, 4, True, False), (4, 5, True, False)],
)  # fmt: skip
def test_many_are_a_warning_and_nearly_all_are_a_failure(
    unread: int, answers: int, many: bool, nearly_all: bool
) -> None:
    found = Readings(answers, unread)
    assert (found.many, found.nearly_all) == (many, nearly_all)
