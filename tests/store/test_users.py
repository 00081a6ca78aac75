"""The store keeps people and what was learned for them, and tells clearly what it cannot keep."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from idiolect.errors import NotFittedError, StoreError, UnknownUserError
from idiolect.people.user import Opinion, Question, User, UserProfile
from idiolect.store import DEFAULT_TENANT, SavedUsers, Store
from idiolect.store.strict_json import digest

SCALE = Question("How much do you like ramen?", ("1", "2", "3"), ordinal=True)
WEIRD_IDS = ["用户/一", "a/b/../c", " leading", "Ünï 🦊", "x' OR '1'='1", "%", "line\nbreak", "A", "a"]


def person(user_id: str, *, answer: str = "2", texts: tuple[str, ...] = ()) -> User:
    return User(id=user_id, opinions=(Opinion(SCALE, answer),), texts=texts)


def full_person() -> User:
    opinions = (
        Opinion(SCALE, "3", extra={"wave": 92, "tags": ["a", {"b": None}]}),
        Opinion(Question("Why?"), "Because ☕ “quotes”\nand lines"),
        Opinion(Question("Pick", ("yes", "no")), "no"),
    )
    profile = UserProfile({"Zodiac": "Lion", "Age": "18-29", "Country": "日本"})
    return User("u1", profile, opinions, ("a text", "another\ttext"), extra={"source": {"pew": True, "weight": 1.5}})


@pytest.fixture
def store(store_target: str) -> Iterator[Store]:
    with Store.open(store_target, tenant=DEFAULT_TENANT) as opened:
        yield opened


def test_user_comes_back_with_what_was_learned(store: Store) -> None:
    store.save_users([full_person()])
    assert store.user_with("u1", "fermi") == (full_person(), None)
    store.save_personalization("u1", "fermi", {"prompts": []})
    assert store.user_with("u1", "fermi") == (full_person(), store.personalization_record("u1", "fermi"))
    assert store.user_with("u1", "chameleon") == store.user_with("u1", "\0") == (full_person(), None)
    with pytest.raises(UnknownUserError):
        store.user_with("u2", "fermi")


def test_user_comes_back_equal(store: Store) -> None:
    store.save_users([full_person()])
    assert store.user("u1") == full_person()
    assert list(store.user("u1").profile.attributes) == ["Zodiac", "Age", "Country"]


def test_user_survives_closing(tmp_path: Path) -> None:
    with Store.open(tmp_path, tenant=DEFAULT_TENANT) as store:
        store.save_users([full_person()])
        store.save_personalization("u1", "fermi", {"prompts": []})
    with Store.open(str(tmp_path), create=False, tenant=DEFAULT_TENANT) as store:
        assert store.user("u1") == full_person()
        assert store.personalization("u1", "fermi") == {"prompts": []}


def test_save_users_counts_new_and_updated(store: Store) -> None:
    assert store.save_users([person("a"), person("b")]) == SavedUsers(new=2, updated=0)
    assert store.save_users([person("b"), person("c")]) == SavedUsers(new=1, updated=1)
    assert store.save_users([]) == SavedUsers()


def test_save_users_replaces_opinions_and_keeps_what_was_learned(store: Store) -> None:
    store.save_users([full_person()])
    store.save_personalization("u1", "fermi", {"prompts": []})
    before = store.summary("u1")
    replaced = dataclasses.replace(full_person(), opinions=(Opinion(SCALE, "1"),), texts=(), extra={})
    store.save_users([replaced])
    after = store.summary("u1")
    assert store.user("u1") == replaced
    assert (after.n_opinions, after.n_texts, after.methods) == (1, 0, ("fermi",))
    assert after.created_at == before.created_at
    assert after.updated_at > before.updated_at


def test_save_users_lets_the_later_of_two_equal_ids_win(store: Store) -> None:
    people = [person("a", answer="1"), person("b"), person("a", answer="3")]
    assert store.save_users(people) == SavedUsers(new=2, updated=1)
    assert store.user("a").opinions[0].answer == "3"


def test_save_users_leaves_the_store_alone_when_the_iterable_raises(store: Store) -> None:
    store.save_users([person("old", answer="1")])

    def people() -> Iterator[User]:
        yield person("old", answer="3")
        for i in range(1200):
            yield person(f"new{i}")
        raise RuntimeError("the file ended early")

    with pytest.raises(RuntimeError, match="ended early"):
        store.save_users(people())
    assert [user.id for user in store.users()] == ["old"]
    assert store.user("old").opinions[0].answer == "1"


@pytest.mark.parametrize("user_id", WEIRD_IDS)
def test_ids_may_hold_anything_printable(store: Store, user_id: str) -> None:
    store.save_users([person(each) for each in WEIRD_IDS])
    store.save_personalization(user_id, "fermi", {"id": user_id})
    assert store.user(user_id).id == user_id
    assert store.personalization(user_id, "fermi") == {"id": user_id}
    assert [user.id for user in store.users() if user.methods] == [user_id]


def test_users_streams_thousands_in_the_order_of_their_ids(store: Store) -> None:
    ids = [f"u{i}" for i in range(5000)]
    assert store.save_users(person(user_id, texts=("t",)) for user_id in ids) == SavedUsers(new=5000)
    store.save_personalization("u4999", "fermi", {})
    store.save_personalization("u4999", "chameleon", {})
    listed = list(store.users())
    assert [user.id for user in listed] == sorted(ids)
    assert {(user.n_opinions, user.n_texts) for user in listed} == {(1, 1)}
    assert {user.id: user.methods for user in listed if user.methods} == {"u4999": ("chameleon", "fermi")}


def test_users_may_be_written_while_they_are_listed(store: Store) -> None:
    store.save_users(person(f"u{i:04}") for i in range(1100))
    for user in store.users():
        if user.id in ("u0000", "u0600"):
            store.save_personalization(user.id, "fermi", {})
    assert [user.id for user in store.users() if user.methods] == ["u0000", "u0600"]


def test_unknown_user_suggests_near_ids(store: Store) -> None:
    store.save_users([User("anna-1", texts=("my secret diary",)), person("bob")])
    with pytest.raises(UnknownUserError, match=r"no user 'ana-1'; did you mean 'anna-1'\?") as caught:
        store.user("ana-1")
    assert "secret" not in str(caught.value)


def test_unknown_user_suggests_nothing_far_away(store: Store) -> None:
    store.save_users([person("anna")])
    with pytest.raises(UnknownUserError, match=r"no user 'zzzzzz'$"):
        store.user("zzzzzz")


@pytest.mark.parametrize("user_id", ["nobody", "", "\0", "half \ud83d"])
def test_every_question_about_an_unknown_user_says_so(store: Store, user_id: str) -> None:
    for ask in (store.user, store.summary, store.personalizations):
        with pytest.raises(UnknownUserError):
            ask(user_id)
    for look_up in (store.personalization, store.personalization_record, store.find_personalization):
        with pytest.raises(UnknownUserError):
            look_up(user_id, "fermi")
    with pytest.raises(UnknownUserError):
        store.save_personalization(user_id, "fermi", {})


@pytest.mark.parametrize("method", ["fermi", "\0", "\udc00"])
def test_not_fitted_is_told_apart_from_unknown(store: Store, method: str) -> None:
    store.save_users([person("a")])
    assert store.personalizations("a") == []
    assert store.find_personalization("a", method) is None
    with pytest.raises(NotFittedError, match="learned nothing for user 'a'"):
        store.personalization("a", method)


def test_find_personalization_returns_the_record_of_one_method(store: Store) -> None:
    store.save_users([person("a"), person("b")])
    store.save_personalization("a", "baseline", {"k": 1})
    store.save_personalization("a", "chameleon", {"layers": [1]}, b"tensors")
    found = store.find_personalization("a", "chameleon")
    assert found == store.personalizations("a")[1] == store.personalization_record("a", "chameleon")
    assert found is not None
    assert (found.method, found.payload, found.tensors) == ("chameleon", {"layers": [1]}, b"tensors")
    assert store.find_personalization("b", "chameleon") is None


def test_personalization_replaces_the_earlier_one(store: Store) -> None:
    store.save_users([person("a")])
    store.save_personalization("a", "fermi", {"prompts": [{"text": "old"}]})
    store.save_personalization("a", "baseline", {"k": (1, 2)})
    first = store.personalizations("a")
    store.save_personalization("a", "fermi", {"prompts": [{"text": "new", "score": 0.5}]})
    baseline, fermi = store.personalizations("a")
    assert (baseline.method, baseline.payload) == ("baseline", {"k": [1, 2]})
    assert fermi.payload == {"prompts": [{"text": "new", "score": 0.5}]}
    assert fermi.created_at == first[1].created_at < fermi.updated_at
    assert fermi.created_at.tzinfo is not None
    assert fermi.digest == digest(fermi.payload) != first[1].digest


def test_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": "é"}) == digest({"b": "é", "a": 1})


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"score": float("nan")}, r"score: nan is not a JSON number"),
        ({"scores": [0.0, float("inf")]}, r"scores\[1\]: inf is not a JSON number"),
        ({"text": "a\0b"}, r"text: contains a NUL character"),
        ({"prompts": [{"text": "half \ud83d"}]}, r"prompts\[0\].text: contains a lone surrogate"),
        ({"a\0": 1}, "a key: contains a NUL character"),
        ({1: "one"}, "the key 1 is not a string"),
        ({"raw": b"bytes"}, "raw: a value of type bytes is not JSON"),
        ({"path": Path("x")}, "is not JSON"),
    ],
)
def test_payload_must_be_strict_json(store: Store, payload: dict[Any, Any], message: str) -> None:
    store.save_users([person("a")])
    with pytest.raises(StoreError, match=message):
        store.save_personalization("a", "fermi", payload)
    assert store.personalizations("a") == []


def test_payload_too_deep_is_refused(store: Store) -> None:
    store.save_users([person("a")])
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"d": deep}
    with pytest.raises(StoreError, match="nested deeper"):
        store.save_personalization("a", "fermi", deep)


def test_blank_method_and_payload_of_another_kind_are_wrong_arguments(store: Store) -> None:
    with pytest.raises(ValueError, match="method is blank"):
        store.save_personalization("a", " ", {})
    with pytest.raises(ValueError, match="payload is a list"):
        store.save_personalization("a", "fermi", [])  # type: ignore[arg-type]


def test_user_with_what_a_store_cannot_keep_names_the_place_not_the_text(store: Store) -> None:
    broken = User("u", opinions=(Opinion(SCALE, "1", extra={"note": "very secret \ud83d"}),))
    with pytest.raises(StoreError, match=r"user 'u': opinions\[0\].extra.note: contains a lone surrogate") as caught:
        store.save_users([person("fine"), broken])
    assert "very secret" not in str(caught.value)
    assert list(store.users()) == []


def test_closed_store_says_so(store: Store) -> None:
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.user("a")


def test_threads_may_share_a_store(store: Store) -> None:
    failures: list[Exception] = []

    def save(name: str) -> None:
        try:
            for i in range(5):
                store.save_users([person(f"{name}-{i}")])
                store.save_personalization(f"{name}-{i}", "fermi", {"i": i})
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=save, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sum(1 for user in store.users() if user.methods) == 20
