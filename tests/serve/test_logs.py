"""Logs name why the store's database failed, and quote nobody."""

from __future__ import annotations

import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from idiolect.errors import StoreError
from idiolect.people.user import User
from idiolect.serve.logs import LOGGER, log, open_logs
from idiolect.store import DEFAULT_TENANT, Store


def test_a_failure_of_the_database_is_logged_with_its_reason_and_no_text(tmp_path: Path) -> None:
    stream = io.StringIO()
    with Store.open(tmp_path, tenant=DEFAULT_TENANT, lock_timeout=0.05) as store:
        store.save_users([User("ann", texts=("Private words.",))])
        with closing(sqlite3.connect(tmp_path / "idiolect.db")) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError) as raised:
                store.save_users([User("ann", texts=("Other words.",))])
    open_logs("info", stream)
    try:
        log("failure", error=raised.value)
        log("failure", error=StoreError("could not delete all rows of user 'ann'"))
    finally:
        LOGGER.handlers.clear()
        LOGGER.propagate = True
    locked, unlocked = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (locked["error"], locked["reason"]) == (
        "StoreError", "it is locked: another process is writing to it"
    )  # fmt: skip
    assert "reason" not in unlocked
    assert not any(word in stream.getvalue() for word in ("words", "'ann'"))
