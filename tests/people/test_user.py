from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from idiolect.people.user import Opinion, Question, QuestionKind, User, UserProfile

TEA = Question("Tea?", ("yes", "no"))
TEXTS = ("I wrote this.",)


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        (Question("Why?"), QuestionKind.FREE_TEXT),
        (TEA, QuestionKind.MULTIPLE_CHOICE),
        (Question("How much?", ("1", "2"), ordinal=True), QuestionKind.ORDINAL),
    ],
)
def test_question_kind_follows_its_choices(question: Question, kind: QuestionKind) -> None:
    assert question.kind is kind


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Question(" "), "question is blank"),
        (lambda: Question("Tea?", ("yes",)), "a single choice"),
        (lambda: Question("Tea?", ("yes", " ")), "a choice is blank"),
        (lambda: Question("Tea?", ("yes", "yes ")), "two choices are equal"),
        (lambda: Question("Tea?", ordinal=True), "ordinal requires choices"),
        (lambda: Question("Tea\0?"), "question contains a NUL character"),
        (lambda: Question("Tea?", "yes"), "choices must be a list, not a single text"),
        (lambda: Opinion(" ", "yes"), "question is blank"),
        (lambda: User("u1", {"Age": " "}, texts=TEXTS), "profile attribute 'Age' is blank"),
        (lambda: User("u1", texts="I wrote this."), "texts must be a list, not a single text"),
        (lambda: Opinion(TEA, ""), "answer is blank"),
        (lambda: Opinion(TEA, "maybe"), "not one of the choices"),
        (lambda: Opinion(Question("Why?"), "half \ud83d"), "answer contains a lone surrogate"),
        (lambda: Opinion(TEA, "yes", {"answer": "no"}), "extra contains 'answer'"),
        (lambda: UserProfile({"Age": " "}), "profile attribute 'Age' is blank"),
        (lambda: UserProfile({"": "18-29"}), "name of a profile attribute is blank"),
        (lambda: User(" ", texts=TEXTS), "id is blank"),
        (lambda: User("u1", texts=("",)), "a text is blank"),
        (lambda: User("u1"), "opinions, texts or both"),
        (lambda: User("u1", texts=TEXTS, extra={"profile": {}}), "extra contains 'profile'"),
        (lambda: User(1, texts=TEXTS), "id must be text, but is of type int"),
        (lambda: User("u1", "old", texts=TEXTS), "profile must map names to texts, but is of type str"),
        (lambda: User("u1", {"old": True}, texts=TEXTS), "profile attribute 'old' must be text, but is of type bool"),
        (lambda: User("u1", opinions={"Tea?": "yes"}), "opinions must be a list, not a value of type dict"),
        (lambda: User("u1", opinions=[("Tea?", "yes")]), "a list of Opinion, but one is of type tuple"),
        (lambda: User("u1", texts=5), "texts must be a list, not a value of type int"),
        (lambda: Question("Tea?", {"yes", "no"}), "choices must be a list, not a value of type set"),
        (lambda: Question("Tea?", [1, 2]), "a choice must be text, but is of type int"),
        (lambda: Question("Tea?", ["yes", "no"], "yes"), "ordinal must be True or False, but is of type str"),
        (lambda: Opinion(None, "yes"), "question must be text or a Question, but is of type NoneType"),
    ],
)
def test_values_refuse_what_makes_no_sense(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("extra", [3, ["wave"], None, "wave"])
def test_extra_keys_have_to_be_a_mapping(extra: Any) -> None:
    with pytest.raises(TypeError, match="extra must map names to JSON values, but is of type"):
        User("a", texts=TEXTS, extra=extra)
    with pytest.raises(TypeError, match="extra must map names to JSON values, but is of type"):
        Opinion(TEA, "yes", extra=extra)


def test_numbers_in_a_profile_become_text_as_in_a_users_file() -> None:
    assert User("u1", {"Age": 34, "Height": 1.8}, texts=TEXTS).profile == UserProfile({"Age": "34", "Height": "1.8"})


def test_lists_mappings_and_plain_questions_become_the_values_that_are_kept() -> None:
    drinks = Opinion("What do you drink?", "Tea")
    rated = Opinion(Question("How much?", ["1", "2"], ordinal=True), "2")
    user = User("u1", profile={"Age": "30-44"}, opinions=[drinks, rated], texts=(text for text in TEXTS))
    assert user == User(
        "u1",
        UserProfile({"Age": "30-44"}),
        (Opinion(Question("What do you drink?"), "Tea"), Opinion(Question("How much?", ("1", "2"), True), "2")),
        TEXTS,
    )
    assert isinstance(user.profile, UserProfile)
    assert (type(user.opinions), type(user.texts), type(rated.question.choices)) == (tuple, tuple, tuple)
    assert hash(user) == hash(replace(user, opinions=list(user.opinions)))


def test_user_does_not_change_with_what_it_was_made_of() -> None:
    attributes, extra = {"Age": "18-29"}, {"topic": "tea"}
    user = User("u1", UserProfile(attributes), (Opinion(TEA, "yes", extra),), extra=extra)
    attributes["Age"] = extra["topic"] = "changed"
    assert user == User(
        "u1", UserProfile({"Age": "18-29"}), (Opinion(TEA, "yes", {"topic": "tea"}),), (), {"topic": "tea"}
    )


def test_users_that_are_equal_hash_equally() -> None:
    one, other = (User("u1", UserProfile({"A": "1"}), texts=TEXTS, extra={"list": [1]}) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)


def test_profile_without_attributes_is_false() -> None:
    assert not UserProfile()
    assert UserProfile({"Age": "18-29"})
