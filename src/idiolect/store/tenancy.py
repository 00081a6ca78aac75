"""Tenants: those who share a store and know nothing of each other, such as the customers of one server.

Ids of users and groups live inside a tenant. Each tenant has its own cache of calls and folder of artifacts, so that no
cached answer crosses over. Tenants are created, and stay.
"""

from __future__ import annotations

import hashlib
import unicodedata
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from idiolect.errors import StoreError
from idiolect.store.database import Database
from idiolect.store.schema import tenants
from idiolect.store.strict_json import checked_text

DEFAULT_TENANT = "default"  # every store has it; stores from before there were tenants have all their people in it
MAX_LENGTH = 200  # characters of a tenant's id
_FOLDER = "tenants"


def checked_tenant(tenant: str) -> str:
    """Return the id itself, if it is a valid id of a tenant.

    That is a text of 1 to `MAX_LENGTH` characters that neither begins nor ends with a blank, and contains no control
    characters and nothing that a database cannot store.

    Raises:
        TypeError: the id is no text.
        StoreError: the id is not valid.
    """
    if not isinstance(tenant, str):
        raise TypeError(f"expected the id of a tenant, a text; found {type(tenant)!r}")
    if not tenant.strip():
        raise StoreError("the tenant's id is blank")
    if len(tenant) > MAX_LENGTH:
        raise StoreError(f"the tenant's id has {len(tenant)} characters; it may have at most {MAX_LENGTH}")
    if tenant != tenant.strip():
        raise StoreError(f"the tenant's id {tenant!r} begins or ends with a blank")
    checked_text(tenant, at="the tenant's id")
    if any(unicodedata.category(character) == "Cc" for character in tenant):
        raise StoreError(f"the tenant's id {tenant!r} contains control characters")
    return tenant


def create_tenant(database: Database, tenant: str) -> bool:
    """Create the tenant if the store does not have it; return whether it was created.

    Raises:
        StoreError: the id is not valid, or the store cannot be written.
    """
    if has_tenant(database, checked_tenant(tenant)):
        return False
    with database.writing() as connection:
        try:
            with connection.begin_nested():
                connection.execute(tenants.insert().values(id=tenant, created_at=datetime.now(UTC)))
        except IntegrityError:  # another process was quicker
            return False
    return True


def has_tenant(database: Database, tenant: str) -> bool:
    """Return whether the store has the tenant.

    Raises:
        StoreError: the store cannot be read.
    """
    if tenant not in database.confirmed_tenants:
        with database.reading() as connection:
            if connection.scalar(sa.select(tenants.c.id).where(tenants.c.id == tenant)) is None:
                return False
        database.confirmed_tenants.add(tenant)
    return True


def check_tenant(database: Database, tenant: str) -> None:
    """Raise an error if the store does not have the tenant.

    Raises:
        StoreError: the store has no such tenant, or cannot be read.
    """
    if not has_tenant(database, checked_tenant(tenant)):
        raise StoreError(f"store {database.where}: has no tenant {tenant!r}; creating a key for it creates it")


def tenant_ids(database: Database) -> list[str]:
    """Return the ids of all tenants, in order.

    Raises:
        StoreError: the store cannot be read.
    """
    with database.reading() as connection:
        return list(connection.scalars(sa.select(tenants.c.id).order_by(tenants.c.id)))


def tenant_folder(folder: Path, tenant: str) -> Path:
    """Return the folder of a tenant's files, given that of the store: the same for the default tenant."""
    if tenant == DEFAULT_TENANT:
        return folder
    return folder / _FOLDER / hashlib.sha256(tenant.encode()).hexdigest()
