"""A server's error reply as facts, whatever its shape; between the bytes and `faults`.

Servers put an error into an object `error`, into a list around it, into `detail` (a text or a list), directly into the
body, inside HTTP 200, into one of several choices, or into a page. `read_complaint` gathers the texts and identifiers
of all of them. The texts are searched for known words and never shown, because they may repeat the request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_MOST_TEXT = 20_000  # characters of a reply that are searched
_CODES = {"code", "type", "status", "reason", "error_code", "error_type", "blockreason", "quotaid"}
_PARAMETERS = {"param", "loc", "field", "parameter"}
# Fields in which servers repeat the request; its words must not be taken for the server's.
_ECHOES = {"input", "body", "request", "messages", "prompt", "flagged_input", "failed_generation", "url", "help"}
_SIGNS = ("error", "errors", "detail", "message")  # of an error in a body without an answer
_ANSWERS = ("choices", "data", "embedding", "object")
_STATUS_OF: tuple[tuple[str, int], ...] = (
    ("insufficient_|billing|payment|credit", 402),
    ("rate_?limit|too_?many_?requests|resource_exhausted|throttl", 429),
    ("overloaded|server_?error|internal|unavailable|timeout|upstream", 503),
    ("authenti|api_key|unauthorized|permission|forbidden", 401),
    ("not_?found", 404),
    ("invalid|bad_?request|unprocessable|context_length|content_filter|unsupported", 400),
)


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply that contains no answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Complaint:
    """The facts of an error reply.

    Args:
        status: the HTTP status, or the one that an error inside HTTP 200 stands for; 200 if it stands for none.
        codes: identifiers of the kind of error, as they were written.
        parameters: the names of the request's parameters that the reply points at.
        text: all texts of the reply, to be searched and never shown.
        page: whether the reply is a web page.
    """

    status: int
    codes: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    text: str = ""
    page: bool = False

    @property
    def names(self) -> frozenset[str]:
        """The codes in lower case."""
        return frozenset(code.lower() for code in self.codes)


def read_complaint(reply: Reply) -> Complaint:
    """Return the facts of an error reply."""
    page = "html" in reply.headers.get("content-type", "") or reply.body[:200].lstrip()[:1] == b"<"
    try:
        payload = json.loads(reply.body)
    except (ValueError, RecursionError):
        text = "" if page else reply.body[:_MOST_TEXT].decode("utf-8", "replace")
        return Complaint(reply.status, text=text, page=page)
    return _complaint(payload, reply.status)


def complaint_instead(payload: Any) -> Complaint | None:
    """Return the error that a payload with HTTP 200 contains instead of an answer; None if it contains none."""
    if isinstance(payload, list) and len(payload) == 1:
        payload = payload[0]
    if not isinstance(payload, dict):
        return None
    error = next((payload[sign] for sign in _SIGNS if payload.get(sign)), None)
    choices = payload.get("choices")
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    if first.get("error") and not _has_text(first):
        error = first["error"]
    elif error is None or first or any(payload.get(name) for name in _ANSWERS if name != "object"):
        return None
    if not isinstance(error, str | list | dict):
        return None
    codes = {name: payload[name] for name in _CODES if name in payload}
    found = _complaint({**codes, "error": error}, 200)
    return Complaint(_status_of(found), found.codes, found.parameters, found.text)


def _has_text(choice: Mapping[str, Any]) -> bool:
    message = choice.get("message")
    return isinstance(message, dict) and bool(message.get("content"))


def _complaint(payload: Any, status: int) -> Complaint:
    codes, parameters, texts, size = [], [], [], 0
    for kind, value in _leaves(payload, "", 0):
        if kind in _CODES:
            codes.append(value)
        elif kind in _PARAMETERS:
            parameters.append(value)
        elif kind.startswith("retry"):  # such as retryDelay: the value alone is not recognized as a wait
            value = f"retry in {value}"
        size += len(value)
        if size <= _MOST_TEXT:
            texts.append(value)
    return Complaint(status, tuple(codes), tuple(parameters), "\n".join(texts))


def _leaves(value: Any, kind: str, depth: int) -> Iterator[tuple[str, str]]:
    """Yield the texts and whole numbers in a payload, each with the name of the field it is in."""
    if isinstance(value, dict) and depth < 8:
        for name, inner in value.items():
            lower = str(name).lower()
            if lower not in _ECHOES:
                yield from _leaves(inner, lower, depth + 1)
    elif isinstance(value, list) and depth < 8:
        for inner in value[:50]:
            yield from _leaves(inner, kind, depth + 1)
    elif isinstance(value, str):
        yield kind, value[:_MOST_TEXT]
    elif type(value) is int:
        yield kind, str(value)


def _status_of(complaint: Complaint) -> int:
    """Return the HTTP status that an error's codes stand for; 200 if they stand for none."""
    for code in complaint.codes:
        if re.fullmatch(r"[45]\d\d", code):
            return int(code)
    for words, status in _STATUS_OF:
        if any(re.search(words, name) for name in complaint.names):
            return status
    return 200
