"""Responses are kept for a while, and each comment on one becomes an opinion once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from idiolect.erasure.forgetting import forget_user
from idiolect.erasure.served_rows import served_rows
from idiolect.errors import UnknownUserError
from idiolect.people.user import User
from idiolect.store import DEFAULT_TENANT, Store
from idiolect.store.jobs import Jobs
from idiolect.store.responses import Comment, Given, Learning, Response, Responses

DAY = 86400.0
FIT = Learning(2, "fermi", {"continue": True})


@pytest.fixture
def store(store_target: str) -> Iterator[Store]:
    with Store.open(store_target, tenant=DEFAULT_TENANT) as store:
        store.save_users(User(name, texts=[f"The letters of {name} are long."]) for name in ("ann", "bob"))
        yield store


def _keep(store: Store, *ids: str, user: str = "ann", most: int = 20, seconds: float = DAY) -> int:
    new = [Response(each, user, f"What about {each}?", f"{each} is a fine thing to have.") for each in ids]
    return Responses(store.rows).keep(new, most=most, seconds=seconds)


def _give(
    store: Store, comment: Comment, *, user: str | None = "ann", learning: Learning | None = None
) -> Given | None:
    return Responses(store.rows).give(comment, user_id=user, learning=learning, seconds=DAY)


def _said(response: str, words: str = "I would have tea.") -> Comment:
    return Comment(response, "said", {"said": words})


def _rated(response: str, rating: str = "up") -> Comment:
    return Comment(response, "rating", {"rating": rating})


def _opinions(store: Store, user: str = "ann") -> dict[str, str]:
    return {each.question.text: each.answer for each in store.user(user).opinions}


def test_each_kind_of_comment(store: Store) -> None:
    assert _keep(store, "tea", "milk", "rum") == 3
    chosen: dict[str, Any] = {"choice": "never", "choices": ["never", "always"], "ordinal": True}
    assert _give(store, _said("tea")) == Given("ann", "added", None, new=True)
    assert _give(store, Comment("milk", "choice", chosen)) == Given("ann", "added", None, new=True)
    assert _give(store, _rated("rum", "down")) == Given("ann", None, None, new=True)
    assert _opinions(store) == {"What about tea?": "I would have tea.", "What about milk?": "never"}
    assert store.user("ann").opinions[1].question.choices == ("never", "always")


def test_a_liked_answer_becomes_an_opinion_unless_the_person_stated_their_own(store: Store) -> None:
    _keep(store, "tea", "rum")
    assert _give(store, _rated("tea")) == Given("ann", "added", None, new=True)
    assert _give(store, _said("tea")) == Given("ann", "replaced", None, new=True)
    assert _give(store, _said("rum", "No rum.")) == Given("ann", "added", None, new=True)
    assert _give(store, _rated("rum")) == Given("ann", None, None, new=True)
    assert _opinions(store) == {"What about tea?": "I would have tea.", "What about rum?": "No rum."}


def test_the_same_comment_again_changes_nothing(store: Store) -> None:
    _keep(store, "tea")
    _give(store, _said("tea"))
    store.remove_opinion("ann", "What about tea?")
    assert _give(store, _said("tea")) == Given("ann", "added", None, new=False)
    assert _give(store, _said("tea", "Other words.")) == Given("ann", "added", None, new=False, same=False)
    assert _opinions(store) == {}


def test_of_comments_at_the_same_time_one_counts(store: Store) -> None:
    _keep(store, "tea")
    given: list[Given | None] = []
    start = threading.Barrier(4)

    def give() -> None:
        start.wait()
        given.append(_give(store, _said("tea"), learning=Learning(1, "fermi", {})))

    threads = [threading.Thread(target=give) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each.new for each in given if each is not None) == [False, False, False, True]
    assert len(Jobs(store.rows).of_user("ann")) == 1
    assert len(store.user("ann").opinions) == 1


def test_enough_new_opinions_ask_for_a_fit_once(store: Store) -> None:
    _keep(store, "a1", "a2", "a3", "a4", "a5", "a6")
    given = [_give(store, _said(f"a{n}"), learning=FIT) for n in (1, 2, 3, 4)]
    assert [each is not None and each.job is not None for each in given] == [False, True, False, False]
    (job,) = Jobs(store.rows).of_user("ann")
    assert (job.method, dict(job.options)) == ("fermi", {"continue": True})
    Jobs(store.rows).cancel("ann", job.id)
    _give(store, _rated("a5", "down"), learning=FIT)
    last = _give(store, _said("a6"), learning=FIT)
    assert last is not None
    assert last.job is not None
    assert len(Jobs(store.rows).of_user("ann")) == 2


def test_responses_are_kept_for_so_long_and_so_many(store: Store) -> None:
    _keep(store, "r1", "r2")
    _keep(store, "r3", most=2)
    _keep(store, "b1", user="bob")
    kept = {row["id"] for row in served_rows(store.rows, "ann")["responses"]}
    assert len(kept) == 2
    assert "r3" in kept
    _keep(store, "r4", seconds=-1.0)
    assert served_rows(store.rows, "ann")["responses"] == []
    assert _give(store, _said("b1"), user="bob") is not None
    assert Responses(store.rows).give(_said("b1"), user_id="bob", learning=None, seconds=DAY) is not None


def test_a_response_that_is_too_old_takes_no_new_comment(store: Store) -> None:
    _keep(store, "tea")
    assert Responses(store.rows).give(_said("tea"), user_id=None, learning=None, seconds=-1.0) is None


def test_only_responses_of_known_users_are_kept_and_those_of_others_are_unknown(store: Store) -> None:
    other = store.of_tenant("other", create=True)
    assert _keep(store, "x", user="nobody") == 0
    assert _keep(store, "x", user="a\0b") == 0
    _keep(store, "tea")
    assert _give(store, _said("tea"), user="bob") is None
    assert _give(other, _said("tea"), user=None) is None
    assert _give(store, _said("a\0b")) is None
    assert _give(store, _said("tea"), user=None) is not None


def test_a_response_that_cannot_be_stored_takes_no_other_with_it(store: Store) -> None:
    odd = [
        Response("q", "bob", "Tea\0?", "Yes."),
        Response("a", "bob", "Tea?", "Y\0es."),
        Response("\0", "bob", "T?", "Y."),
    ]
    tea = Response("tea", "ann", "What about tea?", "Tea is a fine thing to have.")
    assert Responses(store.rows).keep([*odd, tea], most=20, seconds=DAY) == 1
    assert _give(store, _rated("tea")) is not None


def test_a_response_with_an_id_that_was_used_before_takes_its_place(store: Store) -> None:
    _keep(store, "same", user="bob")
    _keep(store, "same")
    assert _give(store, _said("same"), user="bob") is None
    assert _give(store, _said("same")) is not None


@pytest.mark.parametrize("words", ["", " "])
def test_a_comment_without_words_is_refused_and_not_recorded(store: Store, words: str) -> None:
    _keep(store, "tea")
    with pytest.raises(ValueError, match="blank"):
        _give(store, _said("tea", words))
    assert served_rows(store.rows, "ann")["feedback"] == []


def test_they_are_exported_and_erased_with_the_user(store: Store) -> None:
    _keep(store, "tea")
    _give(store, _said("tea", "I would have had a strong Assam."))
    held = served_rows(store.rows, "ann")
    assert [row["answer"] for row in held["responses"]] == ["tea is a fine thing to have."]
    assert [row["given"] for row in held["feedback"]] == [{"said": "I would have had a strong Assam."}]
    receipt = forget_user(store, "ann")
    assert (receipt.rows["responses"], receipt.rows["feedback"], receipt.after.total) == (1, 1, 0)
    assert receipt.before.total > 0
    with pytest.raises(UnknownUserError):
        store.user("ann")
    assert not any(served_rows(store.rows, "ann").values())
