from dataclasses import replace
from functools import partial

import pytest

from idiolect import Opinion, Question, User
from idiolect.errors import PersonalizationError
from idiolect.methods.chameleon.roles import Roles, deal_group_roles, deal_roles, items_of
from idiolect.methods.chameleon.settings import ChameleonSettings, preset
from tests.methods.chameleon.planted import rater, settings, writer


def deal(user: User, made: ChameleonSettings) -> Roles:
    (roles,) = deal_roles([user], made, owner=user.id)
    return roles


def test_roles_share_out_the_history_without_overlap() -> None:
    user = writer(20)
    roles = deal(user, settings())
    assert len(roles.judging) == 4
    assert len(roles.choosing) == 4
    assert roles.learning is not None
    assert sorted([*roles.judging, *roles.choosing, *roles.learning.texts]) == sorted(user.texts)


def test_roles_keep_opinions_on_the_same_question_together() -> None:
    twice = tuple(Opinion(Question(f"Same {i}?", ("a", "b"), ordinal=o), "a") for i in range(8) for o in (False, True))
    roles = deal(User("u", opinions=twice), settings())
    assert roles.learning is not None
    sides = (roles.learning.opinions, roles.choosing, roles.judging)
    asked = [{item.question.text for item in side if isinstance(item, Opinion)} for side in sides]
    assert [len(side) for side in sides] == [8, 4, 4]
    assert not asked[0] & asked[1] | asked[0] & asked[2] | asked[1] & asked[2]


def test_roles_of_a_group_hold_out_the_same_questions_for_everybody() -> None:
    members = [replace(rater(12), id=name) for name in "abc"]
    dealt = deal_roles(members, settings(), owner="g")
    held = {item.question.text for roles in dealt for item in roles.judging if isinstance(item, Opinion)}
    assert len(held) == 2
    for roles in dealt:
        assert roles.learning is not None
        assert not held & {opinion.question.text for opinion in roles.learning.opinions}
        assert {item.question.text for item in roles.judging if isinstance(item, Opinion)} == held


@pytest.mark.parametrize("seed", range(8))
def test_roles_never_learn_from_a_free_answer_that_is_a_held_out_text(seed: int) -> None:
    texts = tuple(f"text number {i} of eight" for i in range(8))
    told = tuple(Opinion(Question(f"What is {i}?"), text) for i, text in enumerate(texts[:4]))
    made = settings()
    made = replace(made, generation=replace(made.generation, seed=seed))
    roles = deal(User("u", opinions=told, texts=texts), made)
    held = [item if isinstance(item, str) else item.answer for item in (*roles.judging, *roles.choosing)]
    assert held
    assert roles.learning is not None
    assert not set(held) & {*roles.learning.texts, *(opinion.answer for opinion in roles.learning.opinions)}


def test_roles_leave_enough_to_learn_from() -> None:
    roles = deal(rater(3), settings(evidence=0.7, choosing=0.2))
    assert roles.learning is not None
    assert len(roles.learning.opinions) == 2
    assert len(roles.judging) == 1
    few = deal(writer(5), preset("measured"))
    assert few.learning is not None
    assert len(few.learning.texts) == 4
    assert len(few.judging) == 1
    assert few.choosing == ()


def test_roles_of_too_little_history_are_an_error() -> None:
    with pytest.raises(PersonalizationError, match=r"learning needs 2 different opinions and texts, but .* has 1"):
        deal(writer(1), settings())
    with pytest.raises(PersonalizationError, match="learning needs 4"):
        deal(writer(3), preset("measured"))


def test_fermi_is_advised_only_to_a_person_with_opinions() -> None:
    few = rater(2)
    with pytest.raises(PersonalizationError, match="give a longer history, or use Fermi, which needs only one opinion"):
        deal_roles([few], preset("grouped"), owner=few.id)
    with pytest.raises(PersonalizationError, match=r"give a longer history$"):
        deal_roles([writer(2)], preset("grouped"), owner=writer(2).id)
    for deal_group in (partial(deal_group_roles, most_judging=4), deal_roles):
        with pytest.raises(PersonalizationError, match=r"'readers' has 2: give a longer history$"):
            deal_group([few], preset("grouped"), owner="readers")


@pytest.mark.parametrize("owner", ["ann", "bob", "cyd", "dan"])
def test_what_was_learned_from_judges_later_only_where_more_is_held_out(owner: str) -> None:
    made, texts = settings(evidence=0.2), writer(60).texts
    before: set[str] = set()
    learned: set[str] = set()
    for n in range(10, 60):
        (roles,) = deal_roles([User(owner, texts=texts[:n])], made, owner=owner)
        judging = {item for item in roles.judging if isinstance(item, str)}
        more = max(len(judging) - len(before), 0) if before else len(judging)
        assert len(judging & learned) <= more
        assert roles.learning is not None
        before, learned = judging, set(roles.learning.texts)


def test_roles_depend_on_the_owner_and_the_seed_only() -> None:
    made, user = settings(), writer(20)
    assert deal(user, made) == deal(user, made)
    other = replace(made, generation=replace(made.generation, seed=1))
    assert deal(user, made).judging != deal(user, other).judging


@pytest.mark.parametrize("owner", [f"group {at}" for at in range(12)])
def test_roles_of_a_group_leave_every_member_something_to_learn_from(owner: str) -> None:
    """Also a member with one text, one whose question others answer, and one whose text is another's free answer."""
    text = User("text", texts=("the only text of somebody",))
    asked = User("asked", opinions=rater(1).opinions)
    quoted = User("quoted", texts=("What I say, others repeat",))
    two = User("two", texts=("one of two texts", "and the other"))
    said = Opinion(Question("What do you repeat?"), "what I say others repeat.")
    many = User("many", opinions=(*rater(8).opinions, said), texts=writer(12).texts)
    members = [text, many, asked, quoted, two]
    dealt = dict(
        zip(
            (user.id for user in members),
            deal_roles(members, settings(evidence=0.3, choosing=0.3), owner=owner),
            strict=True,
        )
    )
    for user in (text, asked, quoted):
        assert dealt[user.id] == Roles(learning=user)
    assert dealt["two"].learning is not None
    rest = dealt["many"]
    assert rest.learning is not None
    assert {rater(1).opinions[0], said} <= set(rest.learning.opinions), "they go with the items of the others"
    assert rest.judging
    assert rest.choosing
    held = [*rest.judging, *rest.choosing, *dealt["two"].judging, *dealt["two"].choosing]
    assert not set(held) & {item for roles in dealt.values() if roles.learning for item in items_of(roles.learning)}
    assert len(held) == 2 * round(0.3 * 25), "as many as without them"


def test_roles_of_a_group_of_single_texts_hold_nothing_out() -> None:
    members = [User(f"u{at}", texts=(f"text number {at} of ten",)) for at in range(10)]
    assert deal_roles(members, settings(), owner="g") == [Roles(learning=user) for user in members]


def test_short_answers_that_many_questions_share_are_learned_from() -> None:
    user = User("u", opinions=tuple(Opinion(f"How was dish {i}?", "good") for i in range(10)))
    (roles,) = deal_roles([user], preset("measured"), owner="u")
    assert (roles.n_learning, len(roles.judging)) == (8, 2)
    long = User("u", opinions=tuple(Opinion(f"How was dish {i}?", "good, but the rice was cold") for i in range(10)))
    (roles,) = deal_roles([long], preset("measured"), owner="u")
    assert (roles.n_learning, len(roles.judging)) == (10, 0), "no answer judges that was learned from"
