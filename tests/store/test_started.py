"""People's edits that began at a group's: saved only while the group has that edit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from idiolect.erasure.forgetting import forget_user
from idiolect.errors import NotFittedError, StoreError
from idiolect.people.user import User
from idiolect.store import Store
from idiolect.store.schema import personalization_groups

PEOPLE = [User(each, texts=(f"what {each} wrote",)) for each in ("ann", "ben", "cas", "pat")]
FIRST, SECOND = "1" * 64, "2" * 64  # digests of edits
TENSORS = bytes(range(256)) * 4
GONE = "was forgotten or removed; fit the group again"
METHOD = "chameleon"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """The group `g` of ann and ben, learned from both; cas and pat are not in it."""
    with Store.open(tmp_path / "people") as opened:
        opened.save_users(PEOPLE)
        opened.groups.create("g", ["ann", "ben"])
        fit_group(opened)
        yield opened


def fit_group(store: Store, group_id: str = "g", *, edit: str = FIRST, only: tuple[str, ...] = ()) -> None:
    members = [each for each in store.groups.read_members(group_id) if not only or each.user.id in only]
    store.groups.save_personalization(group_id, METHOD, {"edit": edit}, TENSORS, fitted_on=members)


def step(origin: str | None = "store", *, group: str = "g", edit: str = FIRST) -> dict[str, Any]:
    """The card of a step; of an older version if it has no origin."""
    started: dict[str, Any] = {"group": group, "digest": edit}
    return {"edit": "9" * 64, "started_from": started if origin is None else {**started, "origin": origin}}


def save(store: Store, card: dict[str, Any], user_id: str = "pat") -> None:
    store.save_personalization(user_id, METHOD, card, TENSORS)


def save_over(store: Store, card: dict[str, Any]) -> None:
    held = store.find_personalization("pat", METHOD)
    digest = None if held is None else held.digest
    assert store.compare_and_save_personalization("pat", METHOD, card, TENSORS, expected_digest=digest)


def began_at(store: Store) -> list[tuple[str, str]]:
    """The people whose edits are recorded to have begun at a group's, with the group."""
    columns = (personalization_groups.c.user_id, personalization_groups.c.group_id)
    with store.database.reading() as connection:
        return [(user_id, group_id) for user_id, group_id in connection.execute(sa.select(*columns))]


@pytest.mark.parametrize("origin", ["store", None])
@pytest.mark.parametrize("write", [save, save_over])
def test_a_step_from_the_present_edit_is_kept_and_recorded(
    store: Store, write: Callable[[Store, dict[str, Any]], None], origin: str | None
) -> None:
    write(store, step(origin))
    assert store.personalization("pat", METHOD) == step(origin)
    assert began_at(store) == [("pat", "g")]
    write(store, {"edit": FIRST})
    assert began_at(store) == []


def forget_and_return(store: Store) -> None:
    forget_user(store, "ann")
    store.save_users(PEOPLE[:1])
    store.groups.add_members("g", ["ann"])


def make_again_unfitted(store: Store) -> None:
    store.groups.forget("g")
    store.groups.create("g", ["ann", "ben"])


@pytest.mark.parametrize("origin", ["store", None])
@pytest.mark.parametrize("write", [save, save_over])
@pytest.mark.parametrize(
    "meanwhile",
    [
        lambda store: forget_user(store, "ann"),
        forget_and_return,
        lambda store: store.groups.remove_members("g", ["ben"]),
        lambda store: store.groups.forget("g"),
        make_again_unfitted,
    ],
    ids=["forgotten", "forgotten and back", "removed", "group forgotten", "group made again"],
)
def test_a_step_that_ends_after_a_source_is_gone_is_not_kept(
    store: Store,
    meanwhile: Callable[[Store], object],
    write: Callable[[Store, dict[str, Any]], None],
    origin: str | None,
) -> None:
    meanwhile(store)
    with pytest.raises(StoreError, match=f"user 'pat': what chameleon learned was not saved.*group 'g'.*{GONE}"):
        write(store, step(origin))
    with pytest.raises(NotFittedError):
        store.personalization("pat", METHOD)
    assert began_at(store) == []


def test_a_step_from_an_earlier_edit_is_not_kept_and_the_edit_before_it_stays(store: Store) -> None:
    save(store, {"edit": SECOND})
    fit_group(store, edit=SECOND)
    with pytest.raises(StoreError, match="an earlier edit of group 'g', which was fitted again meanwhile"):
        save(store, step())
    assert store.personalization("pat", METHOD) == {"edit": SECOND}
    save(store, step(edit=SECOND))
    assert began_at(store) == [("pat", "g")]


def test_a_step_cannot_begin_at_what_another_method_learned(store: Store) -> None:
    with pytest.raises(StoreError, match=GONE):
        store.save_personalization("pat", "another", step())


@pytest.mark.parametrize(("origin", "recorded"), [("folder", [("pat", "writers")]), ("package", [])])
def test_a_start_outside_the_store_is_not_looked_for_in_it(
    store: Store, origin: str, recorded: list[tuple[str, str]]
) -> None:
    save(store, step(origin, group="writers"))
    assert store.personalization("pat", METHOD) == step(origin, group="writers")
    assert began_at(store) == recorded
    save(store, step(origin, edit=SECOND))  # also where a group of the store has its name, and another edit
    assert began_at(store) == [(user, "g") for user, _ in recorded]
