"""A batch of calls between its claims and its results: what is ours is asked before others' calls are waited for.

    open_batch ── ready → ask what is ours → keep ──┐   until no call is left
                    └──────────────────────────────┘
    whatever goes wrong: give_up

Two batches that each held a call which the other one wants, and waited for it, would wait for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from idiolect.models.calls.cache import CallCache

Kept = Mapping[str, Any]


@dataclass(slots=True)
class Batch:
    """Calls that are asked together. Made by `open_batch`.

    Args:
        owner: the user's id.
        cache: where they are claimed and kept; None: every call is ours, and none is kept.
        begins: the claims that are still being made; None as their result: the call is ours.
        claimed: ours, and neither kept nor given up so far.
    """

    owner: str
    cache: CallCache | None
    begins: dict[str, asyncio.Task[Kept | None]]
    claimed: list[str] = field(default_factory=list)

    async def ready(self) -> tuple[list[str], dict[str, Kept]]:
        """Wait until at least one more call is claimed, or has its result from somebody else.

        Returns:
            The keys of the calls that are ours to make now, in the order in which they were given, and the results
            that somebody else has kept.

        Raises:
            CacheError: the cache cannot be read or written.
        """
        if self.begins:
            await asyncio.wait(self.begins.values(), return_when=asyncio.FIRST_COMPLETED)
        done = {key: self.begins.pop(key) for key in [key for key, begin in self.begins.items() if begin.done()]}
        made = {key: begin for key, begin in done.items() if not begin.cancelled() and not begin.exception()}
        self.claimed += [key for key, begin in made.items() if begin.result() is None]
        for begin in done.values():
            begin.result()  # raises what went wrong
        return list(self.claimed), {key: kept for key, begin in made.items() if (kept := begin.result()) is not None}

    async def keep(self, results: Mapping[str, Kept]) -> None:
        """Keep the results of calls that are ours. Once this has begun it is done, even if the task is cancelled.

        Raises:
            CacheError: the cache cannot be written; what could be kept is.
        """
        self.claimed = [key for key in self.claimed if key not in results]
        if self.cache is not None:
            await _all_done(self.cache.keep(key, result, owner=self.owner) for key, result in results.items())

    async def give_up(self) -> None:
        """End the claims that have no result, those included that are being made. Done even if the task is cancelled.

        Raises:
            CacheError: the cache cannot be written.
        """
        await asyncio.shield(asyncio.ensure_future(self._give_up()))

    async def _give_up(self) -> None:
        for begin in self.begins.values():
            begin.cancel()
        begun = await asyncio.gather(*self.begins.values(), return_exceptions=True)
        claimed = [*self.claimed, *(key for key, kept in zip(self.begins, begun, strict=True) if kept is None)]
        self.claimed.clear()
        self.begins.clear()
        if self.cache is not None:
            await _all_done(map(self.cache.abandon, claimed))


def open_batch(keys: Iterable[str], *, cache: CallCache | None, operation: str, model: str, owner: str) -> Batch:
    """Begin to claim all calls at once.

    Args:
        keys: of the calls, all different.
        cache: where they are claimed; None: every call is ours.
        operation: what is asked, such as "complete".
        model: what the cache knows the model by.
        owner: the user's id.
    """

    async def begin(key: str) -> Kept | None:
        return None if cache is None else await cache.begin(key, operation=operation, model=model, owner=owner)

    return Batch(owner, cache, {key: asyncio.create_task(begin(key)) for key in keys})


async def _all_done(changes: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Make all changes, in one tick and so in one transaction; the first failure is raised when all are done."""
    for failure in await asyncio.shield(asyncio.gather(*changes, return_exceptions=True)):
        if isinstance(failure, BaseException):
            raise failure
