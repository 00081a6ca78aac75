"""Times to wait, in headers and in words."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from idiolect.models.remote.waits import asked_wait, duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("45.8s", 45.8),
        ("7m12s", 432),
        ("1h2m3.5s", 3723.5),
        ("250ms", 0.25),
        ("20 seconds", 20),
        ("1 minute and 3 seconds", 63),
        ("2 hours", 7200),
        ("soon", None),
    ],
)
def test_duration_in_words(text: str, seconds: float | None) -> None:
    assert duration(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Rate limit reached for tokens per minute. Please try again in 7m12s. Visit the page.", 432),
        ("Please retry in 3.5s.", 3.5),
        ("You must wait 20 seconds before the next request", 20),
        ("Requests have exceeded the call rate limit. Please retry after 7 seconds.", 7),
        ('{"retryDelay": "45.8s"}', 45.8),
        ("Request was throttled. Expected available in 5 seconds.", 5),
        ("Too many requests, limit 20 in 60 s", None),
        ("Please try again later. Limit 10 requests.", None),
        ("Retry 5 times", None),
    ],
)
def test_wait_in_words(text: str, seconds: float | None) -> None:
    assert asked_wait({}, text) == (None if seconds is None else pytest.approx(seconds))


def test_header_comes_before_words_and_resets() -> None:
    assert asked_wait({"retry-after": "9", "x-ratelimit-reset-requests": "3s"}, "try again in 5s") == 9
    assert asked_wait({"x-ratelimit-reset-requests": "3s"}, "try again in 5s") == 5


def test_reset_is_that_of_the_limit_that_is_used_up() -> None:
    resets = {"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-reset-tokens": "2s"}
    assert asked_wait(resets) == 360
    assert asked_wait({**resets, "x-ratelimit-remaining-tokens": "0"}) == 2


def test_reset_may_be_a_date() -> None:
    later = time.time() + 30
    assert asked_wait({"x-ratelimit-reset": str(int(later * 1000))}) == pytest.approx(30, abs=2)
    assert asked_wait({"x-ratelimit-reset": str(int(later))}) == pytest.approx(30, abs=2)
    stamp = datetime.fromtimestamp(later, UTC).isoformat()
    assert asked_wait({"anthropic-ratelimit-tokens-reset": stamp}) == pytest.approx(30, abs=2)
