"""Calls that are made once and kept; if one task is making a call, other tasks of the process wait for its answer.

look_up → (not there) → make ── nobody is making it → look_up again → begin, durably → ask → keep
                          └──── another task is ────→ wait until that has ended, then as above
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from idiolect.models.calls.cache import CallCache

Answer = TypeVar("Answer")
Ask = Callable[[list[str]], Awaitable[dict[str, Answer]]]


@dataclass(frozen=True, slots=True)
class Operation(Generic[Answer]):
    """A kind of call, such as "complete".

    Args:
        name: its name.
        to_result, from_result: convert an answer to strict JSON and back.
        lasts: whether to keep an answer; a request that was refused without cost may be made again by a later run.
    """

    name: str
    to_result: Callable[[Answer], Mapping[str, Any]]
    from_result: Callable[[Mapping[str, Any]], Answer]
    lasts: Callable[[Answer], bool] = lambda _answer: True


@dataclass(frozen=True, slots=True)
class KeptCalls(Generic[Answer]):
    """One owner's calls to one model; a cache that cannot be read or written raises `CacheError`.

    Args:
        operation: the kind of call.
        cache: keeps the answers; None keeps nothing, and every call is made.
        model: the model's name in the cache.
        owner: the user's id.
    """

    operation: Operation[Answer]
    cache: CallCache | None
    model: str
    owner: str

    async def look_up(self, keys: Sequence[str]) -> dict[str, Answer]:
        """Return the kept answers, by key."""
        if self.cache is None or not keys:
            return {}
        found = await self.cache.look_up(keys, owner=self.owner)
        from_result = self.operation.from_result
        return {key: from_result(result) for key, result in zip(keys, found, strict=True) if result is not None}

    async def make(self, keys: Sequence[str], ask: Ask[Answer]) -> dict[str, Answer]:
        """Return the answers to these calls; `ask` makes those that are neither kept nor being made by another task.

        A task makes its own calls before it waits for those of another task, so two tasks that need each other's calls
        do not deadlock. If a call fails or is cancelled, a task that waited for it makes it.

        Args:
            keys: keys of the calls, all different.
            ask: makes the calls with the given keys.
        """
        if self.cache is None:
            return await ask(list(keys))
        in_flight = self.cache.in_flight
        answers: dict[str, Answer] = {}
        while left := [key for key in keys if key not in answers]:
            if free := [key for key in left if key not in in_flight]:
                with _flying(free, in_flight):
                    answers |= await self.look_up(free)
                    if missing := [key for key in free if key not in answers]:
                        answers |= await self._ask_and_keep(missing, ask, self.cache)
            else:
                await asyncio.wait({in_flight[key] for key in left}, return_when=asyncio.FIRST_COMPLETED)
        return answers

    async def _ask_and_keep(self, keys: list[str], ask: Ask[Answer], cache: CallCache) -> dict[str, Answer]:
        try:
            await cache.begin(keys, operation=self.operation.name, model=self.model, owner=self.owner)
            answers = await ask(keys)
            lasting = {key: answer for key, answer in answers.items() if self.operation.lasts(answer)}
            await cache.keep({key: self.operation.to_result(answer) for key, answer in lasting.items()})
            if passing := [key for key in keys if key not in lasting]:
                await cache.abandon(passing)
        except BaseException:
            await cache.abandon(keys)
            raise
        return answers


@contextmanager
def _flying(keys: Sequence[str], in_flight: dict[str, asyncio.Future[None]]) -> Iterator[None]:
    """Mark these calls as in flight, for all tasks, within the context."""
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    in_flight.update(dict.fromkeys(keys, ended))
    try:
        yield
    finally:
        for key in keys:
            del in_flight[key]
        ended.set_result(None)
