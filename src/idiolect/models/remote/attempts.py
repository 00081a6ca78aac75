"""The payer of a call, which learns of its tries and may forbid further ones; between `calls` and `transport`.

A call is retried inside the remote model, which does not know the budget. The caller that pays sets a `Payer` around
the call. `transport` checks with it before every further try, also while waiting for one, and reports failed tries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

T = TypeVar("T")

_SLICE = 0.25  # seconds between checks while waiting


class Payer(Protocol):
    """The payer of the tries of one call."""

    def before_retry(self) -> None:
        """Allow another try, or raise.

        Raises:
            HaltedError: the run makes no further ones.
            BudgetExceededError: another one does not fit, or the time is over.
        """
        ...

    def failed_try(self, maybe_billed: bool) -> None:
        """Receive the report of a try without an answer; `maybe_billed` if the server may charge for it anyway."""
        ...

    def pausing(self, seconds: float) -> None:
        """Receive the report that all calls to the server wait, because it asks for that."""
        ...


_payer: ContextVar[Payer | None] = ContextVar("payer", default=None)


@contextmanager
def paid_by(payer: Payer) -> Iterator[None]:
    """Let `payer` pay for every call made in the context, including in tasks that are started there."""
    token = _payer.set(payer)
    try:
        yield
    finally:
        _payer.reset(token)


def before_retry() -> None:
    """Check with the payer, if there is one, that another try is allowed; raise its error if not."""
    if (payer := _payer.get()) is not None:
        payer.before_retry()


def failed_try(maybe_billed: bool) -> None:
    """Report a try without an answer to the payer, if there is one."""
    if (payer := _payer.get()) is not None:
        payer.failed_try(maybe_billed)


def pausing(seconds: float) -> None:
    """Report to the payer, if there is one, that all calls to the server wait for so many seconds."""
    if (payer := _payer.get()) is not None:
        payer.pausing(seconds)


async def patiently(pause: Awaitable[T]) -> T:
    """Return the result of a pause; end it early, with the payer's error, if the payer allows no further try."""
    if _payer.get() is None:
        return await pause
    waiting = asyncio.ensure_future(pause)
    try:
        while not (await asyncio.wait({waiting}, timeout=_SLICE))[0]:
            before_retry()
        return waiting.result()
    finally:
        waiting.cancel()
