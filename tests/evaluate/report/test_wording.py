from __future__ import annotations

import math

import pytest

from idiolect.evaluate.measures import measure_named
from idiolect.evaluate.report.wording import amount, cleaned, probability, scalar, short_labels, shortened, shown


def test_cleaned_keeps_words_and_drops_what_is_none() -> None:
    assert cleaned({"a\x00": ("b\ud800\r\n", 1.5, None)}) == {"a": ("b\n", 1.5, None)}
    assert cleaned("שלום \u202eevil\u202c \u200fא") == "שלום evil \u200fא"


def test_shortened_keeps_both_ends() -> None:
    name = "chameleon[variant=gradient, layers=all, alpha=0.01]"
    assert shortened("fermi") == "fermi"
    assert shortened(name, 30) == "chameleon[variant=g…lpha=0.01]"
    assert len(shortened("x" * 900, 30)) == 30


def test_short_labels_of_different_names_differ() -> None:
    names = [f"{'x' * 50}{n}{'y' * 50}" for n in range(3)]
    assert len(set(short_labels([*names, names[0]]).values())) == 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (20.0, "20"),
        (13.66, "13.7"),
        (0.002, "0.00200"),
        (115840.2, "115,840"),
        (None, "–"),
        (math.nan, "–"),
    ],
)
def test_amount_tells_three_digits(value: float | None, text: str) -> None:
    assert amount(value) == text


def test_probability_is_never_told_as_nothing() -> None:
    assert [probability(p) for p in (0.0, 0.0009, 0.0456, None, math.nan)] == ["< 0.001", "< 0.001", "0.046", "–", "–"]


def test_shown_uses_a_minus_and_a_dash() -> None:
    measure = measure_named("accuracy")
    assert shown(measure, -0.0512, signed=True) == "−5.1"
    assert shown(measure, math.inf) == "–"


def test_scalar_reads_as_words() -> None:
    assert [scalar(value) for value in (True, False, None, "", 0.1, math.nan, 3)] == [
        "yes",
        "no",
        "–",
        "–",
        "0.1",
        "–",
        "3",
    ]
