"""API keys: how programs identify themselves to a server, and on behalf of which tenant and user.

    create → (record, secret, shown once) → verify(secret) → record | None → revoke

A secret is 32 random bytes, so the store keeps its plain SHA-256: a slow or salted hash protects secrets that can be
guessed, and these cannot. `verify` is one look-up in the index of these hashes. Secrets are in no message or log.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from idiolect.errors import StoreError
from idiolect.people.user import unstorable_part
from idiolect.store.database import Database
from idiolect.store.schema import api_keys
from idiolect.store.strict_json import checked_text
from idiolect.store.tenancy import check_tenant, create_tenant

PREFIX = "idk_"  # lets scanners of code and logs recognize a secret
MAX_NAME = 200  # characters
_RANDOM_BYTES = 32
_MAX_SECRET = 200  # characters; whatever is longer is no secret of ours, and is not hashed


class Scope(StrEnum):
    """What a key may be used for: answers, or the data about people."""

    CHAT = "chat"
    PEOPLE = "people"


ALL_SCOPES = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class ApiKeyRecord:
    """What the store knows about a key.

    Args:
        id: the key's public name, for lists, logs and `ApiKeys.revoke`.
        tenant: the tenant whose data the key reaches.
        user: the only user on whose behalf it is used; None: any user of the tenant.
        name: its owner's note on it.
        scopes: what it may be used for.
        per_minute: maximum number of requests per minute, ≥ 1; None: no limit.
        created_at: time at which it was created.
        revoked_at: time since when it is not valid any more; None: it is valid.
    """

    id: str
    tenant: str
    user: str | None
    name: str
    scopes: frozenset[Scope]
    per_minute: int | None
    created_at: datetime
    revoked_at: datetime | None = None


class ApiKeys:
    """The keys of an opened store.

    Methods raise `StoreError` if the store cannot be read or written, or is damaged.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        *,
        tenant: str,
        user: str | None = None,
        name: str = "",
        scopes: Iterable[Scope] = ALL_SCOPES,
        per_minute: int | None = None,
    ) -> tuple[ApiKeyRecord, str]:
        """Create a key, and its tenant if the store does not have it.

        Args:
            tenant: the tenant whose data the key reaches.
            user: the only user on whose behalf it is used, who need not be in the store yet; None: any user.
            name: a note on it, at most `MAX_NAME` characters.
            scopes: what it may be used for, at least one.
            per_minute: maximum number of requests per minute; None: no limit.

        Returns:
            The record, and the secret, which nobody can read again.

        Raises:
            ValueError: the user is blank, the name is too long, there is no scope, or the limit is below 1.
            StoreError: the tenant's id is not valid, or a text cannot be stored.
        """
        record = ApiKeyRecord(
            id=secrets.token_hex(8),
            tenant=tenant,
            user=user,
            name=name,
            scopes=frozenset(map(Scope, scopes)),
            per_minute=per_minute,
            created_at=datetime.now(UTC),
        )
        _check(record)
        create_tenant(self._database, tenant)
        secret = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
        row = {
            "id": record.id,
            "tenant_id": tenant,
            "user_id": user,
            "name": name,
            "secret_sha256": hash_of(secret),
            "scopes": sorted(record.scopes),
            "per_minute": per_minute,
            "created_at": record.created_at,
        }
        with self._database.writing() as connection:
            connection.execute(api_keys.insert().values(row))
        return record, secret

    def list(self, *, tenant: str | None = None) -> list[ApiKeyRecord]:
        """Return the keys, revoked ones too, in the order of their creation; `tenant` limits them to one tenant.

        Raises:
            StoreError: there is no such tenant.
        """
        chosen = sa.select(*_columns()).order_by(api_keys.c.created_at, api_keys.c.id)
        if tenant is not None:
            check_tenant(self._database, tenant)
            chosen = chosen.where(api_keys.c.tenant_id == tenant)
        with self._database.reading() as connection:
            return [_record(row) for row in connection.execute(chosen).mappings()]

    def revoke(self, key_id: str) -> ApiKeyRecord:
        """Make a key invalid from now on; a key that was revoked before stays as it is.

        Args:
            key_id: the key's id, not its secret.

        Returns:
            The revoked key.

        Raises:
            StoreError: there is no such key.
        """
        valid = api_keys.c.revoked_at.is_(None)
        chosen = sa.select(*_columns()).where(api_keys.c.id == key_id)
        with self._database.writing() as connection:
            if unstorable_part(key_id) is None:
                named = api_keys.update().where(api_keys.c.id == key_id, valid)
                connection.execute(named.values(revoked_at=datetime.now(UTC)))
                if row := connection.execute(chosen).mappings().first():
                    return _record(row)
        raise StoreError("there is no API key of that id; the ids are those that the list of keys shows")

    def verify(self, secret: str) -> ApiKeyRecord | None:
        """Return the key of a secret; None if there is none, or it was revoked."""
        if not secret.startswith(PREFIX) or len(secret) > _MAX_SECRET:
            return None
        hashed = hash_of(secret)
        chosen = sa.select(*_columns(), api_keys.c.secret_sha256).where(api_keys.c.secret_sha256 == hashed)
        with self._database.reading() as connection:
            row = connection.execute(chosen).mappings().first()
            if row is None or not hmac.compare_digest(row["secret_sha256"], hashed) or row["revoked_at"] is not None:
                return None
            return _record(row)


def hash_of(secret: str) -> str:
    """Return the SHA-256 (hex) of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _check(record: ApiKeyRecord) -> None:
    if record.user is not None:
        if not record.user.strip():
            raise ValueError("the key's user is blank")
        checked_text(record.user, at="the key's user")
    if len(record.name) > MAX_NAME:
        raise ValueError(f"the key's name has {len(record.name)} characters; it may have at most {MAX_NAME}")
    checked_text(record.name, at="the key's name")
    if not record.scopes:
        raise ValueError("the key has no scope; expected at least one of " + ", ".join(Scope))
    if record.per_minute is not None and record.per_minute < 1:
        raise ValueError(f"per_minute is {record.per_minute}, must be at least 1")


def _columns() -> list[sa.Column[object]]:
    return [column for column in api_keys.c if column is not api_keys.c.secret_sha256]


def _record(row: RowMapping) -> ApiKeyRecord:
    return ApiKeyRecord(
        id=row["id"],
        tenant=row["tenant_id"],
        user=row["user_id"],
        name=row["name"],
        scopes=frozenset(map(Scope, row["scopes"])),
        per_minute=row["per_minute"],
        created_at=row["created_at"],
        revoked_at=row["revoked_at"],
    )
