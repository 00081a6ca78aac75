"""One HTTP exchange: a client that bounds what comes, and the payload in a response; the lowest step of `transport`.

The time limit counts silence: every byte that comes, of a plain or a streamed answer, starts it again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import httpx2
import openai

from idiolect.errors import UnusableModelError
from idiolect.models.remote.faults import UnansweredError
from idiolect.models.remote.streams import is_stream, payload_of_stream

MAX_RESPONSE = 16 * 2**20  # bytes
_KEPT_ALIVE = 4.0  # seconds; common servers drop an idle connection after 5
_WATCH = "idiolect_watch"  # name of the request's extension


Tap = Callable[[bytes], None]


class Watch:
    """The time limit of one exchange, which every byte extends.

    Args:
        silence: seconds without a byte after which the exchange ends; > 0.
        longest: seconds after which it ends in any case; > 0.
        tap: receives the bytes of a successful response as they come; None: they are only awaited.
    """

    def __init__(self, silence: float, longest: float, *, tap: Tap | None = None) -> None:
        self.tap = tap
        self._silence, self._now = silence, asyncio.get_running_loop().time
        self._end = self._now() + longest
        self._timeout = asyncio.timeout(min(silence, longest))

    async def __aenter__(self) -> Watch:
        await self._timeout.__aenter__()
        return self

    async def __aexit__(self, *raised: Any) -> None:
        await self._timeout.__aexit__(*raised)

    @property
    def ended_silent(self) -> bool:
        """Whether the end came from silence, rather than from the whole exchange's limit."""
        return self._now() < self._end

    def heard(self) -> None:
        """Start the limit of silence again."""
        if not self._timeout.expired():
            self._timeout.reschedule(min(self._now() + self._silence, self._end))


def open_client(headers: Mapping[str, str], *, connect_timeout: float) -> httpx2.AsyncClient:
    """Return an HTTP client that sends these headers with every request."""
    return openai.DefaultAioHttpClient(
        headers=dict(headers),
        timeout=httpx2.Timeout(None, connect=connect_timeout),
        # 0 means no limit: a wait for a connection would count towards the attempt's time limit.
        limits=httpx2.Limits(max_connections=0, keepalive_expiry=_KEPT_ALIVE),
        follow_redirects=False,  # people's texts go only to the address they were sent to
        event_hooks={"response": [_bound]},
    )


async def exchange(
    client: httpx2.AsyncClient, url: str, body: Mapping[str, Any] | None, watch: Watch
) -> httpx2.Response:
    """Send a body, or ask without one, and return the whole response.

    Raises:
        TimeoutError: `watch` ended the exchange.
        UnansweredError: the response is too long.
        UnusableModelError: the response is compressed.
        httpx2.HTTPError, aiohttp.ClientError, OSError: the connection failed.
    """
    content = None if body is None else json.dumps(body, ensure_ascii=False).encode()
    async with watch:
        method = "GET" if body is None else "POST"
        return await client.request(method, url, content=content, extensions={_WATCH: watch})


def payload_of(response: httpx2.Response) -> Any:
    """Return the JSON in a response, whatever its content type; a stream becomes the payload of a plain answer.

    Raises:
        UnansweredError: there is none, or it is incomplete.
    """
    if not response.content.strip():
        raise UnansweredError("the answer is empty")
    content_type = response.headers.get("content-type", "")
    if is_stream(content_type, response.content):
        return payload_of_stream(response.content)
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        pass
    if "html" in content_type:
        raise UnansweredError("the server returned a web page; check the URL, including its /v1")
    raise UnansweredError("the answer is not JSON, or is incomplete")


async def _bound(response: httpx2.Response) -> None:
    if response.headers.get("content-encoding", "identity") not in ("identity", ""):
        where = response.request.url.copy_with(query=None)
        raise UnusableModelError(f"{where} compresses its answers, although the request does not allow that")
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    watch = response.request.extensions.get(_WATCH)
    watched = watch if isinstance(watch, Watch) else None
    response.stream = _Bounded(response.stream, watched, watched.tap if watched and response.is_success else None)


class _Bounded(httpx2.AsyncByteStream):
    """A response's byte stream that fails beyond `MAX_RESPONSE` bytes, and reports its chunks to a watch and a tap."""

    def __init__(self, stream: httpx2.AsyncByteStream, watch: Watch | None, tap: Tap | None) -> None:
        self._stream, self._watch, self._tap = stream, watch, tap

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        if self._watch is not None:  # the response's head has come
            self._watch.heard()
        async for chunk in self._stream:
            size += len(chunk)
            if size > MAX_RESPONSE:
                raise UnansweredError(f"the answer is longer than {MAX_RESPONSE // 2**20} MiB", maybe_billed=True)
            if self._watch is not None:
                self._watch.heard()
            if self._tap is not None:
                self._tap(chunk)
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
