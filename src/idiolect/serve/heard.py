"""What was answered, collected while it passes, so that people can comment on it; the answer never waits for this.

chunks | body → Heard → text (once the answer has ended) → Kept: a few times a second, one transaction → responses
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Self

import msgspec

from idiolect.errors import StoreError
from idiolect.serve.event_streams import CONTENT_TYPE
from idiolect.serve.identity import Asker
from idiolect.serve.logs import log
from idiolect.store import Store
from idiolect.store.responses import Response, Responses

KEEPS_EVERY = 0.25  # seconds
_MOST_BYTES = 2**20  # of an answer; a longer one is not kept
_MOST_CHARACTERS = 50_000  # of a turn or an answer
_MOST_WAITING = 5000  # responses; more are not kept
_ANY_COMPRESSION = 47  # for zlib: gzip or deflate, by its header


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    message: _Message | None = None
    delta: _Message | None = None


class _Answer(msgspec.Struct):
    id: str = ""
    choices: list[_Choice] = []


_DECODER = msgspec.json.Decoder(_Answer)


class Heard:
    """The bytes of one answer."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, data: bytes) -> None:
        """Keep bytes that passed, up to a limit."""
        self._size += len(data)
        if self._size <= _MOST_BYTES:
            self._parts.append(data)

    def answer(self, *, content_type: str, compressed: bool) -> tuple[str, str] | None:
        """Return the id and the text of the answer; None if it is no answer with a text.

        Args:
            content_type: that of the response; a stream has that of events.
            compressed: whether the bytes are compressed.
        """
        if self._size > _MOST_BYTES:
            return None
        data = b"".join(self._parts)
        if compressed:
            try:
                data = zlib.decompressobj(_ANY_COMPRESSION).decompress(data, _MOST_BYTES)
            except zlib.error:
                return None
        events = _events(data) if content_type.startswith(CONTENT_TYPE) else [data]
        found, pieces = "", list[str]()
        for each in events:
            try:
                answer = _DECODER.decode(each)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return None
            found = found or answer.id
            for choice in answer.choices:
                part = choice.message or choice.delta
                if choice.index == 0 and part is not None and part.content:
                    pieces.append(part.content)
        text = "".join(pieces)
        return (found, text) if found and text.strip() and len(text) <= _MOST_CHARACTERS else None


def _events(data: bytes) -> list[bytes]:
    lines = (line.strip() for line in data.splitlines() if line.startswith(b"data:"))
    return [document for line in lines if (document := line[5:].strip()) not in (b"", b"[DONE]")]


class Kept:
    """Keeps the last responses of users, in the background. Use it with `async with`, which keeps the rest at its end.

    Args:
        store_of: returns the store of a tenant.
        erases: returns whether a user is being erased now.
        most: number of responses of each user; 0: none are kept.
        seconds: for which they are kept.
    """

    def __init__(
        self, store_of: Callable[[str], Store], erases: Callable[[Asker], bool], *, most: int, seconds: float
    ) -> None:
        self._store_of, self._erases, self.most, self.seconds = store_of, erases, most, seconds
        self._waiting: dict[Asker, deque[Response]] = {}
        self._n_waiting = 0
        self._writing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self.most:
            self._task = asyncio.ensure_future(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            await self.write()

    def add(self, asker: Asker, response_id: str, question: str, answer: str) -> None:
        """Keep a response soon, if the store knows the user."""
        if asker.user is None or self._n_waiting >= _MOST_WAITING or len(question) > _MOST_CHARACTERS:
            return
        theirs = self._waiting.setdefault(asker, deque(maxlen=self.most))  # older ones would be deleted at once
        self._n_waiting += len(theirs) < self.most
        theirs.append(Response(response_id, asker.user, question, answer))

    def forget(self, asker: Asker) -> None:
        """Drop what waits of a user."""
        self._n_waiting -= len(self._waiting.pop(asker, ()))

    async def write(self) -> None:
        """Keep what waits now."""
        async with self._writing:
            waiting, self._waiting, self._n_waiting = self._waiting, {}, 0
            tenants: dict[str, list[Response]] = {}
            for asker, theirs in waiting.items():
                if not self._erases(asker):
                    tenants.setdefault(asker.tenant, []).extend(theirs)
            for tenant, found in tenants.items():
                try:
                    await asyncio.to_thread(self._write, tenant, found)
                except StoreError as error:
                    log("responses", level=logging.WARNING, error=error, lost=len(found))

    def _write(self, tenant: str, found: list[Response]) -> None:
        Responses(self._store_of(tenant).rows).keep(found, most=self.most, seconds=self.seconds)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(KEEPS_EVERY)
            if self._waiting:
                await asyncio.shield(self.write())
