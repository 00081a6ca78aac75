"""Who is asking, in this order: the key's own user, a header of a trusted peer, `safety_identifier`, `user`.

    Authorization → KeyRecord (tenant) ┐
    X-OpenWebUI-User-Id, from a trusted address only ├→ Asker (tenant, user id)
    safety_identifier, user ┘

A header is believed only from addresses that the configuration names. The address is the connection's own: nothing
that a client can write, such as X-Forwarded-For, takes part in it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from aiohttp import web

from idiolect.people.user import unstorable_part
from idiolect.serve.body import JsonBody
from idiolect.serve.errors import AUTHENTICATION, PERMISSION, HttpError, invalid
from idiolect.serve.keys import KeyRecord, KnownKeys
from idiolect.store import DEFAULT_TENANT

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LONGEST_ID = 512  # characters of an id that requests name
_FIELDS = ("safety_identifier", "user")
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True)
class Asker:
    """Who is asking.

    Args:
        tenant: the tenant of the key.
        user: the user's id; None if the request names nobody.
    """

    tenant: str
    user: str | None


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose word is taken for whom.

    Args:
        keys: the keys that are known.
        anonymous: whether requests without a key are answered.
        loopback_only: whether those have to name this machine as their host, which a page of another site cannot
            make a browser do.
        peers: addresses whose header is believed.
        header: that header; it names the user.
    """

    keys: KnownKeys
    anonymous: bool
    loopback_only: bool
    peers: tuple[Network, ...] = ()
    header: str = "X-OpenWebUI-User-Id"

    async def caller(self, request: web.Request, scope: str) -> KeyRecord | None:
        """Return the key that a request shows; None if it shows none and needs none.

        Raises:
            HttpError: a key is needed, or unknown (401), or not for this (403).
        """
        secret = _shown_key(request)
        record = await self.keys.verify(secret) if secret is not None else None
        if record is None:
            self._check_anonymous(request, shown=secret is not None)
        elif scope not in record.scopes:
            raise HttpError(403, f"this key may not be used for {scope}", kind=PERMISSION, code="missing_scope")
        return record

    def _check_anonymous(self, request: web.Request, *, shown: bool) -> None:
        if not self.anonymous:  # otherwise any key is as good as none: clients insist on sending one
            message = "this key is not known here" if shown else "a key is needed: Authorization: Bearer KEY"
            raise HttpError(
                401,
                message,
                kind=AUTHENTICATION,
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if self.loopback_only and _host_name(request.host) not in _LOOPBACK_NAMES:
            message = "without keys, this server answers to localhost only"
            raise HttpError(403, message, kind=PERMISSION, code="host_not_allowed")

    def asker(self, request: web.Request, key: KeyRecord | None, body: JsonBody | None) -> Asker:
        """Return who is asking.

        Raises:
            HttpError: a trusted peer names several users (400).
        """
        tenant = DEFAULT_TENANT if key is None else key.tenant
        if key is not None and key.user is not None:
            return Asker(tenant, key.user)
        named = request.headers.getall(self.header, ()) if self.peers else ()
        if named and is_among(request.remote, self.peers):
            if len(set(named)) > 1:
                raise invalid(f"the header {self.header} names several users")
            return Asker(tenant, _usable(named[0]))
        fields = (body.text(name) for name in _FIELDS) if body is not None else ()
        return Asker(tenant, next((found for value in fields if (found := _usable(value))), None))


def is_among(address: str | None, networks: Sequence[Network]) -> bool:
    """Return whether a connection's address belongs to one of the networks."""
    found = _parsed(address) if address else None
    return found is not None and any(found in network for network in networks)


@lru_cache(maxsize=4096)
def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _shown_key(request: web.Request) -> str | None:
    """Return the secret that a request shows, as OpenAI's clients or Azure's send it; None if there is none."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and secret.strip():
        return secret.strip()
    return request.headers.get("api-key") or None


def _host_name(host: str) -> str:
    name, _, port = host.rpartition(":")
    return (name if name and port.isdigit() else host).lower()


def _usable(user_id: str | None) -> str | None:
    """Return an id that a store may have; None for one that none can have."""
    if not user_id or len(user_id) > LONGEST_ID or unstorable_part(user_id) is not None:
        return None
    return user_id
