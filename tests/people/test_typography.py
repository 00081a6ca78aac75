from __future__ import annotations

import pytest

from idiolect.people.typography import difference, folded, like_one_of


@pytest.mark.parametrize(
    ("answer", "choice", "how"),
    [
        ("Don't know", "Don\u2019t know", "the apostrophe (\u2019 U+2019, here ' U+0027)"),
        (
            'The "other" one',
            "The \u201cother\u201d one",
            'the quotation mark (\u201c U+201C \u201d U+201D, here " U+0022)',
        ),
        ("18-29", "18\u201329", "the dash (\u2013 U+2013, here - U+002D)"),
        ("Not sure", "Not\u00a0sure", "blanks"),
        ("Not  sure", "Not sure", "blanks"),
        ("Not\u200b sure", "Not sure", "blanks"),
        ("Not\u200e sure", "Not sure", "blanks"),
        ("not SURE", "Not sure", "case"),
        ("Cafe\u0301", "Caf\u00e9", "the Unicode form of a character"),
        ("don't  know", "Don\u2019t know", "the apostrophe (\u2019 U+2019, here ' U+0027) and blanks and case"),
    ],
)
def test_difference_is_named(answer: str, choice: str, how: str) -> None:
    assert like_one_of(answer, ["Something else", choice]) == 1
    assert difference(answer, choice) == how


@pytest.mark.parametrize("answer", ["Dont know", "Know", "", "Don't know."])
def test_other_words_are_not_alike(answer: str) -> None:
    assert like_one_of(answer, ["Don\u2019t know", "Yes"]) is None


def test_answer_that_is_like_several_choices_is_like_none() -> None:
    assert like_one_of("yes", ["Yes", "YES"]) is None


def test_minus_signs_and_soft_hyphens_are_dashes() -> None:
    assert folded("\u22121 to\u00ad1") == folded("-1 to-1")
