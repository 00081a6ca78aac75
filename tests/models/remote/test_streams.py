"""Streamed answers: the same completions as plain ones, a time limit that counts silence, and broken streams."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idiolect.errors import ModelError
from idiolect.models.language_model import Completion, CompletionRequest, Message, SamplingParams
from idiolect.models.remote.chat import RemoteModel, open_remote_model
from idiolect.models.remote.faults import UnansweredError
from idiolect.models.remote.streams import payload_of_stream
from idiolect.models.remote.transport import RemoteSettings
from idiolect.models.remote.wire import STREAMED_FROM
from tests.api_server import Answer, ApiServer, Body, Slow, Status, Stream, chat_payload, stream_events

FAST = RemoteSettings(timeout=5, wait_initial=0.001, wait_max=0.002, attempts=2)
LONG = SamplingParams(max_tokens=STREAMED_FROM)
SHORT = SamplingParams(max_tokens=STREAMED_FROM - 1)


def asked(sampling: SamplingParams = LONG) -> CompletionRequest:
    return CompletionRequest((Message("user", "Write."),), sampling)


def model_at(server: ApiServer, settings: RemoteSettings = FAST) -> RemoteModel:
    return open_remote_model(f"{server.url}#m", settings=settings)


async def answer_of(answer: Answer, sampling: SamplingParams = LONG, settings: RemoteSettings = FAST) -> Completion:
    with ApiServer(lambda *_: answer) as server:
        async with model_at(server, settings) as model:
            return (await model.complete([asked(sampling)]))[0]


@pytest.mark.parametrize("text", ["Yes", "Rain, mostly.\n\nAnd \u2028 snow \x85 — «être» 雨", "", "a" * 5000])
async def test_streamed_answer_equals_the_plain_one(text: str) -> None:
    assert await answer_of(Stream(text)) == await answer_of(text, SHORT)


async def test_answers_are_streamed_if_they_may_be_long() -> None:
    with ApiServer() as server:
        async with model_at(server) as model:
            await model.complete([asked(LONG)])
            await model.complete([asked(SHORT)])
        long, short = (received.body for received in server.requests)
        assert (long["stream"], long["stream_options"]) == (True, {"include_usage": True})
        assert "stream" not in short
        assert "stream_options" not in short


@given(st.text(max_size=200), st.integers(1, 7))
def test_payload_of_a_stream_is_that_of_the_plain_answer(text: str, size: int) -> None:
    plain = chat_payload(text, {"model": "m"})
    payload = payload_of_stream("".join(stream_events(plain, size)).encode("utf-8", "replace"))
    assert payload["choices"][0]["message"]["content"] == text.encode("utf-8", "replace").decode() or not text
    assert payload["usage"] == plain["usage"]
    assert payload["choices"][0]["finish_reason"] == "stop"


def test_thoughts_and_content_in_parts_are_joined() -> None:
    pieces: list[dict[str, Any]] = [
        {"reasoning_content": "So "},
        {"reasoning_content": "it is."},
        {"content": [{"type": "thinking", "thinking": "hm"}]},
        {"content": "Y"},
        {"content": [{"type": "text", "text": "es"}]},
    ]
    events = [{"choices": [{"index": 0, "delta": piece}]} for piece in pieces]
    body = ": keep-alive\n\n" + "".join(f"data: {json.dumps(event)}\r\n\r\n" for event in events) + "data: [DONE]\n\n"
    message = payload_of_stream(body.encode())["choices"][0]["message"]
    assert message["reasoning_content"] == "So it is."
    assert "".join(part.get("text", "") for part in message["content"]) == "Yes"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('data: {"choices": [{"delta": {"content": "Ye"}}]}\n\n', "broke off"),
        ("data: {oops\n\n", "not JSON"),
    ],
)
def test_stream_that_breaks_off_may_be_billed(body: str, words: str) -> None:
    with pytest.raises(UnansweredError, match=words) as caught:
        payload_of_stream(body.encode())
    assert caught.value.maybe_billed


async def test_error_in_the_middle_of_a_stream_is_heeded() -> None:
    broken = Stream("Yes, and", error={"code": 429, "message": "busy"})
    with ApiServer(lambda _, number: broken if number == 1 else "Yes") as server:
        async with model_at(server) as model:
            assert (await model.complete([asked()]))[0].text == "Yes"
        assert len(server.requests) == 2


async def test_slow_stream_outlasts_the_time_limit() -> None:
    start = time.monotonic()
    patient = RemoteSettings(timeout=0.4, attempts=1)
    completion = await answer_of(Stream("one two three four", interval=0.1, size=2), settings=patient)
    assert completion.text == "one two three four"
    assert time.monotonic() - start > 0.8


async def test_silent_stream_ends_at_the_time_limit() -> None:
    with pytest.raises(ModelError, match=r"nothing came for 0\.3 s"):
        await answer_of(Stream("one two", interval=30), settings=RemoteSettings(timeout=0.3, attempts=1))


async def test_endless_answer_ends_at_the_longest_time() -> None:
    with pytest.raises(ModelError, match=r"no complete answer within 0\.5 s"):
        await answer_of(Stream("x" * 9000, interval=0.02), settings=RemoteSettings(timeout=5, longest=0.5, attempts=1))


async def test_short_answers_are_streamed_after_a_plain_one_was_too_slow() -> None:
    def answer(body: Body, _: int) -> Answer:
        return Stream("At last", interval=0.1) if body.get("stream") else Slow(0.6, "At last")

    with ApiServer(answer) as server:
        async with model_at(server, RemoteSettings(timeout=0.3, attempts=2, wait_initial=0.001)) as model:
            assert (await model.complete([asked(SHORT)]))[0].text == "At last"
            assert any("timed out" in note for note in model.notes)
        assert ["stream" in received.body for received in server.requests] == [False, True]


async def test_streamed_answer_without_counts_is_estimated() -> None:
    with ApiServer(lambda *_: Stream("Yes, of course", usage=False)) as server:
        async with model_at(server) as model:
            (completion,) = await model.complete([asked()])
            assert completion.usage.completion_tokens == 4
            assert model.estimated_usages == 1


async def test_server_whose_streams_break_off_gets_plain_requests() -> None:
    broken = 'data: {"choices": [{"delta": {"content": "Ye"}}]}\n\n'

    def answer(body: Body, _: int) -> Answer:
        return Status(200, {"Content-Type": "text/event-stream"}, broken) if body.get("stream") else "Yes"

    with ApiServer(answer) as server:
        async with model_at(server, RemoteSettings(wait_initial=0.001, wait_max=0.002)) as model:
            for _ in range(2):
                assert (await model.complete([asked()]))[0].text == "Yes"
        assert ["stream" in received.body for received in server.requests] == [True, True, False, False]
