from dataclasses import replace

import pytest

from idiolect import Opinion, Question, User
from idiolect.errors import PersonalizationError
from idiolect.methods.chameleon.roles import deal_roles
from tests.methods.chameleon.planted import rater, settings, writer


def test_roles_share_out_the_history_without_overlap() -> None:
    user = writer(20)
    roles = deal_roles(user, settings())
    assert len(roles.judging) == 4
    assert len(roles.choosing) == 4
    assert sorted([*roles.judging, *roles.choosing, *roles.learning.texts]) == sorted(user.texts)


def test_roles_never_hold_out_one_of_two_opinions_on_the_same_question() -> None:
    twice = tuple(Opinion(Question(f"Same {i}?", ("a", "b"), ordinal=o), "a") for i in range(4) for o in (False, True))
    roles = deal_roles(User("u", opinions=twice), settings())
    assert roles.judging == roles.choosing == ()


def test_roles_leave_two_items_to_learn_from() -> None:
    roles = deal_roles(rater(3), settings(evidence=0.7, choosing=0.2))
    assert len(roles.learning.opinions) == 2
    assert len(roles.judging) == 1


def test_roles_of_too_little_history_are_an_error() -> None:
    with pytest.raises(PersonalizationError, match="at least 2"):
        deal_roles(writer(1), settings())


def test_roles_depend_on_the_user_and_the_seed_only() -> None:
    made, user = settings(), writer(20)
    assert deal_roles(user, made) == deal_roles(user, made)
    other = replace(made, generation=replace(made.generation, seed=1))
    assert deal_roles(user, made).judging != deal_roles(user, other).judging
