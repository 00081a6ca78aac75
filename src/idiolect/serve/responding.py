"""How an answer is written to the client: whole, or event by event, with the headers of the exchange."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress

from aiohttp import web

from idiolect.serve.body import encoded
from idiolect.serve.errors import SERVER, HttpError, as_http_error
from idiolect.serve.event_streams import CONTENT_TYPE, broken, ends_with_mark
from idiolect.serve.exchange import Exchange
from idiolect.serve.logs import log_failure

_STREAM_HEADERS = {
    "Content-Type": f"{CONTENT_TYPE}; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # nginx would collect events otherwise
}
STOPPING = HttpError(503, "the server stops; ask again", kind=SERVER, code="server_stopping")


def json_response(
    document: object, exchange: Exchange, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return a JSON document as a response."""
    return body_response(encoded(document), exchange, status=status, headers=headers)


def body_response(
    body: bytes, exchange: Exchange, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return bytes as a response; JSON, unless the headers name another type."""
    found = exchange.headers()
    found.update(headers or {})
    found.setdefault("Content-Type", "application/json")
    return web.Response(body=body, status=status, headers=found)


def error_response(error: BaseException, exchange: Exchange) -> web.Response:
    """Return any error as a response."""
    found = as_http_error(error)
    response = json_response(found.document, exchange, status=found.status, headers=found.headers)
    if found.closes:
        response.force_close()
    return response


async def stream_response(
    request: web.Request,
    exchange: Exchange,
    chunks: AsyncGenerator[bytes, None],
    *,
    headers: Mapping[str, str] | None = None,
) -> web.StreamResponse:
    """Write chunks of events as they come. An error after the head, or the server's end, becomes the last event.

    Args:
        request: the client's request.
        exchange: gives the headers, and notes why a stream broke.
        chunks: whole events.
        headers: further headers.
    """
    exchange.streams = True
    found = exchange.headers()
    found.update(_STREAM_HEADERS)
    found.update(headers or {})
    response = web.StreamResponse(headers=found)
    await response.prepare(request)
    whole = False  # then its client may go, and the answer counts as given all the same
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                await response.write(chunk)
                if exchange.hears is not None:
                    exchange.hears(chunk)
                if not whole and ends_with_mark(chunk):
                    whole = True
                    exchange.is_whole(response)
        exchange.is_whole(response)
        await response.write_eof()
    except asyncio.CancelledError:
        if not whole and not exchange.stopping:  # the client has gone
            exchange.broken = "client"
            raise
        await _end(response, exchange, "stopping", None if whole else STOPPING)
    except ConnectionError:
        if not whole:
            exchange.broken = "client"
            raise
    except Exception as error:
        log_failure(error, exchange)
        await _end(response, exchange, "error", None if whole else as_http_error(error))
    return response


async def long_response(
    request: web.Request,
    exchange: Exchange,
    parts: AsyncGenerator[bytes, None],
    *,
    length: int | None,
    headers: Mapping[str, str],
) -> web.StreamResponse:
    """Write a long body as it comes. If it breaks, or the server ends, so does the connection: its head is written.

    Args:
        request: the client's request.
        exchange: gives the headers, and notes why the body broke.
        parts: the body.
        length: of the body, in bytes; None: unknown.
        headers: further headers.
    """
    found = exchange.headers()
    found.update(headers)
    response = web.StreamResponse(headers=found)
    response.content_length = length
    await response.prepare(request)
    try:
        async with aclosing(parts):
            async for part in parts:
                await response.write(part)
        await response.write_eof()
    except ConnectionError:
        exchange.broken = "client"
        raise
    except asyncio.CancelledError:
        if not exchange.stopping:
            exchange.broken = "client"
            raise
        exchange.broken = "stopping"
    except Exception as error:
        log_failure(error, exchange)
        exchange.broken = "error"
    if exchange.broken and request.transport is not None:
        request.transport.abort()
    return response


async def _end(response: web.StreamResponse, exchange: Exchange, why: str, error: HttpError | None) -> None:
    """End a stream, with an error as its last event unless it was whole; `why` it broke is noted with the exchange."""
    with suppress(ConnectionError):
        if error is not None:
            exchange.broken = why
            await response.write(broken(error))
        await response.write_eof()
