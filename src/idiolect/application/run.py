"""The calls of one workspace or evaluation: cache, budget and turns, how they are halted, and what they have cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
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
    """How models may be called.

    Args:
        run, user: limits of the whole run, and of each user.
        concurrency: calls of remote models in flight at a time; ≥ 1.
        timeout: seconds that one try of a remote call may take.
        prices: a file of prices; None: the packaged ones, and the user's own if there are any.
        cached: whether answers are looked up and kept.
        dtype: of local models' weights; None for the default.
        scoring_dtype: of a second copy of local models' weights, which scores choices; None for no copy.

    Raises:
        ValueError: concurrency below 1, or a timeout that is not above 0.
    """

    run: Limits = Limits()
    user: Limits = Limits()
    concurrency: int = 16
    timeout: float = 120.0
    prices: Path | None = None
    cached: bool = True
    dtype: str | None = None
    scoring_dtype: str | None = None

    def __post_init__(self) -> None:
        if self.concurrency < 1:
            raise ValueError(f"concurrency is {self.concurrency}, must be at least 1")
        if not self.timeout > 0:
            raise ValueError(f"timeout is {self.timeout}, must be above 0")


@dataclass(frozen=True, slots=True)
class Spending:
    """The cost of a run so far.

    Args:
        calls: calls of models.
        prompt_tokens, completion_tokens: tokens of these calls.
        money: US dollars; None where a price is not known.
        from_cache: answers that were found in the cache.
        failed: calls that failed.
        dropped: calls that were dropped in flight and may have been billed.
        uncertain: calls of earlier runs that were never answered and may have been billed.
        seconds: wall time since the run began.
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    money: Decimal | None = Decimal(0)
    from_cache: int = 0
    failed: int = 0
    dropped: int = 0
    uncertain: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Run:
    """Calls that share a cache, a budget and turns.

    Args:
        calls: what models are called through.
        uncertain: calls of earlier runs that were in flight when those ended.
        started: when the run began, in seconds of the monotonic clock.
    """

    calls: Calls
    uncertain: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def halted_by(self) -> str | None:
        """The reason why no further call is made; None as long as calls are made."""
        budget = self.calls.budget
        return budget.halted if budget.exceeded is None else str(budget.exceeded)

    @property
    def in_flight(self) -> int:
        """The number of calls of remote models that are being made now."""
        return self.calls.turns.in_flight

    def halt(self, reason: str) -> None:
        """Make no further call; those in flight are finished and kept."""
        self.calls.budget.halt(reason)

    def come_to_an_end(self) -> None:
        """Note that a use case has ended without an error: the calls of earlier runs need not be reported again."""
        if self.calls.cache is not None and self.uncertain:
            self.calls.cache.clear_uncertain()

    def uncached(self) -> Calls:
        """Return calls of the same budget and turns whose answers are neither looked up nor kept."""
        from idiolect.models.calls.model import Calls

        return Calls(self.calls.budget, self.calls.turns, None, self.calls.counts)

    def spending(self) -> Spending:
        """Return what the run has cost so far."""
        spent, counts = self.calls.budget.spent(), self.calls.counts
        return Spending(
            calls=spent.calls,
            prompt_tokens=spent.prompt_tokens,
            completion_tokens=spent.completion_tokens,
            money=spent.money,
            from_cache=counts.found,
            failed=counts.failed,
            dropped=counts.dropped,
            uncertain=self.uncertain,
            seconds=time.monotonic() - self.started,
        )


@contextmanager
def open_run(
    settings: CallSettings, cache_path: Path | None, *, on_uncertain: Callable[[int], None] = ignore
) -> Iterator[Run]:
    """Open the calls of a run. Uncertain calls are reported until a use case that reported them comes to its end.

    Args:
        settings: how models may be called.
        cache_path: where answers are kept; None: nowhere.
        on_uncertain: receives the number of calls that an earlier run left in flight, if there are any.

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
