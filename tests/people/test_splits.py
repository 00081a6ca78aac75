from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idiolect.errors import PersonalizationError, SettingsError
from idiolect.people.splits import shuffled, split_opinions, split_people
from idiolect.people.user import Opinion, Question, User


def person(user_id: str, opinions: int = 10) -> User:
    return User(user_id, opinions=tuple(Opinion(Question(f"Q{i}"), f"A{i}") for i in range(opinions)))


PEOPLE = [person(f"u{number}") for number in range(20)]


def test_split_keeps_the_order_of_the_file_without_a_seed() -> None:
    split = split_opinions(PEOPLE[0], n_train=4)
    assert split.train + split.test == PEOPLE[0].opinions
    assert len(split.train) == 4


@given(st.integers(1, 9), st.integers())
def test_split_holds_every_opinion_once(n_train: int, seed: int) -> None:
    split = split_opinions(PEOPLE[0], n_train=n_train, seed=seed)
    assert len(split.train) == n_train
    assert set(split.train) | set(split.test) == set(PEOPLE[0].opinions)
    assert not set(split.train) & set(split.test)


def test_split_depends_on_seed_and_user() -> None:
    splits = {split_opinions(user, n_train=5, seed=seed) for user in (PEOPLE[0], PEOPLE[1]) for seed in (0, 1)}
    assert len(splits) == 4
    assert split_opinions(PEOPLE[0], n_train=5, seed=0) == split_opinions(person("u0"), n_train=5, seed=0)


def test_shuffle_is_the_same_in_every_version_and_process() -> None:
    assert shuffled("abcdefgh", "test", 0) == tuple("bfadcghe")


@pytest.mark.parametrize("n_train", [10, 11])
def test_split_needs_an_opinion_to_test_on(n_train: int) -> None:
    with pytest.raises(PersonalizationError, match="user 'u0' has 10 opinions"):
        split_opinions(PEOPLE[0], n_train=n_train)


def test_split_refuses_to_learn_from_nothing() -> None:
    with pytest.raises(ValueError, match="n_train must be at least 1, but is 0"):
        split_opinions(PEOPLE[0], n_train=0)


@given(st.lists(st.integers(1, 7), min_size=1, max_size=3).filter(lambda sizes: sum(sizes) <= 20), st.integers())
def test_groups_of_people_are_disjoint_and_of_their_sizes(sizes: list[int], seed: int) -> None:
    groups = split_people(PEOPLE, sizes=sizes, seed=seed)
    ids = [user.id for group in groups for user in group]
    assert [len(group) for group in groups] == sizes
    assert len(set(ids)) == len(ids)


def test_groups_depend_on_the_seed_but_not_on_the_order_of_the_file() -> None:
    groups = split_people(PEOPLE, sizes=(5, 10), seed=1)
    assert split_people(reversed(PEOPLE), sizes=(5, 10), seed=1) == groups
    assert split_people(PEOPLE, sizes=(5, 10), seed=2) != groups


@pytest.mark.parametrize("sizes", [(), (0, 3), (-1,)])
def test_groups_need_sizes(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="sizes must be at least 1 each"):
        split_people(PEOPLE, sizes=sizes, seed=0)


def test_groups_refuse_one_person_twice() -> None:
    with pytest.raises(ValueError, match="two users have the id 'u3'"):
        split_people([*PEOPLE, person("u3")], sizes=(5,), seed=0)


def test_groups_refuse_more_people_than_there_are() -> None:
    with pytest.raises(SettingsError, match=r"groups of 15 \+ 6 people need more than the 20"):
        split_people(PEOPLE, sizes=(15, 6), seed=0)
