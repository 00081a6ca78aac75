"""API keys as JSON documents."""

from __future__ import annotations

from typing import Any

from idiolect.store.api_keys import ApiKeyRecord


def key_document(key: ApiKeyRecord) -> dict[str, Any]:
    """Return a key as a JSON document, without its secret, which the store does not have."""
    return {
        "id": key.id,
        "tenant": key.tenant,
        "user": key.user,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "per_minute": key.per_minute,
        "created_at": key.created_at.isoformat(),
        "revoked_at": None if key.revoked_at is None else key.revoked_at.isoformat(),
    }
