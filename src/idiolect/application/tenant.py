"""Which tenant of a store is meant."""

from __future__ import annotations

import os

from idiolect.store import DEFAULT_TENANT


def chosen_tenant(tenant: str | None = None) -> str:
    """Return the id of the tenant; for None, that in `$IDIOLECT_TENANT` or, if that is not set, the default tenant."""
    return (os.environ.get("IDIOLECT_TENANT") or DEFAULT_TENANT) if tenant is None else tenant
