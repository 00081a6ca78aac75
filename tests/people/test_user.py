from __future__ import annotations

from collections.abc import Callable

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
        (lambda: Question("Tea?", ordinal=True), "ordinal needs choices"),
        (lambda: Question("Tea\0?"), "question holds a NUL character"),
        (lambda: Opinion(TEA, ""), "answer is blank"),
        (lambda: Opinion(TEA, "maybe"), "not one of the choices"),
        (lambda: Opinion(Question("Why?"), "half \ud83d"), "answer holds a lone surrogate"),
        (lambda: Opinion(TEA, "yes", {"answer": "no"}), "extra holds 'answer'"),
        (lambda: UserProfile({"Age": " "}), "profile attribute 'Age' is blank"),
        (lambda: UserProfile({"": "18-29"}), "name of a profile attribute is blank"),
        (lambda: User(" ", texts=TEXTS), "id is blank"),
        (lambda: User("u1", texts=("",)), "a text is blank"),
        (lambda: User("u1"), "opinions, texts or both"),
        (lambda: User("u1", texts=TEXTS, extra={"profile": {}}), "extra holds 'profile'"),
    ],
)
def test_values_refuse_what_makes_no_sense(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


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
