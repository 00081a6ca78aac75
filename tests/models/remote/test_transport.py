"""Every way in which a server can fail, over real HTTP: a right answer where the next attempt is fine, otherwise a
clear error that holds neither texts nor keys."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
import traceback
from dataclasses import replace
from email.utils import formatdate
from typing import Any

import pytest
import stamina

from idiolect.errors import ModelError, SettingsError
from idiolect.models.language_model import CompletionRequest, Message
from idiolect.models.remote.chat import RemoteModel
from idiolect.models.remote.endpoint import Endpoint, parse_endpoint
from idiolect.models.remote.transport import RemoteSettings, together
from idiolect.models.remote.waits import asked_wait
from tests import api_server
from tests.api_server import (
    AbsurdUsage,
    Answer,
    ApiServer,
    Drip,
    Drop,
    Empty,
    Hang,
    Huge,
    Malformed,
    NoChoices,
    Refusal,
    Slow,
    Status,
    Truncated,
    WrongContentType,
)

TEXT = "Does my neighbour's cat smoke menthol cigarettes?"
KEY = "sk-hunter2-0123456789abcdef"
ASKED = CompletionRequest((Message("user", TEXT),))
FAST = RemoteSettings(timeout=5, wait_initial=0.001, wait_max=0.002, attempts=3)
HASTY = replace(FAST, timeout=0.25, longest=0.25)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OPENAI_BASE_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("IDIOLECT_API_KEY", KEY)


def model_at(url: str, settings: RemoteSettings = FAST) -> RemoteModel:
    endpoint = parse_endpoint(f"{url}#m")
    assert endpoint is not None
    return RemoteModel(endpoint, settings=settings)


async def failure_of(url: str, settings: RemoteSettings = FAST) -> str:
    """The message of the error that a call ends in."""
    async with model_at(url, settings) as model:
        with pytest.raises(ModelError) as caught:
            await model.complete([ASKED])
    for shown in (str(caught.value), repr(caught.value), "".join(traceback.format_exception(caught.value))):
        assert KEY not in shown
        assert "hunter2" not in shown
        assert "menthol" not in shown
    assert url in str(caught.value)
    return str(caught.value)


PASSING: list[tuple[Answer, RemoteSettings, str]] = [
    (Status(408), FAST, "HTTP 408"),
    (Status(409), FAST, "HTTP 409"),
    (Status(425), FAST, "HTTP 425"),
    (Status(429), FAST, "too many requests"),
    (Status(500, body="<html>oops"), FAST, "HTTP 500"),
    (Status(503, {"Retry-After": "soon"}), FAST, "failed or is busy"),
    (Status(529, {"Retry-After": "-3"}), FAST, "HTTP 529"),
    (Hang(), replace(FAST, timeout=0.25), "nothing came for 0.25 s"),
    (Drip(), HASTY, "no complete answer within 0.25 s"),
    (Drop(None), FAST, "the connection broke"),
    (Drop(0), FAST, "the connection broke"),
    (Drop(20), FAST, "the connection broke"),
    (Truncated(), FAST, "not JSON, or is incomplete"),
    (Malformed(), FAST, "not JSON"),
    (Malformed("[" * 100_000), FAST, "not JSON"),
    (Malformed("\x00\xff"), FAST, "not JSON"),
    (Empty(), FAST, "the answer is empty"),
    (NoChoices(), FAST, "has no choices"),
    ({"error": {"message": "oops"}}, FAST, "the answer is an error"),
    (WrongContentType(body="<html>Welcome"), FAST, "a web page"),
    (Huge(), FAST, "longer than 16 MiB"),
]
IDS = [str(fault)[:40] for fault, _, _ in PASSING]


@pytest.mark.parametrize(("fault", "settings", "_words"), PASSING, ids=IDS)
async def test_fault_that_passes_ends_in_the_answer(fault: Answer, settings: RemoteSettings, _words: str) -> None:
    with ApiServer(lambda _, number: "Yes" if number > 1 else fault) as server:
        async with model_at(
            server.url,
            replace(settings, timeout=2 if settings is FAST else 0.5, longest=60 if settings is FAST else 0.5),
        ) as model:
            (completion,) = await model.complete([ASKED])
            assert completion.text == "Yes"
            assert model.client.attempts == 2
            assert model.client.timeouts == (settings is not FAST)
        assert server.requests[-1].answered


@pytest.mark.parametrize(("fault", "settings", "words"), PASSING, ids=IDS)
async def test_fault_that_persists_ends_in_a_clear_error(fault: Answer, settings: RemoteSettings, words: str) -> None:
    with ApiServer(lambda *_: fault) as server:
        message = await failure_of(server.url, replace(settings, attempts=2))
        assert words in message
        assert "gave up after 2 attempts" in message
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Status(401, body={"error": {"message": f"Incorrect API key provided: {KEY[:9]}***"}}), "IDIOLECT_API_KEY"),
        (Status(403), "IDIOLECT_API_KEY"),
        (Status(404), "has no such model or path (HTTP 404); it lists m, so the URL's path is wrong"),
        (Status(405), "has no such model or path (HTTP 405)"),
        (Status(307, {"Location": "http://127.0.0.1:9/"}), "redirects to another address"),
        (Status(429, body={"error": {"code": "insufficient_quota", "message": "pay"}}), "quota or credit is used up"),
        (Status(429, {"Retry-After": "601"}), "asks to wait 601 s"),
        (Status(200, {"Content-Encoding": "gzip"}, "x"), "compresses"),
    ],
)
async def test_final_fault_is_not_retried(answer: Status, words: str) -> None:
    with ApiServer(lambda *_: answer) as server:
        assert words in await failure_of(server.url)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ({"message": "This model's maximum context length is 4096 tokens. However, you …"}, "context is 4096 tokens"),
        ({"message": "the request exceeds the available context size (4096 tokens)"}, "context is 4096 tokens"),
        ({"message": "Unknown parameter: 'messages'", "param": "messages[0].foo"}, "it does not support messages"),
        ({"message": f"bad prompt: {TEXT}", "code": "context_length_exceeded"}, "for the model's context"),
        ({"message": "oops", "type": "BadRequestError", "code": 400}, ": BadRequestError"),
        ({"message": f"bad prompt: {json.dumps(TEXT)[5:9]}", "type": "invalid_request_error"}, "invalid_request_error"),
        ({"message": r"bad prompt: \u041c\u0435\u043d\u0442\u043e\u043b", "code": "menthol"}, "(HTTP 400)"),
        ({"message": "menthol", "code": TEXT, "type": "menthol_cigarettes", "param": "cat"}, "(HTTP 400)"),
        ({"message": TEXT.replace(" ", "_")}, "(HTTP 400)"),
        ({"message": f"bad key {KEY}", "code": KEY}, "(HTTP 400)"),
        ({"message": f"bad key {KEY[3:12]}…"}, "(HTTP 400)"),
        ({"message": "a\x1b[31m\nb", "code": "invalid_\x1b[31m"}, "(HTTP 400)"),
        ({"message": ["odd"], "code": 7}, "(HTTP 400)"),
        ({}, "(HTTP 400)"),
    ],
)
async def test_rejection_shows_known_words_only(error: dict[str, Any], shown: str) -> None:
    with ApiServer(lambda *_: Status(400, body={"error": error})) as server:
        message = await failure_of(server.url)
        assert message.endswith(shown)
        assert len(server.requests) == 1


async def test_error_of_an_unknown_model_names_five_others() -> None:
    with ApiServer(lambda *_: Status(404), models=list("abcdefg")) as server:
        assert (await failure_of(server.url)).endswith("it lists: a, b, c, d, e, …")
    with ApiServer(lambda *_: Status(404), models=[]) as server:
        assert (await failure_of(server.url)).endswith("(HTTP 404)")


async def test_error_without_a_server_says_so() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        message = await failure_of(f"http://127.0.0.1:{unused.getsockname()[1]}/v1")
    assert "gave up after 3 attempts; the last failure: connection refused: is the server running?" in message
    assert "the server's name is unknown" in await failure_of("http://nowhere.invalid/v1")


@pytest.mark.parametrize("host", ["a..b", f"{'a' * 64}.example", "\u2603..example", "xn--\u2603.example"])
async def test_error_of_a_host_that_cannot_be_a_name_says_so(host: str) -> None:
    model = RemoteModel(Endpoint(f"http://{host}/v1", "m", "IDIOLECT_API_KEY"), settings=replace(FAST, attempts=1))
    async with model:
        with pytest.raises(ModelError, match=r"the URL is not valid|name is unknown") as caught:
            await model.complete([ASKED])
        assert "menthol" not in "".join(traceback.format_exception(caught.value))
        with pytest.raises(ModelError):
            await model.check()


async def test_error_of_https_to_a_server_without_it_says_so() -> None:
    with ApiServer() as server:
        message = await failure_of(server.url.replace("http:", "https:"))
    assert "does the server speak https?" in message


async def test_error_of_a_server_that_speaks_no_http_says_so() -> None:
    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail ready\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
        message = await failure_of(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
    assert "the answer is not valid HTTP" in message


async def test_json_of_another_content_type_is_taken() -> None:
    with ApiServer(lambda *_: WrongContentType()) as server:
        async with model_at(server.url) as model:
            assert (await model.complete([ASKED]))[0].text == "Yes"
            assert model.client.attempts == 1


async def test_refusal_is_an_answer() -> None:
    with ApiServer(lambda *_: Refusal("No.")) as server:
        async with model_at(server.url) as model:
            assert (await model.complete([ASKED]))[0].text == "No."


async def test_absurd_usage_is_estimated_and_counted() -> None:
    with ApiServer(lambda *_: AbsurdUsage(-5, 10**18)) as server:
        async with model_at(server.url) as model:
            (completion,) = await model.complete([ASKED])
            assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (13, 1)
            assert model.estimated_usages == 1


@pytest.mark.parametrize("headers", [{"Retry-After-Ms": "200"}, {"Retry-After": "0.2"}])
async def test_retry_after_is_waited_for(headers: dict[str, str]) -> None:
    with ApiServer(lambda _, number: "Yes" if number > 1 else Status(429, headers)) as server:
        async with model_at(server.url) as model:
            await model.complete([ASKED])
        first, second = server.requests
        assert second.start - first.start >= 0.2


def test_retry_after_may_be_a_date() -> None:
    wait = asked_wait({"retry-after": formatdate(time.time() + 60, usegmt=True)})
    assert wait == pytest.approx(60, abs=2)
    for nonsense in ("", "nan", "inf", "-1", "0", "Fri, 99 Foo", formatdate(0, usegmt=True)):
        assert asked_wait({"retry-after": nonsense}) is None
    assert asked_wait({"retry-after-ms": "1500", "retry-after": "9"}) == 1.5
    assert asked_wait({}) is None


async def test_retry_after_pauses_every_call() -> None:
    with ApiServer(lambda _, number: "Yes" if number > 1 else Status(503, {"Retry-After-Ms": "250"})) as server:
        async with model_at(server.url) as model:
            first = asyncio.create_task(model.complete([ASKED]))
            while model.client.attempts == 0 or server.in_flight or not server.log:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)  # the reply has come
            await asyncio.gather(first, *(model.complete([ASKED]) for _ in range(3)))
        refused, *later = server.requests
        assert len(later) == 4
        assert all(received.start - refused.start >= 0.25 for received in later)


async def test_time_limit_holds_for_the_whole_attempt() -> None:
    start = time.monotonic()
    with ApiServer(lambda *_: Drip(0.01)) as server:
        await failure_of(server.url, replace(HASTY, attempts=1))
    assert time.monotonic() - start < 2


async def test_slow_answer_within_the_time_limit_is_taken() -> None:
    with ApiServer(lambda *_: Slow(0.15, "At last")) as server:
        async with model_at(server.url) as model:
            assert (await model.complete([ASKED]))[0].text == "At last"
            assert model.client.attempts == 1


async def test_key_is_sent_to_the_server_and_logged_nowhere(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    answers: list[Answer] = [Status(500, body={"error": KEY + TEXT}), Malformed(TEXT + KEY), Status(400, body=KEY)]
    with ApiServer(lambda _, number: answers[number - 1]) as server:
        await failure_of(server.url)
        assert all(received.headers["authorization"] == f"Bearer {KEY}" for received in server.log)
        model = model_at(server.url)
        assert KEY not in repr(model) + repr(model.client) + model.name
    for record in caplog.records:
        assert KEY not in record.getMessage() + repr(record.args) + repr(record.__dict__)
        assert "menthol" not in repr(record.__dict__)
    assert any(record.name == "stamina" for record in caplog.records)  # it did tell of retries
    assert "hunter2" not in "".join(capsys.readouterr())


async def test_retries_heed_staminas_switch() -> None:
    with ApiServer(lambda *_: Status(500)) as server, stamina.set_testing(True, attempts=2):
        assert "gave up after 2 attempts" in await failure_of(server.url, replace(FAST, attempts=6))


async def test_organization_goes_to_openai_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    with ApiServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        for name in (f"{server.url}#m", "openai:m"):
            endpoint = parse_endpoint(name)
            assert endpoint is not None
            async with RemoteModel(endpoint, settings=FAST) as model:
                await model.complete([ASKED])
        assert [received.headers.get("openai-organization") for received in server.log] == [None, "org-1"]


def test_client_lives_on_in_another_loop() -> None:
    with ApiServer() as server:
        model = model_at(server.url)

        async def once() -> str:
            try:
                return (await model.complete([ASKED]))[0].text
            finally:
                await model.aclose()

        assert [asyncio.run(once()), asyncio.run(once())] == ["Yes", "Yes"]


async def test_cancelled_call_ends_at_the_server_too() -> None:
    with ApiServer(lambda *_: Hang()) as server:
        async with model_at(server.url) as model:
            call = asyncio.create_task(model.complete([ASKED, ASKED]))
            while server.in_flight < 2:
                await asyncio.sleep(0.01)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            async with asyncio.timeout(2):
                while server.in_flight:
                    await asyncio.sleep(0.01)
        assert not any(received.answered for received in server.log)


async def test_together_cancels_the_others_at_the_first_failure() -> None:
    ended: list[str] = []

    async def long() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            ended.append("long")

    async def failing() -> None:
        raise ModelError("no")

    with pytest.raises(ModelError, match="no"):
        await together([long(), failing(), failing(), long()])
    assert ended == ["long"] * (len(ended)) != []
    assert await together([asyncio.sleep(0, 1), asyncio.sleep(0.01, 2), asyncio.sleep(0, 3)]) == [1, 2, 3]
    assert await together([]) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"concurrency": 0},
        {"attempts": 0},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"connect_timeout": float("inf")},
        {"wait_initial": -1},
        {"wait_initial": 5, "wait_max": 1},
        {"max_retry_after": -1},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong.keys() & {"wait_max"} or wrong))):
        RemoteSettings(**wrong)


def test_server_of_tests_gives_the_same_vector_for_the_same_text() -> None:
    assert api_server.vector("a") == api_server.vector("a") != api_server.vector("b")
