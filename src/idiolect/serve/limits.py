"""Limits on what one caller may send: requests a minute, bytes of a body, and the seconds that a body may take."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable

from aiohttp import web

from idiolect.serve.errors import LIMITED, HttpError

_MOST_BUCKETS = 100_000


class RateLimits:
    """A token bucket for each caller: a minute's requests at once, refilled evenly.

    Args:
        clock: returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # requests left, and when

    def take(self, caller: str, per_minute: int | None) -> None:
        """Take one request of a caller.

        Args:
            caller: the key's id, or the address of one who shows none.
            per_minute: requests a minute, ≥ 1; None: no limit.

        Raises:
            HttpError: there is none left (429); `Retry-After` names the seconds until there is.
        """
        if per_minute is None:
            return
        now = self._clock()
        left, since = self._buckets.get(caller, (float(per_minute), now))
        left = min(left + (now - since) * per_minute / 60, float(per_minute))
        allowed = left >= 1
        self._buckets[caller] = (left - allowed, now)
        self._buckets.move_to_end(caller)
        while len(self._buckets) > _MOST_BUCKETS:
            self._buckets.popitem(last=False)
        if not allowed:
            wait = math.ceil((1 - left) * 60 / per_minute)
            raise HttpError(
                429,
                f"more than {per_minute} requests in a minute; try again in {wait} s",
                kind=LIMITED,
                code="rate_limit_exceeded",
                headers={"Retry-After": str(wait)},
            )


async def read_body(request: web.Request, *, max_bytes: int, timeout: float) -> bytes:
    """Return the body of a request.

    Args:
        request: the request, whose application has the same limit of bytes, for bodies that do not state theirs.
        max_bytes: largest body, after decompression.
        timeout: seconds within which the whole body has to come.

    Raises:
        HttpError: it is too large (413), too slow (408), or not JSON by its content type (415).
    """
    # A page of another site can make a browser send any other type without asking, but not this one.
    if request.content_type != "application/json":
        raise HttpError(415, "the body must be JSON: send the header Content-Type: application/json")
    if (request.content_length or 0) > max_bytes:
        raise _too_large(max_bytes)
    try:
        if request.content.is_eof():  # it came with its head, as most do
            return await request.read()
        async with asyncio.timeout(timeout):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise _too_large(max_bytes) from None
    except TimeoutError:
        raise HttpError(
            408,
            f"the body did not come within {timeout:g} s",
            code="request_timeout",
            closes=True,
        ) from None
    except web.RequestPayloadError:
        raise HttpError(400, "the body of the request is not complete, or not compressed as it states") from None


def _too_large(max_bytes: int) -> HttpError:
    message = f"the body is larger than {max_bytes:,} bytes"
    return HttpError(413, message, code="request_too_large", closes=True)
