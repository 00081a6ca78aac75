"""The benchmark at equal calls, small: a whole evaluation of doubles through the Python API of the harness."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.planted_equal_calls import (
    FREE,
    LEARNING,
    PRIMARY,
    SECONDARY,
    Outcome,
    Trial,
    at,
    evaluated,
    page,
)
from idiolect.evaluate.records import Arm

TRIAL = Trial(people=2, budgets=(60,))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("planted")


@pytest.fixture(scope="module")
def outcome(folder: Path) -> Outcome:
    return evaluated(TRIAL, folder)


def test_every_method_stays_within_the_calls_and_every_answer_is_scored(outcome: Outcome) -> None:
    arms = {scores.arm: scores for scores in outcome.primary.arms}
    assert {at(Arm(method), 60) for method in LEARNING} | {Arm(method) for method in FREE} < set(arms)
    assert all(scores.answers == 24 and not scores.unparsed and not scores.not_scored for scores in arms.values())
    assert all(record.learning.calls <= 60 and record.answering.calls == 12 for record in outcome.learning)
    assert arms[at(Arm("fermi[proposals=1]"), 60)].learning.calls == 2 * 60


def test_what_is_known_of_the_world_is_found(outcome: Outcome) -> None:
    assert outcome.score(Arm("few-shot")).value == 1
    assert outcome.score(Arm("vanilla")).value == 0
    assert outcome.score(at(Arm("fermi"), 60)).value == 0  # its first iteration doesn't fit
    assert 0 < outcome.score(at(Arm("fermi[proposals=1]"), 60)).value < 1


def test_comparisons_are_those_named_beforehand(outcome: Outcome) -> None:
    for summary, texts in ((outcome.primary, PRIMARY), (outcome.secondary, SECONDARY)):
        assert sum(comparison.primary for comparison in summary.comparisons) == len(texts) * len(TRIAL.budgets)


def test_going_on_asks_nothing_and_the_page_is_the_same(outcome: Outcome, folder: Path) -> None:
    kept = {name: (folder / name).read_bytes() for name in ("answers.jsonl", "learning.jsonl", "report.html")}
    again = evaluated(TRIAL, folder)
    assert {name: (folder / name).read_bytes() for name in kept} == kept
    told = [page(each, plot="plot.svg", command="…") for each in (outcome, again)]
    assert told[0] == told[1]
    assert "not a result on people" in told[0]
    assert "| few-shot | 100.0 |" in told[0]
