"""What the payer of a call hears of its tries, and may forbid: between `calls` and `transport`.

A call is tried again inside the remote model, where no budget is known. Whoever pays sets a `Payer` around the call;
`transport` asks it before every further try, also while it waits for one, and reports every try that failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

T = TypeVar("T")

_SLICE = 0.25  # seconds between questions while waiting


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
        """Hear that a try brought nothing; `maybe_billed` if the server may charge for it all the same."""
        ...


_payer: ContextVar[Payer | None] = ContextVar("payer", default=None)


@contextmanager
def paid_by(payer: Payer) -> Iterator[None]:
    """Let `payer` pay for everything that is called inside, also in tasks that begin there."""
    token = _payer.set(payer)
    try:
        yield
    finally:
        _payer.reset(token)


def before_retry() -> None:
    """Ask the payer, if there is one, whether there may be another try; raise what it raises."""
    if (payer := _payer.get()) is not None:
        payer.before_retry()


def failed_try(maybe_billed: bool) -> None:
    """Report a try that brought nothing to the payer, if there is one."""
    if (payer := _payer.get()) is not None:
        payer.failed_try(maybe_billed)


async def patiently(pause: Awaitable[T]) -> T:
    """Return the result of a pause, which ends early with what the payer raises."""
    if _payer.get() is None:
        return await pause
    waiting = asyncio.ensure_future(pause)
    try:
        while not (await asyncio.wait({waiting}, timeout=_SLICE))[0]:
            before_retry()
        return waiting.result()
    finally:
        waiting.cancel()
