"""The time that a server asks to wait, from its headers or from its words; used by `faults`.

Retry-After-Ms, Retry-After (seconds or a date)  →  fields and texts of the body  →  X-RateLimit-Reset-…
"""

from __future__ import annotations

import email.utils
import math
import re
import time
from collections.abc import Iterator, Mapping
from datetime import datetime

_UNITS = {"ms": 0.001, "mil": 0.001, "h": 3600.0, "m": 60.0, "s": 1.0, "d": 86400.0}
_PART = r"\d+(?:\.\d+)?\s*(?:milliseconds?|ms|days?|d|hours?|hrs?|h|minutes?|mins?|m|seconds?|secs?|s)(?![a-z])"
_TOLD = re.compile(
    rf"(?:again|retry\w*|retrydelay|wait|available|resets?)\b[\\\"'a-z :]{{0,30}}?((?:{_PART}(?:\s*(?:,|and)?\s*)?)+)",
    re.IGNORECASE,
)
# X-RateLimit-Reset, X-RateLimit-Reset-Tokens-Minute, Anthropic-RateLimit-Requests-Reset, RateLimit-Reset and others
_RESETS = re.compile(r"(?:x-|anthropic-)?ratelimit[a-z-]*reset[a-z-]*", re.IGNORECASE)
_LONG_LIMIT = re.compile(r"day|week|month", re.IGNORECASE)
_FIELD = re.compile(
    r"(?:retry[_-]?(?:after|delay|in)|wait(?:[_-]?(?:time|for))?|estimated_time)"
    r"(?:[_-]?(?P<thousandths>ms|milliseconds)|[_-]?s|[_-]?sec(?:ond)?s?)?"
)
_LONGEST_COUNT = 10**7  # a greater number of seconds is a date
_MILLISECONDS = 10**11  # a greater date is in milliseconds


def asked_wait(headers: Mapping[str, str], text: str = "", *, limited: bool = True) -> float | None:
    """Return the seconds that a reply asks to wait, > 0; None if it doesn't ask, or the value makes no sense.

    Args:
        headers: the reply's headers.
        text: the texts of its body.
        limited: whether the reply states that a limit is reached. Any other reply has such limits in its headers, too;
            then only those that are used up count.
    """
    for wait in _candidates(headers, text, limited):
        if wait is not None and math.isfinite(wait) and wait > 0:
            return wait
    return None


def wait_in_words(field: str, value: str) -> str:
    """Return a field of a reply in the words in which `asked_wait` looks for a time; "" if it is no such field.

    Args:
        field: the field's name in lower case, such as "retrydelay", "retry_after" or "estimated_time".
        value: its value; a bare number counts seconds, or milliseconds if the name says so.
    """
    found = _FIELD.fullmatch(field)
    if found is None:
        return ""
    unit = "" if _number(value) is None else " ms" if found["thousandths"] else " s"
    return f"retry in {value}{unit}"


def is_reset(name: str) -> bool:
    """Return whether a header, or a field of a body, is one that states when a limit is lifted, or what is left."""
    return bool(_RESETS.fullmatch(name) or _RESETS.fullmatch(name.lower().replace("remaining", "reset")))


def _candidates(headers: Mapping[str, str], text: str, limited: bool) -> Iterator[float | None]:
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        thousandths = _number(headers.get(name))
        yield None if thousandths is None else thousandths / 1000
    yield _moment(headers.get("retry-after", ""))
    told = _TOLD.search(text)
    yield duration(told[1]) if told else None
    yield _reset(headers, limited)


def duration(text: str) -> float | None:
    """Return the seconds in a duration such as "45.8s", "7m12s" or "1 minute and 3 seconds"; None if it is none."""
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([a-z]+)", text.lower())
    if not parts:
        return None
    return sum(
        float(count) * _UNITS.get(unit[:3], _UNITS.get(unit[:2], _UNITS.get(unit[:1], 1.0))) for count, unit in parts
    )


def _reset(headers: Mapping[str, str], limited: bool) -> float | None:
    """Return the longest wait among the limits that are used up; among all short ones, if none states that it is."""
    used_up: list[float] = []
    others: list[float] = []
    for name, value in headers.items():
        if not _RESETS.fullmatch(name) or (wait := _moment(value)) is None:
            continue
        if _number(headers.get(name.lower().replace("reset", "remaining"))) == 0:
            used_up.append(wait)
        elif limited and not _LONG_LIMIT.search(name):
            others.append(wait)
    return max(used_up or others, default=None)


def _moment(value: str) -> float | None:
    """Return the seconds until a moment, which is a duration, a number of seconds, or a date."""
    number = _number(value)
    if number is None:
        if (found := duration(value)) is not None and re.fullmatch(rf"(?:{_PART}\s*)+", value, re.IGNORECASE):
            return found
        return _until(value)
    if number > _LONGEST_COUNT:
        return (number / 1000 if number > _MILLISECONDS else number) - time.time()
    return number


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
        pass
    try:
        return datetime.fromisoformat(date).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
