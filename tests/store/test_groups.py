"""Groups: what is learned together is served until someone it was learned from is gone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

from idiolect.erasure.forgetting import forget_user
from idiolect.errors import GroupNeedsRefitError, NotFittedError, StoreError, UnknownGroupError, UnknownUserError
from idiolect.people.user import Opinion, Question, User, UserProfile
from idiolect.store import DEFAULT_TENANT, GroupState, Member, Store, scrubbing
from idiolect.store.group_records import data_digest
from idiolect.store.schema import group_personalizations

CARD = {"method": "chameleon", "layers": [1]}
TENSORS = bytes(range(200))
TEA = Question("Tea or coffee?", ("tea", "coffee"))
PEOPLE = [User(each, texts=(f"what {each} wrote",)) for each in "abcd"]
A, B, C, D = PEOPLE


@pytest.fixture
def store(store_target: str) -> Iterator[Store]:
    with Store.open(store_target, tenant=DEFAULT_TENANT) as opened:
        opened.save_users(PEOPLE)
        yield opened


@pytest.fixture
def fitted(store: Store) -> Store:
    """The group `g` of a and b, learned from both."""
    store.groups.create("g", ["b", "a"])
    store.groups.save_personalization("g", "chameleon", CARD, TENSORS, fitted_on=read(store, "a", "b"))
    return store


def read(store: Store, *user_ids: str, group_id: str = "g") -> list[Member]:
    """These members, as a fit reads them."""
    return [member for member in store.groups.read_members(group_id) if member.user.id in user_ids]


def state(store: Store, group_id: str = "g") -> GroupState:
    return store.groups.get(group_id).state


def test_group_is_kept_with_its_members(store: Store, store_target: str) -> None:
    made = store.groups.create("readers of 日本", ["c", "a", "c"])
    assert (made.members, made.fits, made.state) == (("a", "c"), (), GroupState.NEVER_FITTED)
    assert made.created_at == made.updated_at
    store.groups.create("empty")
    with Store.open(store_target, tenant=DEFAULT_TENANT) as again:
        assert again.groups.get("readers of 日本") == made
        assert [group.id for group in again.groups.list()] == ["empty", "readers of 日本"]
    assert store.groups.groups_of("a") == ("readers of 日本",)
    assert store.groups.groups_of("b") == ()


def test_groups_that_cannot_be_made_leave_nothing(store: Store) -> None:
    store.groups.create("g", ["a"])
    for group_id, members, error, message in (
        ("g", ["b"], StoreError, "already has a group 'g'"),
        ("h", ["a", "nobody"], UnknownUserError, "no user 'nobody'"),
        ("h", ["a", "\ud83d"], UnknownUserError, "no user"),
        ("\0", [], StoreError, "contains a NUL character"),
        (" ", [], ValueError, "id is blank"),
    ):
        with pytest.raises(error, match=message):
            store.groups.create(group_id, members)
    assert [(group.id, group.members) for group in store.groups.list()] == [("g", ("a",))]


def test_every_question_about_an_unknown_group_says_so(store: Store) -> None:
    store.groups.create("readers")
    groups = store.groups
    for group_id in ("raeders", "\0", "\ud83d"):
        for ask in (
            groups.get,
            groups.read_members,
            groups.forget,
            lambda name: groups.personalization(name, "chameleon"),
        ):
            with pytest.raises(UnknownGroupError, match="no group"):
                ask(group_id)
        for change in (groups.add_members, groups.remove_members):
            with pytest.raises(UnknownGroupError):
                change(group_id, ["a"])
        with pytest.raises(UnknownGroupError):
            groups.save_personalization(group_id, "chameleon", CARD, fitted_on=[Member(A, "")])
    with pytest.raises(UnknownGroupError, match="did you mean 'readers'"):
        groups.get("raeders")
    with pytest.raises(UnknownUserError):
        groups.groups_of("nobody")


def test_what_was_learned_comes_back(fitted: Store) -> None:
    record = fitted.groups.personalization("g", "chameleon")
    assert (record.method, record.payload, record.tensors) == ("chameleon", CARD, TENSORS)
    (fit,) = fitted.groups.get("g").fits
    assert (fit.sources, fit.digest, fit.state) == (("a", "b"), record.digest, GroupState.FITTED)
    with pytest.raises(NotFittedError, match="'fermi' has learned nothing for group 'g' yet"):
        fitted.groups.personalization("g", "fermi")
    with pytest.raises(NotFittedError):
        fitted.groups.personalization("g", "\0")


def test_later_fit_replaces_the_earlier_one_with_its_sources(fitted: Store) -> None:
    first = fitted.groups.personalization("g", "chameleon")
    fitted.groups.save_personalization("g", "chameleon", {"n": 2}, fitted_on=read(fitted, "b"))
    second = fitted.groups.personalization("g", "chameleon")
    assert (second.payload, second.tensors, second.created_at) == ({"n": 2}, None, first.created_at)
    (fit,) = fitted.groups.get("g").fits
    assert (fit.sources, fit.added) == (("b",), ("a",))


def test_new_member_makes_it_stale_and_it_is_served_on(fitted: Store) -> None:
    assert fitted.groups.add_members("g", ["a", "c"]) == 1
    (fit,) = fitted.groups.get("g").fits
    assert (fit.state, fit.added, fit.changed) == (GroupState.STALE, ("c",), ())
    assert fitted.groups.personalization("g", "chameleon").tensors == TENSORS
    with pytest.raises(UnknownUserError):
        fitted.groups.add_members("g", ["d", "nobody"])
    assert fitted.groups.get("g").members == ("a", "b", "c")


@pytest.mark.parametrize(
    ("changed", "stale"),
    [
        (dataclasses.replace(A, texts=("something else",)), True),
        (dataclasses.replace(A, opinions=(Opinion(TEA, "tea"),)), True),
        (dataclasses.replace(A, profile=UserProfile({"Age": "20"})), True),
        (A, False),
        (dataclasses.replace(A, extra={"wave": 2}), False),
    ],
    ids=["texts", "opinions", "profile", "the same", "unknown keys"],
)
def test_changed_data_of_a_source_makes_it_stale(fitted: Store, changed: User, stale: bool) -> None:
    fitted.save_users([changed, C])
    (fit,) = fitted.groups.get("g").fits
    assert fit.changed == (("a",) if stale else ())
    assert fit.state == (GroupState.STALE if stale else GroupState.FITTED)
    fitted.groups.personalization("g", "chameleon")
    fitted.groups.save_personalization("g", "chameleon", CARD, fitted_on=read(fitted, "a", "b"))
    assert state(fitted) == GroupState.FITTED


def test_opinion_entered_while_it_was_fitted_makes_it_stale(store: Store) -> None:
    store.groups.create("g", ["a"])
    members = store.groups.read_members("g")
    store.put_opinion("a", Opinion(TEA, "tea"))
    store.groups.save_personalization("g", "chameleon", CARD, fitted_on=members)
    assert state(store) == GroupState.STALE


def test_forgotten_source_takes_what_was_learned_with_them(fitted: Store) -> None:
    fitted.groups.create("others", ["a", "c"])
    fitted.groups.save_personalization("others", "chameleon", {"n": 3}, fitted_on=read(fitted, "c", group_id="others"))
    receipt = forget_user(fitted, "a")
    assert {name: count for name, count in receipt.rows.items() if name.startswith("group")} == {
        "group_members": 2,
        "group_personalizations": 1,
        "group_sources": 2,
    }
    group = fitted.groups.get("g")
    assert (group.members, group.state, group.fits[0].digest) == (("b",), GroupState.NEEDS_REFIT, None)
    with pytest.raises(
        GroupNeedsRefitError, match=r"a member was forgotten or removed, so the data that .chameleon. learned"
    ):
        fitted.groups.personalization("g", "chameleon")
    assert fitted.groups.personalization("others", "chameleon").payload == {"n": 3}
    fitted.save_users([A])  # the same person again is not a member, and heals nothing
    assert state(fitted) == GroupState.NEEDS_REFIT
    fitted.groups.save_personalization("g", "chameleon", CARD, fitted_on=read(fitted, "b"))
    assert state(fitted) == GroupState.FITTED
    assert fitted.groups.personalization("g", "chameleon").payload == CARD


def test_removed_source_counts_as_forgotten_and_others_do_not(fitted: Store) -> None:
    fitted.groups.add_members("g", ["c", "d"])
    assert fitted.groups.remove_members("g", ["d"]).refit == ()
    assert state(fitted) == GroupState.STALE
    with pytest.raises(StoreError, match="group 'g' has no member 'd'"):
        fitted.groups.remove_members("g", ["a", "d"])
    removal = fitted.groups.remove_members("g", ["a", "c"])
    assert (removal.refit, removal.unfinished) == (("chameleon",), ())
    assert removal.rows == {"group_members": 2, "group_personalizations": 1, "group_sources": 2}
    with pytest.raises(GroupNeedsRefitError):
        fitted.groups.personalization("g", "chameleon")
    assert fitted.user("a") == A


@pytest.mark.parametrize("how", ["forgotten", "removed"])
def test_fit_that_ends_after_a_source_is_gone_is_not_kept(fitted: Store, how: str) -> None:
    members = fitted.groups.read_members("g")
    if how == "forgotten":
        forget_user(fitted, "a")
    else:
        fitted.groups.remove_members("g", ["a"])
    with pytest.raises(StoreError, match="1 of the people it was fitted on were forgotten or removed"):
        fitted.groups.save_personalization("g", "chameleon", CARD, TENSORS, fitted_on=members)
    assert state(fitted) == GroupState.NEEDS_REFIT
    with pytest.raises(ValueError, match="fitted_on is empty"):
        fitted.groups.save_personalization("g", "chameleon", CARD, TENSORS, fitted_on=[])


def forget_and_import_again(store: Store, user: User) -> None:
    forget_user(store, user.id)
    store.save_users([user])
    store.groups.add_members("g", [user.id])


def remove_and_add_again(store: Store) -> None:
    store.groups.remove_members("g", ["a"])
    store.groups.add_members("g", ["a"])


def forget_group_and_make_it_again(store: Store) -> None:
    store.groups.forget("g")
    store.groups.create("g", ["a", "b"])


@pytest.mark.parametrize(
    ("leave_and_return", "gone", "after"),
    [
        (lambda store: forget_and_import_again(store, A), 1, GroupState.NEEDS_REFIT),
        (lambda store: forget_and_import_again(store, User("a", texts=("other",))), 1, GroupState.NEEDS_REFIT),
        (remove_and_add_again, 1, GroupState.NEEDS_REFIT),
        (forget_group_and_make_it_again, 2, GroupState.NEVER_FITTED),
    ],
    ids=["forgotten, the same data", "forgotten, other data", "removed", "group forgotten"],
)
def test_fit_is_not_kept_when_a_source_left_and_came_back_meanwhile(
    fitted: Store, leave_and_return: Callable[[Store], None], gone: int, after: GroupState
) -> None:
    members = fitted.groups.read_members("g")
    leave_and_return(fitted)
    assert fitted.groups.get("g").members == ("a", "b")
    with pytest.raises(StoreError, match=rf"{gone} of the people it was fitted on .* back; .* fit the group again"):
        fitted.groups.save_personalization("g", "chameleon", CARD, TENSORS, fitted_on=members)
    assert state(fitted) == after
    fitted.groups.save_personalization("g", "chameleon", CARD, TENSORS, fitted_on=fitted.groups.read_members("g"))
    assert state(fitted) == GroupState.FITTED


def test_fit_is_kept_when_members_came_and_sources_were_added_again_meanwhile(store: Store) -> None:
    store.groups.create("g", ["a", "b"])
    members = store.groups.read_members("g")
    assert [member.user for member in members] == [A, B]
    store.save_users([A])
    assert store.groups.add_members("g", ["a", "c"]) == 1
    store.groups.save_personalization("g", "chameleon", CARD, fitted_on=members)
    (fit,) = store.groups.get("g").fits
    assert (fit.sources, fit.added, fit.changed) == (("a", "b"), ("c",), ())


def test_no_user_can_be_deleted_while_something_learned_from_them_is_left(fitted: Store) -> None:
    with pytest.raises(StoreError, match=r"FOREIGN KEY|ForeignKeyViolation"), fitted.database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM users WHERE id = 'a'")
    assert fitted.user("a") == A


def test_forgotten_group_is_gone_and_its_members_stay(fitted: Store) -> None:
    fitted.groups.create("other", ["a"])
    removal = fitted.groups.forget("g")
    assert removal.rows == {
        "groups": 1,
        "group_members": 2,
        "group_personalizations": 1,
        "group_sources": 2,
        "group_refits": 0,
    }
    assert removal.unfinished == ()
    assert [group.id for group in fitted.groups.list()] == ["other"]
    assert list(fitted.user_ids()) == ["a", "b", "c", "d"]
    files = [] if fitted.folder is None else fitted.folder.iterdir()
    content = b"".join(path.read_bytes() for path in files)
    assert TENSORS not in content
    assert forget_user(fitted, "a").proven


def test_deletion_that_cannot_be_scrubbed_is_finished_by_who_opens_the_store(
    fitted: Store, store_target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise StoreError("it is being read")

    with monkeypatch.context() as patched:
        patched.setattr(scrubbing, "scrub", fail)
        assert fitted.groups.remove_members("g", ["a"]).unfinished == ("it is being read",)
    with Store.open(store_target, tenant=DEFAULT_TENANT) as store:
        assert store.finished_erasures == 1


def test_damaged_fit_is_not_served(fitted: Store) -> None:
    with fitted.database.writing() as connection:
        connection.execute(group_personalizations.update().values(tensors=b"\0"))
    with pytest.raises(StoreError, match="learned by chameleon for group 'g' is damaged"):
        fitted.groups.personalization("g", "chameleon")


def test_lists_of_groups_read_no_tensors(fitted: Store) -> None:
    read: list[str] = []

    @sa.event.listens_for(sa.Engine, "before_cursor_execute")
    def note(*arguments: object) -> None:
        read.append(str(arguments[2]))

    try:
        assert len(list(fitted.groups.list())) == 1
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    assert any("group_personalizations" in statement for statement in read)
    assert not any("tensors" in statement for statement in read)


def test_groups_of_thousands_are_made_and_read(store: Store) -> None:
    crowd = [User(f"u{i:04}", texts=(f"t{i}",)) for i in range(1200)]
    store.save_users(crowd)
    store.groups.create("all", store.user_ids())
    store.groups.save_personalization("all", "chameleon", CARD, fitted_on=store.groups.read_members("all"))
    group = store.groups.get("all")
    assert (len(group.members), group.state) == (1204, GroupState.FITTED)
    assert len(store.groups.remove_members("all", [user.id for user in crowd]).refit) == 1
    assert store.groups.get("all").members == ("a", "b", "c", "d")


def test_data_digest_tells_people_apart_by_what_can_be_learned_from() -> None:
    same = dataclasses.replace(A, id="another", extra={"x": 1})
    assert data_digest(same) == data_digest(A) != data_digest(B)
