"""Errors as OpenAI's clients expect them: {"error": {"message", "type", "param", "code"}} with the true HTTP status.

Whatever is raised while a request is answered becomes an `HttpError`, by the table below; what is in no table becomes
status 500 without a word of its message, which may quote people's texts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from idiolect.errors import (
    ContextLengthError,
    HaltedError,
    IdiolectError,
    MissingExtraError,
    ModelError,
    StoreError,
)

INVALID, AUTHENTICATION, PERMISSION = "invalid_request_error", "authentication_error", "permission_error"
NOT_FOUND, LIMITED, SERVER = "not_found_error", "rate_limit_error", "server_error"
UPSTREAM = "upstream_error"


class HttpError(IdiolectError):
    """An answer to a client that is an error.

    Args:
        status: HTTP status.
        message: what happened, and what to do; contains no person's text, no key, and nothing of the machine.
        kind: OpenAI's `type`.
        code: identifier for programs; None: none.
        param: field of the request at fault; None: none.
        headers: further headers of the response.
        closes: whether the connection ends, because the rest of the request is not read.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = INVALID,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        closes: bool = False,
    ) -> None:
        super().__init__(message)
        self.closes = closes
        self.status, self.kind, self.code, self.param = status, kind, code, param
        self.headers = dict(headers or {})

    @property
    def document(self) -> dict[str, Any]:
        """The body of the response."""
        return {"error": {"message": str(self), "type": self.kind, "param": self.param, "code": self.code}}


# By the most specific class; messages of these classes may name paths, models or people, so each gets words of its own.
_STORE = "the store of users cannot be read or written; try again, and if it lasts, the log has the reason"
_KNOWN: tuple[tuple[type[BaseException], int, str, str, str], ...] = (
    (ContextLengthError, 400, INVALID, "context_length_exceeded", "the conversation is too long for the model"),
    (MissingExtraError, 503, SERVER, "model_unavailable", "the model's packages are not installed on the server"),
    (HaltedError, 503, SERVER, "halted", "the server makes no further calls of models"),
    (ModelError, 503, SERVER, "model_failed", "the model could not answer"),
    (StoreError, 503, SERVER, "store_unavailable", _STORE),
    (TimeoutError, 504, SERVER, "timeout", "the request took too long"),
)
_OF_HTTP: Mapping[int, tuple[str, str, str]] = {
    404: (NOT_FOUND, "unknown_url", "there is no such path here"),
    405: (INVALID, "method_not_allowed", "the path does not take this method"),
    413: (INVALID, "request_too_large", "the body of the request is too large"),
}


def as_http_error(error: BaseException) -> HttpError:
    """Return the answer to a client for any error."""
    if isinstance(error, HttpError):
        return error
    if isinstance(error, web.HTTPException):
        kind, code, message = _OF_HTTP.get(error.status, (INVALID, "invalid_request", error.reason))
        allowed = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return HttpError(error.status, message, kind=kind, code=code, headers=allowed)
    for known, status, kind, code, message in _KNOWN:
        if isinstance(error, known):
            return HttpError(status, message, kind=kind, code=code)
    return HttpError(500, "the server failed; its log has the details under the request id", kind=SERVER)


def is_expected(error: BaseException) -> bool:
    """Return whether an error is an answer to the client, rather than a failure that somebody has to look at."""
    return isinstance(error, HttpError | web.HTTPException | asyncio.CancelledError)


def invalid(message: str, *, param: str | None = None, code: str | None = None) -> HttpError:
    """Return the error for a request that cannot be understood."""
    return HttpError(400, message, param=param, code=code)
