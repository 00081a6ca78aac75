"""A server's error reply as facts, whatever its shape; between the bytes and `faults`.

Servers put an error into an object `error`, into a list around it, into `detail` (a text or a list), directly into the
body, inside HTTP 200, into one of several choices, or into a page. A gateway puts the provider's whole reply, as a
text, into its own. `read_complaint` gathers the texts and identifiers of all of them. The texts are searched for known
words and never shown, because they may repeat the request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from idiolect.models.remote.waits import is_reset, wait_in_words

_MOST_TEXT = 20_000  # characters of a reply that are searched
_CODES = {
    "code", "type", "status", "reason", "error_code", "error_type", "blockreason", "quotaid", "status_code",
    "statuscode", "errorcode",
}  # fmt: skip
_PARAMETERS = {"param", "loc", "field", "parameter"}
# Fields in which servers repeat the request; its words must not be taken for the server's.
_ECHOES = {"input", "body", "request", "messages", "prompt", "flagged_input", "failed_generation", "url", "help"}
_SIGNS = (  # of an error in a body without an answer
    "error", "errors", "detail", "message", "error_msg", "error_message", "errormessage", "msg", "base_resp",
)  # fmt: skip
_NO_ERROR = {"ok", "success", "succeeded"}
# Reasons to finish of an answer that its server broke off; what it wrote until then is no answer.
_BROKEN_OFF = {
    "error", "error_finish", "network_error", "insufficient_system_resource", "abort", "aborted", "cancelled",
}  # fmt: skip
_ANSWERS = ("choices", "data", "embedding", "object")
_STATUS_OF: tuple[tuple[str, int], ...] = (
    ("insufficient_|billing|payment|credit", 402),
    ("rate_?limit|too_?many_?requests|resource_exhausted|throttl", 429),
    ("overloaded|server_?error|internal|unavailable|timeout|upstream", 503),
    ("authenti|api_key|unauthorized|permission|forbidden", 401),
    ("not_?found", 404),
    ("invalid|bad_?request|unprocessable|context_length|content_filter|unsupported", 400),
)
_NO_KEY = re.compile(
    r"(?:invalid|incorrect|missing|no) (?:api|access)[ _-]?(?:key|token)|unauthori[sz]ed", re.IGNORECASE
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
        headers: headers on limits that a gateway repeats from its provider; names in lower case.
    """

    status: int
    codes: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    text: str = ""
    page: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)

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
    errors = {sign: payload[sign] for sign in _SIGNS if _is_error(payload.get(sign))}
    choices = payload.get("choices")
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    reason = first.get("finish_reason")
    if isinstance(reason, str) and reason.lower() in _BROKEN_OFF:
        given = first.get("error") or payload.get("error")
        found = _complaint({"error": given if _is_error(given) else "broken off"}, 200)
        status = _status_of(found)
        return replace(found, status=503 if status == 200 else status)
    if _is_error(first.get("error")) and not _has_text(first):
        errors = {"error": first["error"]}
    elif first:
        errors = errors if _is_error(payload.get("error")) and not reason else {}
    elif any(payload.get(name) for name in _ANSWERS if name != "object"):
        errors = {}
    if not errors:
        return None
    codes = {name: value for name, value in payload.items() if str(name).lower() in _CODES}
    found = _complaint({**codes, **errors}, 200)
    return replace(found, status=_status_of(found))


def _is_error(value: Any) -> bool:
    """Return whether the value of a field that may be an error is one."""
    if isinstance(value, str):
        return bool(value.strip()) and value.strip().lower() not in _NO_ERROR
    return isinstance(value, list | dict) and bool(value)


def _has_text(choice: Mapping[str, Any]) -> bool:
    message = choice.get("message")
    return isinstance(message, dict) and bool(message.get("content"))


def _complaint(payload: Any, status: int) -> Complaint:
    codes, parameters, texts, headers, size = [], [], [], {}, 0
    for kind, value in _leaves(payload, "", 0):
        if kind in _CODES:
            codes.append(value)
        elif kind in _PARAMETERS:
            parameters.append(value)
        elif is_reset(kind):
            headers[kind] = value
        text = wait_in_words(kind, value) or value  # the value of such a field alone is not recognized as a wait
        size += len(text)
        if size <= _MOST_TEXT:
            texts.append(text)
    return Complaint(status, tuple(codes), tuple(parameters), "\n".join(texts), headers=headers)


def _leaves(value: Any, kind: str, depth: int) -> Iterator[tuple[str, str]]:
    """Yield the texts and numbers in a payload, each with the name of the field it is in; JSON in a text is read."""
    if isinstance(value, dict) and depth < 8:
        for name, inner in value.items():
            lower = str(name).lower()
            if lower not in _ECHOES:
                yield from _leaves(inner, lower, depth + 1)
    elif isinstance(value, list) and depth < 8:
        for inner in value[:50]:
            yield from _leaves(inner, kind, depth + 1)
    elif isinstance(value, str):
        inner = _json_in(value)
        if inner is None or depth >= 8:
            yield kind, value[:_MOST_TEXT]
        else:
            yield from _leaves(inner, kind, depth + 1)
    elif type(value) in (int, float):
        yield kind, str(value)


def _json_in(text: str) -> Any:
    """Return the JSON object or list in a text, such as a provider's reply in a gateway's; None if there is none."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        found = json.loads(text[:_MOST_TEXT])
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict | list) else None


def _status_of(complaint: Complaint) -> int:
    """Return the HTTP status that an error's codes stand for; 200 if they stand for none."""
    for code in complaint.codes:
        if re.fullmatch(r"[45]\d\d", code):
            return int(code)
    for words, status in _STATUS_OF:
        if any(re.search(words, name) for name in complaint.names):
            return status
    return 401 if _NO_KEY.search(complaint.text) else 200
