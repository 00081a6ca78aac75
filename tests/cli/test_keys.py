"""`idiolect keys`: the secret appears once, on stdout, and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner, Result

from idiolect.application.names import ScopeName
from idiolect.cli.app import app
from idiolect.store import DEFAULT_TENANT, Store
from idiolect.store.api_keys import ApiKeys, Scope
from tests.erasure.keeping import everything


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IDIOLECT_STORE", str(tmp_path / "people"))
    return tmp_path / "people"


def keys(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["keys", *arguments])


def test_created_key_is_listed_and_revoked(folder: Path) -> None:
    created = keys("create", "--tenant", "acme", "--user", "u1", "--name", "website", "--scope", "chat")
    assert created.exit_code == 0
    secret = created.stdout.strip()
    assert secret.startswith("idk_")
    assert secret not in created.stderr
    assert secret.encode() not in everything(folder)
    with Store.open(folder, tenant=DEFAULT_TENANT) as store:
        record = ApiKeys(store.database).verify(secret)
    assert record is not None
    assert (record.tenant, record.user, record.scopes) == ("acme", "u1", {Scope.CHAT})
    listed = keys("list").stdout
    assert all(word in listed for word in (record.id, "acme", "u1", "chat", "website", "valid"))
    assert secret not in listed
    assert keys("revoke", record.id).exit_code == 0
    assert "revoked" in keys("list").stdout
    with Store.open(folder, tenant=DEFAULT_TENANT) as store:
        assert ApiKeys(store.database).verify(secret) is None


@pytest.mark.usefixtures("folder")
def test_json_has_everything_and_the_secret_only_at_the_creation() -> None:
    created = json.loads(keys("create", "--per-minute", "5", "--json").stdout)
    secret = created.pop("secret")
    assert created["tenant"] == DEFAULT_TENANT
    assert created["scopes"] == ["chat", "people"]
    assert created["per_minute"] == 5
    listed = keys("list", "--json").stdout
    assert json.loads(listed) == created
    assert secret not in listed
    revoked = json.loads(keys("revoke", created["id"], "--json").stdout)
    assert revoked["revoked_at"] is not None
    assert {**revoked, "revoked_at": None} == created


@pytest.mark.usefixtures("folder")
def test_tenant_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDIOLECT_TENANT", "acme")
    assert json.loads(keys("create", "--json").stdout)["tenant"] == "acme"
    assert json.loads(keys("create", "--tenant", "other", "--json").stdout)["tenant"] == "other"
    assert len(keys("list", "--tenant", "acme", "--json").stdout.splitlines()) == 1
    assert len(keys("list", "--json").stdout.splitlines()) == 2
    result = CliRunner().invoke(app, ["users", "list"])  # the other commands take it, too
    assert result.exit_code == 0
    monkeypatch.setenv("IDIOLECT_TENANT", "nobody's")
    result = CliRunner().invoke(app, ["users", "list"])
    assert (result.exit_code, 'has no tenant "nobody\'s"' in result.stderr) == (1, True)


@pytest.mark.usefixtures("folder")
def test_mistakes_are_named() -> None:
    assert keys("list").exit_code == 1  # no store yet
    for wrong in (("--scope", "admin"), ("--per-minute", "0"), ("--user", " "), ("--name", "x" * 201)):
        assert keys("create", *wrong).exit_code == 2
    unknown = keys("revoke", "nothing")
    assert unknown.exit_code == 1
    assert "no API key of that id" in unknown.stderr


def test_scopes_of_the_option_are_those_of_the_store() -> None:
    assert get_args(ScopeName) == tuple(map(str, Scope))
