"""Limits on how often one caller may ask: requests a minute."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from idiolect.serve.errors import LIMITED, HttpError

_MOST_BUCKETS = 100_000


class RateLimits:
    """A token bucket for each caller: a minute's requests at once, refilled evenly.

    Args:
        clock: returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # requests left, and when

    def take(self, caller: str, per_minute: int | None) -> None:
        """Take one request of a caller.

        Args:
            caller: the key's id, or the address of one who shows none.
            per_minute: requests a minute, ≥ 1; None: no limit.

        Raises:
            HttpError: there is none left (429); `Retry-After` names the seconds until there is.
        """
        if per_minute is None:
            return
        now = self._clock()
        left, since = self._buckets.get(caller, (float(per_minute), now))
        left = min(left + (now - since) * per_minute / 60, float(per_minute))
        allowed = left >= 1
        self._buckets[caller] = (left - allowed, now)
        self._buckets.move_to_end(caller)
        while len(self._buckets) > _MOST_BUCKETS:
            self._buckets.popitem(last=False)
        if not allowed:
            wait = math.ceil((1 - left) * 60 / per_minute)
            raise HttpError(
                429,
                f"more than {per_minute} requests in a minute; try again in {wait} s",
                kind=LIMITED,
                code="rate_limit_exceeded",
                headers={"Retry-After": str(wait)},
            )
