"""The gate: a personalization is used only where held-out opinions say that it beats the base model."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idiolect.errors import SettingsError
from idiolect.methods.evidence import Evidence, EvidenceSettings, weigh
from tests.methods.people import steady

GATE = EvidenceSettings(share=0.2)


@pytest.mark.parametrize(
    ("personalized", "base", "margin", "used"),
    [
        ([1.0, 0.0], [0.0, 0.0], 0.0, True),
        ([1.0, 0.0], [0.0, 1.0], 0.0, False),
        ([0.0], [1.0], 0.0, False),
        ([1.0] * 6 + [0.0] * 4, [1.0] * 5 + [0.0] * 5, 0.1, False),  # a tie with the margin, exactly
        ([0.1, 0.2, 0.3], [0.3, 0.1, 0.2], 0.0, False),
        ([1.0, 1.0], [0.0, 0.0], 0.99, True),
    ],
)
def test_a_personalization_is_used_only_above_the_margin(
    personalized: list[float], base: list[float], margin: float, used: bool
) -> None:
    assert weigh(personalized, base, EvidenceSettings(0.2, margin)).used is used


def test_the_evidence_keeps_what_it_is_made_of() -> None:
    evidence = weigh([0.25, 0.5], [1.0, 0.25], EvidenceSettings(0.5, 0.125))
    assert evidence == Evidence((0.25, 0.5), (1.0, 0.25), 0.125)
    assert (evidence.n, evidence.difference) == (2, -0.25)


@steady
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=8))
def test_both_sides_never_win_and_order_does_not_matter(pairs: list[tuple[float, float]]) -> None:
    ours, theirs = zip(*pairs, strict=True)
    one, other = weigh(ours, theirs, GATE), weigh(theirs, ours, GATE)
    assert one.difference == -other.difference == weigh(ours[::-1], theirs[::-1], GATE).difference
    assert not (one.used and other.used)
    assert not weigh(ours, ours, GATE).used


def test_the_reason_is_one_sentence() -> None:
    worse = weigh([1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0], GATE)
    assert worse.reason == (
        "on 4 held-out opinions the personalization scored 0.25, the base model 0.50: the base model answers"
    )
    assert weigh([1.0], [0.5], GATE).reason == (
        "on 1 held-out opinion the personalization scored 1.00, the base model 0.50: the personalization answers"
    )
    assert weigh([0.5], [0.4], EvidenceSettings(0.2, 0.3)).reason == (
        "on 1 held-out opinion the personalization scored 0.50, the base model 0.40, a lead within the margin of 0.30: "
        "the base model answers"
    )


@pytest.mark.parametrize(
    ("personalized", "base", "told"),
    [
        ([], [], "nothing is held out"),
        ([1.0], [1.0, 0.0], "1 personalized scores, but 2"),
        ([1.5], [1.0], "score is 1.5"),
        ([1.0], [math.nan], "score is nan"),
    ],
)
def test_what_is_no_evidence_is_refused(personalized: list[float], base: list[float], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        weigh(personalized, base, GATE)


@pytest.mark.parametrize(
    "values", [{"share": 1.0}, {"share": -0.1}, {"share": math.nan}, {"margin": -0.1}, {"margin": 1.0}]
)
def test_settings_that_make_no_sense_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=r"^evidence\.(share|margin) is "):
        EvidenceSettings(**values)


@pytest.mark.parametrize(
    ("held_out", "margin", "learned_from", "used"),
    [
        ((0.5, 0.5), 0.0, (0.6, 0.5), True),
        ((0.5, 0.5), 0.0, (0.5, 0.5), False),
        ((0.5, 0.5), 0.0, (0.4, 0.5), False),
        ((0.5, 0.5), 0.0, None, False),
        ((0.6, 0.5), 0.2, (0.9, 0.1), True),
        ((0.8, 0.5), 0.2, (0.1, 0.9), True),  # no tie: what was learned from is not heard
        ((0.4, 0.5), 0.2, (0.9, 0.1), False),  # nor here
    ],
)
def test_a_tie_is_decided_where_it_was_learned_from(
    held_out: tuple[float, float], margin: float, learned_from: tuple[float, float] | None, used: bool
) -> None:
    personalized, base = held_out
    evidence = Evidence((personalized,), (base,), margin, learned_from)
    assert evidence.used is used
    assert ("learned from" in evidence.reason) is (evidence.tied and learned_from is not None)


def test_who_decides_a_tie_is_one_of_two() -> None:
    with pytest.raises(SettingsError, match=r"evidence\.ties"):
        EvidenceSettings(ties="coin")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("own", "few_shot", "base", "margin", "winner"),
    [
        (0.8, 0.5, 0.4, 0.0, "personalization"),
        (0.8, 0.5, 0.8, 0.0, "base"),  # not ahead of the base model
        (0.8, 0.75, 0.4, 0.1, "few-shot"),  # a lead within the margin
        (0.5, 0.5, 0.4, 0.0, "few-shot"),
        (0.3, 0.5, 0.4, 0.0, "few-shot"),
        (0.3, 0.4, 0.5, 0.0, "base"),
        (0.5, 0.4, 0.45, 0.2, "personalization"),  # few-shot is no candidate, and the margin protects it alone
        (0.5, 0.45, 0.45, 0.2, "personalization"),
        (0.45, 0.4, 0.45, 0.0, "base"),
        (0.5, 0.46, 0.45, 0.2, "few-shot"),
    ],
)
def test_few_shot_is_a_third_side(own: float, few_shot: float, base: float, margin: float, winner: str) -> None:
    evidence = weigh([own] * 3, [base] * 3, EvidenceSettings(0.2, margin), few_shot=[few_shot] * 3)
    assert evidence.winner == winner
    assert evidence.used is (winner != "base")
    names = {"personalization": "the personalization", "few-shot": "few-shot", "base": "the base model"}
    assert evidence.reason == (
        f"on 3 held-out opinions, the personalization scored {own:.2f}, few-shot {few_shot:.2f}, "
        f"the base model {base:.2f}: {names[winner]} answers"
    )


def test_small_means_beside_few_shot_have_two_decimals_as_the_others() -> None:
    third = 1 / 3
    evidence = weigh([1.0, *[0.0] * 6], [third, *[0.0] * 6], GATE, few_shot=[third, *[0.0] * 6])
    assert "the personalization scored 0.14, few-shot 0.05, the base model 0.05:" in evidence.reason


def test_without_few_shot_there_are_two_sides() -> None:
    assert weigh([1.0], [0.0], GATE).winner == "personalization"
    assert weigh([0.0], [1.0], GATE).winner == "base"


def test_the_reason_names_opinions_that_were_not_held_out() -> None:
    kind = "opinions, each without what was learned from it"
    several = Evidence((1.0, 0.5), (0.0, 0.5), kind=kind)
    assert several.reason == (
        "on 2 opinions, each without what was learned from it, the personalization scored 0.75, the base model 0.25: "
        "the personalization answers"
    )
    assert Evidence((1.0,), (0.0,), kind=kind).reason.startswith("on 1 opinion, each without what was learned from it,")


def test_few_shot_scores_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="1 scores of few-shot, but 2"):
        weigh([1.0, 0.0], [1.0, 0.0], GATE, few_shot=[1.0])
    with pytest.raises(ValueError, match=r"score is 1\.5"):
        weigh([1.0], [1.0], GATE, few_shot=[1.5])


def test_crossed_scores_hold_out_nothing() -> None:
    with pytest.raises(SettingsError, match=r"evidence\.share is 0\.2"):
        EvidenceSettings(0.2, by="crossed")
    with pytest.raises(SettingsError, match=r"evidence\.by"):
        EvidenceSettings(by="guess")  # type: ignore[arg-type]
