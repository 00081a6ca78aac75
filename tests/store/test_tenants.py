"""Tenants: the same ids in two of them, and nothing that one reads or writes is the other's."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from idiolect.errors import StoreError, UnknownGroupError, UnknownUserError
from idiolect.people.user import Opinion, Question, User, UserProfile
from idiolect.store import DEFAULT_TENANT, DamagedUser, Store
from idiolect.store.groups import Groups
from idiolect.store.schema import metadata
from idiolect.store.tenancy import MAX_LENGTH, checked_tenant, tenant_ids

RED, BLUE = "red company", "blue company"
TEA = Question("Tea or coffee?", ("tea", "coffee"))
Use = Callable[[Store], Any]


def fill(store: Store, words: str) -> None:
    """Hold everything that can be held, about users and a group of the same ids in every tenant."""
    store.save_users(
        User(
            name,
            UserProfile({"Employer": words}),
            (Opinion(TEA, "tea"), Opinion(Question("Why?"), f"{words} says {name}")),
            (f"A letter of {words}",),
        )
        for name in ("anna", "boris", "carl")
    )
    store.put_opinion("anna", Opinion(Question("Since when?"), words))
    store.save_checkpoint("anna", "fermi", {"memory": words})
    store.groups.create("readers", ["anna", "boris"])
    edit = {"edit": words, "words": words}
    members = store.groups.read_members("readers")
    store.groups.save_personalization("readers", "chameleon", edit, words.encode(), fitted_on=members)
    begun = {"words": words, "started_from": {"group": "readers", "digest": words}}
    store.save_personalization("carl", "chameleon", begun, words.encode())
    store.save_personalization("anna", "fermi", {"words": words})


READS: dict[str, Use] = {
    "cache_path": lambda store: store.cache_path,
    "checkpoint": lambda store: store.checkpoint("anna", "fermi"),
    "checkpoints": lambda store: store.checkpoints("anna"),
    "count_checkpoints": lambda store: store.count_checkpoints("anna"),
    "user_and_entered": lambda store: store.user_and_entered("anna")[1],
    "find_personalization": lambda store: store.find_personalization("carl", "chameleon"),
    "listed": lambda store: list(store.listed()),
    "personalization": lambda store: store.personalization("anna", "fermi"),
    "personalization_digests": lambda store: store.personalization_digests("anna"),
    "personalization_record": lambda store: store.personalization_record("carl", "chameleon"),
    "personalizations": lambda store: [store.personalizations(name) for name in store.user_ids()],
    "summary": lambda store: store.summary("anna"),
    "tenant_folder": lambda store: store.tenant_folder,
    "unverified_personalization": lambda store: store.unverified_personalization("anna", "fermi"),
    "user": lambda store: [store.user(name) for name in store.user_ids()],
    "user_ids": lambda store: list(store.user_ids()),
    "user_with": lambda store: store.user_with("anna", "fermi"),
    "users": lambda store: list(store.users()),
    "groups.begun_edits": lambda store: store.groups.begun_edits("readers"),
    "groups.begun_edits_with": lambda store: store.groups.begun_edits_with("anna"),
    "groups.get": lambda store: store.groups.get("readers"),
    "groups.groups_of": lambda store: store.groups.groups_of("anna"),
    "groups.list": lambda store: list(store.groups.list()),
    "groups.personalization": lambda store: store.groups.personalization("readers", "chameleon"),
    "groups.read_members": lambda store: store.groups.read_members("readers"),
}
WRITES: dict[str, Use] = {
    "save_users": lambda store: store.save_users([User("anna", texts=("new",)), User("dora", texts=("new",))]),
    "put_opinion": lambda store: store.put_opinion("anna", Opinion(TEA, "coffee")),
    "remove_opinion": lambda store: store.remove_opinion("boris", "Tea or coffee?"),
    "save_personalization": lambda store: store.save_personalization("anna", "fermi", {"new": True}, b"new"),
    "compare_and_save_personalization": lambda store: store.compare_and_save_personalization(
        "boris", "fermi", {"new": True}, expected_digest=None
    ),
    "save_checkpoint": lambda store: store.save_checkpoint("anna", "fermi", {"new": True}),
    "drop_checkpoint": lambda store: store.drop_checkpoint("anna", "fermi"),
    "groups.create": lambda store: store.groups.create("writers", ["anna"]),
    "groups.add_members": lambda store: store.groups.add_members("readers", ["carl"]),
    "groups.save_personalization": lambda store: store.groups.save_personalization(
        "readers", "chameleon", {"edit": "new"}, fitted_on=store.groups.read_members("readers")
    ),
    "groups.remove_members": lambda store: store.groups.remove_members("readers", ["anna"]),
    "groups.forget": lambda store: store.groups.forget("readers"),
}
NO_ROWS = {"open", "close", "of_tenant"}  # neither read nor write any


@pytest.fixture
def tenants(store_target: str) -> Iterator[tuple[Store, Store]]:
    with Store.open(store_target, tenant=RED) as red:
        blue = red.of_tenant(BLUE, create=True)
        fill(red, RED)
        fill(blue, BLUE)
        yield red, blue


def seen(store: Store) -> dict[str, Any]:
    return {name: read(store) for name, read in READS.items()}


def public(kind: type) -> set[str]:
    members = inspect.getmembers(kind, lambda each: callable(each) or isinstance(each, property))
    return {name for name, _ in members if not name.startswith("_")}


def test_every_public_method_is_among_the_reads_and_writes() -> None:
    named = {*READS, *WRITES, *NO_ROWS}
    assert named == public(Store) | {f"groups.{name}" for name in public(Groups)}


def test_nothing_that_is_read_is_the_other_tenants(tenants: tuple[Store, Store]) -> None:
    red, blue = map(seen, tenants)
    assert red.keys() == blue.keys()
    assert {name for name, read in red.items() if "blue" in repr(read)} == set()
    assert {name for name, read in blue.items() if "red" in repr(read)} == set()
    assert sum(red[name] != blue[name] for name in red) > len(red) / 2


@pytest.mark.parametrize("name", WRITES)
def test_nothing_that_is_written_reaches_the_other_tenant(tenants: tuple[Store, Store], name: str) -> None:
    red, blue = tenants
    mine, theirs = seen(red), seen(blue)
    WRITES[name](red)
    assert seen(blue) == theirs
    if name not in ("groups.forget", "groups.remove_members"):  # after which there is less to see
        assert seen(red) != mine


def test_ids_of_another_tenant_are_unknown(store_target: str) -> None:
    """The second tenant has none of the ids: whatever needs one fails, and whatever lists finds nothing."""
    needs_none = {"cache_path", "tenant_folder", "save_users", "drop_checkpoint", "personalization_digests"}
    lists = {"user", "user_ids", "users", "listed", "personalizations", "groups.list"}
    with Store.open(store_target, tenant=RED) as red:
        fill(red, RED)
        held = seen(red)
        empty = red.of_tenant(BLUE, create=True)
        for name, use in {**READS, **WRITES}.items():
            if name in lists:
                assert use(empty) == []
            elif name not in needs_none:
                with pytest.raises((UnknownUserError, UnknownGroupError)) as caught:
                    use(empty)
                assert "did you mean" not in str(caught.value)  # which would name an id of the other tenant
        for name in needs_none:
            {**READS, **WRITES}[name](empty)
        assert seen(red) == held


def test_every_statement_is_limited_to_one_tenant(tenants: tuple[Store, Store]) -> None:
    statements: set[str] = set()

    def note(*call: Any) -> None:
        statements.add(call[2])

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        for use in (*READS.values(), *WRITES.values()):
            use(tenants[0])
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    owned = [table.name for table in metadata.sorted_tables if "tenant_id" in table.c]
    checked = 0
    for statement in statements:
        named = [name for name in owned if re.search(rf"(FROM|JOIN|UPDATE|INTO|,)\s+{name}\b(?!\.)", statement)]
        for name in named:
            checked += 1
            limited = "(tenant_id, " if statement.startswith("INSERT") else f"{name}.tenant_id = "
            assert limited in statement
    assert checked > 60


def test_rows_are_made_nowhere_else() -> None:
    """Statements on tables of users and groups come from `tenant_rows`, except for those that are for all tenants."""
    source = Path(inspect.getfile(Store)).parent
    for name in (
        "people_rows",
        "learned_rows",
        "started_rows",
        "group_rows",
        "users",
        "groups",
        "people_changes",
        "jobs",
        "spending",
    ):
        text = (source / f"{name}.py").read_text(encoding="utf-8")
        assert not re.findall(r"sa\.(?:select|insert|update|delete|exists)\(|\.(?:insert|update|delete)\(\)", text), (
            name
        )


def test_edit_begins_only_at_that_of_a_group_of_the_same_tenant(tenants: tuple[Store, Store]) -> None:
    red, blue = tenants
    with pytest.raises(StoreError, match="began at an earlier edit of group 'readers'"):
        red.save_personalization("boris", "chameleon", {"started_from": {"group": "readers", "digest": BLUE}})
    blue.groups.create("writers", ["anna"])
    blue.groups.save_personalization(
        "writers", "chameleon", {"edit": "x"}, fitted_on=blue.groups.read_members("writers")
    )
    with pytest.raises(StoreError, match="an edit that group 'writers' does not have any more"):
        red.save_personalization("boris", "chameleon", {"started_from": {"group": "writers", "digest": "x"}})


def test_member_of_another_tenant_is_no_source(tenants: tuple[Store, Store]) -> None:
    red, blue = tenants
    theirs = blue.groups.read_members("readers")
    with pytest.raises(StoreError, match="2 of the people it was fitted on were forgotten or removed"):
        red.groups.save_personalization("readers", "chameleon", {"edit": "x"}, fitted_on=theirs)


def test_damaged_rows_of_another_tenant_hide_nothing(tmp_path: Path) -> None:
    with Store.open(tmp_path, tenant=RED) as red:
        blue = red.of_tenant(BLUE, create=True)
        fill(red, RED)
        fill(blue, BLUE)
        held = seen(blue)
        with red.rows.writing() as connection:
            for table, column in (("users", "texts"), ("opinions", "choices"), ("checkpoints", "payload")):
                connection.whole.exec_driver_sql(f"UPDATE {table} SET {column} = '[no' WHERE tenant_id = ?", (RED,))
        assert seen(blue) == held
        assert {type(user) for user in red.listed()} == {DamagedUser}
        with pytest.raises(StoreError, match="damaged"):
            red.user("anna")
        assert seen(blue) == held


def test_pages_stay_in_their_tenant(store_target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("idiolect.store.people_rows.BATCH", 2)
    monkeypatch.setattr("idiolect.store.group_rows.BATCH", 2)
    with Store.open(store_target, tenant=RED) as red:
        blue = red.of_tenant(BLUE, create=True)
        for store, ids in ((red, "abcde"), (blue, "bdfg")):
            store.save_users(User(each, texts=("t",)) for each in ids)
            for each in ids:
                store.groups.create(each, ids)
        for store, ids in ((red, "abcde"), (blue, "bdfg")):
            assert list(store.user_ids()) == [user.id for user in store.users()] == list(ids)
            assert [group.id for group in store.groups.list()] == list(ids)
            assert store.groups.get("b").members == tuple(ids)
            assert [member.user.id for member in store.groups.read_members("b")] == list(ids)


def test_caches_and_artifacts_of_tenants_are_apart(tmp_path: Path) -> None:
    with Store.open(tmp_path, tenant=DEFAULT_TENANT) as store:
        red, blue = (store.of_tenant(name, create=True) for name in (RED, BLUE))
        assert store.cache_path == tmp_path / "calls.db"
        assert store.tenant_folder == store.folder == tmp_path
        assert len({each.cache_path for each in (store, red, blue)}) == 3
        assert red.cache_path.parent == red.tenant_folder
        assert red.cache_path.parent.parent == tmp_path / "tenants"
        assert RED not in str(red.cache_path)


def test_view_closes_nothing_and_ends_with_its_store(tmp_path: Path) -> None:
    store = Store.open(tmp_path, tenant=DEFAULT_TENANT)
    with store.of_tenant(RED, create=True) as red:
        red.save_users([User("anna", texts=("t",))])
    assert list(store.user_ids()) == []
    assert list(red.user_ids()) == ["anna"]
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        list(red.user_ids())


def test_tenant_is_created_only_when_asked_for(store_target: str) -> None:
    with Store.open(store_target, tenant=RED) as store:
        assert tenant_ids(store.database) == [DEFAULT_TENANT, RED]
        with pytest.raises(StoreError, match="has no tenant 'blue company'"):
            store.of_tenant(BLUE)
    with pytest.raises(StoreError, match="has no tenant 'blue company'"):
        Store.open(store_target, tenant=BLUE, create=False)
    with Store.open(store_target, tenant=BLUE) as store:
        store.of_tenant(BLUE, create=True)
        assert tenant_ids(store.database) == [BLUE, DEFAULT_TENANT, RED]


@pytest.mark.parametrize(
    "tenant", ["", " ", "\n", " red", "red ", "r\0d", "r\ned", "half \ud83d", "x" * (MAX_LENGTH + 1)]
)
def test_invalid_id_of_a_tenant_is_refused(tmp_path: Path, tenant: str) -> None:
    with pytest.raises(StoreError, match="tenant's id"):
        Store.open(tmp_path, tenant=tenant)
    assert list(tmp_path.iterdir()) == []
    with Store.open(tmp_path, tenant=DEFAULT_TENANT) as store, pytest.raises(StoreError, match="tenant's id"):
        store.of_tenant(tenant, create=True)


def test_id_of_a_tenant_is_any_other_text() -> None:
    for tenant in ("x" * MAX_LENGTH, "Rot & Söhne/2", "'; DROP TABLE users; --", "..", "❄"):
        assert checked_tenant(tenant) == tenant


def test_no_tenant_is_no_default(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="tenant"):
        Store.open(tmp_path)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="the id of a tenant"):
        Store.open(tmp_path, tenant=None)  # type: ignore[arg-type]
