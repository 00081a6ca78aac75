"""The calls of one workspace or evaluation: cache, budget and turns, how to halt them, and their cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from idiolect.application.observers import ignore
from idiolect.models.calls.budget import Budget, Limits

if TYPE_CHECKING:
    from idiolect.models.calls.model import Calls


@dataclass(frozen=True, slots=True)
class CallSettings:
    """Settings for calls of models.

    Args:
        run, user: limits for the whole run, and for each user.
        concurrency: maximum number of concurrent calls to remote models; ≥ 1.
        timeout: maximum seconds for one attempt at a remote call.
        prices: price file; None: the packaged prices, and the user's own price file if there is one.
        cached: whether to read and write the cache of answers.
        dtype: type of local models' weights; None: the default.
        scoring_dtype: type of a second copy of local models' weights, which scores choices; None: no copy.
        keys: keys of servers that do not come from the environment, by the servers' base URLs.

    Raises:
        ValueError: concurrency is below 1, or timeout is not above 0.
    """

    run: Limits = Limits()
    user: Limits = Limits()
    concurrency: int = 16
    timeout: float = 120.0
    prices: Path | None = None
    cached: bool = True
    dtype: str | None = None
    scoring_dtype: str | None = None
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.concurrency < 1:
            raise ValueError(f"concurrency is {self.concurrency}, must be at least 1")
        if not self.timeout > 0:
            raise ValueError(f"timeout is {self.timeout}, must be above 0")


@dataclass(frozen=True, slots=True)
class Spending:
    """Cost of a run so far.

    Args:
        calls: number of calls that a model answered, however many tries each of them took.
        prompt_tokens, completion_tokens: tokens of these calls and of failed tries that may be charged for.
        money: US dollars; None if a price is unknown.
        from_cache: number of answers found in the cache.
        failed: number of failed calls.
        failed_tries: number of tries without an answer that may have been billed.
        dropped: number of calls that were dropped in flight and may have been billed.
        uncertain: number of calls from earlier runs that were never answered and may have been billed.
        seconds: wall time since the run began.
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    money: Decimal | None = Decimal(0)
    from_cache: int = 0
    failed: int = 0
    failed_tries: int = 0
    dropped: int = 0
    uncertain: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Run:
    """Calls that share a cache, a budget and turns.

    Args:
        calls: cache, budget and turns around each model call.
        uncertain: number of calls that were in flight when earlier runs ended.
        started: start of the run, in seconds of the monotonic clock.
    """

    calls: Calls
    uncertain: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def halted_by(self) -> str | None:
        """Reason why no further call is made; None if the run is not halted."""
        budget = self.calls.budget
        return budget.halted if budget.exceeded is None else str(budget.exceeded)

    @property
    def in_flight(self) -> int:
        """Number of remote calls in flight."""
        return self.calls.turns.in_flight

    def pause_left(self) -> float:
        """Return for how many more seconds calls wait because a server asks for that; 0 if they don't."""
        return max(self.calls.counts.paused_until - time.monotonic(), 0.0)

    def halt(self, reason: str) -> None:
        """Make no further call; calls in flight are completed and kept."""
        self.calls.budget.halt(reason)

    def come_to_an_end(self) -> None:
        """Record that a use case ended without an error, so that uncertain calls are not reported again."""
        if self.calls.cache is not None and self.uncertain:
            self.calls.cache.clear_uncertain()

    def uncached(self) -> Calls:
        """Return calls with the same budget and turns, but without a cache."""
        from idiolect.models.calls.model import Calls

        return Calls(self.calls.budget, self.calls.turns, None, self.calls.counts)

    def spending(self) -> Spending:
        """Return the cost of the run so far."""
        spent, counts = self.calls.budget.spent(), self.calls.counts
        return Spending(
            calls=counts.made,
            prompt_tokens=spent.prompt_tokens,
            completion_tokens=spent.completion_tokens,
            money=spent.money,
            from_cache=counts.found,
            failed=counts.failed,
            failed_tries=counts.failed_tries,
            dropped=counts.dropped,
            uncertain=self.uncertain,
            seconds=time.monotonic() - self.started,
        )


@contextmanager
def open_run(
    settings: CallSettings, cache_path: Path | None, *, on_uncertain: Callable[[int], None] = ignore
) -> Iterator[Run]:
    """Open the calls of a run. Uncertain calls are reported in every run until a use case ends without an error.

    Args:
        settings: settings for calls of models.
        cache_path: file of the cache; None: no cache.
        on_uncertain: receives the number of calls that earlier runs left in flight, if there are any.

    Raises:
        CacheError: the cache cannot be opened.
    """
    from idiolect.models.calls.cache import CallCache
    from idiolect.models.calls.model import Calls
    from idiolect.models.calls.turns import Turns

    cache = CallCache.open(cache_path) if cache_path is not None and settings.cached else None
    try:
        uncertain = 0 if cache is None else len(cache.uncertain())
        if uncertain:
            on_uncertain(uncertain)
        yield Run(Calls(Budget(run=settings.run, user=settings.user), Turns(settings.concurrency), cache), uncertain)
    finally:
        if cache is not None:
            cache.close()
