"""The memory: a total order, exact scores, bounds that hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idiolect import Opinion, Question
from idiolect.methods.alignment import AlignmentThresholds
from idiolect.methods.answering import Response
from idiolect.methods.fermi.memory import Memory, ScoredAnswer, judge
from idiolect.methods.fermi.prompt import Prompt
from tests.methods.people import SCALE, scored, steady

CHOICE = Opinion(Question("Which?", ("a", "b")), "a")
RATING = Opinion(Question("How much?", SCALE, ordinal=True), "2")
WHY = Opinion(Question("Why?"), "for the taste of it")


def test_the_memory_keeps_the_best_and_the_older_of_equals() -> None:
    memory = Memory(3).updated([scored("c", [1.0, 0.0], born=3), scored("a", [0.5, 0.5], born=1)])
    memory = memory.updated([scored("d", [0.0, 1.0], born=4), scored("b", [1.0, 1.0], born=2)])
    assert [entry.prompt.text for entry in memory.entries] == ["b", "a", "c"]
    assert memory.size == 3


def test_the_memory_takes_no_prompt_that_is_not_fully_scored() -> None:
    with pytest.raises(ValueError, match="not fully scored"):
        Memory(1).updated([scored("a", [1.0, None])])


def test_quoted_opinions_do_not_count() -> None:
    prompt = scored(Prompt("a", quotes=(1,)), [1.0, None, 0.5])
    assert prompt.scoreable == (0, 2)
    assert prompt.complete
    assert prompt.score == 0.75


def test_a_prompt_that_quotes_everything_scores_zero() -> None:
    prompt = scored(Prompt("a", quotes=(0, 1)), [None, None])
    assert (prompt.complete, prompt.score, prompt.bound(1.0)) == (True, 0.0, 0.0)


fractions = st.sampled_from([0.0, 0.25, 1 / 3, 0.5, 2 / 3, 0.75, 0.1, 1.0])


@steady
@given(st.lists(st.tuples(fractions, st.booleans()), min_size=1, max_size=12))
def test_bounds_hold_in_floating_point(cells: list[tuple[float, bool]]) -> None:
    known = scored("a", [score if asked else None for score, asked in cells])
    full = scored("a", [score for score, _ in cells])
    assert known.bound(0.0) <= full.score <= known.bound(1.0)


@steady
@given(st.permutations([0.1, 0.2, 0.3, 0.7, 1 / 3, 2 / 3, 0.9]))
def test_a_score_does_not_depend_on_the_order_of_opinions(scores: list[float]) -> None:
    assert scored("a", scores).score == scored("a", sorted(scores)).score


def test_misaligned_are_the_asked_ones_under_their_threshold() -> None:
    opinions = [CHOICE, RATING, WHY, CHOICE]
    prompt = scored("a", [1.0, 0.75, 0.2, None])
    assert prompt.misaligned(opinions, AlignmentThresholds()) == (1,)
    assert prompt.misaligned(opinions, AlignmentThresholds(ordinal=0.75, free_text=0.3)) == (2,)


def test_an_unparsable_reply_is_misaligned_and_kept_as_said() -> None:
    judged = judge(CHOICE, Response("I can't tell, a or b", None))
    assert judged == ScoredAnswer(Response("I can't tell, a or b", None), 0.0)


@pytest.mark.parametrize(
    ("opinion", "answer", "score"), [(CHOICE, "a", 1.0), (RATING, "5", 0.25), (WHY, "taste", 1 / 3)]
)
def test_judging_is_alignment_with_what_was_said(opinion: Opinion, answer: str, score: float) -> None:
    assert judge(opinion, Response(answer, answer)).score == pytest.approx(score)
