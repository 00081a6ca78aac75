"""Streams of texts: from a task that hands out pieces to whoever reads them, and streams of models that have none.

async for … ← pieces ← task: work(hand)          closing the generator cancels the task, and waits for its end
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeVar

from idiolect.models.language_model import CompletionModel, CompletionRequest, Streamed, StreamingModel

T = TypeVar("T")
Hand = Callable[[T], None]


async def handed_over(work: Callable[[Hand[T]], Awaitable[None]]) -> AsyncGenerator[T, None]:
    """Yield what `work` hands out, in order; raise its error after that.

    It runs in a task of its own, so that what it has around a call (turns, a payer) does not depend on when, or by
    whom, the next item is taken.

    Args:
        work: async function that receives the function to hand items to.
    """
    ready: asyncio.Queue[tuple[T] | None] = asyncio.Queue()

    async def run() -> None:
        try:
            await work(lambda item: ready.put_nowait((item,)))
        finally:
            ready.put_nowait(None)

    task = asyncio.ensure_future(run())
    try:
        while (item := await ready.get()) is not None:
            yield item[0]
        await task
    finally:
        task.cancel()
        await asyncio.wait({task})  # what was used is settled there
        if not task.cancelled():
            task.exception()  # it was raised above, or nobody reads any more


async def stream_of(model: CompletionModel, request: CompletionRequest) -> AsyncGenerator[Streamed, None]:
    """Yield the stream of a model; the text of one that does not stream comes in one piece.

    Raises:
        ModelError: the model could not answer.
    """
    if not isinstance(model, StreamingModel):
        (completion,) = await model.complete([request])
        yield completion.text
        yield completion
        return
    stream = model.stream(request)
    try:
        async for item in stream:
            yield item
    finally:
        await stream.aclose()


async def completed_in_words(model: CompletionModel, request: CompletionRequest) -> AsyncGenerator[Streamed, None]:
    """Yield a model's completion word by word, then the whole; raise errors as `complete` does."""
    (completion,) = await model.complete([request])
    async for word in in_words(completion.text):
        yield word
    yield completion


async def in_words(text: str) -> AsyncGenerator[str, None]:
    """Yield a text word by word, each with the blanks before it, in different ticks of the event loop."""
    start = 0
    for place in range(1, len(text) + 1):
        if place == len(text) or (text[place].isspace() and not text[place - 1].isspace()):
            yield text[start:place]
            start = place
            await asyncio.sleep(0)
