"""`idiolect users forget`: asks first, prints a receipt, and fails loudly where something is left."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from idiolect.cli.app import app
from idiolect.errors import CacheError
from idiolect.models.calls.cache import CallCache
from idiolect.store import DEFAULT_TENANT, Store
from idiolect.store.companions import note
from tests.erasure.keeping import ANNA, BORIS, learn


@pytest.fixture
def people(tmp_path: Path) -> Path:
    folder = tmp_path / "people"
    with Store.open(folder, tenant=DEFAULT_TENANT) as store, CallCache.open(store.cache_path) as cache:
        for user in (ANNA, BORIS):
            asyncio.run(learn(store, cache, user))
    return folder


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["users", *map(str, arguments)])


def ids(folder: Path) -> list[str]:
    with Store.open(folder, tenant=DEFAULT_TENANT) as store:
        return list(store.user_ids())


def test_receipt_tells_what_went_and_how_it_is_known(people: Path) -> None:
    result = run("forget", ANNA.id, "--yes", "--store", people)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = {line[:14].strip(): line[14:].strip() for line in result.stdout.splitlines()}
    assert lines["forgotten"] == ANNA.id
    assert lines["rows deleted"] == "1 users, 2 opinions, 1 personalizations, 1 checkpoints"
    assert lines["cached calls"] == "2 deleted, 1 kept because others share them"
    assert lines["found before"].split()[0] != "0"
    assert lines["found after"] == "0"
    assert "backups" in result.stdout
    assert ANNA.texts[0][:20] not in result.output
    assert ids(people) == [BORIS.id]


def test_receipt_in_json(people: Path) -> None:
    result = run("forget", ANNA.id, "--yes", "--json", "--store", people)
    receipt: dict[str, Any] = json.loads(result.stdout)
    assert (result.exit_code, result.stderr) == (0, "")
    assert receipt["user"] == ANNA.id
    assert receipt["calls"] == {"deleted": 2, "left_to_others": 1}
    assert receipt["in_store"] is True
    assert receipt["caches_missed"] == receipt["unfinished"] == []
    assert receipt["rows"]["users"] == 1
    assert receipt["found_before"]["count"] > 0
    assert receipt["found_after"] == {"count": 0, "places": {}}
    assert receipt["proven"] is True
    assert receipt["limits"]


def test_edits_of_others_that_go_along_are_counted(people: Path) -> None:
    with Store.open(people, tenant=DEFAULT_TENANT) as store:
        store.groups.create("both", [ANNA.id])
        members = store.groups.read_members("both")
        store.groups.save_personalization("both", "chameleon", {"edit": "ab"}, fitted_on=members)
        started = {"group": "both", "digest": "ab", "origin": "store"}
        for user in (ANNA, BORIS):
            store.save_personalization(user.id, "chameleon", {"started_from": started})
        assert store.groups.begun_edits("both") == (ANNA.id, BORIS.id)
        assert store.groups.begun_edits_with(ANNA.id) == (BORIS.id,)
    result = run("forget", ANNA.id, "--yes", "--store", people)
    assert result.exit_code == 0
    told = " ".join(result.stdout.split())
    assert "3 personalizations" in told
    assert "begun edits those of 1 other person deleted, because they began at a group's edit" in told
    receipt = json.loads(run("forget", BORIS.id, "--yes", "--json", "--store", people).stdout)
    assert (receipt["begun_edits_deleted"], receipt["rows"]["personalizations"]) == (0, 1)
    assert "edits of people that began at it" in " ".join(run("forget", "--help").stdout.split())


def test_what_is_left_is_an_error_that_names_files_and_no_texts(people: Path) -> None:
    (people / "copy.txt").write_text(ANNA.texts[0])
    result = run("forget", ANNA.id, "--yes", "--json", "--store", people)
    assert result.exit_code == 1
    receipt = json.loads(result.stdout)
    assert receipt["proven"] is False
    assert list(receipt["found_after"]["places"]) == [str(people / "copy.txt")]
    assert result.stderr == f"error: {people / 'copy.txt'}: {receipt['found_after']['count']} traces are left\n"
    assert ANNA.texts[0][:20] not in result.output
    assert ids(people) == [BORIS.id]  # deleted all the same


def test_nobody_to_ask_is_wrong_use(people: Path) -> None:
    result = run("forget", ANNA.id, "--store", people)
    assert result.exit_code == 2
    assert "--yes is required when there is no terminal for the confirmation" in result.stderr
    assert ids(people) == [ANNA.id, BORIS.id]


def test_unknown_user_is_reported_before_a_missing_terminal(people: Path) -> None:
    result = run("forget", "nobody", "--store", people)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: the store has no user 'nobody'")


@pytest.mark.parametrize(("answer", "status", "left"), [("n\n", 1, [ANNA.id, BORIS.id]), ("y\n", 0, [BORIS.id])])
def test_terminal_is_asked(people: Path, answer: str, status: int, left: list[str]) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, answer.encode())
    command = [sys.executable, "-m", "idiolect.cli.app", "users", "forget", ANNA.id, "--store", str(people)]
    done = subprocess.run(command, stdin=theirs, capture_output=True, text=True, timeout=60, check=False)
    os.close(theirs)
    os.close(ours)
    assert done.returncode == status
    assert "opinions 2; texts 1; learned by fermi; unfinished learning 1; cached calls 2" in done.stderr
    assert "Delete all of it?" in done.stderr
    assert ("found after" in done.stdout) == (status == 0)
    assert ids(people) == left


def test_erasure_that_was_cut_off_is_told(people: Path) -> None:
    with Store.open(people, tenant=DEFAULT_TENANT) as store, store.database.writing() as connection:
        connection.exec_driver_sql("INSERT INTO erasures VALUES ('ab', '2026-01-01 00:00:00')")
    result = run("forget", ANNA.id, "--yes", "--store", people)
    assert result.exit_code == 0
    assert result.stderr == "completed 1 erasure that had been interrupted\n"


def test_one_of_whom_only_calls_are_left_is_forgotten(people: Path) -> None:
    with Store.open(people, tenant=DEFAULT_TENANT) as store, store.database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM users WHERE id = ?", (ANNA.id,))
    result = run("forget", ANNA.id, "--yes", "--store", people)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "none: the store had no such user" in result.stdout
    assert "2 deleted, 1 kept because others" in result.stdout
    assert "no user" in run("forget", ANNA.id, "--yes", "--store", people).stderr


def test_missing_cache_is_an_error_with_advice(people: Path, tmp_path: Path) -> None:
    with Store.open(people, tenant=DEFAULT_TENANT) as store:
        note(store.database, tmp_path / "gone.db", tenant=DEFAULT_TENANT)
    result = run("forget", ANNA.id, "--yes", "--json", "--store", people)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["proven"] is False
    assert result.stderr.startswith(
        f"error: cache {tmp_path / 'gone.db'}: does not exist, but was used with this store;"
    )
    assert ids(people) == [BORIS.id]


def test_what_could_not_be_scrubbed_is_in_the_receipt_and_finished_by_the_next_command(
    people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(_: CallCache) -> None:
        raise CacheError("the cache is being read")

    with monkeypatch.context() as patched:
        patched.setattr(CallCache, "scrub", busy)
        result = run("forget", ANNA.id, "--yes", "--store", people)
    assert result.exit_code == 1
    assert "1 users, 2 opinions" in result.stdout
    assert "deleted, but not scrubbed from the files yet: the cache is being read" in result.stderr
    assert "the next command that opens the store (such as idiolect users list) completes this" in result.stderr
    finished = run("list", "--store", people)
    assert finished.stderr == "completed 1 erasure that had been interrupted\n"
    assert ANNA.id not in finished.stdout
