"""Streams beneath all models: order, errors, cancellation; models that do not stream, doubles and recordings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

import pytest

from idiolect.errors import ModelError, UnseenRequestError
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import (
    Completion,
    CompletionRequest,
    Message,
    Streamed,
    StreamingModel,
    Usage,
)
from idiolect.models.replay import RecordingModel, ReplayModel
from idiolect.models.streaming import Hand, handed_over, in_words, stream_of

ASKED = CompletionRequest((Message("user", "Tea?"),))


async def all_of(stream: AsyncGenerator[Streamed, None]) -> list[Streamed]:
    async with aclosing(stream) as items:
        return [item async for item in items]


async def test_items_come_in_order_and_the_error_comes_last() -> None:
    async def work(hand: Hand[int]) -> None:
        for number in range(3):
            hand(number)
        raise ModelError("broke off")

    items = handed_over(work)
    assert [await anext(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ModelError, match="broke off"):
        await anext(items)


async def test_closing_cancels_the_work_and_waits_for_its_end() -> None:
    ended = False

    async def work(hand: Hand[str]) -> None:
        nonlocal ended
        try:
            hand("first")
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)  # settling takes a moment
            ended = True

    async with aclosing(handed_over(work)) as items:
        assert await anext(items) == "first"
    assert ended


async def test_cancelling_who_reads_cancels_the_work() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work(_hand: Hand[str]) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def read() -> None:
        async with aclosing(handed_over(work)) as items:
            await anext(items)

    reading = asyncio.ensure_future(read())
    await begun.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert ended.is_set()


async def test_an_error_that_nobody_reads_is_no_warning() -> None:
    async def work(hand: Hand[str]) -> None:
        hand("first")
        raise ModelError("broke off")

    async with aclosing(handed_over(work)) as items:
        await anext(items)


class Plain:
    """It completes, and does not stream."""

    name = "plain"

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        return [Completion("Tea, please.", "length", Usage(1, 1, 3, 1)) for _ in requests]


async def test_a_model_that_does_not_stream_gives_one_piece() -> None:
    assert not isinstance(Plain(), StreamingModel)
    completion = (await Plain().complete([ASKED]))[0]
    assert await all_of(stream_of(Plain(), ASKED)) == ["Tea, please.", completion]


async def test_words_keep_their_blanks() -> None:
    assert [word async for word in in_words(" Tea,  or\ncoffee ")] == [" Tea,", "  or", "\ncoffee", " "]
    assert [word async for word in in_words("")] == []


async def test_the_double_streams_words_and_records_the_request() -> None:
    model = FunctionModel(complete=lambda _: "Tea, I think.")
    assert isinstance(model, StreamingModel)
    completion = (await model.complete([ASKED]))[0]
    assert await all_of(model.stream(ASKED)) == ["Tea,", " I", " think.", completion]
    assert model.completion_requests == [ASKED, ASKED]
    with pytest.raises(ModelError, match="cannot write text"):
        await all_of(FunctionModel().stream(ASKED))


async def test_a_recorded_stream_is_replayed_as_stream_and_as_completion(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    recorded = await all_of(RecordingModel(FunctionModel(complete=lambda _: "Tea, I think."), path).stream(ASKED))
    replay = ReplayModel(path)
    assert await all_of(replay.stream(ASKED)) == recorded
    assert await replay.complete([ASKED]) == [recorded[-1]]
    with pytest.raises(UnseenRequestError):
        await all_of(replay.stream(CompletionRequest((Message("user", "Coffee?"),))))


async def test_a_stream_that_is_left_is_not_recorded(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    async with aclosing(RecordingModel(FunctionModel(complete=lambda _: "Tea, I think."), path).stream(ASKED)) as items:
        await anext(items)
    assert not path.exists()
