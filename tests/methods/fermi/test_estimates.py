"""Estimates: the formula, computed by hand, and what must not change them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idiolect.methods.fermi.estimates import estimates
from idiolect.methods.fermi.memory import ScoredPrompt
from idiolect.methods.fermi.prompt import Prompt
from tests.methods.people import scored, steady

INITIAL = scored("P0", [1.0, 0.0, 0.5, 0.0])


def test_the_formula() -> None:
    better = scored("better", [1.0, 1.0, 0.5, 1.0], born=1)  # advantages 0, 1, 0, 1
    overall = 2 / (4 + 2)
    nearby = (1 + 2 * overall) / (2 + 2)  # on the opinions 1 and 2
    assert estimates([INITIAL, better], INITIAL, [1, 2], (), 2.0) == pytest.approx([0.25, 0.25 + nearby])


def test_only_scores_that_count_are_compared() -> None:
    """Opinion 1 was seen, 3 was not asked, and 0 must not be used."""
    prompt = Prompt("P", seen=(1,), fold=0)
    crossed = scored(prompt, [1.0, 1.0, 1.0, None], born=1)
    overall = 0.5 / (1 + 1)
    assert estimates([crossed], INITIAL, [1, 2], (0,), 1.0) == pytest.approx([0.25 + (0.5 + overall) / (1 + 1)])
    assert estimates([crossed], INITIAL, [1], (0, 2), 1.0) == [0.0]


def test_without_neighbours_only_the_overall_advantage_is_left() -> None:
    better = scored("better", [1.0, 1.0, 1.0, 1.0], born=1)
    assert estimates([better], INITIAL, [], (), 2.0) == pytest.approx([2.5 / 6])


_score = st.sampled_from([0.0, 0.25, 0.5, 1.0])
_rows = st.integers(2, 8).flatmap(lambda n: st.lists(st.lists(_score, min_size=n, max_size=n), min_size=2, max_size=4))


def prompts(rows: list[list[float]]) -> list[ScoredPrompt]:
    return [scored(f"P{born}", row, born=born) for born, row in enumerate(rows)]


@steady
@given(_rows, st.floats(0.1, 50), st.integers(0, 9))
def test_estimates_do_not_depend_on_the_order_of_opinions_or_prompts(
    rows: list[list[float]], shrinkage: float, seed: int
) -> None:
    n, rng = len(rows[0]), random.Random(seed)
    nearest = rng.sample(range(n), rng.randrange(n + 1))
    pool = prompts(rows)
    found = estimates(pool, pool[0], nearest, (), shrinkage)
    order = rng.sample(range(n), n)
    moved = prompts([[row[i] for i in order] for row in rows])
    again = estimates(moved, moved[0], [order.index(i) for i in nearest], (), shrinkage)
    assert again == found
    assert estimates(pool[::-1], pool[0], nearest[::-1], (), shrinkage) == found[::-1]


@steady
@given(_rows, st.floats(0.1, 50))
def test_the_first_prompt_has_its_own_score_and_better_ones_are_not_behind(
    rows: list[list[float]], shrinkage: float
) -> None:
    pool = prompts(rows)
    nearest = range(0, len(rows[0]), 2)
    level = sum(rows[0][i] for i in nearest) / len(nearest)
    found = estimates(pool, pool[0], nearest, (), shrinkage)
    assert found[0] == pytest.approx(level)
    for row, estimate in zip(rows, found, strict=True):
        if all(one >= other for one, other in zip(row, rows[0], strict=True)):
            assert estimate >= found[0]


@steady
@given(_rows)
def test_much_shrinkage_leaves_no_difference_and_little_leaves_the_mean(rows: list[list[float]]) -> None:
    pool, nearest = prompts(rows), [0, 1]
    assert estimates(pool, pool[0], nearest, (), 1e9) == pytest.approx(
        [(rows[0][0] + rows[0][1]) / 2] * len(rows), abs=1e-6
    )
    assert estimates(pool, pool[0], nearest, (), 1e-9) == pytest.approx(
        [(row[0] + row[1]) / 2 for row in rows], abs=1e-6
    )


def test_prompts_of_other_folds_are_compared_by_their_advantage() -> None:
    """One has the greater score, but only because its opinions are easy."""
    initial = scored("P0", [1.0, 1.0, 0.0, 0.0])
    easy = scored(Prompt("easy", seen=(2, 3), fold=0), [1.0, 1.0, None, None], born=1)
    hard = scored(Prompt("hard", seen=(0, 1), fold=1), [None, None, 1.0, 0.0], born=2)
    found = estimates([easy, hard], initial, [0, 2], (), 2.0)
    assert easy.score > hard.score
    assert found[1] > found[0] == 0.5
