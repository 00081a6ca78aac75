"""Means over people and their intervals: hand-computed, against scipy and scikit-learn, and by simulation."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import ndtr
from sklearn.metrics import f1_score, root_mean_squared_error

from idiolect.errors import MissingExtraError
from idiolect.evaluate.pigeonhole import ScoredAnswers, macro_f1, resampled, resampled_difference, rmse
from idiolect.evaluate.statistics import (
    AnswerKey,
    averaged_over_seeds,
    clusters_of,
    holm,
    mean_and_variance,
    mean_over_people,
    paired_difference,
)

VALUES = st.dictionaries(
    st.tuples(st.sampled_from("uvwx"), st.sampled_from("abcde"), st.integers(0, 1)), st.floats(-5, 5), min_size=1
)


def crossed(rng: np.random.Generator, people: int, questions: int, asked: int) -> list[AnswerKey]:
    drawn = (rng.choice(questions, size=asked, replace=False) for _ in range(people))
    return [
        (f"u{user:02}", f"q{q:02}", place) for user, asked_of in enumerate(drawn) for place, q in enumerate(asked_of)
    ]


def test_every_person_counts_once() -> None:
    found = mean_over_people({("u", "a", 0): 1.0, ("u", "b", 1): 0.0, ("v", "c", 0): 1.0})
    assert (found.value, found.people, found.questions, found.answers) == (pytest.approx(0.75), 2, 3, 3)


def test_without_shared_questions_it_is_the_t_interval_of_peoples_means() -> None:
    means = {"u": 0.9, "v": 0.3, "w": 0.45, "x": 0.6}
    values = {
        (user, user + side, 0): mean + sign for user, mean in means.items() for side, sign in (("a", 0.1), ("b", -0.1))
    }
    found = mean_over_people(values)
    expected = stats.ttest_1samp(list(means.values()), 0)
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert paired_difference(values, dict.fromkeys(values, 0.0)).p == pytest.approx(expected.pvalue)
    assert found.interval == "t with 3 degrees of freedom, clustered by person"


def test_with_shared_questions_the_variance_is_of_both_by_hand() -> None:
    table = np.array([[1.0, 0.0, 1.0], [1.0, 0.0, 0.0], [1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])  # people × questions
    keys = [(f"u{u}", f"q{q}", q) for u in range(4) for q in range(3)]
    mean, variance = mean_and_variance(table.ravel(), clusters_of(keys))
    errors = (table - table.mean()) / table.size
    people = 4 / 3 * np.sum(errors.sum(axis=1) ** 2)
    questions = 3 / 2 * np.sum(errors.sum(axis=0) ** 2)
    answers = 12 / 11 * np.sum(errors**2)
    assert mean == pytest.approx(table.mean())
    assert variance == pytest.approx(max(people + questions - answers, people, questions, answers))
    found = mean_over_people(dict(zip(keys, table.ravel().tolist(), strict=True)))
    half = stats.t.ppf(0.975, 2) * np.sqrt(variance)  # 3 questions, fewer than people
    assert (found.low, found.high) == (pytest.approx(mean - half), pytest.approx(mean + half))


def test_answers_that_cancel_within_people_still_have_the_variance_of_answers() -> None:
    values = {(user, f"{user}{place}", place): float(place) for user in "uvw" for place in range(2)}
    found = mean_over_people(values)
    assert found.value == 0.5
    assert found.low is not None
    assert found.low < 0.3


@pytest.mark.parametrize("values", [{("u", "a", 0): 1.0, ("u", "b", 1): 0.0}, {("u", "a", 0): 1.0, ("v", "a", 0): 1.0}])
def test_one_person_or_no_variation_gives_no_interval(values: dict[AnswerKey, float]) -> None:
    found = paired_difference(values, dict.fromkeys(values, 0.0))
    assert (found.difference.low, found.difference.high, found.p) == (None, None, None)


def test_one_question_for_everybody_is_clustered_by_person_alone() -> None:
    found = mean_over_people({(user, "q", 0): value for user, value in zip("uvwx", (0.0, 1.0, 1.0, 1.0), strict=True)})
    expected = stats.ttest_1samp([0.0, 1.0, 1.0, 1.0], 0).confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_pairs_are_the_answers_that_both_have() -> None:
    a = {("u", "a", 0): 1.0, ("v", "a", 0): 0.0, ("v", "b", 1): 1.0}
    b = {("u", "a", 0): 0.5, ("v", "b", 1): 0.0, ("w", "a", 0): 9.0}
    found = paired_difference(a, b).difference
    assert (found.value, found.people, found.answers) == (pytest.approx(0.75), 2, 2)
    with pytest.raises(ValueError, match="no answers"):
        paired_difference(a, {("w", "a", 0): 9.0})


def test_seeds_are_averaged_first() -> None:
    values = [(("u", "a", 0), 1.0), (("u", "a", 0), 0.0), (("u", "b", 1), 1.0)]
    assert (
        averaged_over_seeds(values) == averaged_over_seeds(reversed(values)) == {("u", "a", 0): 0.5, ("u", "b", 1): 1.0}
    )


@given(VALUES, st.randoms(use_true_random=False))
def test_the_order_of_answers_does_not_matter(values: dict[AnswerKey, float], rng: random.Random) -> None:
    shuffled = list(values.items())
    rng.shuffle(shuffled)
    assert mean_over_people(dict(shuffled)) == mean_over_people(values)


@given(VALUES)
def test_nothing_differs_from_itself(values: dict[AnswerKey, float]) -> None:
    found = paired_difference(values, values)
    assert (found.difference.value, found.difference.low, found.p) == (0.0, None, None)


@given(VALUES)
def test_the_difference_turns_with_its_sides(values: dict[AnswerKey, float]) -> None:
    zero = dict.fromkeys(values, 0.0)
    there, back = paired_difference(values, zero), paired_difference(zero, values)
    assert there.difference.value == pytest.approx(-back.difference.value)
    assert there.p == pytest.approx(back.p)


def test_holm_by_hand_and_what_has_no_p_counts_as_one() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.01, None]) == [pytest.approx(0.02), None]
    assert holm([]) == []


def test_coverage_of_a_crossed_design_is_as_told() -> None:
    rng, held, simulations = np.random.default_rng(5), 0, 400
    truth = float(ndtr(0.3 / np.sqrt(1 + 0.5**2 + 0.7**2)))
    for _ in range(simulations):
        keys = crossed(rng, 16, 40, 10)
        people, questions = rng.normal(0, 0.5, 16), rng.normal(0, 0.7, 40)
        values = {
            key: float(0.3 + people[int(key[0][1:])] + questions[int(key[1][1:])] + rng.normal() > 0) for key in keys
        }
        found = mean_over_people(values)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
    assert 0.90 <= held / simulations <= 0.99


def tags(seed: int) -> ScoredAnswers:
    rng = np.random.default_rng(seed)
    keys = crossed(np.random.default_rng(1), 12, 20, 5)
    truths = rng.choice(list("abc"), size=len(keys))
    answers = [truth if rng.random() < 0.5 else rng.choice([*"abc", "no tag"]) for truth in truths]
    return ScoredAnswers(
        tuple(keys),
        tuple(map(str, truths)),
        (None, *map(str, answers[1:])),
        tuple(rng.integers(0, 4, len(keys)).tolist()),
    )


def test_macro_f1_is_scikit_learns_over_all_labels() -> None:
    scored, labels = tags(2), ["a", "b", "c", "never"]
    found = resampled(scored, macro_f1(scored, labels), resamples=100)
    answers = [answer or "" for answer in scored.answers]
    expected = f1_score(scored.truths, answers, labels=labels, average="macro", zero_division=0)
    assert found.value == pytest.approx(expected)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high
    with pytest.raises(ValueError, match="needs all possible labels"):
        macro_f1(scored, [])


def test_rmse_weighs_people_alike_and_seeds_as_one() -> None:
    keys = (("u", "a", 0), ("u", "b", 1), ("v", "c", 0), ("v", "c", 0))
    scored = ScoredAnswers(keys, errors=(1.0, 2.0, 3.0, 1.0))
    expected = root_mean_squared_error([0] * 4, scored.errors, sample_weight=[0.5, 0.5, 0.5, 0.5])
    found = resampled(scored, rmse(scored), resamples=50)
    assert (found.value, found.people, found.answers) == (pytest.approx(expected), 2, 3)


def test_a_resampled_difference_is_of_the_same_answers_and_0_with_itself() -> None:
    scored = tags(3)
    side = (scored, rmse(scored))
    same = resampled_difference(side, side, resamples=50)
    assert (same.difference.value, same.difference.low, same.p) == (0.0, None, None)
    worse = ScoredAnswers(scored.keys, errors=tuple(error + 2.0 for error in scored.errors))
    found = resampled_difference((worse, rmse(worse)), side, resamples=200)
    assert found.difference.value > 0
    assert found.difference.low is not None
    assert found.difference.low > 0
    assert found.p is not None
    assert found.p < 0.05
    other = ScoredAnswers(scored.keys[1:], errors=scored.errors[1:])
    with pytest.raises(ValueError, match="same answers"):
        resampled_difference(side, (other, rmse(other)))


def test_resampling_is_the_same_for_the_same_seed_and_knows_one_person() -> None:
    scored = tags(4)
    assert resampled(scored, rmse(scored), resamples=50) == resampled(scored, rmse(scored), resamples=50)
    alone = ScoredAnswers((("u", "a", 0), ("u", "b", 1)), errors=(1.0, 3.0))
    assert resampled(alone, rmse(alone)).low is None


@pytest.mark.parametrize(
    ("missing", "wanted"),
    [
        ("statsmodels.regression.linear_model", lambda: mean_over_people({("u", "a", 0): 1.0, ("v", "b", 0): 0.0})),
        ("statsmodels.stats.multitest", lambda: holm([0.1])),
        ("sklearn.metrics", lambda: macro_f1(tags(1), ["a"])),
        ("sklearn.metrics", lambda: rmse(tags(1))),
    ],
)
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, missing: str, wanted: Callable[[], object]) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'idiolect\[evaluate\]'"):
        wanted()


def test_importing_the_summary_imports_no_statistics_library() -> None:
    code = "import sys, idiolect.evaluate.summarizing, idiolect.evaluate.tables; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"scipy", "statsmodels", "sklearn", "pandas"} & set(loaded)
