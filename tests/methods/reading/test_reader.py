"""Readings of replies that a test names, besides those of the documented table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idiolect import Question
from idiolect.methods.reading.lamp import read_label
from idiolect.methods.reading.reader import read_choice
from idiolect.people.lamp_forms import CITATIONS, MOVIE_TAGS
from tests.methods.people import SCALE, steady
from tests.people.strategies import texts

SATISFIED = ("Satisfied", "Not satisfied", "No opinion")


def parsed(text: str, *choices: str) -> str | None:
    return read_choice(text, Question("What do you say?", choices))


@pytest.mark.parametrize(
    ("reply", "choice"),
    [
        ("Satisfied", "Satisfied"),
        ("satisfied.", "Satisfied"),
        ("Answer: Not satisfied", "Not satisfied"),
        ("The answer is: Not Satisfied.", "Not satisfied"),
        ("the ANSWER is satisfied", "Satisfied"),
        ("\n\n  “No opinion”\nbecause I said so", "No opinion"),
        ("I would say this person is not satisfied, on the whole.", "Not satisfied"),
        ("B", "Not satisfied"),
        ("(b) ", "Not satisfied"),
        ("c. whatever", "No opinion"),
        ("A) No opinion", None),  # the letter says "Satisfied"
        ("Let me think.\nThey are satisfied.", "Satisfied"),
        ("Satisfied or not satisfied", None),
        ("Satisfied\nNot satisfied", None),
        ("D", None),
        ("dissatisfied", None),
        ("", None),
        ("   \n ", None),
        ("Answer:", None),
        ("Maybe", None),
    ],
)
def test_read_choice_reads_words_and_letters(reply: str, choice: str | None) -> None:
    assert parsed(reply, *SATISFIED) == choice


@pytest.mark.parametrize(
    ("reply", "choice"),
    [("4", "4"), ("4.", "4"), ("Answer: 4", "4"), ("I'd rate it 4, maybe.", "4"), ("４", "4"), ("4.5", None),
     ("4.7", None), ("0.4", None), ("4,7", None), ("14", None), ("44", None), ("4 or 5", None), ("four", "4"),
     ("B", None)],
)  # fmt: skip
def test_read_choice_takes_no_part_of_a_number(reply: str, choice: str | None) -> None:
    assert parsed(reply, *SCALE) == choice


@pytest.mark.parametrize(
    ("reply", "choice"),
    [("4.0", "4"), ("4.00", "4"), ("Answer: 4.0", "4"), ("**4.0**", "4"), ('"4.0".', "4"), ("4.0\n\nGood.", "4"),
     ("+4", "4"), ("04", "4"), ("6.0", None), ("4.5", None), ("3.999", None), ("4.0 or 5.0", None), ("4e0", None),
     ("nan", None), ("4.0/5", "4"), ("4/5", "4"), ("4/10", None)],
)  # fmt: skip
def test_read_choice_takes_a_number_for_the_choice_that_is_the_same(reply: str, choice: str | None) -> None:
    assert parsed(reply, *SCALE) == choice


@pytest.mark.parametrize(
    ("reply", "choices", "choice"),
    [
        ("1.5", ("1", "1.5", "2"), "1.5"),
        ("1.50", ("1", "1.5", "2"), "1.5"),
        ("-2.0", ("-2", "0", "2"), "-2"),
        ("4.00", ("4", "4.0"), None),  # two choices are that number
        ("4.0", ("4 stars", "5 stars"), None),
        ("1.0", ("[1]", "[2]"), None),
    ],
)
def test_read_choice_compares_numbers_with_numbers_only(
    reply: str, choices: tuple[str, ...], choice: str | None
) -> None:
    assert parsed(reply, *choices) == choice


@pytest.mark.parametrize(
    ("reply", "choice"),
    [
        ("[1]", "[1]"),
        ("1", "[1]"),
        ("[2].", "[2]"),
        (" [2]\n\n[1] is about cooking.", "[2]"),
        ("Answer: [1]", "[1]"),
        ("The answer is [2].", "[2]"),
        ("The related reference is [2].", "[2]"),
        ("Reference 2 is related.", "[2]"),
        ('[2]: "The 1 percent"', "[2]"),  # brackets win over digits in a title
        ('[1] "Level-2 caches for 2 cores"', "[1]"),
        ("The paper is about nets.\nSo it is [1].", "[1]"),
        ("[1] or [2]", None),
        ("Either 1 or 2", None),
        ("[3]", None),
        ("Neither.", None),
    ],
)
def test_lamps_citations_have_a_reading_of_their_own(reply: str, choice: str | None) -> None:
    assert read_label(reply, Question("Which one?", CITATIONS.labels)) == choice


@pytest.mark.parametrize(
    ("reply", "choice"),
    [
        ("sci-fi", "sci-fi"),
        ("Sci-Fi", "sci-fi"),
        ("Tag: sci-fi.", "sci-fi"),
        ("tag: [true story]", "true story"),
        ("The tag is 'dark comedy'.", "dark comedy"),
        ('This movie relates to the tag "thought-provoking".', "thought-provoking"),
        ("based on a book\n\nIt is a true story, too.", "based on a book"),
        ("**twist ending**", "twist ending"),
        ("comedy, romance", None),
        ("thriller", None),
        ("a dystopian film", None),
    ],
)
def test_lamps_movies_have_a_reading_of_their_own(reply: str, choice: str | None) -> None:
    assert read_label(reply, Question("Which tag?", MOVIE_TAGS)) == choice


@pytest.mark.parametrize(
    ("reply", "choices", "choice"),
    [
        ("-2", ("-2", "0", "2"), "-2"),
        ("The answer is -2.", ("-2", "0", "2"), "-2"),
        ("Answer: 2.", ("-2", "0", "2"), "2"),
        ("I'd say 2, I guess", ("-2", "0", "2"), "2"),
        ("C++", ("C", "C++", "C#"), "C++"),
        ("they prefer c# by far", ("C", "C++", "C#"), "C#"),
        ("a", ("A", "a"), "a"),
        ("I take a, please", ("A", "a"), None),
        ("STRASSE", ("Straße", "Weg"), "Straße"),
        ("cafe\u0301", ("café", "tea"), "café"),
        ("是的", ("是的", "不"), "是的"),
        ("?", ("?", "!"), "?"),
        ("Answers vary", ("Answers vary", "vary"), "Answers vary"),
        ("A", ("A", "B"), "A"),
        ("(b)", ("b", "a"), "b"),
    ],
)
def test_read_choice_tells_similar_choices_apart(reply: str, choices: tuple[str, ...], choice: str | None) -> None:
    assert parsed(reply, *choices) == choice


@steady
@given(st.lists(texts(), min_size=2, max_size=6, unique_by=str.strip))
def test_read_choice_reads_every_choice_as_itself(choices: list[str]) -> None:
    assert [parsed(choice, *choices) for choice in choices] == choices


@steady
@given(st.text(max_size=40), st.lists(texts(), min_size=2, max_size=4, unique_by=str.strip))
def test_read_choice_returns_a_choice_or_none(reply: str, choices: list[str]) -> None:
    assert parsed(reply, *choices) in {*choices, None}


def test_read_choice_refuses_free_text() -> None:
    with pytest.raises(ValueError, match="no choices"):
        read_choice("yes", Question("Why?"))
