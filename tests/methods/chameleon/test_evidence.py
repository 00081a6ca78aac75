"""Texts and opinions are weighed on their own scales, so that neither drowns the other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from idiolect.errors import SettingsError
from idiolect.methods.chameleon.evidence import (
    ChameleonEvidence,
    JudgingSettings,
    TextEvidence,
    evidence_numbers,
    moderated_t,
)
from idiolect.methods.evidence import Evidence, EvidenceSettings, weigh
from tests.methods.people import steady

PLAIN = JudgingSettings()


def texts(*log_ratios: float, base: float = -4.0) -> TextEvidence:
    n = len(log_ratios)
    return TextEvidence(tuple(base + ratio for ratio in log_ratios), (base,) * n, (50,) * n)


def opinions(*scores: tuple[float, float], margin: float = 0.0) -> Evidence:
    """From pairs of the edited model's score and the base model's."""
    edited, base = zip(*scores, strict=True)
    return Evidence(edited, base, margin)


WON, LOST, TIED = (1.0, 0.0), (0.0, 1.0), (0.5, 0.5)


def test_texts_that_lose_on_average_never_speak_for_the_edit() -> None:
    """Probabilities of tokens rise by 0.004 on average here: one likely text gains, and three unlikely ones lose."""
    base, edited = (-5.0, -5.0, -5.0, -1.0), (-5.2, -5.2, -5.2, -0.9)
    by_probability = weigh([math.exp(x) for x in edited], [math.exp(x) for x in base], EvidenceSettings(share=0.2))
    assert by_probability.used
    evidence = ChameleonEvidence(TextEvidence(edited, base, (9, 9, 9, 9)), None, PLAIN)
    assert evidence.texts is not None
    assert evidence.texts.difference == pytest.approx(-0.125)
    assert not evidence.used
    assert evidence.reason == (
        "on 4 held-out texts, 0.13 nat per token less likely than under the base model: the base model answers"
    )


@steady
@given(st.lists(st.floats(-2, 2), min_size=1, max_size=8), st.floats(0, 0.5))
def test_of_texts_alone_only_the_sign_of_their_mean_lead_counts(ratios: list[float], margin: float) -> None:
    evidence = ChameleonEvidence(texts(*ratios), None, JudgingSettings(text_margin=margin))
    assert evidence.texts is not None
    assert evidence.used is (evidence.texts.difference > margin)


@steady
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=8), st.sampled_from([0.0, 0.1]))
def test_opinions_alone_decide_as_in_fermi(scores: list[tuple[float, float]], margin: float) -> None:
    found = opinions(*scores, margin=margin)
    assert ChameleonEvidence(None, found, PLAIN).used is found.used


@pytest.mark.parametrize(
    ("ratios", "scores", "used"),
    [
        ((0.3, 0.2, 0.4, 0.3), [TIED] * 4, True),  # a gain on texts beside a tie of opinions
        ((-0.3, -0.2, -0.4, -0.3), [TIED] * 4, False),
        ((0.3, 0.2, 0.4, 0.3), [LOST, TIED, TIED, TIED], True),  # one opinion is little evidence of harm
        ((0.3, 0.2, 0.4, 0.3), [LOST] * 4, False),  # four are much
        ((-0.3, -0.2, -0.4, -0.3), [WON] * 4, False),  # and texts are protected likewise
        ((-0.03, 0.02, -0.04, 0.03), [WON, WON, TIED, TIED], True),
        ((0.03, -0.02, 0.04, -0.03), [LOST, LOST, TIED, TIED], False),
    ],
)
def test_neither_kind_drowns_the_other(
    ratios: tuple[float, ...], scores: list[tuple[float, float]], used: bool
) -> None:
    assert ChameleonEvidence(texts(*ratios), opinions(*scores), PLAIN).used is used


def test_many_texts_do_not_outvote_a_clear_loss_on_few_opinions() -> None:
    many = texts(*([0.2, 0.3] * 20))
    lost = opinions(*[LOST] * 4)
    unlimited = JudgingSettings(harm_limit=None)
    assert ChameleonEvidence(many, lost, unlimited).used
    evidence = ChameleonEvidence(many, lost, PLAIN)
    assert (evidence.used, evidence.harmed) == (False, ("opinions",))
    assert evidence.leads["texts"] > -evidence.leads["opinions"] > PLAIN.harm_limit > 0  # type: ignore[operator]


@steady
@given(
    st.lists(st.floats(-1, 1), min_size=1, max_size=6),
    st.lists(st.sampled_from([WON, LOST, TIED]), min_size=1, max_size=6),
)
def test_both_sides_never_win(ratios: list[float], scores: list[tuple[float, float]]) -> None:
    one = ChameleonEvidence(texts(*ratios), opinions(*scores), PLAIN)
    swapped = opinions(*[(base, edited) for edited, base in scores])
    other = ChameleonEvidence(texts(*[-ratio for ratio in ratios]), swapped, PLAIN)
    assert not (one.used and other.used)


def test_the_order_of_items_does_not_matter() -> None:
    ratios, scores = (0.1, -0.3, 0.25), [WON, LOST, LOST]
    one = ChameleonEvidence(texts(*ratios), opinions(*scores), PLAIN)
    other = ChameleonEvidence(texts(*ratios[::-1]), opinions(*scores[::-1]), PLAIN)
    assert (one.used, one.reason) == (other.used, other.reason)
    assert one.leads == pytest.approx(other.leads)


def test_the_moderated_t_statistic_is_between_its_prior_and_students() -> None:
    values = [0.1, 0.4, -0.2, 0.5]
    mean = float(np.mean(values))
    student = mean / (np.std(values, ddof=1) / math.sqrt(4))
    assert moderated_t(values, mean=mean, prior_sd=0.2, prior_df=1e-9) == pytest.approx(student)
    assert moderated_t(values, mean=mean, prior_sd=0.2, prior_df=1e9) == pytest.approx(mean / 0.2 * 2)
    pooled = math.sqrt((4 * 0.2**2 + 3 * np.var(values, ddof=1)) / 7)
    assert moderated_t(values, mean=mean, prior_sd=0.2, prior_df=4) == pytest.approx(mean / pooled * 2)
    assert moderated_t([0.3], mean=0.3, prior_sd=0.2, prior_df=4) == pytest.approx(1.5)
    assert moderated_t([0.3, 0.3], mean=0.2, prior_sd=0.2, prior_df=4) == pytest.approx(0.2 / 0.2 * math.sqrt(2.5))


def test_a_lead_counts_from_its_margin_and_a_loss_from_zero() -> None:
    settings = JudgingSettings(text_margin=0.1)
    small = ChameleonEvidence(texts(0.05, 0.06), None, settings)
    assert not small.used
    assert small.harmed == ()
    assert small.reason == (
        "on 2 held-out texts, 0.055 nat per token likelier than under the base model; the lead on texts is within the "
        "margin: the base model answers"
    )
    assert ChameleonEvidence(texts(0.05, 0.2), None, settings).used
    beside = ChameleonEvidence(texts(0.02, 0.02), opinions((0.6, 0.5), margin=0.3), PLAIN)
    assert beside.leads["opinions"] < 0 < beside.leads["texts"]
    far = ChameleonEvidence(texts(*[0.02] * 9), opinions(*[WON] * 9), JudgingSettings(text_margin=0.3))
    assert far.leads["texts"] < -1.5, "far below its margin"
    assert (far.harmed, far.used) == ((), True), "a gain harms nobody, however large the margin"


def test_a_tie_of_opinions_is_decided_by_what_the_variant_was_chosen_with() -> None:
    tie = opinions(TIED, TIED)
    for known, used in ((texts(0.2), True), (texts(-0.2), False)):
        chosen = ChameleonEvidence(known, opinions(WON, LOST), PLAIN)
        evidence = ChameleonEvidence(None, tie, PLAIN, chosen)
        assert (evidence.tied, evidence.used) == (True, used)
    assert evidence.reason == (
        "on 2 held-out opinions, 0.50 against the base model's 0.50, a tie; on 1 text that the variant was chosen "
        "with, 0.20 nat per token less likely than under the base model; on 2 opinions that the variant was chosen "
        "with, 0.50 against the base model's 0.50: the base model answers"
    )
    assert not ChameleonEvidence(None, tie, PLAIN).used
    likelier = ChameleonEvidence(None, tie, PLAIN, likelihood=0.3)
    assert likelier.used
    assert likelier.reason == (
        "on 2 held-out opinions, 0.50 against the base model's 0.50, a tie; their answers 0.30 nat likelier than under "
        "the base model: the edit answers"
    )
    assert not ChameleonEvidence(None, tie, PLAIN, likelihood=0.0).used
    assert not ChameleonEvidence(None, opinions(LOST), PLAIN, likelihood=0.3).used, "no tie"
    no_tie = ChameleonEvidence(texts(-0.1), tie, PLAIN, ChameleonEvidence(texts(0.9), None, PLAIN))
    assert (no_tie.tied, no_tie.used) == (False, False), "texts do not tie"


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (
            (texts(0.2, 0.22, 0.2, 0.22), opinions((0.62, 0.58), (0.62, 0.58), (0.62, 0.58), (0.62, 0.58))),
            "on 4 held-out texts, 0.21 nat per token likelier than under the base model; on 4 held-out opinions, 0.62 "
            "against the base model's 0.58: the edit answers",
        ),
        (
            (texts(0.25), opinions(TIED)),
            "on 1 held-out text, 0.25 nat per token likelier than under the base model; on 1 held-out opinion, 0.50 "
            "against the base model's 0.50: the edit answers",
        ),
        (
            (texts(0.3, 0.3, 0.3), opinions(LOST, TIED, TIED)),
            "on 3 held-out texts, 0.30 nat per token likelier than under the base model; on 3 held-out opinions, 0.33 "
            "against the base model's 0.67; the lead on texts outweighs the loss on opinions: the edit answers",
        ),
        (
            (texts(-0.1, -0.1), opinions((0.6, 0.5), (0.5, 0.5))),
            "on 2 held-out texts, 0.10 nat per token less likely than under the base model; on 2 held-out opinions, "
            "0.55 against the base model's 0.50; the loss on texts outweighs the lead on opinions: the base model "
            "answers",
        ),
        (
            (texts(0.9, 0.9, 0.9), opinions(LOST, LOST, LOST)),
            "on 3 held-out texts, 0.90 nat per token likelier than under the base model; on 3 held-out opinions, 0.00 "
            "against the base model's 1.00; the loss on opinions is too large: the base model answers",
        ),
        (
            (None, opinions((0.62, 0.58))),
            "on 1 held-out opinion, 0.62 against the base model's 0.58: the edit answers",
        ),
        ((texts(0.0), None), "on 1 held-out text, as likely as under the base model: the base model answers"),
    ],
)
def test_the_reason_states_both_kinds_in_plain_words(
    found: tuple[TextEvidence | None, Evidence | None], reason: str
) -> None:
    assert ChameleonEvidence(*found, PLAIN).reason == reason


def test_an_opinion_whose_lead_is_within_the_margin_is_stated_so() -> None:
    tie = ChameleonEvidence(None, opinions((0.6, 0.5), margin=0.2), PLAIN)
    assert tie.reason == (
        "on 1 held-out opinion, 0.60 against the base model's 0.50; the lead on opinions is within the margin: the "
        "base model answers"
    )
    known = ChameleonEvidence(None, opinions(WON), PLAIN)
    assert (
        ", a lead within the margin; on 1 opinion that the"
        in ChameleonEvidence(None, tie.opinions, PLAIN, known).reason
    )


def test_numbers_of_a_kind_that_is_not_there_are_none() -> None:
    both = evidence_numbers(ChameleonEvidence(texts(0.1, 0.3), opinions(WON, TIED), PLAIN))
    assert both["texts"] == {"n": 2, "tokens": 100, "nat_per_token": pytest.approx(0.2)}
    assert both["opinions"] == {"n": 2, "edited": 0.75, "base": 0.25}
    assert evidence_numbers(ChameleonEvidence(texts(0.1), None, PLAIN))["opinions"] is None
    assert evidence_numbers(ChameleonEvidence(None, opinions(WON), PLAIN))["texts"] is None
    mixed = Evidence((0.02, 1.0), (0.01, 0.0), kind="opinions and texts")
    assert evidence_numbers(mixed) == {"texts": None, "opinions": None}


def test_evidence_survives_json() -> None:
    adapter = TypeAdapter(ChameleonEvidence)
    known = ChameleonEvidence(texts(0.1), None, PLAIN)
    evidence = ChameleonEvidence(None, opinions(TIED), JudgingSettings(harm_limit=None), known)
    assert adapter.validate_json(adapter.dump_json(evidence)) == evidence


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (((), (), ()), "no text is held out"),
        (((-1.0,), (-1.0, -2.0), (3, 3)), "1 edited, 2 base log-probabilities and 2 counts of tokens"),
        (((-1.0,), (-1.0,), ()), "0 counts of tokens"),
        (((math.nan,), (-1.0,), (3,)), "log-probability is nan"),
        (((-1.0,), (-math.inf,), (3,)), "log-probability is -inf"),
        (((-1.0,), (-1.0,), (0,)), "tokens is 0"),
    ],
)
def test_texts_that_are_no_evidence_are_refused(
    made: tuple[tuple[float, ...], tuple[float, ...], tuple[int, ...]], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        TextEvidence(*made)


def test_nothing_is_no_evidence() -> None:
    with pytest.raises(ValueError, match="nothing is held out"):
        ChameleonEvidence(None, None, PLAIN)


@pytest.mark.parametrize(
    "values",
    [
        {"text_margin": -0.1},
        {"text_margin": math.nan},
        {"harm_limit": 0.0},
        {"prior_df": 0.0},
        {"text_sd": math.inf},
        {"opinion_sd": -1.0},
    ],
)
def test_settings_that_make_no_sense_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=r"^judging\.\w+ is "):
        JudgingSettings(**values)
