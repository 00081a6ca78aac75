"""Changes of single users: a new user is written once, texts are appended once, and pages follow each other."""

from __future__ import annotations

import threading

import pytest

from idiolect.errors import StoreError, UnknownUserError
from idiolect.people.user import Opinion, User
from idiolect.store import DEFAULT_TENANT, Store
from idiolect.store.people_changes import add_texts, add_user, page_of_users

ANN = User("ann", opinions=[Opinion("Tea?", "yes")])


@pytest.fixture
def store(store_target: str) -> Store:
    return Store.open(store_target, tenant=DEFAULT_TENANT)


def test_a_user_is_added_once(store: Store) -> None:
    with store:
        assert add_user(store, ANN)
        assert not add_user(store, User("ann", texts=["I walk."]))
        assert store.user("ann") == ANN


def test_of_users_added_at_the_same_time_one_is_stored(store: Store) -> None:
    added: list[bool] = []
    start = threading.Barrier(4)

    def add(number: int) -> None:
        start.wait()
        added.append(add_user(store, User("ann", texts=[f"I walk {number} miles."])))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    with store:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(added) == [False, False, False, True]
        assert len(store.user("ann").texts) == 1


def test_texts_are_appended_once(store: Store) -> None:
    with store:
        add_user(store, ANN)
        assert add_texts(store, "ann", ["I walk.", "I sing.", "I walk."]) == 2
        assert add_texts(store, "ann", ["I sing.", "I read."]) == 1
        assert store.user("ann").texts == ("I walk.", "I sing.", "I read.")
        assert store.user("ann").opinions == ANN.opinions


@pytest.mark.parametrize("user_id", ["bob", "a\0b", "\ud800"])
def test_texts_need_a_known_user(store: Store, user_id: str) -> None:
    with store, pytest.raises(UnknownUserError):
        add_texts(store, user_id, ["I walk."])


def test_a_text_that_cannot_be_stored_changes_nothing(store: Store) -> None:
    with store:
        add_user(store, ANN)
        with pytest.raises(StoreError, match="NUL"):
            add_texts(store, "ann", ["I walk.", "a\0b"])
        assert store.user("ann").texts == ()


def test_pages_follow_each_other(store: Store) -> None:
    with store:
        store.save_users([User(f"u{n}", texts=["I walk."]) for n in range(5)])
        first = page_of_users(store, after=None, most=2)
        second = page_of_users(store, after=first[-1].id, most=9)
    assert [user.id for user in first] == ["u0", "u1"]
    assert [user.id for user in second] == ["u2", "u3", "u4"]
