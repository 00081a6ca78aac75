"""SQLite's set-up and reasons, which the store and the cache of calls share."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from idiolect.sqlite import primary_code, set_pragmas, sqlite_reason


def test_pragmas_of_a_connection(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as connection:
        set_pragmas(connection, lock_timeout=1.5)
        names = ("journal_mode", "foreign_keys", "secure_delete", "busy_timeout")
        values = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]
    assert values == ["wal", 1, 1, 1500]


def test_a_lock_is_waited_for_before_the_log_is_made_and_then_named(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as other,
        closing(sqlite3.connect(path, isolation_level=None)) as connection,
    ):
        other.execute("CREATE TABLE a (b)")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError) as caught:
            set_pragmas(connection, lock_timeout=0.05)
        assert primary_code(caught.value) == sqlite3.SQLITE_BUSY
        assert sqlite_reason(caught.value) == "it is locked: another process is writing to it"
        assert sqlite_reason(caught.value, instead={sqlite3.SQLITE_BUSY: "busy"}) == "busy"
        other.execute("ROLLBACK")
        set_pragmas(connection, lock_timeout=0.05)


def test_a_text_that_is_not_utf_8_is_not_repeated() -> None:
    with closing(sqlite3.connect(":memory:")) as connection, pytest.raises(sqlite3.Error, match="private") as caught:
        connection.execute("SELECT CAST(? AS TEXT)", (b"my private words\xff",)).fetchone()
    assert sqlite_reason(caught.value) == "its data is damaged"


def test_a_closed_connection_is_not_called_damage() -> None:
    connection = sqlite3.connect(":memory:")
    connection.close()
    with pytest.raises(sqlite3.Error) as caught:
        connection.execute("SELECT 1")
    assert sqlite_reason(caught.value) == "the connection cannot be used"


def test_an_unknown_reason_is_sqlites_own() -> None:
    with closing(sqlite3.connect(":memory:")) as connection, pytest.raises(sqlite3.Error) as caught:
        connection.execute("SELECT missing")
    assert sqlite_reason(caught.value) == "SQLite reports: no such column: missing"
    assert primary_code(None) == sqlite3.SQLITE_ERROR
