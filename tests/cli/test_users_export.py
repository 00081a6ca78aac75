"""`idiolect users export`: an archive that holds everything, and that `fit` can read."""

from __future__ import annotations

import asyncio
import hashlib
import json
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from idiolect.cli.app import app
from idiolect.erasure.forgetting import artifact_folder
from idiolect.models.calls.cache import CallCache
from idiolect.people.users_file import read_users
from idiolect.store import DEFAULT_TENANT, Store
from idiolect.store.companions import note
from tests.erasure.keeping import ANNA, BORIS, SHARED_RESULT, call, key_of, learn, payload_of

HALF = {"text": "half \ud83d", "finish_reason": "length"}


@pytest.fixture
def people(tmp_path: Path) -> Path:
    folder = tmp_path / "people"
    with Store.open(folder, tenant=DEFAULT_TENANT) as store, CallCache.open(store.cache_path) as cache:
        for user in (ANNA, BORIS):
            asyncio.run(learn(store, cache, user))
        asyncio.run(call(cache, key_of("half"), HALF, owner=ANNA.id))
        store.save_personalization(ANNA.id, "../my method", {"a": 1})
        artifacts = artifact_folder(folder, ANNA.id) / "chameleon"
        artifacts.mkdir(parents=True)
        (artifacts / "directions.safetensors").write_bytes(bytes(range(256)))
    return folder


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["users", "export", *map(str, arguments)])


@pytest.fixture
def archive(people: Path, tmp_path: Path) -> Path:
    result = run(ANNA.id, "--out", tmp_path / "anna.zip", "--store", people)
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"exported user '{ANNA.id}' to" in result.stderr
    return tmp_path / "anna.zip"


def test_archive_is_private_and_whole(archive: Path, people: Path, tmp_path: Path) -> None:
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None
        assert opened.namelist() == [
            "user.jsonl",
            "personalizations/..%2Fmy%20method.json",
            "personalizations/fermi.json",
            "checkpoints/fermi.json",
            "calls.jsonl",
            "artifacts/chameleon/directions.safetensors",
            "manifest.json",
        ]
    again = run(ANNA.id, "--out", archive, "--store", people)
    assert again.exit_code == 1
    assert "--force replaces it" in again.stderr
    assert run(BORIS.id, "--out", archive, "--force", "--store", people).exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["anna.zip", "people"]


def test_users_file_of_the_archive_is_the_user(archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        opened.extract("user.jsonl", tmp_path)
    assert list(read_users(tmp_path / "user.jsonl")) == [ANNA]


def test_archive_holds_what_was_learned_answered_and_made(archive: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        fermi = json.loads(opened.read("personalizations/fermi.json"))
        checkpoint = json.loads(opened.read("checkpoints/fermi.json"))
        calls = [json.loads(line) for line in opened.read("calls.jsonl").decode().splitlines()]
        assert opened.read("artifacts/chameleon/directions.safetensors") == bytes(range(256))
    assert (fermi["method"], fermi["payload"]) == ("fermi", payload_of(ANNA))
    assert checkpoint["payload"]["format"] == 1
    assert calls[0]["result"] == SHARED_RESULT
    assert calls[-1]["result"] == HALF
    assert {(one["operation"], one["model"]) for one in calls} == {("complete", "openai:some-model")}
    assert len(calls) == 4


def test_manifest_fits_the_members(archive: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        manifest: dict[str, Any] = json.loads(opened.read("manifest.json"))
        assert set(manifest["members"]) == set(opened.namelist()) - {"manifest.json"}
        for name, told in manifest["members"].items():
            content = opened.read(name)
            assert told == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert manifest["user"] == ANNA.id
    assert manifest["counts"] == {
        "opinions": 2,
        "texts": 1,
        "personalizations": 2,
        "checkpoints": 1,
        "calls": 4,
        "artifacts": 1,
    }


def test_document_holds_the_same(people: Path) -> None:
    result = run(ANNA.id, "--store", people)
    document = json.loads(result.stdout)
    assert [record["method"] for record in document["checkpoints"]] == ["fermi"]
    assert [one["result"] for one in document["calls"]][-1] == HALF
    assert document["artifacts"] == ["chameleon/directions.safetensors"]


def test_failed_archive_leaves_nothing_behind(people: Path, tmp_path: Path) -> None:
    for place in (tmp_path / "nowhere" / "x.zip", people / "calls.db" / "x.zip"):
        result = run(ANNA.id, "--out", place, "--store", people)
        assert result.exit_code == 1
        assert "error: cannot write" in result.stderr
    assert "no user 'nobody'" in run("nobody", "--out", tmp_path / "x.zip", "--store", people).stderr
    assert [path.name for path in tmp_path.iterdir()] == ["people"]


def test_a_cache_that_is_missing_is_told(people: Path, tmp_path: Path) -> None:
    with Store.open(people, tenant=DEFAULT_TENANT) as store:
        note(store.database, tmp_path / "gone.db", tenant=DEFAULT_TENANT)
    result = run(ANNA.id, "--store", people)
    assert result.exit_code == 0
    assert f"cache {tmp_path / 'gone.db'}: does not exist" in result.stderr
