"""Operation of the server: whether it lives, whether it can answer, its metrics, and its own description."""

from __future__ import annotations

import asyncio

from aiohttp import web

from idiolect.serve.errors import SERVER, HttpError
from idiolect.serve.metrics import CONTENT_TYPE
from idiolect.serve.responding import body_response, json_response
from idiolect.serve.routes.context import EXCHANGE, GATEWAY
from idiolect.store import DEFAULT_TENANT

_CHECK_SECONDS = 10.0


async def health(request: web.Request) -> web.StreamResponse:
    """Report that the server lives."""
    return json_response({"status": "ok"}, request[EXCHANGE])


async def ready(request: web.Request) -> web.StreamResponse:
    """Report whether the store can be read, and what answers can be reached."""
    gateway = request.app[GATEWAY]
    if gateway.stopping:
        raise HttpError(503, "the server stops", kind=SERVER, code="server_stopping")
    async with asyncio.timeout(_CHECK_SECONDS):
        store = await asyncio.to_thread(gateway.store_of, DEFAULT_TENANT)
        await asyncio.to_thread(store.personalization_digests, "")
        try:
            await gateway.answers.check()
        except HttpError as error:
            raise HttpError(503, str(error), kind=error.kind, code=error.code) from None
    return json_response({"status": "ready"}, request[EXCHANGE])


async def metrics(request: web.Request) -> web.StreamResponse:
    """Report the metrics in Prometheus' text format."""
    return body_response(request.app[GATEWAY].metrics.text(), request[EXCHANGE], headers={"Content-Type": CONTENT_TYPE})


async def openapi(request: web.Request) -> web.StreamResponse:
    """Return the OpenAPI document of this server."""
    from idiolect.serve.openapi import openapi_document

    return json_response(openapi_document(), request[EXCHANGE])
