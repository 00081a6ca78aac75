"""Values that are computed when they are first needed, and kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class ComputedOnce:
    """Values by key, for tasks of one event loop.

    Args:
        kept: holds the values, and the locks of those that are being computed.
    """

    kept: MutableMapping[Hashable, Any] = field(default_factory=dict)

    async def get(self, key: Hashable, compute: Callable[[], Awaitable[T]]) -> T:
        """Return what `compute` returned for this key first; concurrent callers wait for it.

        If it fails, its error is raised, nothing is kept, and the next caller computes the value anew.
        """
        lock: asyncio.Lock = self.kept.setdefault(("lock", key), asyncio.Lock())
        async with lock:
            if key not in self.kept:
                self.kept[key] = await compute()
        found: T = self.kept[key]
        return found
