"""The possible failures of one call to an API, in plain words; between `transport` and the caller.

A call ends in an answer, in an `UnansweredError` (the next attempt may succeed) or in a final `ModelError`. None of the
errors contains people's texts, a key, or the exception of the HTTP client, which contains both.

    bytes → replies (shapes) → wordings, waits (words) → faults (which error, and whether to try again)
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp
import httpx2

from idiolect.errors import ContextLengthError, ModelError, Remedy, UnusableModelError
from idiolect.models.remote import wordings
from idiolect.models.remote.replies import Complaint, Reply, read_complaint
from idiolect.models.remote.waits import asked_wait

_RETRIED = {408, 409, 424, 425, 429, 498}  # 424: a provider failed; 498: no capacity (Groq)
# Identifiers of common servers; no person's text and no key matches this.
_CODE = re.compile(
    r"(?:invalid|bad|unsupported|unknown|missing|content|context|model|server|internal|rate|request|string|array|"
    r"integer|value|validation|billing|image|input|exceed|max|extra|insufficient|overloaded|not|permission)"
    r"_[a-z_]{1,48}|(?:[A-Z][a-z]+){1,4}Error"
)

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
        most_logprobs: how many likeliest tokens the server reports, if it rejected the request for asking for more.
        least_tokens: for how many tokens a request has to ask, if the server rejected it for asking for fewer.
    """

    def __init__(
        self,
        message: str,
        *,
        unsupported: frozenset[str] = frozenset(),
        most_logprobs: int | None = None,
        least_tokens: int | None = None,
    ) -> None:
        super().__init__(message)
        self.unsupported, self.most_logprobs, self.least_tokens = unsupported, most_logprobs, least_tokens


class FilteredError(ModelError):
    """A request whose prompt or answer a content filter refused; others may pass."""


class OutOfTokensError(ModelError):
    """A request whose tokens a model that thinks used up before it wrote anything."""


class MissingModelError(UnusableModelError):
    """A model or path that the server does not have (404).

    Args:
        message: the message for people.
        what: what is missing, by the server's words.
    """

    def __init__(self, message: str, *, what: Literal["model", "path", "either"]) -> None:
        super().__init__(message)
        self.what = what


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

    @property
    def asked_tokens(self) -> int:
        """The number of tokens that the answer may have; 0 if the request has no limit."""
        tokens = self.body.get("max_tokens", self.body.get("max_completion_tokens", 0))
        return tokens if isinstance(tokens, int) else 0


def of_status(reply: Reply, call: Call) -> ModelError:
    """Return the error for an unsuccessful reply."""
    return of_complaint(read_complaint(reply), reply.headers, call)


def of_complaint(complaint: Complaint, headers: Mapping[str, str], call: Call) -> ModelError:
    """Return the error for a complaint, in an unsuccessful reply or inside HTTP 200."""
    status = complaint.status
    where = f"(HTTP {status})" if status != 200 else "(an error inside HTTP 200)"
    if 300 <= status < 400:
        return ModelError(f"{call.url} redirects to another address (HTTP {status}); give that address instead")
    if found := _of_words(complaint, headers, call, where):
        return found
    if status in _RETRIED or (status >= 500 and status != 501):
        return _unanswered(complaint, headers, call)
    if status in (200, 400, 404, 422) and (missing := _missing(complaint, call, where)):
        return missing
    if status == 405 or wordings.is_wrong_path(complaint):
        what: Literal["path", "either"] = "either" if status == 404 else "path"
        return MissingModelError(f"{call.url} has no such model or path {where}", what=what)
    refused = wordings.refused_choices_of_parameters(complaint, call.body) if status == 403 else None
    if status in (401, 403) and not refused:
        return UnusableModelError(f"{call.url} denied access {where}{_presentable(complaint)}; {call.key_advice}")
    if status == 200:
        return UnansweredError(f"the answer is an error{_presentable(complaint)}")
    if status in (400, 403, 422, 501):
        return _rejected(complaint, call, where)
    return ModelError(f"{call.url} refused the request {where}{_presentable(complaint)}")


def _missing(complaint: Complaint, call: Call, where: str) -> ModelError | None:
    """Return the error for a key, a provider or a model that the server states not to have; None if it states none."""
    if wordings.is_key_refused(complaint):
        return UnusableModelError(f"{call.url} denied access {where}; {call.key_advice}")
    if wordings.has_no_provider(complaint):
        return UnusableModelError(
            f"{call.url} has no provider of this model that the account's settings allow {where}; check its settings "
            "of privacy and routing"
        )
    if wordings.is_missing_model(complaint):
        return MissingModelError(f"{call.url} has no such model {where}", what="model")
    return None


def _rejected(complaint: Complaint, call: Call, where: str) -> RejectedError:
    unsupported = wordings.refused_parameters(complaint, call.body)
    most = wordings.logprobs_limit(complaint, sent) if (sent := call.body.get("top_logprobs")) else None
    return RejectedError(
        f"{call.url} rejected the request as invalid {where}{_presentable(complaint, unsupported)}",
        unsupported=unsupported,
        most_logprobs=most,
        least_tokens=wordings.least_tokens(complaint),
    )


def _of_words(complaint: Complaint, headers: Mapping[str, str], call: Call, where: str) -> ModelError | None:
    """Return the error that a server's words stand for, whatever its status; None if they are not known."""
    waits = _wait(complaint, headers) is not None
    if wordings.is_out_of_money(complaint, waits=waits):
        return UnusableModelError(
            f"{call.url}: the account's quota or credit is used up {where}; check its plan and billing"
        )
    if wordings.is_filtered(complaint):
        return FilteredError(f"{call.url}: the content filter refused a request {where}")
    if wordings.is_out_of_tokens(complaint):
        return OutOfTokensError(f"{call.url}: the model used up its tokens before it wrote anything {where}")
    asked = call.asked_tokens
    most = wordings.most_tokens(complaint)
    if most and asked > most:
        message = f"{call.url}: an answer may have at most {most} tokens, but {asked} were asked for {where}"
        return UnusableModelError(message, remedy=Remedy("max_tokens", str(most)))
    if wordings.is_too_long(complaint) and complaint.status != 404:
        limit = wordings.context_limit(complaint)
        if limit and asked >= limit:  # no prompt is short enough
            message = f"{call.url}: {asked} tokens for an answer are more than the model's context of {limit} {where}"
            fitting = max(limit // 4, 1)
            return UnusableModelError(message, remedy=Remedy("max_tokens", str(fitting), "leaves room for prompts"))
        size = f": the model's context is {limit} tokens" if limit else " for the model's context"
        return ContextLengthError(f"{call.url}: the prompt is too long {where}{size}", limit=limit)
    return None


def _unanswered(complaint: Complaint, headers: Mapping[str, str], call: Call) -> ModelError:
    wait = _wait(complaint, headers)
    status = complaint.status
    what = {429: "too many requests"}.get(status, "the server failed or is busy")
    if status == 429 and wordings.is_long_quota(complaint, wait, call.max_wait):
        return UnusableModelError(f"{call.url}: the quota of the day or month is used up (HTTP {status}); try later")
    if wait is not None and wait > call.max_wait:
        return UnusableModelError(
            f"{call.url} asks to wait {wait:.0f} s (HTTP {status}, {what}), longer than the maximum of "
            f"{call.max_wait:g} s; try later"
        )
    return UnansweredError(f"HTTP {status}, {what}", wait=wait)


def _wait(complaint: Complaint, headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a reply asks to wait, in its headers, in those that it quotes, or in its words."""
    return asked_wait({**complaint.headers, **headers}, complaint.text, limited=complaint.status == 429)


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


def _presentable(complaint: Complaint, unsupported: frozenset[str] = frozenset()) -> str:
    """Return the server's reason in our words; its message may repeat people's texts, in any form, or the key."""
    if unsupported:
        return f": it does not support {', '.join(sorted(unsupported))}"
    known = next((code for code in complaint.codes if _CODE.fullmatch(code)), None)
    return f": {known}" if known else ""


def _chain(error: BaseException) -> Iterable[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
