"""One answer from several: votes, distributions, the person's own answers, the median, ties, and what was not read."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from idiolect import Opinion, Question
from idiolect.methods.answering import Response
from idiolect.methods.fermi.combining import bias_of, combined, own_distribution
from idiolect.methods.fermi.extension_settings import EnsembleSettings
from idiolect.models.language_model import Usage
from tests.methods.people import steady

ABC = Question("Which?", ("a", "b", "c"))
SCALE = Question("How much?", ("1", "2", "3", "4", "5"), ordinal=True)
MODE, MEDIAN = EnsembleSettings(prompts=3), EnsembleSettings(prompts=3, decide="median")


def votes(*answers: str | None) -> list[Response]:
    return [Response(f"I say {answer}", answer, usage=Usage(1, 10, 2, 10)) for answer in answers]


def likelihoods(*shares: float) -> Response:
    scores = tuple(math.log(share) if share else -1e3 for share in shares)
    best = max(range(len(shares)), key=shares.__getitem__)
    return Response(ABC.choices[best], ABC.choices[best], scores, Usage(1, 10, 0, 10))


def answer(responses: Sequence[Response], question: Question = ABC, settings: EnsembleSettings = MODE) -> str | None:
    return combined(question, responses, (), settings).response.answer


def test_the_majority_answers() -> None:
    assert answer(votes("a", "b", "b")) == "b"
    assert combined(ABC, votes("a", "b", "b"), (), MODE).distribution == pytest.approx((1 / 3, 2 / 3, 0))


@pytest.mark.parametrize(("said", "best"), [("cab", "c"), ("bca", "b"), ("cacab", "c"), ("acac", "a"), ("bcca", "c")])
def test_of_equally_many_votes_the_best_prompt_decides(said: str, best: str) -> None:
    """And not the place of the choice in the list."""
    assert answer(votes(*said)) == best


def test_an_equal_vote_of_the_others_is_not_decided_by_a_prompt_that_lost() -> None:
    assert answer(votes("a", "c", "b", "b", "c")) == "c"


def test_the_mean_of_distributions_answers() -> None:
    """One prompt is sure, two are not quite."""
    said = [likelihoods(0.02, 0.98, 0.0), likelihoods(0.52, 0.48, 0.0), likelihoods(0.55, 0.45, 0.0)]
    result = combined(ABC, said, (), MODE)
    assert result.response.answer == result.response.text == "b"
    assert result.distribution == pytest.approx((1.09 / 3, 1.91 / 3, 0.0), abs=1e-6)
    assert result.response.scores[:2] == pytest.approx((math.log(1.09 / 3), math.log(1.91 / 3)))
    assert all(math.isfinite(score) for score in result.response.scores)


def test_unread_responses_do_not_vote_but_cost() -> None:
    result = combined(ABC, votes(None, "b", None, "c", "b"), (), MODE).response
    assert (result.answer, result.text, result.usage.calls) == ("b", "b", 5)
    assert combined(ABC, votes("b", None, "b"), (), MODE).response.text == "I say b"
    unread = combined(ABC, votes(None, None), (), EnsembleSettings(prompts=2, own_answers=1.0))
    assert (unread.response.answer, unread.response.text, unread.distribution) == (None, "I say None", ())
    assert unread.response.usage == Usage(2, 20, 4, 20)


def test_a_text_is_the_first_one() -> None:
    free = combined(
        Question("Why?"), [Response("x", "x", usage=Usage(1)), Response("y", "y", usage=Usage(1))], (), MODE
    )
    assert (free.response.answer, free.response.usage.calls, free.distribution) == ("x", 2, ())


@pytest.mark.parametrize(
    ("said", "median"),
    [
        (["1", "1", "5"], "1"),
        (["1", "3", "5"], "3"),
        (["1", "2", "4", "5", "5"], "4"),
        (["4", "2"], "4"),  # 2, 3 and 4 are equally good, and the best prompt says 4
        (["2", "4"], "2"),
        (["1", "5", "1", "5"], "1"),
        (["5", "1", "1", "5"], "5"),  # never 2, 3 or 4, which no prompt named
        (["5"], "5"),
    ],
)
def test_the_median_answers_on_a_scale(said: list[str], median: str) -> None:
    assert answer(votes(*said), SCALE, MEDIAN) == median


def test_the_median_is_for_scales_only() -> None:
    assert answer(votes("a", "b", "c", "c"), ABC, MEDIAN) == "c"
    assert answer(votes("1", "2", "5", "5"), SCALE, MODE) == "5"


@steady
@given(st.lists(st.integers(0, 4), min_size=1, max_size=9))
def test_the_median_has_the_least_expected_distance_and_was_named(said: list[int]) -> None:
    chosen = SCALE.choices.index(answer(votes(*(SCALE.choices[i] for i in said)), SCALE, MEDIAN) or "")

    def distance(place: int) -> int:
        return sum(abs(place - each) for each in said)

    assert distance(chosen) == min(map(distance, range(5)))
    assert chosen in said


@steady
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=9))
def test_the_mode_is_one_of_the_most_frequent(said: list[str]) -> None:
    chosen = answer(votes(*said))
    assert said.count(str(chosen)) == max(map(said.count, said))
    assert chosen == next(each for each in said if said.count(each) == said.count(str(chosen)))


def opinion(answered: str, choices: tuple[str, ...] = ABC.choices) -> Opinion:
    return Opinion(Question(f"Q {answered}", choices), answered)


def test_the_own_distribution_counts_answers_to_the_same_choices() -> None:
    own = [opinion("a"), opinion("a"), opinion("b"), opinion("a", ("a", "b")), opinion("c", ("c", "b", "a"))]
    assert own_distribution(ABC, own) == pytest.approx(np.array([3, 2, 1]) / 6)
    assert own_distribution(ABC, []) == pytest.approx(np.ones(3) / 3)


def test_the_own_answers_weigh_as_much_as_they_are_told_to() -> None:
    own = [opinion("c")] * 5
    said = votes("a", "a", "c")  # 2/3 · 1/8 against 1/3 · 6/8
    for weight, expected in ((0.0, "a"), (0.3, "a"), (0.5, "c"), (1.0, "c")):
        assert combined(ABC, said, own, EnsembleSettings(own_answers=weight)).response.answer == expected
    result = combined(ABC, said, own, EnsembleSettings(own_answers=1.0))
    assert result.distribution == pytest.approx((0.25, 0.0, 0.75), abs=1e-5)
    assert sum(result.distribution) == pytest.approx(1)


def test_an_extreme_weight_stays_finite() -> None:
    own = [opinion("c")] * 50
    result = combined(ABC, votes("a", "b"), own, EnsembleSettings(own_answers=1000.0))
    assert result.response.answer in ABC.choices
    assert all(math.isfinite(score) for score in result.response.scores)
    assert sum(result.distribution) == pytest.approx(1)


def test_one_response_stays_what_it_is() -> None:
    for each in (*votes("b"), likelihoods(0.2, 0.3, 0.5)):
        result = combined(ABC, [each], (), EnsembleSettings()).response
        assert (result.answer, result.text, result.usage) == (each.answer, each.text, each.usage)


def test_near_answers_count_more_in_the_own_distribution() -> None:
    own = [opinion("a"), opinion("a"), opinion("b"), opinion("c", ("c", "b"))]
    assert own_distribution(ABC, own, [0.0, 0.0, 0.0, 9.0]) == pytest.approx(np.array([3, 2, 1]) / 6)
    weights = np.array([1.0, 1.0, math.e]) / (2 + math.e) * 3
    expected = np.array([1 + weights[0] + weights[1], 1 + weights[2], 1.0]) / 6
    assert own_distribution(ABC, own, [5.0, 5.0, 6.0, 99.0]) == pytest.approx(expected, abs=1e-6)


def test_the_answers_that_are_near_to_the_question_decide() -> None:
    own, said = [opinion("a"), opinion("a"), opinion("b")], votes("c")
    near = (0.1, 0.1, 0.9)
    for nearness, expected in ((None, "a"), (10.0, "a"), (0.1, "b")):
        settings = EnsembleSettings(sharpness=1e-6, own_answers=1.0, own_nearness=nearness)
        assert combined(ABC, said, own, settings, similarities=near).response.answer == expected


def test_a_bias_is_the_smoothed_mean_over_questions_with_the_same_choices() -> None:
    own = [opinion("a"), opinion("b"), opinion("a", ("a", "b")), opinion("c"), opinion("c")]
    responses = [likelihoods(0.8, 0.1, 0.1), likelihoods(0.6, 0.2, 0.2), votes("a")[0], None, votes(None)[0]]
    expected = (np.array([0.8, 0.1, 0.1]) + np.array([0.6, 0.2, 0.2]) + 1 / 3) / 3
    assert bias_of(ABC, own, responses) == pytest.approx(expected, abs=1e-6)
    assert bias_of(ABC, [], []) == pytest.approx(np.ones(3) / 3)


def test_what_a_prompt_always_prefers_does_not_count() -> None:
    said, bias = [likelihoods(0.6, 0.3, 0.1)], np.array([0.8, 0.1, 0.1], dtype=np.float32)
    assert answer(said) == "a"
    result = combined(ABC, said, (), EnsembleSettings(calibrate=True), biases=[bias])
    assert result.response.answer == "b"
    assert result.distribution == pytest.approx(np.array([0.75, 3.0, 1.0]) / 4.75, abs=1e-5)


def test_each_prompt_is_calibrated_by_its_own_bias() -> None:
    said = [likelihoods(0.5, 0.3, 0.2), votes(None)[0], likelihoods(0.5, 0.3, 0.2)]
    even, skew = np.ones(3, dtype=np.float32) / 3, np.array([0.9, 0.05, 0.05], dtype=np.float32)
    result = combined(ABC, said, (), EnsembleSettings(calibrate=True), biases=[skew, even, even])
    one = np.array([0.5 / 0.9, 6.0, 4.0])
    assert result.distribution == pytest.approx((one / one.sum() + [0.5, 0.3, 0.2]) / 2, abs=1e-5)


def test_a_blunter_model_counts_for_less_beside_own_answers() -> None:
    own, said = [opinion("b")] * 2, [likelihoods(0.8, 0.15, 0.05)]
    for sharpness, expected in ((1.0, "a"), (0.5, "b")):
        settings = EnsembleSettings(sharpness=sharpness, own_answers=1.0)
        assert combined(ABC, said, own, settings).response.answer == expected
