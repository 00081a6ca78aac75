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
_RESETS = ("requests", "tokens", "input-tokens", "output-tokens", "")
_LONGEST_COUNT = 10**7  # a greater number of seconds is a date
_MILLISECONDS = 10**11  # a greater date is in milliseconds


def asked_wait(headers: Mapping[str, str], text: str = "") -> float | None:
    """Return the seconds that a reply asks to wait, > 0; None if it doesn't ask, or the value makes no sense.

    Args:
        headers: the reply's headers.
        text: the texts of its body.
    """
    for wait in _candidates(headers, text):
        if wait is not None and math.isfinite(wait) and wait > 0:
            return wait
    return None


def _candidates(headers: Mapping[str, str], text: str) -> Iterator[float | None]:
    thousandths = _number(headers.get("retry-after-ms"))
    yield None if thousandths is None else thousandths / 1000
    after = headers.get("retry-after", "")
    yield _number(after)
    yield _until(after)
    told = _TOLD.search(text)
    yield duration(told[1]) if told else None
    yield _reset(headers)


def duration(text: str) -> float | None:
    """Return the seconds in a duration such as "45.8s", "7m12s" or "1 minute and 3 seconds"; None if it is none."""
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([a-z]+)", text.lower())
    if not parts:
        return None
    return sum(
        float(count) * _UNITS.get(unit[:3], _UNITS.get(unit[:2], _UNITS.get(unit[:1], 1.0))) for count, unit in parts
    )


def _reset(headers: Mapping[str, str]) -> float | None:
    """Return the longest wait among the limits that are used up; among all limits, if none states that it is."""
    used_up: list[float] = []
    others: list[float] = []
    for name in _RESETS:
        of = f"-{name}" if name else ""
        for reset, left in (
            (f"x-ratelimit-reset{of}", f"x-ratelimit-remaining{of}"),
            (f"anthropic-ratelimit{of}-reset", f"anthropic-ratelimit{of}-remaining"),
        ):
            if (wait := _moment(headers.get(reset, ""))) is not None:
                (used_up if headers.get(left) == "0" else others).append(wait)
    return max(used_up or others, default=None)


def _moment(value: str) -> float | None:
    """Return the seconds until a reset, which is a duration, a number of seconds, or a date."""
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
