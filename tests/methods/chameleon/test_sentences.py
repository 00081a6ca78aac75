import pytest
from hypothesis import given
from hypothesis import strategies as st

from idiolect.methods.chameleon.sentences import whole_sentences


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("One. Two and", "One."),
        ("One. Two", "One."),
        ("One. Two.", "One. Two."),
        ("One\n\nTwo!\nThree", "One\n\nTwo!"),
        ("Really?! Then", "Really?!"),
        ("I wonder… And", "I wonder…"),
        ("Wait... what", "Wait..."),
        ('He said "Yes." And then', 'He said "Yes."'),
        ("He said “Yes.” And then", "He said “Yes.”"),
        ("Er sagte: „Ja.“ Und", "Er sagte: „Ja.“"),
        ("C’est « oui ! » et", "C’est « oui ! »"),
        ("So (he said.) And", "So (he said.)"),
        ("**Bold.** And", "**Bold.**"),
        ("Great! 😊 And", "Great!"),
        ("The year was 1999. And", "The year was 1999."),
        ("好的。然后", "好的。"),
        ("他说：“好！”然后", "他说：“好！”"),
        ("本当？はい", "本当？"),
        ("यह है। और", "यह है।"),
        ("نعم؟ ثم", "نعم؟"),
    ],
)
def test_what_follows_the_last_sentence_is_cut(text: str, whole: str) -> None:
    assert whole_sentences(text) == whole


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no mark at all",
        "It costs 3.14 euros",
        "See example.com for",
        "I met Mr. Smith and",
        "J. R. R. Tolkien wrote",
        "Fruit, e.g. apples",
        "Buy:\n1. milk\n2. bread",
        "12. ",
    ],
)
def test_marks_that_end_no_sentence_are_no_end(text: str) -> None:
    assert whole_sentences(text) == ""
    assert whole_sentences(f"Before.\n{text}") == "Before."


def test_the_number_of_a_list_item_is_not_left_behind() -> None:
    assert whole_sentences("Two things.\n1. Milk is white.\n2. Bread") == "Two things.\n1. Milk is white."
    assert whole_sentences("Two things.\n1. Milk is white.\n2.") == "Two things.\n1. Milk is white."


@given(st.text(alphabet="ab .!?。\"')\n1", max_size=40))
def test_what_is_left_is_a_beginning_and_is_whole_itself(text: str) -> None:
    whole = whole_sentences(text)
    assert text.startswith(whole)
    assert whole_sentences(whole) == whole
