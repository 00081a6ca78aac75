"""Streams of a model behind an API: pieces as they come, faults before and after the first of them, cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from idiolect.errors import ContextLengthError, ModelError, UnusableModelError
from idiolect.models.language_model import (
    Completion,
    CompletionRequest,
    Message,
    SamplingParams,
    Streamed,
    StreamingModel,
)
from idiolect.models.remote.chat import RemoteModel, open_remote_model
from idiolect.models.remote.streams import MOST_BROKEN, AnswerReader
from idiolect.models.remote.transport import RemoteSettings
from tests.api_server import Answer, Answering, ApiServer, Body, Drop, Status, Stream, WrongContentType

FAST = RemoteSettings(timeout=5, wait_initial=0.001, wait_max=0.002, attempts=3)
ASKED = CompletionRequest((Message("user", "Write."),))
EVENTS = "text/event-stream"


def model_at(server: ApiServer, settings: RemoteSettings = FAST) -> RemoteModel:
    return open_remote_model(f"{server.url}#m", settings=settings)


async def read(stream: AsyncGenerator[Streamed, None]) -> tuple[list[str], Completion | ModelError]:
    """The pieces, and the completion or the error at the end."""
    pieces: list[str] = []
    try:
        async with asyncio.timeout(20), aclosing(stream) as items:
            async for item in items:
                if isinstance(item, Completion):
                    return pieces, item
                pieces.append(item)
    except ModelError as error:
        return pieces, error
    raise AssertionError("the stream has no end")


async def streamed(
    answer: Answer | Answering, request: CompletionRequest = ASKED, settings: RemoteSettings = FAST
) -> tuple[list[str], Completion | ModelError, int]:
    """The same, and the number of requests."""
    with ApiServer(answer if callable(answer) else lambda *_: answer) as server:
        async with model_at(server, settings) as model:
            assert isinstance(model, StreamingModel)
            pieces, last = await read(model.stream(request))
        return pieces, last, len(server.requests)


@pytest.mark.parametrize("size", [1, 3, 8])
async def test_the_pieces_are_the_completion_of_the_plain_answer(size: int) -> None:
    text = "Rain, mostly.\n\nAnd \u2028 snow \x85 — «être» 雨 😀."
    pieces, last, _ = await streamed(Stream(text, size=size))
    with ApiServer(lambda *_: text) as server:
        async with model_at(server) as model:
            (plain,) = await model.complete([ASKED])
    assert last == plain
    assert "".join(pieces) == text
    assert len([piece for piece in pieces if piece]) > 2


async def test_the_first_piece_is_there_before_the_end() -> None:
    with ApiServer(lambda *_: Stream("one two three four", interval=0.2, size=5)) as server:
        async with model_at(server) as model, aclosing(model.stream(ASKED)) as items:
            async for item in items:
                if item:
                    break
            assert (item, server.requests[0].answered) == ("one t", False)
        assert server.requests[0].body["stream"] is True


async def test_a_stream_that_is_left_closes_the_connection() -> None:
    with ApiServer(lambda *_: Stream("word " * 1000, interval=0.05)) as server:
        async with model_at(server) as model:
            async with aclosing(model.stream(ASKED)) as items:
                await anext(items)
            for _ in range(100):
                if server.requests[0].end is not None:
                    break
                await asyncio.sleep(0.05)
        assert server.requests[0].end is not None
        assert not server.requests[0].answered


def first_then(*answers: Answer) -> Answering:
    """Each answer once; the last one from then on."""
    return lambda _body, number: answers[min(number, len(answers)) - 1]


@pytest.mark.parametrize("fault", [Status(503), Drop(None), WrongContentType(EVENTS, "data: {oops\n\n")])
async def test_faults_before_the_first_piece_are_tried_again(fault: Answer) -> None:
    pieces, last, requests = await streamed(first_then(fault, Stream("Yes, indeed.")))
    assert isinstance(last, Completion)
    assert ("".join(pieces), last.text, requests) == ("Yes, indeed.", "Yes, indeed.", 2)


CUT = 'data: {"choices": [{"index": 0, "delta": {"content": "Yes, "}}]}\n\ndata: {"choices": [{"index": 0, "delta": {"content": "but"}}]}\n\n'  # noqa: E501


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (WrongContentType(EVENTS, CUT), "the answer broke off: the stream broke off"),
        (Stream("Yes, but no", error={"message": "overloaded", "type": "server_error"}), "the answer broke off"),
        (WrongContentType(EVENTS, CUT + "data: oops\n\n"), "is not JSON"),
    ],
)
async def test_faults_after_the_first_piece_end_the_stream_with_what_came(answer: Answer, reason: str) -> None:
    pieces, last, requests = await streamed(first_then(answer, Stream("No, something else.")))
    assert isinstance(last, ModelError)
    assert reason in str(last)
    assert "".join(pieces).startswith("Yes,")
    assert requests == 1


async def test_a_server_that_does_not_stream_gives_one_piece() -> None:
    pieces, last, _ = await streamed("Yes, indeed.")
    assert pieces == ["Yes, indeed."]
    assert isinstance(last, Completion)


async def test_a_server_that_rejects_streams_is_asked_without() -> None:
    def answer(body: Body, _number: int) -> Answer:
        if "stream" in body:
            said = "Unsupported parameter: 'stream' is not supported with this model."
            return Status(400, body={"error": {"message": said, "code": "unsupported_parameter", "param": "stream"}})
        return "Yes, indeed."

    pieces, last, requests = await streamed(answer)
    assert (pieces, requests) == (["Yes, indeed."], 2)
    assert isinstance(last, Completion)


async def test_a_server_whose_streams_break_off_gets_no_further_ones() -> None:
    broken = WrongContentType(EVENTS, 'data: {"choices": [{"index": 0, "delta": {"role": "assistant"}}]}\n\n')
    with ApiServer(lambda body, _number: broken if "stream" in body else "Yes.") as server:
        async with model_at(server) as model:
            pieces, last = await read(model.stream(ASKED))
        assert isinstance(last, Completion)
        assert "".join(pieces) == "Yes."
        assert ["stream" in received.body for received in server.requests] == [True] * MOST_BROKEN + [False]


async def test_refusals_are_errors_before_any_piece() -> None:
    pieces, last, _ = await streamed(Status(401))
    assert pieces == []
    assert isinstance(last, UnusableModelError)
    long = {
        "error": {"message": "This model's maximum context length is 800 tokens.", "code": "context_length_exceeded"}
    }
    pieces, last, _ = await streamed(Status(400, body=long))
    assert pieces == []
    assert isinstance(last, ContextLengthError)


async def test_a_filter_in_the_middle_leaves_what_was_said() -> None:
    error = {"message": "The response was filtered", "code": "content_filter"}
    pieces, last, requests = await streamed(Stream("Yes, but no more", error=error, size=8))
    assert isinstance(last, Completion)
    assert (last.text, last.finish_reason, requests) == ("".join(pieces), "content_filter", 1)


async def test_thoughts_are_not_handed_out_but_keep_the_stream_alive() -> None:
    pieces, last, _ = await streamed(Stream("<think>I wonder.</think>Yes, indeed.", size=4))
    assert isinstance(last, Completion)
    assert "".join(pieces) == last.text == "Yes, indeed."
    assert pieces.count("") > 4


async def test_a_model_that_thinks_without_a_mark_is_remembered() -> None:
    text = "I wonder whether it is so.</think>Yes, indeed."
    with ApiServer(lambda *_: Stream(text, size=8)) as server:
        async with model_at(server) as model:
            first, _ = await read(model.stream(ASKED))
            second, last = await read(model.stream(ASKED))
    assert "".join(first).endswith("\n\nYes, indeed.")
    assert "".join(second) == "Yes, indeed."
    assert isinstance(last, Completion)


async def test_stop_strings_are_cut_where_the_server_does_not() -> None:
    request = CompletionRequest(ASKED.messages, SamplingParams(stop=("END",)))
    pieces, last, _ = await streamed(Stream("Yes. END and more", size=2), request)
    assert isinstance(last, Completion)
    assert "".join(pieces) == last.text == "Yes. "


def test_half_of_a_character_waits_for_the_other() -> None:
    pieces: list[str] = []
    receive = AnswerReader(pieces.append).begin()
    for half in ('"\\ud83d"', '"\\ude00 yes"', '[{"type": "text", "text": " and"}]', "null"):
        receive(b'data: {"choices": [{"delta": {"content": ' + half.encode() + b"}}]}\r")
    assert pieces == ["", "😀 yes", " and", ""]
