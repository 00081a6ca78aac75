"""Bodies of requests as bytes: how large each may be, how many of them are in memory, and how long one may take.

    request → content type → pieces, counted as they come ┬→ bytes
                                                          └→ gzip, deflate: unpacked in a thread, up to the limit

The HTTP server does not unpack anything: it would do so in the event loop, also for bodies that nobody reads.
"""

from __future__ import annotations

import asyncio
import zlib

from aiohttp import web

from idiolect.serve.errors import SERVER, HttpError
from idiolect.serve.exchange import Exchange
from idiolect.serve.thread_pools import Threads

_PLAIN, _PACKED = ("", "identity"), ("gzip", "x-gzip", "deflate")
_ANY_HEADER, _NO_HEADER = 47, -15  # for zlib: what gzip and deflate begin with; deflate also without


class BodyReader:
    """Reads bodies. Their bytes count until the request that they belong to has ended.

    Args:
        largest: largest body, in bytes.
        together: bytes of all bodies in memory; at least `largest`.
        timeout: seconds within which a whole body has to come.
        threads: unpack bodies.
    """

    def __init__(self, *, largest: int, together: int, timeout: float, threads: Threads) -> None:
        self._largest, self._together, self._timeout, self._threads = largest, together, timeout, threads
        self._held = 0

    async def read(self, request: web.Request, exchange: Exchange, *, most: int | None = None) -> bytes:
        """Return the body of a request, unpacked.

        Args:
            request: the request.
            exchange: its exchange, to which the bytes are added.
            most: largest body of this request, if that is less than of any.

        Raises:
            HttpError: it is too large (413), too slow (408), not JSON by its content type or packed in another way
                (415), or not complete (400); or there are too many bodies in memory (503).
        """
        # A page of another site can make a browser send any other type without asking, but not this one.
        if request.content_type != "application/json":
            raise HttpError(415, "the body must be JSON: send the header Content-Type: application/json")
        packed = _is_packed(request)
        largest = self._largest if most is None else min(most, self._largest)
        if (request.content_length or 0) > largest:
            raise _too_large(largest)
        data = await self._whole(request, exchange, largest)
        if not packed:
            return data
        unpacked = await self._threads.parse(_unpacked, data, largest)
        self._take(exchange, len(unpacked))
        return unpacked

    def release(self, exchange: Exchange) -> None:
        """Stop counting the bytes of a request, which has ended."""
        self._held -= exchange.held
        exchange.held = 0

    async def _whole(self, request: web.Request, exchange: Exchange, largest: int) -> bytes:
        try:
            if request.content.is_eof():  # it came with its head, as most do
                return await self._pieces(request, exchange, largest)
            async with asyncio.timeout(self._timeout):
                return await self._pieces(request, exchange, largest)
        except TimeoutError:
            message = f"the body did not come within {self._timeout:g} s"
            raise HttpError(408, message, code="request_timeout", closes=True) from None
        except web.RequestPayloadError:
            raise HttpError(400, "the body of the request is not complete, or its chunks are not valid") from None

    async def _pieces(self, request: web.Request, exchange: Exchange, largest: int) -> bytes:
        pieces, size = [], 0
        while piece := await request.content.readany():
            size += len(piece)
            if size > largest:
                raise _too_large(largest)
            self._take(exchange, len(piece))
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _take(self, exchange: Exchange, size: int) -> None:
        if self._held + size > self._together:
            message = "there are too many requests with large bodies; try again in a moment"
            raise HttpError(503, message, kind=SERVER, code="server_busy", headers={"Retry-After": "1"}, closes=True)
        self._held += size
        exchange.held += size


def _is_packed(request: web.Request) -> bool:
    encoding = ", ".join(request.headers.getall("Content-Encoding", ())).strip().lower()
    if encoding not in _PLAIN + _PACKED:
        message = "the body may be compressed with gzip or deflate, once, and in no other way"
        raise HttpError(415, message, code="unsupported_encoding", headers={"Accept-Encoding": ", ".join(_PACKED)})
    return encoding in _PACKED


def _unpacked(data: bytes, largest: int) -> bytes:
    zlib_or_gzip = data[:2] == b"\x1f\x8b" or (data[:1] and data[0] & 0xF == zlib.DEFLATED)
    unpacking = zlib.decompressobj(_ANY_HEADER if zlib_or_gzip else _NO_HEADER)
    try:
        unpacked = unpacking.decompress(data, largest + 1)
    except zlib.error:
        raise HttpError(400, "the body of the request is not compressed as it states") from None
    if len(unpacked) > largest:
        raise _too_large(largest)
    if not unpacking.eof or unpacking.unused_data:
        raise HttpError(400, "the body of the request is not complete, or more than one piece of compressed data")
    return unpacked


def _too_large(largest: int) -> HttpError:
    return HttpError(413, f"the body is larger than {largest:,} bytes", code="request_too_large", closes=True)
