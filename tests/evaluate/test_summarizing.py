"""What the lines of an evaluation come to."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idiolect.evaluate.records import AnswerRecord, Arm, LearningRecord, MethodCost
from idiolect.evaluate.summarizing import summarize
from idiolect.evaluate.summary import Header, PersonReadings, Summary
from idiolect.models.language_model import Usage

BASE, FERMI, OTHERS = Arm("vanilla"), Arm("fermi"), Arm("fermi", "another's")
QUESTIONS = {f"q{number}": (f"Question {number}?", ("a", "b")) for number in range(6)}
RIGHT = {BASE: 0.3, FERMI: 0.7, OTHERS: 0.4}


def header(**changes: object) -> Header:
    plain = Header("task", "Title", {"seed": 0}, ("accuracy",), BASE, people_asked=5)
    return replace(plain, **changes)  # type: ignore[arg-type]


def answer(
    arm: Arm, user: str, question: int, value: float, *, seed: int = 0, measure: str = "accuracy"
) -> AnswerRecord:
    said = "a" if value else "b"
    return AnswerRecord(arm, seed, user, f"q{question}", question, "scored", {measure: value}, "", said, truth="a")


def lines(arms: Sequence[Arm] = (BASE, FERMI, OTHERS), people: int = 5) -> list[AnswerRecord]:
    rng = random.Random(3)
    return [
        answer(arm, f"u{user}", question, float(rng.random() < RIGHT[arm]))
        for arm in arms
        for user in range(people)
        for question in range(6)
    ]


def not_scored(user: str = "u9", arm: Arm = FERMI) -> AnswerRecord:
    return AnswerRecord(arm, 0, user, "q1", 1, "not scored", {}, "nothing to learn from", truth="a")


def without_order(summary: Summary) -> object:
    return (
        sorted(summary.arms, key=lambda scores: str(scores.arm)),
        sorted(summary.comparisons, key=str),
        sorted(summary.gains, key=str),
        summary.best,
        summary.worst,
        summary.people,
    )


def test_scores_are_means_over_people_in_order_of_first_appearance() -> None:
    answers = [
        answer(FERMI, "u", 0, 1.0),
        answer(FERMI, "u", 1, 0.0),
        answer(FERMI, "v", 0, 1.0),
        answer(BASE, "u", 0, 0.0),
    ]
    summary = summarize(answers, [], header())
    assert [scores.arm for scores in summary.arms] == [FERMI, BASE]
    assert summary.arms[0].scores["accuracy"].value == pytest.approx(0.75)
    assert (summary.arms[0].people, summary.arms[0].answers, summary.people) == (2, 3, 2)
    assert summary.header == header()


def test_seeds_are_averaged_before_anything_else() -> None:
    answers = [answer(FERMI, "u", 0, value, seed=seed) for seed, value in enumerate((1.0, 0.0, 0.0))]
    summary = summarize([*answers, answer(FERMI, "u", 1, 1.0), answer(BASE, "u", 0, 0.0)], [], header())
    scores = summary.arms[0]
    assert (scores.seeds, scores.answers, scores.scores["accuracy"].answers) == ((0, 1, 2), 4, 2)
    assert scores.scores["accuracy"].value == pytest.approx((1 / 3 + 1) / 2)
    assert summary.comparisons[0].difference.value == pytest.approx(1 / 3)


def test_comparisons_are_the_primary_ones_then_the_baseline_and_the_control() -> None:
    summary = summarize(lines(), [], header(primary=((FERMI, BASE),)))
    assert [(c.a, c.b, c.primary) for c in summary.comparisons] == [(FERMI, BASE, True), (FERMI, OTHERS, False)]
    first, second = summary.comparisons
    assert first.p_holm == first.p
    assert second.p_holm is None
    plain = summarize(lines(), [], header())
    assert [(c.a, c.b, c.primary) for c in plain.comparisons] == [(FERMI, BASE, False), (FERMI, OTHERS, False)]


def test_an_arm_is_compared_with_each_of_its_controls_over_those_who_have_it() -> None:
    same, other = Arm("fermi", "another's of the same kind"), Arm("fermi", "another's of another kind")
    answers = lines((BASE, FERMI, OTHERS), 6)
    theirs = [replace(each, arm=arm) for arm in (same, other) for each in answers if each.arm == OTHERS]
    answers = [each for each in (*answers, *theirs) if each.arm != OTHERS and (each.arm, each.user) != (same, "u5")]
    summary = summarize(answers, [], header(primary=((FERMI, same),)))
    assert [(str(c.b), c.primary, c.difference.people) for c in summary.comparisons] == [
        ("fermi · another's of the same kind", True, 5),
        ("vanilla", False, 6),
        ("fermi · another's of another kind", False, 6),
    ]


def test_other_numbers_of_opinions_and_other_models_are_not_held_against_the_baseline() -> None:
    few, elsewhere = Arm("fermi", n_train=5), Arm("fermi", answered_by="B")
    answers = [answer(arm, f"u{user}", 0, float(user % 2)) for arm in (BASE, few, elsewhere) for user in range(4)]
    summary = summarize(answers, [], header(), learned_with={few: "A", elsewhere: "A"})
    assert summary.comparisons == ()
    assert {gain.arm for gain in summary.gains} == {few}


def test_holm_is_over_the_primary_comparisons_alone() -> None:
    summary = summarize(lines(people=6), [], header(primary=((FERMI, BASE), (FERMI, OTHERS))))
    assert [comparison.primary for comparison in summary.comparisons] == [True, True]
    (first, second) = summary.comparisons
    assert first.p is not None
    assert second.p is not None
    assert first.p_holm is not None
    assert first.p_holm == pytest.approx(min(1.0, 2 * first.p if first.p <= second.p else max(first.p, 2 * second.p)))


def test_fewer_than_six_people_have_values_but_no_interval_and_no_p() -> None:
    few, enough = (summarize(lines(people=n), [], header(primary=((FERMI, BASE),))) for n in (5, 6))
    for arm in few.arms:
        assert (arm.scores["accuracy"].low, arm.scores["accuracy"].interval) == (None, "none: fewer than 6 people")
    assert {(c.difference.low, c.p, c.p_holm) for c in few.comparisons} == {(None, None, None)}
    assert None not in {c.difference.low for c in enough.comparisons} | {c.p for c in enough.comparisons}


def test_a_primary_comparison_that_cannot_be_made_is_told_and_still_counts_for_holm() -> None:
    summary = summarize(lines((BASE, FERMI), 6), [], header(primary=((FERMI, BASE), (FERMI, OTHERS))))
    (made,) = summary.comparisons
    assert made.p is not None
    assert made.p_holm == pytest.approx(min(1.0, 2 * made.p))
    assert "fermi · another's, named beforehand, cannot be made" in summary.header.notes[-1]


def test_what_is_not_scored_is_counted_by_reason_and_kept_out_of_comparisons() -> None:
    base = lines((BASE,))
    ours = [record for record in lines((FERMI,)) if record.user != "u0"]
    summary = summarize([*base, *ours, *(not_scored("u0") for _ in range(2)), not_scored("u8")], [], header())
    assert summary.arms[1].not_scored == {"nothing to learn from": 2}  # one line twice counts once
    assert summary.comparisons[0].difference.people == 4
    assert summary.arms[0].scores["accuracy"].people == 5


def test_a_line_that_is_there_twice_counts_as_its_last() -> None:
    answers = [answer(BASE, "u", 0, 0.0), answer(BASE, "u", 0, 1.0)]
    assert summarize(answers, [], header()).arms[0].scores["accuracy"].value == 1.0


def test_unparsed_answers_are_in_the_means_and_counted() -> None:
    wrong = replace(answer(BASE, "u", 0, 0.0), status="unparsed", answer=None, said="well …")
    scores = summarize([wrong, answer(BASE, "v", 0, 1.0)], [], header()).arms[0]
    assert (scores.unparsed, scores.answers, scores.scores["accuracy"].value) == (1, 2, 0.5)


def test_unparsed_answers_are_counted_by_person_and_nearly_only_such_fail_an_arm() -> None:
    unread = [replace(answer(FERMI, "u", n, 0.0), status="unparsed", answer=None) for n in range(5)]
    others = [answer(BASE, "u", 0, 1.0), *(answer(FERMI, "v", n, 1.0) for n in range(5))]
    assert summarize([*unread, *others], [], header()).readings == (
        PersonReadings("u", 6, 5, (str(FERMI),)),
        PersonReadings("v", 5, 0),
    )


def test_gains_point_upwards_where_less_is_better() -> None:
    answers = [answer(BASE, "u", 0, 2.0, measure="mae"), answer(FERMI, "u", 0, 0.5, measure="mae")]
    summary = summarize(answers, [], header(measures=("mae", "rmse")))
    assert [(gain.arm, gain.user, gain.gain, gain.answers) for gain in summary.gains] == [(FERMI, "u", 1.5, 1)]
    assert summary.comparisons[0].difference.value == -1.5
    assert [(shown.value, shown.baseline_value) for shown in summary.best] == [(0.5, 2.0)]
    assert summary.worst == ()
    assert "rmse" not in summary.arms[0].scores


def test_shown_answers_are_few_of_an_arm_and_without_texts_where_there_are_none() -> None:
    arms = [Arm(f"fermi[{number}]") for number in range(5)]
    answers = [answer(BASE, "u", question, 0.0) for question in range(6)]
    answers += [answer(arm, "u", question, 1.0) for arm in arms for question in range(6)]
    best = summarize(answers, [], header(), questions=QUESTIONS).best
    assert len(best) == 10
    assert max(sum(shown.arm == arm for shown in best) for arm in arms) == 3
    assert {(shown.truth, shown.answer, shown.baseline_answer) for shown in best} == {("a", "a", "b")}
    assert best[0].question in {text for text, _ in QUESTIONS.values()}
    bare = summarize(answers, [], header()).best
    assert {(shown.question, shown.choices, shown.truth, shown.answer) for shown in bare} == {("", (), "", "")}


def test_macro_f1_comes_from_answers_and_truths() -> None:
    said = [("a", "a"), ("a", "b"), ("b", "b"), ("b", None)]
    answers = [
        AnswerRecord(BASE, 0, f"u{number}", f"q{number}", 0, "scored", {"accuracy": 0.0}, answer=given, truth=truth)
        for number, (truth, given) in enumerate(said)
    ]
    summary = summarize(answers, [], header(measures=("accuracy", "macro_f1"), labels=("a", "b")))
    assert summary.arms[0].scores["macro_f1"].value == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_costs_and_gates_are_summed_and_layers_averaged() -> None:
    learning = [
        LearningRecord(
            FERMI, 0, f"u{user}", MethodCost(Usage(10, 100, 5), 4, 0.01, 2.0), MethodCost(Usage(1)), 6, used=user > 0,
            notes={"layers": [{"layer": 2, "loss": float(user), "kept": True}, {"layer": 0, "loss": 1.0}]},
        )
        for user in range(3)
    ]  # fmt: skip
    summary = summarize(lines((BASE, FERMI)), [*learning, learning[0]], header())
    scores = summary.arms[1]
    assert (scores.learning.calls, scores.learning.seconds, scores.answering.calls) == (30, 6.0, 3)
    assert (scores.learned_people, scores.used) == (3, 2)
    assert [(layer.layer, layer.values) for layer in summary.layers["fermi"]] == [
        (0, {"loss": 1.0}),
        (2, {"loss": 1.0}),
    ]
    assert summary.arms[0].used is None


def test_somebody_without_an_answer_that_counts_was_not_learned_from() -> None:
    """Nothing was there to learn from, the model failed, or no answer was left."""
    answers = [
        AnswerRecord(FERMI, 0, "u0", "q", 0, values={"accuracy": 1.0}),
        AnswerRecord(FERMI, 0, "u1", "q", 0, "not scored", reason="the model failed"),
    ]
    learning = [
        LearningRecord(FERMI, 0, "u0", MethodCost(Usage(10)), answers=1, used=True),
        LearningRecord(FERMI, 0, "u1", MethodCost(Usage(2)), answers=1),
        LearningRecord(FERMI, 0, "u2", used=True),
    ]
    (scores,) = summarize(answers, learning, header()).arms
    assert (scores.people, scores.learned_people, scores.used) == (1, 1, 1)
    assert scores.learning.calls == 12, "what was spent in vain is counted"
    assert scores.learning_per_person is not None
    assert scores.learning_per_person.calls == 10, "but it is not the cost of learning from a person"


def test_transfer_is_a_matrix_of_the_models() -> None:
    ours, theirs = Arm("fermi"), Arm("fermi[learned with B]")
    across, back = replace(ours, answered_by="B"), replace(theirs, answered_by="A")
    arms = {BASE: 0.0, replace(BASE, answered_by="B"): 0.0, ours: 0.1, across: 0.2, theirs: 0.3, back: 0.4}
    answers = [answer(arm, "u", 0, value) for arm, value in arms.items()]
    learned_with = {ours: "A", across: "A", theirs: "B", back: "B"}
    found = summarize(answers, [], header(), learned_with=learned_with, replayed=("B", "C")).transfer
    assert found is not None
    assert (found.method, found.models, found.replayed) == ("fermi", ("A", "B"), ("B",))
    assert {key: cell.value for key, cell in found.cells.items()} == {
        ("A", "A"): 0.1, ("A", "B"): 0.2, ("B", "B"): 0.3, ("B", "A"): 0.4,
    }  # fmt: skip
    assert summarize(lines(), [], header()).transfer is None


def test_nothing_yet_is_an_empty_summary() -> None:
    summary = summarize([], [], header(status="stopped", stopped_by="Ctrl-C"))
    assert (summary.arms, summary.comparisons, summary.people) == ((), (), 0)


@pytest.mark.parametrize(
    ("measures", "message"), [(("accuracy", "bleu"), "unknown measure 'bleu'"), ((), "needs a measure")], ids=str
)
def test_a_header_with_no_measure_or_an_unknown_one_is_refused(measures: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        summarize([], [], header(measures=measures))


@given(st.randoms(use_true_random=False))
@settings(max_examples=5, deadline=None)
def test_the_order_of_lines_does_not_matter(rng: random.Random) -> None:
    shuffled = [*lines(), not_scored()]
    rng.shuffle(shuffled)
    told = header(primary=((FERMI, BASE),))
    assert without_order(summarize(shuffled, [], told)) == without_order(summarize([*lines(), not_scored()], [], told))


@given(st.lists(st.sampled_from([f"u{number}" for number in range(20, 30)]), unique=True))
@settings(max_examples=5, deadline=None)
def test_lines_that_are_not_scored_change_no_mean(users: list[str]) -> None:
    plain = summarize(lines(), [], header())
    more = summarize([*lines(), *(not_scored(user) for user in users)], [], header())
    assert [scores.scores for scores in more.arms] == [scores.scores for scores in plain.arms]
    assert more.comparisons == plain.comparisons
    assert sum(more.arms[1].not_scored.values()) == len(users)
