"""API keys: created once, verified by their secret, revoked, and gone with the user whom they are bound to."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator

import pytest

from idiolect.erasure.forgetting import forget_user
from idiolect.errors import StoreError
from idiolect.people.user import User
from idiolect.store import DEFAULT_TENANT, Store
from idiolect.store.api_keys import ALL_SCOPES, MAX_NAME, PREFIX, ApiKeys, Scope
from idiolect.store.tenancy import tenant_ids


@pytest.fixture
def store(store_target: str) -> Iterator[Store]:
    with Store.open(store_target, tenant=DEFAULT_TENANT) as opened:
        yield opened


@pytest.fixture
def keys(store: Store) -> ApiKeys:
    return ApiKeys(store.database)


def test_secret_leads_to_its_record(keys: ApiKeys) -> None:
    record, secret = keys.create(tenant="acme", user="anna", name="website – ❄", scopes=[Scope.CHAT], per_minute=60)
    other, _ = keys.create(tenant=DEFAULT_TENANT)
    assert keys.verify(secret) == record
    assert (record.tenant, record.user, record.name, record.per_minute) == ("acme", "anna", "website – ❄", 60)
    assert record.scopes == {Scope.CHAT}
    assert (other.user, other.scopes, other.per_minute, other.revoked_at) == (None, ALL_SCOPES, None, None)
    assert keys.list() == [record, other]
    assert keys.list(tenant="acme") == [record]


def test_secret_is_long_random_and_not_in_the_store(store: Store, keys: ApiKeys) -> None:
    secrets = [keys.create(tenant=DEFAULT_TENANT)[1] for _ in range(5)]
    assert len(set(secrets)) == 5
    assert all(secret.startswith(PREFIX) and len(secret) >= len(PREFIX) + 43 for secret in secrets)
    with store.database.reading() as connection:
        rows = repr(connection.exec_driver_sql("SELECT * FROM api_keys").all())
    for secret in secrets:
        assert secret[len(PREFIX) :] not in rows
        assert hashlib.sha256(secret.encode()).hexdigest() in rows


def test_other_secrets_lead_nowhere(keys: ApiKeys) -> None:
    record, secret = keys.create(tenant=DEFAULT_TENANT)
    hashed = hashlib.sha256(secret.encode()).hexdigest()
    wrong = ["", secret[:-1], secret + "x", secret.upper(), secret[len(PREFIX) :], record.id, hashed, PREFIX + hashed]
    for each in [*wrong, "' OR 1=1 --", f"{PREFIX}\0", f"{PREFIX}\ud83d", PREFIX + "x" * 10_000_000]:
        assert keys.verify(each) is None


def test_revoked_key_leads_nowhere_and_stays_in_the_list(keys: ApiKeys) -> None:
    record, secret = keys.create(tenant=DEFAULT_TENANT)
    _, valid = keys.create(tenant=DEFAULT_TENANT)
    revoked = keys.revoke(record.id)
    assert revoked.revoked_at is not None
    assert keys.verify(secret) is None
    assert keys.verify(valid) is not None
    assert keys.revoke(record.id) == revoked  # the time stays
    assert keys.list()[0] == revoked
    for unknown in ("nothing", secret, "half \ud83d"):
        with pytest.raises(StoreError, match="no API key of that id") as caught:
            keys.revoke(unknown)
        assert secret not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"user": " "}, "user is blank"),
        ({"name": "x" * (MAX_NAME + 1)}, "at most 200"),
        ({"scopes": []}, "no scope"),
        ({"scopes": ["admin"]}, "admin"),
        ({"per_minute": 0}, "per_minute is 0"),
        ({"user": "a\0b"}, "cannot be stored"),
        ({"name": "\ud83d"}, "cannot be stored"),
        ({"tenant": " "}, "tenant's id is blank"),
    ],
)
def test_impossible_key_is_refused_and_creates_nothing(
    store: Store, keys: ApiKeys, wrong: dict[str, object], message: str
) -> None:
    with pytest.raises((ValueError, StoreError), match=message):
        keys.create(**{"tenant": "acme", **wrong})  # type: ignore[arg-type]
    assert keys.list() == []
    assert tenant_ids(store.database) == [DEFAULT_TENANT]


def test_keys_of_an_unknown_tenant_cannot_be_listed(keys: ApiKeys) -> None:
    with pytest.raises(StoreError, match="has no tenant 'acme'"):
        keys.list(tenant="acme")


def test_forgetting_a_user_deletes_their_keys_in_that_tenant_only(store: Store, keys: ApiKeys) -> None:
    store.save_users([User("anna", texts=("I like long walks in the rain.",)), User("boris", texts=("t",))])
    _, hers = keys.create(tenant=DEFAULT_TENANT, user="anna", name="Anna's own telephone")
    kept = [
        keys.create(tenant=DEFAULT_TENANT, user="boris")[0],
        keys.create(tenant="acme", user="anna")[0],
        keys.create(tenant=DEFAULT_TENANT)[0],
    ]
    receipt = forget_user(store, "anna")
    assert receipt.rows["api_keys"] == 1
    assert receipt.proven
    assert keys.verify(hers) is None
    assert keys.list() == kept


def test_key_of_a_user_who_was_never_saved_can_be_forgotten(store: Store, keys: ApiKeys) -> None:
    keys.create(tenant=DEFAULT_TENANT, user="nobody.yet", name="of nobody in particular")
    receipt = forget_user(store, "nobody.yet")
    assert (receipt.in_store, receipt.rows["api_keys"], receipt.proven) == (False, 1, True)
    assert keys.list() == []


def test_secrets_are_in_no_log(keys: ApiKeys, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        record, secret = keys.create(tenant=DEFAULT_TENANT)
        keys.verify(secret)
        keys.revoke(record.id)
    hashed = hashlib.sha256(secret.encode()).hexdigest()
    assert not [word for word in (secret, hashed) if word in caplog.text]
    assert secret not in repr(record)
