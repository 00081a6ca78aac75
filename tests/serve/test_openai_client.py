"""The real `openai` client against a running gateway: plain answers, streams, errors, models, retries, cancellation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.api_server import ApiServer, Body, Status, Stream
from tests.serve.serving import Served, forwarding

TURN = "Would you drink tea at noon?"


def _answer(body: Body, _number: int) -> str | Stream | Status:
    text = body["messages"][-1]["content"]
    if text == "fail":
        return Status(418, body={"error": {"message": "teapot", "type": "t", "param": None, "code": "teapot"}})
    if body.get("stream"):
        slow = text == "slowly"
        breaks = 3 if text == "break" else None
        return Stream("Green tea, please. " * (50 if slow else 1), interval=0.05 if slow else 0, breaks_after=breaks)
    return "Green tea, please."


@pytest.fixture(scope="module")
def upstream() -> Iterator[ApiServer]:
    with ApiServer(_answer) as server:
        yield server


@pytest.fixture(scope="module")
def served(upstream: ApiServer, learned_once: Path) -> Iterator[Served]:
    with Served(forwarding(upstream.url, learned_once)) as gateway:
        yield gateway


@pytest.fixture
def client(served: Served) -> Iterator[OpenAI]:
    with OpenAI(base_url=served.url, api_key="any", max_retries=0) as found:
        yield found


def test_a_known_user_gets_their_prompt_and_the_headers_name_it(client: OpenAI, upstream: ApiServer) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="m", messages=[{"role": "user", "content": TURN}], user="ann"
    )
    answer = raw.parse()
    assert answer.choices[0].message.content == "Green tea, please."
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 0
    assert raw.headers["x-idiolect-personalization"].startswith("fermi-")
    assert raw.headers["x-idiolect-why"].startswith("prompt ")
    assert float(raw.headers["x-idiolect-added-ms"]) > 0
    sent = upstream.requests[-1].body
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    assert "always" in sent["messages"][0]["content"]
    assert "user" not in sent


@pytest.mark.parametrize("user", ["nobody", "silent", openai.omit])
def test_whoever_is_unknown_gets_the_base_model(client: OpenAI, upstream: ApiServer, user: str) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="m", messages=[{"role": "user", "content": TURN}], user=user
    )
    assert raw.headers["x-idiolect-personalization"] == "base"
    assert raw.headers["x-idiolect-why"]
    assert upstream.requests[-1].body["messages"] == [{"role": "user", "content": TURN}]


def test_a_stream_comes_in_pieces(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": TURN}], user="ann", stream=True
    )
    assert stream.response.headers["x-idiolect-personalization"].startswith("fermi-")
    pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    assert len(pieces) > 2
    assert "".join(pieces) == "Green tea, please. "


async def test_the_async_client_streams_too(served: Served) -> None:
    async with AsyncOpenAI(base_url=served.url, api_key="any", max_retries=0) as client:
        plain = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": TURN}])
        stream = await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": TURN}], stream=True
        )
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
    assert plain.choices[0].message.content == "Green tea, please."
    assert "".join(pieces) == "Green tea, please. "


def test_an_error_of_the_upstream_keeps_its_status_and_words(client: OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as raised:
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "fail"}])
    assert (raised.value.status_code, raised.value.code) == (418, "teapot")


def test_a_stream_that_breaks_ends_with_an_error(client: OpenAI) -> None:
    stream = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "break"}], stream=True)
    pieces: list[str] = []
    with pytest.raises(openai.APIError, match="the connection to the upstream broke"):
        pieces.extend(chunk.choices[0].delta.content or "" for chunk in stream)
    assert "".join(pieces) == "Green tea, pleas"


def test_models_are_those_of_the_upstream_and_the_askers_own(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["m"]
    assert client.models.retrieve("m").id == "m"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("other")
    answer = client.chat.completions.create(model="m:personalized", messages=[{"role": "user", "content": TURN}])
    assert answer.model == "m"


async def test_a_client_that_goes_cancels_the_call(served: Served, upstream: ApiServer) -> None:
    async with AsyncOpenAI(base_url=served.url, api_key="any", max_retries=0) as client:
        stream = await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "slowly"}], stream=True
        )
        await anext(aiter(stream))
        await stream.close()
    received = upstream.requests[-1]
    deadline = time.monotonic() + 5
    while received.end is None and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    assert received.end is not None
    assert not received.answered
