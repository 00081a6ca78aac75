"""Tensors beside what was learned: kept as they are, under one digest with the rest, and never read for a list."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from idiolect.errors import StoreError, UnknownUserError
from idiolect.people.user import User
from idiolect.store import DEFAULT_TENANT, Store, records
from idiolect.store.strict_json import digest

CARD = {"method": "chameleon", "layers": [1, 2]}
TENSORS = b"".join(hashlib.sha256(str(i).encode()).digest() for i in range(1000))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "people", tenant=DEFAULT_TENANT) as opened:
        opened.save_users([User("a", texts=("t",)), User("b", texts=("t",))])
        yield opened


def test_tensors_come_back_as_they_were(tmp_path: Path) -> None:
    every_byte = bytes(range(256)) * 40
    with Store.open(tmp_path, tenant=DEFAULT_TENANT) as store:
        store.save_users([User("a", texts=("t",))])
        store.save_personalization("a", "chameleon", CARD, every_byte)
    with Store.open(tmp_path, tenant=DEFAULT_TENANT) as store:
        (record,) = store.personalizations("a")
        assert (record.payload, record.tensors) == (CARD, every_byte)
        assert store.personalization_record("a", "chameleon") == record
        assert store.personalization("a", "chameleon") == CARD
        assert "\\x" not in repr(record)


def test_digest_is_of_both_and_without_tensors_the_old_one(store: Store) -> None:
    digests = set()
    for card, tensors in ((CARD, None), (CARD, TENSORS), ({}, TENSORS), (CARD, TENSORS[:-1])):
        store.save_personalization("a", "chameleon", card, tensors)
        digests.add(store.personalization_record("a", "chameleon").digest)
    assert len(digests) == 4
    assert digest(CARD) in digests


def test_later_personalization_replaces_tensors_too(store: Store) -> None:
    store.save_personalization("a", "chameleon", CARD, TENSORS)
    store.save_personalization("a", "chameleon", CARD)
    assert store.personalization_record("a", "chameleon").tensors is None


def test_guarded_saving_keeps_tensors_only_over_what_was_seen(store: Store) -> None:
    assert store.compare_and_save_personalization("a", "chameleon", CARD, TENSORS, expected_digest=None)
    seen = store.personalization_record("a", "chameleon").digest
    assert not store.compare_and_save_personalization("a", "chameleon", CARD, b"x", expected_digest=digest(CARD))
    assert store.personalization_record("a", "chameleon").tensors == TENSORS
    assert store.compare_and_save_personalization("a", "chameleon", CARD, b"x", expected_digest=seen)
    assert store.personalization_record("a", "chameleon").tensors == b"x"


def test_tensors_that_are_none_or_too_big_are_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="tensors are empty"):
        store.save_personalization("a", "chameleon", CARD, b"")
    monkeypatch.setattr(records, "MAX_TENSORS", 3 << 20)
    store.save_personalization("a", "chameleon", CARD, bytes(3 << 20))
    with pytest.raises(StoreError, match=r"for user 'a': tensors of 4 MiB; a store keeps at most 3 MiB"):
        store.save_personalization("a", "chameleon", CARD, bytes(4 << 20))
    with pytest.raises(UnknownUserError):
        store.save_personalization("nobody", "chameleon", CARD, TENSORS)


@pytest.mark.parametrize("change", ["x'00'", "NULL"])
def test_tensors_changed_behind_the_store_are_damage(tmp_path: Path, change: str) -> None:
    with Store.open(tmp_path, tenant=DEFAULT_TENANT) as store:
        store.save_users([User("a", texts=("t",))])
        store.save_personalization("a", "chameleon", CARD, TENSORS)
    with closing(sqlite3.connect(tmp_path / "idiolect.db")) as database, database:
        database.execute(f"UPDATE personalizations SET tensors = {change}")
    with (
        Store.open(tmp_path, tenant=DEFAULT_TENANT) as store,
        pytest.raises(StoreError, match="user 'a' is damaged: its digest is wrong"),
    ):
        store.personalization("a", "chameleon")


def test_lists_and_guards_read_no_tensors(store: Store) -> None:
    store.save_personalization("a", "chameleon", CARD, TENSORS)
    read: list[str] = []

    @sa.event.listens_for(sa.Engine, "before_cursor_execute")
    def note(*arguments: object) -> None:
        read.append(str(arguments[2]))

    try:
        assert [user.methods for user in store.users()] == [("chameleon",), ()]
        store.summary("a")
        store.compare_and_save_personalization("a", "chameleon", CARD, TENSORS, expected_digest=None)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    assert any("personalizations" in statement for statement in read)
    assert not any("tensors" in statement for statement in read)


def test_store_of_the_second_revision_is_upgraded_with_its_data(tmp_path: Path) -> None:
    second_revision(tmp_path)
    with Store.open(tmp_path, tenant=DEFAULT_TENANT) as store:
        record = store.personalization_record("a", "fermi")
        assert (record.payload, record.digest, record.tensors) == ({"prompts": []}, digest({"prompts": []}), None)
        store.save_personalization("a", "chameleon", CARD, TENSORS)
        assert store.summary("a").methods == ("chameleon", "fermi")
        assert store.checkpoint("a", "fermi") == {"format": 1}


def second_revision(folder: Path) -> None:
    """A store as the second revision left it, with one person in it."""
    engine = sa.create_engine(f"sqlite:///{folder / 'idiolect.db'}")
    config = Config()
    config.set_main_option("script_location", "idiolect.store:migrations")
    now = "2026-05-01 10:00:00.000000"
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        insert = "INSERT INTO {} VALUES ({})"
        rows = (
            ("users", ("a", "{}", '["t"]', "{}", now, now)),
            ("personalizations", ("a", "fermi", '{"prompts":[]}', digest({"prompts": []}), now, now)),
            ("checkpoints", ("a", "fermi", '{"format":1}', digest({"format": 1}), now)),
        )
        for table, row in rows:
            connection.exec_driver_sql(insert.format(table, ", ".join("?" * len(row))), row)
    engine.dispose()
