"""A person's own words as answers: nothing is lost, flattened or shortened, and questions are as they are asked."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from idiolect import Opinion, Question
from idiolect.methods.answering import AnsweringSettings, asked_block
from idiolect.methods.chameleon.own_words import own_answers, windows
from idiolect.methods.texts import MAX_CHARS, PLAIN_REQUEST

LIKELIHOOD = AnsweringSettings(mode="likelihood", show_choices=False)
GENERATED = replace(LIKELIHOOD, mode="generate")


@given(st.text(alphabet="ab .!?\n\t。é", max_size=120), st.integers(1, 30))
@example("a" * 100, 7)
@example("one. two. three.\n\nfour", 12)
def test_windows_lose_nothing_but_whitespace_between_them(text: str, most: int) -> None:
    found = windows(text, max_chars=most)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(piece and piece == piece.strip() and len(piece) <= most for piece in found)
    at = 0
    for piece in found:  # each is in the text as it was written, one after the other
        at = text.index(piece, at) + len(piece)


@given(st.text(max_size=60))
def test_a_text_that_fits_stays_as_it_was_written(text: str) -> None:
    assert windows(text, max_chars=60) == ([text.strip()] if text.strip() else [])


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("One two.\n\nThree four five.", ["One two.", "Three four five."]),
        ("One two three\nfour five six", ["One two three", "four five six"]),
        ("One two three. Four five six", ["One two three.", "Four five six"]),
        ("one two three four five", ["one two three four", "five"]),
        ("onetwothreefourfivesix", ["onetwothreefourfiv", "esix"]),
        ("One.\n\nTwo three four five six", ["One.\n\nTwo three", "four five six"]),
    ],
)
def test_a_window_ends_where_the_text_breaks(text: str, pieces: list[str]) -> None:
    """At a paragraph, a line, a sentence, a word, or anywhere; a break in the first half is left for a rougher one."""
    assert windows(text, max_chars=18) == pieces


def test_a_text_answers_a_plain_request_with_its_line_breaks() -> None:
    text = "Dear all,\n\n- bread\n- tea\n\nyours"
    (answer,) = own_answers([text], LIKELIHOOD)
    assert [message.content for message in answer.request.messages] == [PLAIN_REQUEST]
    assert (answer.request.choices, answer.chosen) == ((text,), 0)


def test_a_long_text_gives_an_answer_per_window() -> None:
    text = " ".join(f"Sentence number {i} is here." for i in range(200))
    found = own_answers([text, "short"], LIKELIHOOD)
    assert len(found) > 4
    said = [answer.request.choices[0] for answer in found]
    assert " ".join(said) == f"{text} short"
    assert max(map(len, said)) <= MAX_CHARS


def test_an_opinion_chooses_among_all_choices_of_the_question_as_it_is_asked() -> None:
    question = Question("How is bread?", ("bad", "fine", "good"))
    (answer,) = own_answers([Opinion(question, "good")], LIKELIHOOD)
    assert (answer.request.choices, answer.chosen) == ((" bad", " fine", " good"), 2)
    assert answer.request.prefill
    assert answer.request.messages[0].content == asked_block(question, LIKELIHOOD)


def test_a_model_that_writes_its_choice_is_given_no_beginning() -> None:
    question = Question("How is bread?", ("bad", "fine", "good"))
    (answer,) = own_answers([Opinion(question, "fine")], GENERATED)
    assert (answer.request.choices, answer.chosen, answer.request.prefill) == (("bad", "fine", "good"), 1, "")
    assert answer.request.messages[0].content == asked_block(question, GENERATED)
    assert "good" in answer.request.messages[0].content


def test_a_free_answer_is_an_answer_to_its_question() -> None:
    (answer,) = own_answers([Opinion("Why bread?", "Because\nof tea.")], LIKELIHOOD)
    assert (answer.request.choices, answer.chosen) == (("Because\nof tea.",), 0)
    assert "Why bread?" in answer.request.messages[0].content
    long = own_answers([Opinion("Why bread?", "Because of tea. " * 200)], LIKELIHOOD)
    assert len(long) > 2
    assert {each.request.messages for each in long} == {answer.request.messages}
