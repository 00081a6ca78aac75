"""What every route begins with: the gateway, the exchange, the caller's key and limits, the body, and who asks."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from aiohttp import web

from idiolect.people.json_line import MAX_VALUES, TOO_MANY_VALUES, has_too_many_values
from idiolect.serve.body import JsonBody
from idiolect.serve.errors import invalid
from idiolect.serve.exchange import Exchange
from idiolect.serve.gateway import Gateway
from idiolect.serve.identity import Asker
from idiolect.serve.keys import CHAT, KeyRecord
from idiolect.serve.logs import log

GATEWAY = web.AppKey("gateway", Gateway)
EXCHANGE = web.RequestKey("exchange", Exchange)


@dataclass(frozen=True, slots=True)
class Context:
    """One request to a route.

    Args:
        gateway: the gateway.
        exchange: what is known of the request.
        key: the key that was shown; None: the request needed none.
    """

    gateway: Gateway
    exchange: Exchange
    key: KeyRecord | None

    def asker(self, request: web.Request, body: JsonBody | None = None) -> Asker:
        """Return who is asking; see `Trust.asker`."""
        return self.gateway.trust.asker(request, self.key, body)


async def admitted(request: web.Request, *, scope: str = CHAT) -> Context:
    """Return the context of a request whose caller may use the route.

    Args:
        request: the request.
        scope: what the caller's key has to be for.

    Raises:
        HttpError: a key is needed or not known (401), not for this (403), or used too often (429).
    """
    gateway, exchange = request.app[GATEWAY], request[EXCHANGE]
    key = await gateway.trust.caller(request, scope)
    usual = gateway.settings.requests_per_minute
    if key is None:
        gateway.limits.take(f"address {request.remote}", usual)
    else:
        exchange.key = key.id
        gateway.limits.take(f"key {key.tenant} {key.id}", usual if key.per_minute is None else key.per_minute)
    return Context(gateway, exchange, key)


async def json_body(request: web.Request, context: Context, *, most: int | None = None) -> JsonBody:
    """Return the body of a request; see `body_bytes`.

    Raises:
        HttpError: see `BodyReader` and `JsonBody`; or it has too many values (400).
    """
    data = await body_bytes(request, context, most=most)
    if len(data) > MAX_VALUES and await context.gateway.threads.parse(has_too_many_values, data):
        raise invalid(f"the body {TOO_MANY_VALUES.message}", code="invalid_json")
    return JsonBody(data)


async def body_bytes(request: web.Request, context: Context, *, most: int | None = None) -> bytes:
    """Return the bytes of the body of a request.

    Args:
        request: the request.
        context: its context.
        most: largest body, if the settings do not have a smaller one; None: as the settings have it.

    Raises:
        HttpError: see `BodyReader`.
    """
    gateway, exchange = context.gateway, context.exchange
    begun = time.perf_counter()
    data = await gateway.bodies.read(request, exchange, most=most)
    exchange.waited += time.perf_counter() - begun
    if gateway.settings.log_bodies:
        log("body", level=logging.INFO, request_id=exchange.id, body=data.decode("utf-8", "replace"))
    return data
