"""Masked names: which words are names, what is left of a text without them, and that nothing else changes."""

from __future__ import annotations

import pytest

from idiolect import Opinion, Question, User, UserProfile
from idiolect.people.masked_names import mask_names

COMMON = "the nothing will we he said of to king and it"
"""Words in lower case, so that they are no names."""


def masked(*texts: str) -> tuple[str, ...]:
    """The texts of a person beside somebody who writes common words."""
    found = mask_names([User("ann", texts=texts), User("bob", texts=(COMMON,))])
    return found.users[0].texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I met Turner in London.", "I met NAME in NAME."),
        ("We saw Turner. Turner left.", "We saw NAME. NAME left."),
        ("We saw Charles Dickens there.", "We saw NAME there."),
        ("It is Turner's coat, and the Smiths’ hat.", "It is NAME's coat, and the NAME’ hat."),
        ("It is Turner’s.", "It is NAME’s."),
        ("I think I'm right, and I’ve said it; O Lord!", "I think I'm right, and I’ve said it; O NAME!"),
        ("So I’d've said, and I'LL say.", "So I’d've said, and I'LL say."),
        ("We met O'Brien and O’Connor there, and I'Anson.", "We met NAME and NAME there, and NAME."),
        ("Nothing is said. But Nothing is lost.", "Nothing is said. But Nothing is lost."),
        ("He said: Come here. “Come,” he said.", "He said: Come here. “Come,” he said."),
        ("The sun set.\nSo we left (They say).", "The sun set.\nSo we left (NAME say)."),
        ("We asked Mr. Turner and J. S. Mill.", "We asked NAME and NAME."),
        ("From London--Paris is far.", "From NAME--NAME is far."),
        ("We went to Stratford-upon-Avon.", "We went to NAME."),
        ("Turner left before us.", "Turner left before us."),
        ("He is a Frenchman of the KING.", "He is a NAME of the KING."),
        ("A PLAY BY ANN", "A NAME"),
        ("It was 3 p.m. when Élodie came.", "It was 3 p.m. when NAME came."),
    ],
)
def test_names_are_capitalized_words_within_a_sentence(text: str, expected: str) -> None:
    assert masked(text) == (expected,)


def test_a_name_is_masked_wherever_the_person_writes_it_and_for_nobody_else() -> None:
    ann = User("ann", texts=("Turner left us.", "We saw Turner here, Turner there. He will turner a bowl."))
    bob = User("bob", texts=("Turner left us.",))
    found = mask_names([ann, bob])
    assert found.users[0].texts == ("NAME left us.", "We saw NAME here, NAME there. He will turner a bowl.")
    assert found.users[1].texts == bob.texts, "only within a sentence can a name be told from another word"
    assert mask_names([bob, ann]).users == found.users[::-1]
    assert (found.words, found.masked) == (3 + 11 + 3, 3)


def test_a_word_that_anybody_has_in_lower_case_as_often_is_no_name() -> None:
    ann, bob = User("ann", texts=("So March came.",)), User("bob", texts=("we march on",))
    assert mask_names([ann, bob]).users[0].texts == ("So March came.",)
    twice = User("ann", texts=("So March came.", "In March too."))
    assert mask_names([twice, bob]).users[0].texts == ("So NAME came.", "In NAME too.")


def test_only_texts_change_and_the_share_is_counted() -> None:
    opinion = Opinion(Question("Where is Big Ben?", ("In London", "In Paris")), "In London")
    user = User("ann", UserProfile({"Name": "Ann Smith"}), (opinion,), ("we love London and Paris",))
    found = mask_names([user])
    assert found.users[0].texts == ("we love NAME and NAME",)
    assert (found.users[0].opinions, found.users[0].profile) == (user.opinions, user.profile)
    assert (found.words, found.masked, found.share) == (5, 2, 0.4)
    assert mask_names([]).share == 0.0
