"""Stores that earlier versions left behind, in SQLite and in PostgreSQL, with rows in all their tables."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

from idiolect.people.user import Opinion, Question, User, UserProfile
from idiolect.store import DEFAULT_TENANT, GroupState, Store
from idiolect.store.group_records import data_digest
from idiolect.store.opening import locate
from idiolect.store.records import learned_digest
from idiolect.store.schema import REVISION, VERSION_TABLE, metadata
from idiolect.store.strict_json import digest

NOW = "2026-05-01 10:00:00.000000+00:00"
TEA = Question("Tea or coffee?", ("tea", "coffee"))
ANNA = User("anna", UserProfile({"Zip": "1", "Age": "20"}), (Opinion(TEA, "tea"),), ("é",), {"wave": 3})
EDIT, BEGUN = {"edit": "d"}, {"started_from": {"group": "readers", "digest": "d"}}
ROWS: dict[str, dict[str, list[dict[str, Any]]]] = {  # by the revision that created the table
    "0001": {
        "users": [
            {"id": "anna", "profile": '{"Zip":"1","Age":"20"}', "texts": '["é"]', "extra": '{"wave":3}'},
            {"id": "Boris", "profile": "{}", "texts": '["t"]', "extra": "{}"},
        ],
        "opinions": [
            {"user_id": "anna", "position": 0, "question": TEA.text, "choices": '["tea","coffee"]', "ordinal": False}
            | {"answer": "tea", "extra": "{}"}
        ],
        "personalizations": [
            {"user_id": "anna", "method": "fermi", "payload": '{"b":1,"a":2}', "digest": digest({"a": 2, "b": 1})}
        ],
    },
    "0002": {
        "checkpoints": [{"user_id": "anna", "method": "fermi", "payload": "{}", "digest": digest({})}],
        "companions": [{"path": "/caches/calls.db"}],
    },
    "0003": {
        "groups": [{"id": "readers"}, {"id": "lost"}],
        "group_members": [{"group_id": "readers", "user_id": "anna", "token": "t"}],
        "group_personalizations": [
            {"group_id": "readers", "method": "chameleon", "payload": json.dumps(EDIT), "tensors": b"numbers"}
            | {"digest": learned_digest(EDIT, b"numbers")}
        ],
        "group_sources": [
            {"group_id": "readers", "method": "chameleon", "user_id": "anna", "data_digest": data_digest(ANNA)}
        ],
        "group_refits": [{"group_id": "lost", "method": "chameleon", "since": NOW}],
    },
    "0004": {"personalization_groups": [{"user_id": "Boris", "method": "chameleon", "group_id": "readers"}]},
}


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place where nothing is."""
    return str(tmp_path / "people") if request.param == "sqlite" else str(request.getfixturevalue("postgresql_url"))


def leave_behind(target: str, revision: str) -> None:
    """Make a store as a revision left it, with rows in each of its tables."""
    url = locate(target).url
    if url.database is not None and url.get_backend_name() == "sqlite":
        Path(url.database).parent.mkdir()
    engine = sa.create_engine(url)
    config = Config()
    config.set_main_option("script_location", "idiolect.store:migrations")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        made = sa.MetaData()
        made.reflect(connection)
        for version, tables in ROWS.items():
            for name, rows in tables.items() if version <= revision else ():
                for row in rows:
                    insert(connection, made.tables[name], row)
                if name == "personalizations" and revision >= "0004":
                    begun = {"user_id": "Boris", "method": "chameleon", "payload": json.dumps(BEGUN)}
                    insert(connection, made.tables[name], begun | {"digest": digest(BEGUN)})
    engine.dispose()


def insert(connection: sa.Connection, table: sa.Table, row: dict[str, Any]) -> None:
    dates = {name: NOW for name in ("created_at", "updated_at") if name in table.c}
    row = dates | row
    values = ", ".join(
        f"CAST(:{name} AS {table.c[name].type})" if on_server(connection) else f":{name}" for name in row
    )
    connection.execute(sa.text(f'INSERT INTO "{table.name}" ({", ".join(row)}) VALUES ({values})'), row)


def on_server(connection: sa.Connection) -> bool:
    return connection.dialect.name == "postgresql"


@pytest.mark.parametrize("revision", ["0001", "0002", "0003", "0004"])
def test_store_of_every_revision_is_upgraded_into_the_default_tenant(empty_target: str, revision: str) -> None:
    leave_behind(empty_target, revision)
    with Store.open(empty_target, tenant=DEFAULT_TENANT, create=False) as store:
        assert [user.id for user in store.users()] == ["Boris", "anna"]  # as SQLite and Python sort them
        assert store.user("anna") == ANNA
        assert list(store.user("anna").profile.attributes) == ["Zip", "Age"]
        assert list(store.personalization("anna", "fermi")) == ["b", "a"]
        assert store.summary("anna").created_at.isoformat() == "2026-05-01T10:00:00+00:00"
        if revision >= "0002":
            assert store.checkpoint("anna", "fermi") == {}
        if revision >= "0003":
            assert store.groups.get("readers").state == GroupState.FITTED
            assert store.groups.personalization("readers", "chameleon").tensors == b"numbers"
            assert store.groups.get("lost").state == GroupState.NEEDS_REFIT
        if revision >= "0004":
            assert store.groups.begun_edits("readers") == ("Boris",)
            removal = store.groups.remove_members("readers", ["anna"])
            assert removal.begun_edits == ("Boris",)
        assert list(store.of_tenant("another", create=True).user_ids()) == []


@pytest.mark.parametrize("revision", ["0001", "0004", REVISION])
def test_upgraded_store_has_the_tables_of_the_schema(empty_target: str, revision: str) -> None:
    if revision != REVISION:
        leave_behind(empty_target, revision)
    with Store.open(empty_target, tenant=DEFAULT_TENANT) as store, store.database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []
        found = sa.inspect(connection)
        for table in metadata.sorted_tables:
            expected = {key.name for key in table.foreign_key_constraints} - {None}
            assert {key["name"] for key in found.get_foreign_keys(table.name)} >= expected
            key = [column.name for column in table.primary_key.columns]
            assert found.get_pk_constraint(table.name)["constrained_columns"] == key
        assert not [name for name in found.get_table_names() if name.startswith("old_")]


def test_damaged_values_are_moved_as_they_were_stored(tmp_path: Path) -> None:
    folder = tmp_path / "people"
    leave_behind(str(folder), "0004")
    damaged = {"profile": '{"half', "texts": b"\xff\x00", "extra": "NaN", "created_at": "garbage"}
    with closing(sqlite3.connect(folder / "idiolect.db")) as connection, connection:
        for column, value in damaged.items():
            connection.execute(f"UPDATE users SET {column} = ? WHERE id = 'Boris'", (value,))
    with Store.open(folder, tenant=DEFAULT_TENANT) as store:
        assert store.user("anna") == ANNA
    with closing(sqlite3.connect(folder / "idiolect.db")) as connection:
        chosen = f"SELECT {', '.join(damaged)} FROM users WHERE id = 'Boris'"
        assert connection.execute(chosen).fetchone() == tuple(damaged.values())
