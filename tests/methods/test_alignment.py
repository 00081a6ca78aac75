"""`s(a, â)`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from idiolect import Question
from idiolect.errors import SettingsError
from idiolect.methods.alignment import AlignmentThresholds, alignment_score, rouge_l
from idiolect.people.user import QuestionKind
from tests.methods.people import SCALE, steady

SATISFIED = ("Satisfied", "Not satisfied", "No opinion")


def test_alignment_of_multiple_choice_is_exact() -> None:
    question = Question("Well?", SATISFIED)
    assert alignment_score(question, "Satisfied", "Satisfied") == 1
    assert alignment_score(question, "Satisfied", "Not satisfied") == 0


@pytest.mark.parametrize(
    ("said", "response", "score"), [("1", "5", 0.0), ("2", "3", 0.75), ("4", "4", 1.0), ("5", "3", 0.5)]
)
def test_alignment_of_ordinal_answers_falls_with_the_distance(said: str, response: str, score: float) -> None:
    assert alignment_score(Question("How much?", SCALE, ordinal=True), said, response) == score


def test_alignment_of_two_ordinal_choices_is_all_or_nothing() -> None:
    question = Question("Well?", ("no", "yes"), ordinal=True)
    assert alignment_score(question, "no", "yes") == 0
    assert alignment_score(question, "no", "no") == 1


@pytest.mark.parametrize(
    "question", [Question("Why?"), Question("Well?", SATISFIED), Question("?", SATISFIED, ordinal=True)]
)
def test_alignment_of_an_unparsable_reply_is_zero(question: Question) -> None:
    assert alignment_score(question, "Satisfied", None) == 0


@steady
@given(st.text(st.characters(max_codepoint=127), max_size=40), st.text(st.characters(max_codepoint=127), max_size=40))
def test_rouge_l_is_the_reference_on_ascii(reference: str, candidate: str) -> None:
    expected = RougeScorer(["rougeL"], use_stemmer=True).score(reference, candidate)["rougeL"].fmeasure
    assert rouge_l(reference, candidate) == expected


@pytest.mark.parametrize(
    ("reference", "candidate", "score"),
    [
        ("the cat sat on the mat", "the cats sat", 2 * (3 / 3) * (3 / 6) / (3 / 3 + 3 / 6)),
        ("running dogs", "run dog", 1.0),
        ("Мне нравится чай", "мне нравится кофе", 2 / 3),
        ("我喜欢茶", "我喜欢", 6 / 7),
        ("", "something", 0.0),
        ("🙂", "🙂", 0.0),
    ],
)
def test_rouge_l_knows_words_of_every_script(reference: str, candidate: str, score: float) -> None:
    assert rouge_l(reference, candidate) == pytest.approx(score)
    assert alignment_score(Question("Why?"), reference, candidate) == rouge_l(reference, candidate)


def test_thresholds_are_one_a_kind() -> None:
    thresholds = AlignmentThresholds(choice=0.9, ordinal=0.5, free_text=0.1)
    assert [thresholds.of(kind) for kind in QuestionKind] == [0.9, 0.5, 0.1]
    assert [AlignmentThresholds().of(kind) for kind in QuestionKind] == [1.0, 1.0, 0.2]


@pytest.mark.parametrize("name", ["choice", "ordinal", "free_text"])
@pytest.mark.parametrize("value", [0.0, -0.5, 1.01, float("nan")])
def test_thresholds_outside_the_unit_interval_are_refused(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=f"thresholds.{name} is {value}"):
        AlignmentThresholds(**{name: value})
