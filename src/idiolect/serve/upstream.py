"""Forwarding to a server that speaks OpenAI's protocol: the prompt's prefix goes in, and all else passes as it is.

    JsonBody, Applied → bytes with the prefix ─→ upstream ─→ its status, headers and bytes
                             └─ "too long for the model" → with a shorter prompt, with none at last

The client's key and cookies stay here, and so does who asks; the upstream's key, cookies and refusals of that key do
not reach the client.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass

import aiohttp
import msgspec
from aiohttp import web
from multidict import CIMultiDict

from idiolect.application.chats import TOO_LONG_WITH_PROMPT
from idiolect.models.remote.endpoint import Endpoint, headers_for
from idiolect.models.remote.replies import Reply, read_complaint
from idiolect.models.remote.wordings import is_too_long
from idiolect.serve.body import JsonBody
from idiolect.serve.errors import UPSTREAM, HttpError
from idiolect.serve.event_streams import CONTENT_TYPE, WholeEvents
from idiolect.serve.exchange import REQUEST_ID, Exchange
from idiolect.serve.identity import Asker
from idiolect.serve.metrics import Metrics
from idiolect.serve.personalizations import Applied
from idiolect.serve.responding import body_response, json_response, long_response, stream_response
from idiolect.serve.tracing import Span
from idiolect.serve.wire import PERSONALIZED

CHAT_PATH, COMPLETIONS_PATH, MODELS_PATH = "/chat/completions", "/completions", "/models"
_LARGEST = 64 * 2**20  # bytes of an answer that is read whole
_LONG = 2**20  # bytes from which on an answer is not read whole
_FORWARDED = (
    "Accept", "Accept-Language", "Idempotency-Key", "OpenAI-Beta", "Traceparent", "Tracestate", "X-Title",
)  # fmt: skip
# Of the connection, or of the account that the gateway's key belongs to; not the client's concern.
_KEPT_BACK = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
        "upgrade", "content-length", "date", "server", "set-cookie", "alt-svc", "strict-transport-security", "via",
        "openai-organization", "openai-project", "www-authenticate", "nel", "report-to", "location",
    }
)  # fmt: skip
_KEPT_BACK_PREFIXES = ("access-control-", "x-idiolect-", "cf-")
_NAMES = ("safety_identifier", "user")


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """How the upstream is called.

    Args:
        endpoint: its URL, and the model for requests that name none.
        key: its key.
        connect_timeout: seconds for a connection.
        silence: seconds without a byte after which a call is given up.
        names_users: whether `user` and `safety_identifier` are forwarded.
        forwarded: further headers of clients that are forwarded.
    """

    endpoint: Endpoint
    key: str
    connect_timeout: float
    silence: float
    names_users: bool
    forwarded: tuple[str, ...] = ()


class Upstream:
    """A server that answers for everybody. Use it with `async with`."""

    def __init__(self, settings: UpstreamSettings, metrics: Metrics, span: Span) -> None:
        self._settings, self._metrics, self._span = settings, metrics, span
        self._headers = headers_for(settings.endpoint, settings.key)
        self._forwarded = (*_FORWARDED, *settings.forwarded)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Upstream:
        settings = self._settings
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=4.0, ttl_dns_cache=60),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=settings.connect_timeout, sock_read=settings.silence
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent",),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    @property
    def describes(self) -> str:
        """What answers, in words."""
        return self._settings.endpoint.address("")

    async def chat(
        self, request: web.Request, exchange: Exchange, body: JsonBody, asker: Asker, applied: Applied
    ) -> web.StreamResponse:
        """Answer a conversation.

        Raises:
            HttpError: the body is no conversation, or the upstream cannot be reached or refuses the gateway's key.
        """
        del asker
        self._prepare(body)
        exchange.name(applied.name, applied.why)
        if not applied.prefix:
            return await self._forward(request, exchange, CHAT_PATH, iter([body.encoded()]))
        messages = body.messages()

        def bodies() -> Iterator[bytes]:
            yield body.with_prefix(messages, applied.prefix)
            for prefix in applied.shorter():
                exchange.name(applied.name_with(prefix), applied.why if prefix else TOO_LONG_WITH_PROMPT)
                yield body.with_prefix(messages, prefix) if prefix else body.encoded()

        return await self._forward(request, exchange, CHAT_PATH, bodies())

    async def complete(self, request: web.Request, exchange: Exchange, body: JsonBody) -> web.StreamResponse:
        """Forward a request for a plain completion as it is."""
        self._prepare(body)
        return await self._forward(request, exchange, COMPLETIONS_PATH, iter([body.encoded()]))

    async def models(self, exchange: Exchange) -> list[Mapping[str, object]]:
        """Return the models that the upstream lists.

        Raises:
            HttpError: it cannot be reached, or lists none.
        """
        async with await self._called("GET", MODELS_PATH, None, {REQUEST_ID: exchange.id}) as reply:
            data = await self._read(reply)
            _check(reply, data)
        try:
            return msgspec.json.decode(data, type=_Listed).data
        except msgspec.DecodeError:
            raise _failed(502, "the upstream lists no models", "upstream_invalid") from None

    async def check(self) -> None:
        """Check that the upstream can be reached: any answer that is no failure of its own will do.

        Raises:
            HttpError: it cannot, or it fails.
        """
        async with await self._called("GET", MODELS_PATH, None, {}) as reply:
            if reply.status >= 500:
                raise _failed(503, f"the upstream answers with HTTP {reply.status}", "upstream_failed")

    def _prepare(self, body: JsonBody) -> None:
        if not self._settings.names_users:
            for name in _NAMES:
                body.drop(name)
        model = body.text("model")
        if model is None and self._settings.endpoint.model:
            body.set("model", self._settings.endpoint.model)
        elif model is not None and model.endswith(PERSONALIZED):
            body.set("model", model.removesuffix(PERSONALIZED))

    async def _forward(
        self, request: web.Request, exchange: Exchange, path: str, bodies: Iterator[bytes]
    ) -> web.StreamResponse:
        """Send bodies in turn until one is not too long, and pass on the answer."""
        headers = self._headers_of(request, exchange)
        body = next(bodies)
        while True:
            exchange.asks_model()
            async with await self._called("POST", path, body, headers) as reply:
                if reply.status == 200 and reply.content_type == CONTENT_TYPE:
                    passed = _passed_headers(reply)
                    return await stream_response(request, exchange, self._events(reply), headers=passed)
                if reply.status == 200:
                    return await self._answered(request, exchange, reply)
                data = await self._read(reply)
                if not _says_too_long(reply, data) or (shorter := next(bodies, None)) is None:
                    return self._refused(reply, data, exchange)
            body = shorter

    async def _answered(
        self, request: web.Request, exchange: Exchange, reply: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        """Pass on an answer that is no stream: whole, if it is short; otherwise as fast as the client takes it."""
        headers, begun = _passed_headers(reply), await self._read(reply, until=_LONG)
        if reply.content.at_eof():
            return body_response(begun, exchange, headers=headers)

        async def parts() -> AsyncGenerator[bytes, None]:
            yield begun
            with self._failures(before=False):
                async for chunk in reply.content.iter_any():
                    yield chunk

        return await long_response(request, exchange, parts(), length=reply.content_length, headers=headers)

    def _refused(self, reply: aiohttp.ClientResponse, data: bytes, exchange: Exchange) -> web.StreamResponse:
        self._metrics.upstream_failed(str(reply.status))
        headers = _passed_headers(reply)
        if 200 <= reply.status < 300 or (reply.status >= 400 and _has_error(data) and reply.status not in (401, 403)):
            return body_response(data, exchange, status=reply.status, headers=headers)
        error = _refusal(reply.status)
        headers.pop("Content-Type", None)
        return json_response(error.document, exchange, status=error.status, headers=headers)

    async def _events(self, reply: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
        plain = reply.headers.get("Content-Encoding", "identity") == "identity"
        whole = WholeEvents()
        with self._failures(before=False):
            async for chunk in reply.content.iter_any():
                if events := whole.add(chunk) if plain else chunk:
                    yield events
        if rest := whole.rest():
            yield rest

    async def _called(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        """Return the head of an answer; the caller closes it (`async with`)."""
        assert self._session is not None, "the upstream is not open"
        url = self._settings.endpoint.address(path)
        with self._span("upstream"), self._failures(before=True):
            return await self._session.request(
                method, url, data=body, headers={**self._headers, **headers}, allow_redirects=False
            )

    async def _read(self, reply: aiohttp.ClientResponse, *, until: int | None = None) -> bytes:
        """Return the body of an answer; with `until`: its beginning, of so many bytes at least, or all of it."""
        parts, size = [], 0
        with self._failures(before=False):
            async for chunk in reply.content.iter_any():
                size += len(chunk)
                parts.append(chunk)
                if until is not None and size >= until:
                    break
                if size > _LARGEST:
                    raise _failed(502, "the upstream's answer is too long", "upstream_invalid")
        return b"".join(parts)

    def _failures(self, *, before: bool) -> _Failures:
        return _Failures(self._metrics, before=before)

    def _headers_of(self, request: web.Request, exchange: Exchange) -> dict[str, str]:
        given = request.headers
        return {**{name: given[name] for name in self._forwarded if name in given}, REQUEST_ID: exchange.id}


class _Listed(msgspec.Struct):
    data: list[Mapping[str, object]]


class _Failures:
    """Turns failures of the connection to the upstream into answers to the client; they name no address."""

    def __init__(self, metrics: Metrics, *, before: bool) -> None:
        self._metrics, self._before = metrics, before

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, TimeoutError):
            self._metrics.upstream_failed("timeout")
            raise _failed(504, "the upstream did not answer in time", "upstream_timeout") from None
        if isinstance(error, aiohttp.ClientResponseError) and self._before:  # it is there
            self._metrics.upstream_failed("connection")
            message = "the upstream's answer is no HTTP, or has too long headers"
            raise _failed(502, message, "upstream_invalid") from None
        if isinstance(error, aiohttp.ClientError | ssl.SSLError) or (isinstance(error, OSError) and self._before):
            self._metrics.upstream_failed("connection")
            message = "the upstream cannot be reached" if self._before else "the connection to the upstream broke"
            raise _failed(502, message, "upstream_unreachable" if self._before else "upstream_broken") from None


def _check(reply: aiohttp.ClientResponse, data: bytes) -> None:
    if reply.status != 200:
        code = "upstream_refused"
        if reply.status >= 400 and reply.status not in (401, 403) and _has_error(data):
            raise _failed(reply.status, f"the upstream answered with HTTP {reply.status}", code)
        raise _refusal(reply.status)


def _passed_headers(reply: aiohttp.ClientResponse) -> CIMultiDict[str]:
    """Return the headers of an answer that are passed on; those of its request under a name of its own."""
    found: CIMultiDict[str] = CIMultiDict()
    for name, value in reply.headers.items():
        lower = name.lower()
        if lower == "x-request-id":
            found["X-Upstream-Request-Id"] = value
        elif lower not in _KEPT_BACK and not lower.startswith(_KEPT_BACK_PREFIXES):
            found.add(name, value)
    return found


def _says_too_long(reply: aiohttp.ClientResponse, data: bytes) -> bool:
    return reply.status in (400, 413, 422, 500) and is_too_long(
        read_complaint(Reply(reply.status, {name.lower(): value for name, value in reply.headers.items()}, data))
    )


def _has_error(data: bytes) -> bool:
    try:
        return "error" in msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False


def _refusal(status: int) -> HttpError:
    """Return the error for an answer whose own words are not passed on."""
    if status in (401, 403):  # they may quote the key, and clients would take it for theirs
        return _failed(status, f"the upstream refused the gateway's own key (HTTP {status})", "upstream_refused_key")
    if 300 <= status < 400:
        return _failed(502, "the upstream redirects to another address; configure that one", "upstream_redirects")
    shown = status if 400 <= status < 600 else 502  # a client could not read the others, such as 101 or 999
    return _failed(shown, f"the upstream answered with HTTP {status}", "upstream_refused")


def _failed(status: int, message: str, code: str) -> HttpError:
    return HttpError(status, message, kind=UPSTREAM, code=code)
