"""The calls of one run of the command line: cache, budget and turns, how it is halted, and what is said of it.

The first Ctrl-C (or SIGTERM) halts: no further call is made, those in flight are finished and kept for a while. The
second one, or the end of that while, drops them.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from idiolect.cli.fit_order import CallOrder
from idiolect.cli.terminal import err
from idiolect.errors import SettingsError
from idiolect.models.calls.budget import Budget
from idiolect.models.calls.cache import CallCache
from idiolect.models.calls.model import Calls
from idiolect.models.calls.turns import Turns

GRACE_SECONDS = 10.0  # after the first Ctrl-C, for what is in flight
STOPPED_BY_HAND = "stopped by hand"


@dataclass(slots=True)
class RunCalls:
    """One run: its calls, how many of earlier runs it told of, when it began, and whether it was stopped by hand."""

    calls: Calls
    uncertain: int = 0
    started: float = field(default_factory=time.monotonic)
    interrupted: bool = False

    @property
    def halted(self) -> bool:
        """No further call is made: stopped by hand, by somebody else, or a limit of the run is reached."""
        return self.interrupted or self.reason is not None

    @property
    def reason(self) -> str | None:
        """Why no further call is made; None as long as calls are made."""
        budget = self.calls.budget
        return budget.halted if budget.exceeded is None else str(budget.exceeded)

    async def halting(self, work: Awaitable[None]) -> None:
        """Do the work; Ctrl-C halts the calls, and then the work.

        Raises:
            asyncio.CancelledError: what was in flight is dropped.
        """
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(work)

        def interrupt() -> None:
            if self.interrupted:
                task.cancel()
                return
            self.interrupted = True
            self.calls.budget.halt(STOPPED_BY_HAND)
            err().print(f"stopping: {self._awaited()}; Ctrl-C again does not wait", markup=False)
            loop.call_later(GRACE_SECONDS, task.cancel)

        heard: list[signal.Signals] = []
        for each in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError, RuntimeError):  # no such thing on Windows, nor off the main thread
                loop.add_signal_handler(each, interrupt)
                heard.append(each)
        try:
            await task
        except asyncio.CancelledError:
            if not self.interrupted:
                raise
        finally:
            for each in heard:
                loop.remove_signal_handler(each)

    def _awaited(self) -> str:
        n = self.calls.turns.in_flight
        what = f"{n:,} call{'s' if n != 1 else ''} in flight, perhaps paid for" if n else "what is in flight"
        return f"waiting up to {GRACE_SECONDS:.0f} s for {what}"

    def note(self) -> str:
        """How it goes, for a line of progress: "1,234 calls, 35/s, $0.12"."""
        spent, counts = self.calls.budget.spent(), self.calls.counts
        seconds = max(time.monotonic() - self.started, 1e-3)
        parts = [f"{spent.calls:,} calls", f"{spent.calls / seconds:.3g}/s"]
        if counts.found:
            parts.append(f"{counts.found:,} from the cache")
        if spent.money:
            parts.append(f"${spent.money:.4f}")
        return ", ".join(parts)

    def summary(self) -> str:
        """What was spent, in a sentence."""
        spent, counts = self.calls.budget.spent(), self.calls.counts
        tokens = f"{spent.prompt_tokens:,} + {spent.completion_tokens:,} tokens"
        money = "cost not known" if spent.money is None else f"${spent.money:.4f}"
        seconds = time.monotonic() - self.started
        said = [f"{spent.calls:,} calls", tokens, money, f"{seconds:.1f} s"]
        if counts.found:
            said.append(f"{counts.found:,} answers from the cache")
        if counts.failed:
            said.append(f"{counts.failed:,} calls failed")
        if counts.dropped:
            said.append(f"{counts.dropped:,} calls were dropped in flight and may have been billed")
        if self.uncertain:
            said.append(f"{self.uncertain:,} calls of earlier runs were never answered and may have been billed")
        return ", ".join(said)


@contextmanager
def run_calls(order: CallOrder, cache_path: Path | None) -> Iterator[RunCalls]:
    """The calls of a run; what an earlier run left in flight is told, until a run that told it came to its end.

    Args:
        order: how models may be called.
        cache_path: where answers are kept; None: nowhere.

    Raises:
        CacheError: the cache cannot be opened.
    """
    cache = CallCache.open(cache_path) if cache_path is not None and order.cached else None
    try:
        uncertain = 0 if cache is None else _tell_uncertain(cache)
        calls = Calls(Budget(run=order.run, user=order.user), Turns(order.concurrency), cache)
        yield RunCalls(calls, uncertain)
        if cache is not None and uncertain:
            cache.clear_uncertain()  # not after an error, nor a crash: the next run tells them again
    finally:
        if cache is not None:
            cache.close()


def check_prices(order: CallOrder, unknown: Sequence[str]) -> None:
    """A budget of money needs prices.

    Args:
        order: its limits.
        unknown: names of the models that have none.

    Raises:
        SettingsError: a model has none.
    """
    if unknown and (order.run.money is not None or order.user.money is not None):
        raise SettingsError(
            f"the price of {', '.join(unknown)} is not known, so money cannot be a limit: put it into a file of prices "
            "(--prices FILE, see docs/remote.md), or limit calls or tokens"
        )


def _tell_uncertain(cache: CallCache) -> int:
    """How many there are."""
    n = len(cache.uncertain())
    if n:
        calls = "1 call was" if n == 1 else f"{n:,} calls were"
        err().print(
            f"{calls} in flight when an earlier run ended; maybe billed, never answered: asked again when needed"
        )
    return n
