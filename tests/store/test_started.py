"""People's edits that began at a group's: saved only while the group has that edit, and gone with those it contains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from idiolect.erasure.forgetting import forget_user
from idiolect.errors import NotFittedError, StoreError
from idiolect.people.user import User
from idiolect.store import DEFAULT_TENANT, Store, scrubbing
from idiolect.store.schema import personalization_groups

PEOPLE = [User(each, texts=(f"what {each} wrote",)) for each in ("ann", "ben", "cas", "pat")]
FIRST, SECOND = "1" * 64, "2" * 64  # digests of edits
TENSORS = bytes(range(256)) * 4
GONE = "was forgotten or removed; fit the group again"
METHOD = "chameleon"


@pytest.fixture
def store(store_target: str) -> Iterator[Store]:
    """The group `g` of ann and ben, learned from both; cas and pat are not in it."""
    with Store.open(store_target, tenant=DEFAULT_TENANT) as opened:
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


def left(store: Store) -> set[str]:
    """Those of pat and cas who have an edit."""
    return {each for each in ("pat", "cas") if store.find_personalization(each, METHOD) is not None}


@pytest.fixture
def stepped(store: Store) -> Store:
    """The edits of pat, at that of `g`, and of cas, at nothing."""
    save(store, step())
    save(store, {"edit": SECOND}, "cas")
    return store


def test_a_forgotten_source_takes_the_edits_of_others_along(stepped: Store) -> None:
    assert stepped.groups.begun_edits_with("ann") == ("pat",)
    receipt = forget_user(stepped, "ann")
    assert left(stepped) == {"cas"}
    assert (receipt.begun_edits_deleted, receipt.proven) == (1, True)
    assert (receipt.rows["personalizations"], receipt.rows["personalization_groups"]) == (1, 1)
    assert stepped.user("pat") == PEOPLE[3]


def test_a_forgotten_source_with_an_own_edit_counts_once(stepped: Store) -> None:
    save(stepped, step(), "ann")
    assert stepped.groups.begun_edits_with("ann") == ("pat",)
    receipt = forget_user(stepped, "ann")
    assert (receipt.begun_edits_deleted, receipt.rows["personalizations"]) == (1, 2)
    assert began_at(stepped) == []


def test_a_removed_source_takes_the_edits_of_others_along(stepped: Store) -> None:
    removal = stepped.groups.remove_members("g", ["ben"])
    assert left(stepped) == {"cas"}
    assert (removal.refit, removal.begun_edits, removal.unfinished) == ((METHOD,), ("pat",), ())
    assert removal.rows == {
        "group_members": 1,
        "group_personalizations": 1,
        "group_sources": 2,
        "personalizations": 1,
        "personalization_groups": 1,
    }


def test_a_forgotten_group_takes_the_edits_of_people_along(stepped: Store) -> None:
    assert stepped.groups.begun_edits("g") == ("pat",)
    removal = stepped.groups.forget("g")
    assert left(stepped) == {"cas"}
    assert (removal.begun_edits, removal.rows["personalizations"], removal.rows["group_sources"]) == (("pat",), 1, 2)


@pytest.mark.parametrize(
    "leave",
    [lambda store: store.groups.remove_members("g", ["cas"]), lambda store: forget_user(store, "cas")],
    ids=["removed", "forgotten"],
)
def test_a_member_who_was_no_source_takes_nothing_along(stepped: Store, leave: Callable[[Store], Any]) -> None:
    stepped.groups.add_members("g", ["cas"])
    assert stepped.groups.begun_edits_with("cas") == ()
    left_with = leave(stepped)
    assert stepped.personalization("pat", METHOD) == step()
    assert began_at(stepped) == [("pat", "g")]
    assert "personalization_groups" not in left_with.rows
    assert stepped.groups.personalization("g", METHOD).payload == {"edit": FIRST}


def test_an_edit_from_an_earlier_edit_of_the_group_goes_with_a_source(stepped: Store) -> None:
    stepped.groups.add_members("g", ["cas"])
    fit_group(stepped, edit=SECOND)
    assert left(stepped) == {"pat", "cas"}
    stepped.groups.remove_members("g", ["ann"])
    assert left(stepped) == {"cas"}


def test_a_fit_of_the_group_cannot_leave_out_a_source_of_peoples_edits(stepped: Store) -> None:
    """Otherwise nobody would know that pat's edit contains what was learned from ann."""
    with pytest.raises(StoreError, match=r"leaves out 1 of those .* edits of people \(1\) began at that one"):
        fit_group(stepped, edit=SECOND, only=("ben",))
    assert stepped.groups.personalization("g", METHOD).payload == {"edit": FIRST}
    save(stepped, {"edit": SECOND})
    fit_group(stepped, edit=SECOND, only=("ben",))
    assert stepped.groups.personalization("g", METHOD).payload == {"edit": SECOND}


def test_an_edit_from_a_folder_goes_with_the_group_of_that_name(stepped: Store) -> None:
    save(stepped, step("folder"))
    stepped.groups.remove_members("g", ["ann"])
    assert left(stepped) == {"cas"}
    save(stepped, step("folder"))  # from a copy, which may have been learned from ben
    removal = stepped.groups.remove_members("g", ["ben"])
    assert (left(stepped), removal.begun_edits, removal.refit) == ({"cas"}, ("pat",), ())


def test_bytes_of_deleted_edits_are_scrubbed(
    stepped: Store, store_target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(stepped, step("folder"))
    stepped.groups.remove_members("g", ["ann"])
    save(stepped, step("folder"))

    def fail(_: object) -> None:
        raise StoreError("it is being read")

    with monkeypatch.context() as patched:
        patched.setattr(scrubbing, "scrub", fail)
        assert stepped.groups.remove_members("g", ["ben"]).unfinished == ("it is being read",)
    with Store.open(store_target, tenant=DEFAULT_TENANT) as opened:
        assert opened.finished_erasures == 1


def test_edits_from_other_groups_stay(stepped: Store) -> None:
    stepped.groups.create("h", ["ben"])
    fit_group(stepped, "h", edit=SECOND)
    save(stepped, step(group="h", edit=SECOND), "cas")
    stepped.groups.remove_members("g", ["ann"])
    assert left(stepped) == {"cas"}
    forget_user(stepped, "ben")
    assert left(stepped) == set()
