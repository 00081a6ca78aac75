"""The possible failures of one call to an API, in plain words; between `transport` and the caller.

A call ends in an answer, in an `UnansweredError` (the next attempt may succeed) or in a final `ModelError`. None of the
errors contains people's texts, a key, or the exception of the HTTP client, which contains both.
"""

from __future__ import annotations

import email.utils
import json
import math
import re
import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import httpx2

from idiolect.errors import ModelError, UnusableModelError

_RETRIED = {408, 409, 425, 429}
# Identifiers of common servers; no person's text and no key matches this.
_CODE = re.compile(
    r"(?:invalid|bad|unsupported|unknown|missing|content|context|model|server|internal|rate|request|string|array|"
    r"integer|value|validation|billing|image|input|exceed|max)_[a-z_]{1,48}|(?:[A-Z][a-z]+){1,4}Error"
)
_CONTEXT = re.compile(r"(?:maximum context length is |available context size \()(\d{1,8}) tokens")

_FINAL: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    (
        (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError),
        "the server's TLS certificate is not trusted",
    ),
    ((aiohttp.InvalidURL, httpx2.InvalidURL, UnicodeError), "the URL is not valid"),
)
# The first kind found anywhere in the chain of causes counts: the client wraps a broken connection in a time-out.
_PASSING: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (  # before anything was sent
    ((aiohttp.ClientConnectorDNSError, socket.gaierror), "the server's name is unknown (DNS)"),
    ((aiohttp.ClientSSLError, ssl.SSLError), "no TLS connection: does the server speak https?"),
    ((ConnectionRefusedError,), "connection refused: is the server running?"),
    ((aiohttp.ConnectionTimeoutError,), "connecting timed out"),
    ((aiohttp.ClientConnectorError,), "no connection"),
)
_SENT: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError, ConnectionError), "the connection broke"),
    ((aiohttp.ClientResponseError,), "the answer is not valid HTTP"),
)


class UnansweredError(ModelError):
    """An attempt without an answer; the next attempt may succeed.

    Args:
        reason: the reason in plain words, without the endpoint.
        wait: seconds that the server asks all calls to wait; None if it doesn't.
        maybe_billed: whether the server may have worked on the call, so that it may charge for it.
    """

    def __init__(self, reason: str, *, wait: float | None = None, maybe_billed: bool = False) -> None:
        super().__init__(reason)
        self.wait, self.maybe_billed = wait, maybe_billed


class RejectedError(ModelError):
    """A request that the server rejected as invalid (400 or 422).

    Args:
        message: the message for people.
        unsupported: names of the request's parameters that the server, by its own words, doesn't know or support.
    """

    def __init__(self, message: str, *, unsupported: frozenset[str] = frozenset()) -> None:
        super().__init__(message)
        self.unsupported = unsupported


class MissingModelError(UnusableModelError):
    """A model or path that the server does not have (404)."""


@dataclass(frozen=True, slots=True)
class Call:
    """The details of a call from which messages about faults are made.

    Args:
        url: the endpoint's URL.
        key_advice: advice on setting the key.
        body: the request's body; only the names of its parameters are ever shown.
        max_wait: the longest wait, in seconds, that a server may request.
    """

    url: str
    key_advice: str
    body: Mapping[str, Any] = field(repr=False)
    max_wait: float


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply whose HTTP status is not a success."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def of_status(reply: Reply, call: Call) -> ModelError:
    """Return the error for an unsuccessful reply."""
    error = _error_of(reply.body)
    status = reply.status
    if status == 429 and "insufficient_quota" in (error.get("code"), error.get("type")):
        return UnusableModelError(f"{call.url}: the account's quota is used up (HTTP 429); check its plan and billing")
    if status in _RETRIED or status >= 500:
        return _unanswered(reply, call)
    if status in (401, 403):
        return UnusableModelError(f"{call.url} denied access (HTTP {status}): {call.key_advice}")
    if status == 404:
        return MissingModelError(f"{call.url} has no such model or path (HTTP 404)")
    if status in (400, 422):
        unsupported = _unsupported(error, call.body)
        reason = _presentable(error, unsupported)
        message = f"{call.url} rejected the request as invalid (HTTP {status}){reason}"
        return RejectedError(message, unsupported=unsupported)
    if 300 <= status < 400:
        return ModelError(f"{call.url} redirects to another address (HTTP {status}); give that address instead")
    return ModelError(f"{call.url} refused the request (HTTP {status}){_presentable(error)}")


def _unanswered(reply: Reply, call: Call) -> ModelError:
    wait = asked_wait(reply.headers)
    what = {429: "too many requests"}.get(reply.status, "the server failed or is busy")
    if wait is not None and wait > call.max_wait:
        return ModelError(
            f"{call.url} asks to wait {wait:.0f} s (HTTP {reply.status}, {what}), longer than the maximum of "
            f"{call.max_wait:g} s; try later"
        )
    return UnansweredError(f"HTTP {reply.status}, {what}", wait=wait)


def of_connection(error: BaseException, call: Call) -> ModelError:
    """Return the error for a failed connection, by its true cause under the exceptions that wrap it."""
    chain = list(_chain(error))
    for cause in chain:
        if isinstance(cause, ModelError):  # raised by our own code inside the client
            return cause
        for kinds, reason in _FINAL:
            if isinstance(cause, kinds):
                return ModelError(f"{call.url}: {reason}")
    for kinds, reason in _PASSING:
        if any(isinstance(cause, kinds) for cause in chain):
            return UnansweredError(reason)
    for kinds, reason in _SENT:
        if any(isinstance(cause, kinds) for cause in chain):
            return UnansweredError(reason, maybe_billed=True)
    return UnansweredError(f"the connection failed ({type(chain[-1]).__name__})", maybe_billed=True)


def asked_wait(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a reply asks to wait, > 0; None if it doesn't ask, or the value makes no sense."""
    wait = _number(headers.get("retry-after-ms"))
    if wait is not None:
        wait /= 1000
    else:
        wait = _number(headers.get("retry-after"))
    if wait is None:
        wait = _until(headers.get("retry-after", ""))
    return wait if wait is not None and wait > 0 else None


def _error_of(body: bytes) -> Mapping[str, Any]:
    """Return the `error` object of a reply, even if a server omits the outer object; {} if there is none."""
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    error = payload.get("error", payload) if isinstance(payload, dict) else {}
    return {"message": error} if isinstance(error, str) else error if isinstance(error, dict) else {}


def _presentable(error: Mapping[str, Any], unsupported: frozenset[str] = frozenset()) -> str:
    """Return the server's reason in our words; its message may repeat people's texts, in any form, or the key."""
    if unsupported:
        return f": it does not support {', '.join(sorted(unsupported))}"
    if context := _CONTEXT.search(str(error.get("message") or "")):
        return f": the model's context is {context[1]} tokens"
    codes = (error.get("code"), error.get("type"))
    known = next((code for code in codes if isinstance(code, str) and _CODE.fullmatch(code)), None)
    return f": {known}" if known else ""


_UNSUPPORTED = re.compile(
    r"unsupported|not support|n't support|unknown|unrecognized|unexpected|not permitted|not allowed|extra inputs|"
    r"only the default|no longer|deprecated|instead",
    re.IGNORECASE,
)


def _unsupported(error: Mapping[str, Any], body: Mapping[str, Any]) -> frozenset[str]:
    words = f"{error.get('code') or ''} {error.get('message') or ''}"
    if not _UNSUPPORTED.search(words):
        return frozenset()
    param = error.get("param")
    if isinstance(param, str) and param.split(".")[0].split("[")[0] in body:
        return frozenset([param.split(".")[0].split("[")[0]])
    return frozenset(name for name in body if re.search(rf"(?<![\w]){re.escape(name)}(?![\w])", words))


def _chain(error: BaseException) -> Iterable[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _until(date: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(date).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
