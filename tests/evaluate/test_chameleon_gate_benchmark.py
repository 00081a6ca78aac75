"""The benchmark of CHAMELEON's gate: what it draws from real texts, what its rules are, and what it counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from chameleon_gate import (
    NEW,
    OLD,
    RULES,
    Prior,
    Seen,
    Setup,
    Texts,
    check,
    counted,
    errors_table,
    meet,
    read_texts,
    replay_table,
    shares,
)
from evidence_gate import Nature

SCORES = Path(__file__).parents[2] / "docs" / "results" / "chameleon-writers" / "scores.jsonl"


@pytest.fixture(scope="module")
def setup() -> Setup:
    return Setup(400, 0, read_texts(SCORES), 1.0, Nature(0.6, (), 1, 1, 0.0), 0.4)


def one(before: list[float], after: list[float], plain: list[float], edited: list[float]) -> Seen:
    return Seen(*(np.array([each], dtype=float) for each in (before, after, plain, edited)))


def test_deviations_of_texts_are_real_and_centred(setup: Setup) -> None:
    texts = setup.texts
    assert texts.base.shape == texts.leads.shape == (70, 6)
    assert len(set(texts.writers)) == 7
    assert np.abs(texts.deviations.mean(axis=1)).max() < 1e-12
    assert texts.deviations[0].var() == pytest.approx(texts.leads[0].var(ddof=1))
    assert 0.2 < texts.sd < 0.3


@pytest.mark.parametrize(
    ("seen", "old", "new"),
    [
        (one([-5, -5, -5, -1], [-5.2, -5.2, -5.2, -0.9], [], []), True, False),  # the mean log-ratio is -0.125
        (one([-4] * 4, [-3.7] * 4, [1, 0, 0, 0], [0, 0, 0, 0]), False, True),  # one opinion drowned four texts
        (one([-4] * 4, [-4.3] * 4, [0, 0, 0, 0], [1, 0, 0, 0]), True, False),
        (one([-4] * 40, [-3.7] * 40, [1, 1, 1, 1], [0, 0, 0, 0]), False, False),
        (one([], [], [0, 0], [1, 0]), True, True),
        (one([], [], [0, 1], [1, 0]), False, False),
    ],
)
def test_the_old_rule_and_the_new_one_are_the_products(seen: Seen, old: bool, new: bool) -> None:
    check(seen)
    assert (RULES[OLD](seen)[0], RULES[NEW](seen)[0]) == (old, new)


def test_simulated_people_have_the_true_changes_they_were_given(setup: Setup) -> None:
    n = 4000
    rng = np.random.default_rng(0)
    seen = meet(setup, np.full(n, 0.1), np.full(n, 0.2), 8, 8, rng)
    assert (seen.after - seen.before).mean() == pytest.approx(0.1, abs=0.01)
    assert seen.plain.mean() == pytest.approx(0.4, abs=0.01)
    assert (seen.edited - seen.plain).mean() == pytest.approx(0.2, abs=0.01)


def test_more_items_make_fewer_errors(setup: Setup) -> None:
    few, many = (shares(setup, 0.2, 0.0, n, n)[NEW] for n in (2, 16))
    assert few < many
    assert shares(setup, -0.2, 0.0, 16, 16)[NEW] < 0.1 < shares(setup, -0.2, 0.0, 16, 16)[OLD]


def test_errors_are_counted_where_they_are_possible(setup: Setup) -> None:
    harmful = Prior((-5.0, 0.01), (-0.2, 0.01))
    text = "\n".join(errors_table(setup, harmful, ((4, 4),), (NEW,)))
    assert "| 4 + 4 | " in text
    assert "0.0 [0.0, 1.0] of 400 | none | none | none | +0.000 | +0.0 |" in text.replace("-0.000", "+0.000").replace(
        "-0.0 ", "+0.0 "
    )


def test_a_share_has_its_interval_and_number() -> None:
    assert counted(np.array([True, False, False, False])) == "25.0 [4.6, 69.9] of 4"
    assert counted(np.array([], dtype=bool)) == "none"


def test_every_split_of_real_texts_is_replayed() -> None:
    base = np.full((2, 6), -4.0)
    leads = np.array([[0.1] * 6, [-0.1] * 6])
    rows = replay_table(Texts(base, leads, ("a", "a"), ("u", "v")), (4,))
    assert rows[2] == f"| a | +0.000 | 4 | {OLD} | 2 × 15 | 50 | 0.0 | 0.0 | +0.050 |"
