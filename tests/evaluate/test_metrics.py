"""Scores of answers and their means."""

from __future__ import annotations

import pytest

from idiolect import Opinion, Question
from idiolect.evaluate.metrics import AnswerScore, Scores, aggregate, score_answer, score_answers
from idiolect.methods.answering import Response
from idiolect.methods.personalization import Answer

SCALE = ("1", "2", "3", "4", "5")
RATING = Question("How much?", SCALE, ordinal=True)
CHOICE = Question("Which?", ("a", "b"))
WHY = Question("Why?")


def judged(question: Question, said: str, answer: str | None) -> AnswerScore:
    return score_answer("u", Opinion(question, said), Answer(Response(answer or "hm", answer)))


def test_an_ordinal_answer_has_an_error_in_steps() -> None:
    assert judged(RATING, "4", "2") == AnswerScore("u", False, 0.5, 2.0, True)
    assert judged(RATING, "4", "4") == AnswerScore("u", True, 1.0, 0.0, True)


@pytest.mark.parametrize(("said", "worst"), [("1", 4.0), ("2", 3.0), ("3", 2.0), ("4", 3.0), ("5", 4.0)])
def test_an_unparsed_ordinal_answer_gets_the_worst_error_of_its_question(said: str, worst: float) -> None:
    assert judged(RATING, said, None) == AnswerScore("u", False, 0.0, worst, False)


def test_a_choice_has_no_error() -> None:
    assert judged(CHOICE, "a", "a") == AnswerScore("u", True, 1.0, None, True)
    assert judged(CHOICE, "a", None) == AnswerScore("u", False, 0.0, None, False)


def test_free_text_is_neither_correct_nor_wrong() -> None:
    assert judged(WHY, "because of tea", "because of tea") == AnswerScore("u", None, 1.0, None, True)


def test_aggregates_are_means_of_what_has_the_measure() -> None:
    scores = [judged(RATING, "4", "2"), judged(RATING, "1", None), judged(CHOICE, "a", "a"), judged(WHY, "tea", "tea")]
    assert aggregate(scores) == Scores(n=4, accuracy=1 / 3, alignment=2.5 / 4, mae=3.0, unparsed=1)


def test_free_text_does_not_count_for_accuracy() -> None:
    assert aggregate([judged(WHY, "tea", "coffee")]) == Scores(1, None, 0.0, None, 0)


def test_nothing_has_no_means() -> None:
    assert aggregate([]) == Scores(0, None, None, None, 0)


def test_answers_are_judged_pairwise() -> None:
    opinions = [Opinion(CHOICE, "a"), Opinion(CHOICE, "b")]
    answers = [Answer(Response("b", "b")), Answer(Response("b", "b"))]
    assert [s.correct for s in score_answers("u", opinions, answers)] == [False, True]
    with pytest.raises(ValueError, match="shorter"):
        score_answers("u", opinions, answers[:1])
