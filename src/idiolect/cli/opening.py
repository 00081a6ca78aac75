"""Opening the store for commands that only look into it or change it, and call no model."""

from __future__ import annotations

from idiolect.application.tenant import chosen_tenant
from idiolect.store import Store


def open_store(target: str | None) -> Store:
    """Open a store that exists, for the tenant in `$IDIOLECT_TENANT`, else the default tenant.

    Args:
        target: a folder or a database URL; None: `$IDIOLECT_STORE`, else the user's data folder.

    Raises:
        StoreError: there is no store or tenant, or the store cannot be opened.
    """
    return Store.open(target, tenant=chosen_tenant(), create=False)
