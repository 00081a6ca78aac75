"""The stream of a local model: from the thread that generates to the event loop, token by token.

worker: row.take → listener.hear ─ call_soon_threadsafe → hand → who reads;  who reads goes → listener.gone → row ends
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Any

from idiolect.models.encoding import completion_of
from idiolect.models.generation import EncodedPrompt, Generated, Listener
from idiolect.models.language_model import Streamed
from idiolect.models.streaming import Hand, handed_over


class _LoopListener:
    """A listener on an event loop. `gone` is set there, and read in the thread that generates."""

    def __init__(self, hand: Hand[str]) -> None:
        self._hand, self._loop = hand, asyncio.get_running_loop()
        self.ended: asyncio.Future[Generated] = self._loop.create_future()
        self.gone = False

    def hear(self, piece: str) -> None:
        self._soon(lambda: self._hand(piece))

    def end(self, generated: Generated) -> None:
        self._soon(lambda: None if self.ended.done() else self.ended.set_result(generated))

    def _soon(self, function: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop has been closed meanwhile
            self._loop.call_soon_threadsafe(function)


def token_stream(
    encode: Callable[[Listener], EncodedPrompt],
    submit: Callable[[list[EncodedPrompt]], Awaitable[list[Generated]]],
) -> AsyncGenerator[Streamed, None]:
    """Yield an item for each token of one text, then its completion; other rows of its batch are not waited for.

    Args:
        encode: encodes the request with the listener.
        submit: generates prompts.
    """

    async def write(hand: Hand[Streamed]) -> None:
        listener = _LoopListener(hand)
        item = encode(listener)
        generating = asyncio.ensure_future(submit([item]))
        try:
            either: set[asyncio.Future[Any]] = {generating, listener.ended}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            row = listener.ended.result() if listener.ended.done() else generating.result()[0]
        finally:
            listener.gone = True
            generating.cancel()  # has no effect on the batch
        hand(completion_of(item, row))

    return handed_over(write)
