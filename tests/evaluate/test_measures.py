"""What one answer is worth by each measure: hand-computed, and against scipy and rouge-score."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from scipy.spatial.distance import jensenshannon

from idiolect import Opinion, Question
from idiolect.evaluate.benchmark import DISTRIBUTION
from idiolect.evaluate.measures import (
    MEASURES,
    Judgement,
    distribution_similarity,
    judge,
    judge_all,
    mean_over_answers,
    measure_named,
    predicted_shares,
    rouge,
)
from idiolect.methods.answering import Response
from idiolect.methods.personalization import Answer
from idiolect.people.opinionqa_questions import PLACES

STARS = Question("How many stars?", ("1", "2", "3", "4", "5"), ordinal=True)
CHOICE = Question("Which?", ("a", "b", "c"))
TITLE = Question("A title?")
SHARES = st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3).filter(lambda shares: sum(shares) > 0.01)


def judged(
    question: Question, truth: str, said: str | None, *measures: str, scores: tuple[float, ...] = ()
) -> Judgement:
    return judge(Opinion(question, truth), Answer(Response(said or "hm", said, scores)), measures)


def of_population(shares: object, said: str | None, scores: tuple[float, ...] = ()) -> Judgement:
    opinion = Opinion(CHOICE, "a", {DISTRIBUTION: shares})
    return judge(opinion, Answer(Response(said or "hm", said, scores)), ["accuracy", "distribution_similarity"])


def test_a_choice_is_right_or_wrong_and_unparsed_is_wrong() -> None:
    assert judged(CHOICE, "a", "a", "accuracy") == ("scored", {"accuracy": 1.0}, ())
    assert judged(CHOICE, "a", "b", "accuracy") == ("scored", {"accuracy": 0.0}, ())
    assert judged(CHOICE, "a", None, "accuracy") == ("unparsed", {"accuracy": 0.0}, ())


def test_stars_have_errors_in_steps_and_unparsed_ones_the_worst_as_in_lamp() -> None:
    assert judged(STARS, "4", "2", "mae", "rmse").values == {"mae": 2.0, "rmse": 2.0}
    worst = {truth: judged(STARS, truth, None, "mae").values["mae"] for truth in STARS.choices}
    lamp = {y: abs((1.0 if abs(1 - float(y)) > abs(5 - float(y)) else 5.0) - float(y)) for y in STARS.choices}
    assert worst == lamp


def test_a_number_that_is_no_label_has_its_distance_in_lamp_3_only() -> None:
    def of(text: str, *measures: str) -> dict[str, float]:
        return judge(Opinion(STARS, "4"), Answer(Response(text, None)), measures).values

    assert of(" 4.5\n", "mae", "rmse", "accuracy") == {"mae": 0.5, "rmse": 0.5, "accuracy": 0.0}
    assert of("7", "mae", "rmse") == {"mae": 3.0, "rmse": 3.0}
    for text in ("4.5 stars", "nan", "inf", "", "4,5"):
        assert of(text, "mae", "rmse") == {"mae": 3.0, "rmse": 3.0}
    assert of("4.5", "mae") == {"mae": 3.0}


def test_the_normalized_error_is_a_share_of_the_published_scale() -> None:
    middle_last = Question("How is it?", ("Better", "Worse", "The same"))
    places = {PLACES: [1.0, 2.0, 1.5]}

    def of(question: Question, truth: str, said: str | None, extra: dict[str, Any] | None = None) -> float | None:
        answer = Answer(Response(said or "hm", said))
        return judge(Opinion(question, truth, extra or {}), answer, ["normalized_error"]).values.get("normalized_error")

    assert [of(STARS, "4", said) for said in ("4", "3", "1", None)] == [0.0, 0.25, 0.75, 0.75]
    assert [of(middle_last, "Better", said, places) for said in ("Better", "The same", "Worse", None)] == [0, 0.5, 1, 1]
    assert of(middle_last, "The same", None, places) == 0.5
    assert of(middle_last, "Better", "Worse") is None  # neither a scale nor published places
    for wrong in ([1.0, 2.0], [1.0, 1.0, 1.0], [1.0, "2", 3.0], [1.0, math.inf, 2.0], "1.0"):
        assert of(middle_last, "Better", "Worse", {PLACES: wrong}) is None


def test_measures_that_a_question_does_not_have_are_left_out() -> None:
    assert judged(CHOICE, "a", "a", "mae", "macro_f1", "loglik", "distribution_similarity").values == {}
    assert judged(TITLE, "On tea", "On tea", "accuracy", "alignment").values == {"alignment": 1.0}


def test_answers_are_judged_pairwise() -> None:
    opinions = [Opinion(CHOICE, "a"), Opinion(CHOICE, "b")]
    answers = [Answer(Response("b", "b")), Answer(Response("b", "b"))]
    assert [each.values["accuracy"] for each in judge_all(opinions, answers, ["accuracy"])] == [0.0, 1.0]
    with pytest.raises(ValueError, match="shorter"):
        judge_all(opinions, answers[:1], ["accuracy"])


def test_a_mean_over_answers_is_of_those_that_have_the_measure() -> None:
    names = ("accuracy", "mae", "alignment")
    given = [judged(STARS, "4", "2", *names), judged(STARS, "1", None, *names), judged(CHOICE, "a", "a", *names)]
    given.append(judged(TITLE, "tea", "tea", *names))
    assert [mean_over_answers(given, name) for name in names] == [1 / 3, 3.0, 2.5 / 4]
    assert mean_over_answers(given[3:], "accuracy") is None
    assert mean_over_answers([], "alignment") is None


def test_rouge_is_the_librarys_without_stemming() -> None:
    truth, said = "Running dogs and cats", "the dog runs and the cat"
    scorer = RougeScorer(["rouge1", "rougeL"], use_stemmer=False)
    expected = {name: score.fmeasure for name, score in scorer.score(truth, said).items()}
    assert judged(TITLE, truth, said, "rouge1", "rougeL").values == expected
    assert expected["rouge1"] == pytest.approx(2 * (1 / 4) * (1 / 6) / (1 / 4 + 1 / 6))  # "and" alone; no stems
    assert judged(TITLE, truth, None, "rouge1", "rougeL").values == {"rouge1": 0.0, "rougeL": 0.0}
    assert rouge("a b c", "a c b") == {"rouge1": 1.0, "rougeL": pytest.approx(2 / 3)}


def test_similarity_to_a_population_takes_shares_from_log_probabilities() -> None:
    found = of_population([0.5, 0.5, 0.0], "a", (math.log(0.2), math.log(0.2), math.log(0.1)))
    assert found.predicted_share == pytest.approx((0.4, 0.4, 0.2))
    assert found.values["distribution_similarity"] == pytest.approx(
        1 - jensenshannon([0.5, 0.5, 0.0], [0.4, 0.4, 0.2], base=2)
    )


def test_similarity_of_a_generated_answer_has_all_on_it_and_none_if_unparsed() -> None:
    assert of_population([1, 0, 0], "a") == (
        "scored",
        {"accuracy": 1.0, "distribution_similarity": 1.0},
        (1.0, 0.0, 0.0),
    )
    assert of_population([1, 0, 0], "b").values["distribution_similarity"] == pytest.approx(0.0)
    assert of_population([1, 0, 0], None) == ("unparsed", {"accuracy": 0.0, "distribution_similarity": 0.0}, ())


@pytest.mark.parametrize("shares", [[0.5, 0.5], [0, 0, 0], [1.5, -0.5, 0], [math.nan, 1, 0]])
def test_what_is_no_distribution_over_the_choices_is_named(shares: list[float]) -> None:
    with pytest.raises(ValueError, match="not a distribution over 3 choices"):
        of_population(shares, "a")


def test_shares_of_very_unlikely_choices_are_finite() -> None:
    shares = predicted_shares(CHOICE, Response("a", "a", (-5000.0, -5001.0, -9000.0)))
    assert shares == pytest.approx((1 / (1 + math.exp(-1)), math.exp(-1) / (1 + math.exp(-1)), 0.0))


@given(SHARES, SHARES)
def test_similarity_is_symmetric_within_0_and_1_and_1_for_the_same(p: list[float], q: list[float]) -> None:
    found = distribution_similarity(p, q)
    assert 0 <= found <= 1
    assert found == pytest.approx(distribution_similarity(q, p), abs=1e-6)
    assert distribution_similarity(p, [share / 3 for share in p]) == pytest.approx(1.0)


def test_an_unknown_measure_is_named() -> None:
    with pytest.raises(ValueError, match="unknown measure 'bleu': choose one of accuracy"):
        measure_named("bleu")
    with pytest.raises(ValueError, match="bleu"):
        judged(CHOICE, "a", "a", "bleu")


def test_values_are_shown_in_percent_or_with_three_digits() -> None:
    accuracy, mae = MEASURES["accuracy"], MEASURES["mae"]
    assert (accuracy.shown(0.4512), accuracy.shown(0.032, signed=True), accuracy.shown(-0.0, signed=True)) == (
        "45.1",
        "+3.2",
        "0.0",
    )
    assert (mae.shown(0.4512), mae.shown(-0.00001), mae.shown(-0.25, signed=True)) == ("0.451", "0.000", "-0.250")
    assert (accuracy.sign, mae.sign) == (1, -1)
    assert all(name == measure.name for name, measure in MEASURES.items())
