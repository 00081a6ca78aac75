"""Forgetting people while the server serves: their requests get the base model, and nothing learned stays in memory.

    erase → withheld (base model for them, no changes) → their answers end, the tenant's fits return to the queue
          → store, artifacts, caches of calls → prompts that models keep → receipt

An erasure goes on if its client leaves. It runs in a thread of its own, one at a time: it locks its tenant's caches of
calls, and reads those of the others. Whoever gave a key with their request gets the receipt again, even if the process
has died in between.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Self

from idiolect.erasure import kept_receipts
from idiolect.erasure.forgetting import check_held, forget_user
from idiolect.erasure.receipt import Receipt
from idiolect.errors import BusyError, UnknownUserError
from idiolect.serve.identity import Asker
from idiolect.serve.personalizations import Personalizations
from idiolect.store import Store
from idiolect.store.job_queue import Pauses

WAIT_FOR_ANSWERS = 30.0  # seconds
_WAIT_FOR_FITS = 60.0  # seconds; their workers notice within some, and calls in flight end
_PAUSE = 60.0  # seconds after which fits go on, should this process die
_LOOK = 0.1  # seconds


class Erasures:
    """The erasures of a gateway. Use it with `async with`, which waits at its end for those that are running.

    Args:
        personalizations: what is kept in memory of users.
        forget_prompts: drops the prompts that models keep.
        wait: seconds that running answers of a user may take before their erasure is given up.

    Attributes:
        turns: by tenant, held while its caches of calls are locked, and by whoever else opens them for a moment.
    """

    def __init__(
        self,
        personalizations: Personalizations,
        forget_prompts: Callable[[], Awaitable[None]],
        *,
        wait: float = WAIT_FOR_ANSWERS,
    ) -> None:
        self._personalizations, self._forget_prompts, self._wait = personalizations, forget_prompts, wait
        self._running: dict[Asker, asyncio.Task[Receipt]] = {}
        self._keys: defaultdict[Asker, set[str]] = defaultdict(set)  # of all who ask while an erasure runs
        self._used: Counter[Asker] = Counter()
        self._unused = asyncio.Condition()
        self._first = asyncio.Lock()  # before a turn: whoever waits for it keeps no export from its tenant's caches
        self.turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="idiolect-erasure")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        while self._running:
            await asyncio.wait(set(self._running.values()))
        self._thread.shutdown()

    def erases(self, asker: Asker) -> bool:
        """Return whether a user is being erased now."""
        return asker in self._running

    @contextmanager
    def using(self, asker: Asker) -> Iterator[None]:
        """Mark a user's data as in use while the context is open: an erasure waits for that."""
        if asker.user is None or self.erases(asker):  # then the answer uses nothing of them
            yield
            return
        self._used[asker] += 1
        try:
            yield
        finally:
            self._used[asker] -= 1
            if not self._used[asker]:
                del self._used[asker]
                if self.erases(asker):
                    asyncio.ensure_future(self._notify())  # noqa: RUF006 - the erasure awaits what it does

    async def erase(self, store: Store, asker: Asker, key: str | None = None) -> Receipt:
        """Forget a user, and return the receipt; a second request for the same user gets the receipt of the first.

        Args:
            store: the store of the user's tenant.
            asker: the user.
            key: a random key of whoever asks: with it they get the receipt again; None: only while the erasure runs.

        Raises:
            BusyError: answers of the user took too long; nothing was deleted.
            UnknownUserError: nothing is held about this user.
            StoreError: another process uses a cache (nothing was deleted), or the store cannot be written.
            CacheError: another process is forgetting a user, or a cache cannot be read or written.
        """
        if key is not None:
            self._keys[asker].add(key)
        task = self._running.get(asker)
        if task is None:
            self._personalizations.withhold(asker)
            task = self._running[asker] = asyncio.ensure_future(self._erase(store, asker, key))
            task.add_done_callback(partial(self._done, asker))
        return await asyncio.shield(task)

    def _done(self, asker: Asker, task: asyncio.Task[Receipt]) -> None:
        del self._running[asker]
        self._keys.pop(asker, None)
        self._personalizations.release(asker)
        if not task.cancelled():
            task.exception()  # whoever asked for it has it, if they are still there

    async def _erase(self, store: Store, asker: Asker, key: str | None) -> Receipt:
        assert asker.user is not None, "an erasure is of a user"
        await self._until_unused(asker)
        async with self._first, self.turns[asker.tenant]:
            loop = asyncio.get_running_loop()
            receipt = await loop.run_in_executor(self._thread, _forget_once, store, asker.user, key)
            for other in self._keys[asker] - {key}:
                name = kept_receipts.name_of(asker.user, other)
                await loop.run_in_executor(self._thread, kept_receipts.finish, store.rows, name, receipt)
        if receipt.begun_edits_deleted:  # edits of others, whom the receipt does not name
            self._personalizations.clear()
        await self._forget_prompts()
        return receipt

    async def _until_unused(self, asker: Asker) -> None:
        try:
            async with asyncio.timeout(self._wait), self._unused:
                await self._unused.wait_for(lambda: not self._used[asker])
        except TimeoutError:
            raise BusyError("answers for this user are still being written; try again when they have ended") from None

    async def _notify(self) -> None:
        async with self._unused:
            self._unused.notify_all()


def _forget_once(store: Store, user_id: str, key: str | None) -> Receipt:
    """Forget a user; if nothing is held about them any more, return the receipt that is kept for this key."""
    try:
        return _forget(store, user_id, key)
    except UnknownUserError:
        kept = None if key is None else kept_receipts.find(store, user_id, key)
        if kept is None:
            raise
        return kept


def _forget(store: Store, user_id: str, key: str | None) -> Receipt:
    """Forget a user while no fit of the tenant runs, because an erasure needs the tenant's caches for itself.

    Nobody's fit is interrupted for a user who is not there.
    """
    check_held(store, user_id)
    pauses = Pauses(store.database, store.tenant, lease=_PAUSE)
    deadline = time.monotonic() + _WAIT_FOR_FITS
    with pauses.pausing():
        while pauses.running():
            if time.monotonic() > deadline:
                raise BusyError("fits of other users are still ending their calls; try again in a moment")
            time.sleep(_LOOK)
        return forget_user(store, user_id, key=key)
