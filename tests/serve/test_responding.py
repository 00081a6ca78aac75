"""Answers that fail behind their head: the client sees that they broke, and the log has the fault."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from idiolect.serve.exchange import Exchange
from idiolect.serve.responding import long_response, stream_response

SECRET = "would you drink tea"


async def _parts(error: Exception) -> AsyncGenerator[bytes, None]:
    yield b"data: {}\n\n"
    raise error


def _client(exchange: Exchange, error: Exception, *, streams: bool) -> TestClient[web.Request, web.Application]:
    async def answer(request: web.Request) -> web.StreamResponse:
        if streams:
            return await stream_response(request, exchange, _parts(error))
        return await long_response(request, exchange, _parts(error), length=100, headers={})

    app = web.Application()
    app.router.add_get("/", answer)
    return TestClient(TestServer(app))


def _failure(logs: io.StringIO) -> dict[str, Any]:
    assert SECRET not in logs.getvalue()
    (line,) = map(json.loads, logs.getvalue().splitlines())
    return {name: line[name] for name in ("event", "level", "error", "request_id")}


FAILURE = {"event": "failure", "level": "error", "error": "RuntimeError", "request_id": "r1"}


async def test_a_fault_within_a_stream_is_its_last_event_and_in_the_log(logs: io.StringIO) -> None:
    exchange = Exchange("r1")
    async with _client(exchange, RuntimeError(SECRET), streams=True) as client, client.get("/") as reply:
        _, error, end = (await reply.text()).split("data: ")[1:]
    assert (json.loads(error)["error"]["type"], end.strip()) == ("server_error", "[DONE]")
    assert (exchange.broken, _failure(logs)) == ("error", FAILURE)


async def test_a_fault_within_a_long_answer_breaks_it_and_is_in_the_log(logs: io.StringIO) -> None:
    exchange = Exchange("r1")
    async with _client(exchange, RuntimeError(SECRET), streams=False) as client, client.get("/") as reply:
        assert reply.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await reply.read()
    assert (exchange.broken, _failure(logs)) == ("error", FAILURE)


@pytest.mark.parametrize("streams", [True, False])
async def test_a_client_that_resets_its_connection_is_no_fault(logs: io.StringIO, *, streams: bool) -> None:
    exchange = Exchange("r1")
    lost = ConnectionError("Connection lost")  # as aiohttp raises it from a write that waits
    async with _client(exchange, lost, streams=streams) as client, client.get("/") as reply:
        with pytest.raises(aiohttp.ClientPayloadError):
            await reply.read()
    assert (exchange.broken, logs.getvalue()) == ("client", "")
