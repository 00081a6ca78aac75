"""Forwarding: what passes unchanged, what is kept back, statuses and failures, and prompts that are too long."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from idiolect.store import DEFAULT_TENANT, Store
from tests.api_server import (
    Answer,
    ApiServer,
    Body,
    Drop,
    Empty,
    Hang,
    Status,
    Stream,
    WrongContentType,
    chat_payload,
)
from tests.serve.serving import HELLO, Reply, Served, forwarding

STREAMED = {**HELLO, "stream": True}


class Scripted:
    """An upstream whose next answer a test sets."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server

    def answers(self, answer: Answer | Callable[[Body, int], Answer]) -> None:
        self.server.answer = answer if callable(answer) else lambda _body, _number: answer

    @property
    def last(self) -> Any:
        return self.server.requests[-1]


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    with ApiServer() as found:
        yield found


@pytest.fixture(scope="module")
def served(server: ApiServer, learned_once: Path) -> Iterator[Served]:
    with Served(forwarding(server.url, learned_once, upstream_timeout=1.0)) as gateway:
        yield gateway


@pytest.fixture
def upstream(server: ApiServer) -> Iterator[Scripted]:
    yield Scripted(server)
    server.answer = lambda _body, _number: "Yes"


def test_what_the_gateway_does_not_know_passes_both_ways(served: Served, upstream: Scripted) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}
    sent = {
        **HELLO,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "tea?"}, image], "name": "n"}],
        "tools": [tool],
        "tool_choice": "auto",
        "response_format": {"type": "json_schema", "json_schema": {"name": "s"}},
        "logit_bias": {"50256": -100},
        "unheard_of": {"a": [1.5, None, True]},
    }
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    came = chat_payload(None, {"model": "m"}, tool_calls=[call])
    came["service_tier"], came["usage"]["prompt_tokens_details"] = "x", {"cached_tokens": 7}
    upstream.answers(lambda _body, _number: came)
    reply = served.ask(body={**sent, "user": "ann"})
    assert reply.json == came
    assert {**upstream.last.body, "messages": upstream.last.body["messages"][1:]} == sent
    assert upstream.last.body["messages"][0]["role"] == "system"


def test_headers_are_passed_and_kept_back(served: Served, upstream: Scripted) -> None:
    theirs = {
        "X-RateLimit-Remaining-Requests": "9",
        "OpenAI-Processing-Ms": "12",
        "X-Request-Id": "theirs",
        "Set-Cookie": "account=1",
        "OpenAI-Organization": "ours",
        "Access-Control-Allow-Origin": "*",
        "X-Idiolect-Why": "spoofed",
    }
    upstream.answers(Status(200, theirs, chat_payload("Yes", {"model": "m"})))
    ours = {"OpenAI-Beta": "b=v1", "Traceparent": "00-a", "X-Secret": "s", "X-Request-Id": "mine-1"}
    reply = served.ask(body=HELLO, headers=ours)
    assert reply.headers["x-ratelimit-remaining-requests"] == "9"
    assert (reply.headers["x-request-id"], reply.headers["x-upstream-request-id"]) == ("mine-1", "theirs")
    assert reply.headers["x-idiolect-why"] != "spoofed"
    assert {"set-cookie", "openai-organization", "access-control-allow-origin"} & set(reply.headers) == set()
    received = upstream.last.headers
    assert (received["openai-beta"], received["traceparent"], received["x-request-id"]) == ("b=v1", "00-a", "mine-1")
    assert "x-secret" not in received


LONG = {**chat_payload("x" * 3_000_000, {"model": "m"}), "long": True}


@pytest.mark.parametrize("user", ["ann", "nobody"])
def test_a_long_answer_passes_as_it_comes(served: Served, upstream: Scripted, user: str) -> None:
    upstream.answers(Status(200, {"X-RateLimit-Remaining-Requests": "9"}, LONG))
    reply = served.ask(body={**HELLO, "user": user})
    assert (reply.status, reply.json, reply.headers["x-ratelimit-remaining-requests"]) == (200, LONG, "9")
    assert int(reply.headers["content-length"]) == len(reply.body)
    assert (reply.headers["x-idiolect-personalization"] == "base") == (user == "nobody")


def test_a_long_answer_that_breaks_does_not_look_whole(served: Served, upstream: Scripted) -> None:
    upstream.answers(Drop(2_000_000, "x" * 3_000_000))
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        served.ask(body=HELLO)
    upstream.answers("Yes")
    assert served.ask(body=HELLO).status == 200


@pytest.mark.parametrize("given", ["a b", "x" * 200, "ä", "a\tb"])
def test_an_odd_request_id_is_replaced(served: Served, given: str) -> None:
    reply = served.ask(body=HELLO, headers={"X-Request-Id": given})
    assert reply.headers["x-request-id"] != given
    assert len(reply.headers["x-request-id"]) == 24


@pytest.mark.parametrize("status", [400, 402, 404, 409, 422, 429, 500, 503])
def test_an_error_of_the_upstream_keeps_its_status_and_body(served: Served, upstream: Scripted, status: int) -> None:
    body = {"error": {"message": "no", "type": "t", "param": "p", "code": "c", "more": 1}}
    upstream.answers(Status(status, {"Retry-After": "7"}, body))
    reply = served.ask(body={**HELLO, "user": "ann"})
    assert (reply.status, reply.json, reply.headers["retry-after"]) == (status, body, "7")
    assert served.ask(body={**STREAMED, "user": "ann"}).json == body


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (Status(503, {"Content-Type": "text/html"}, "<html>busy</html>"), 503, "upstream_refused"),
        (Status(500, {}, ""), 500, "upstream_refused"),
        (Status(401, {}, {"error": {"message": "Incorrect API key provided: sk-ab**yz"}}), 401, "upstream_refused_key"),
        (Status(403, {}, {"error": {"message": "key sk-abyz has no access"}}), 403, "upstream_refused_key"),
        (Status(302, {"Location": "http://other.example/"}), 502, "upstream_redirects"),
        (Status(999, {}, ""), 502, "upstream_refused"),
        (Status(200, {"X-Long": "a" * 100_000}, {}), 502, "upstream_invalid"),
        (Hang(), 504, "upstream_timeout"),
        (Drop(None), 502, "upstream_broken"),
        (Drop(20), 502, "upstream_broken"),
    ],
    ids=["page", "empty", "key", "access", "redirect", "number", "headers", "silence", "drop", "cut"],
)
def test_other_failures_get_an_error_of_ours(
    served: Served, upstream: Scripted, answer: Answer, status: int, code: str
) -> None:
    upstream.answers(answer)
    reply = served.ask(body=HELLO)
    if code == "upstream_broken" and reply.error["code"] == "upstream_unreachable":
        code = "upstream_unreachable"  # the connection broke before the head of the answer
    assert (reply.status, reply.error["code"], reply.error["type"]) == (status, code, "upstream_error")
    assert b"sk-ab" not in reply.body
    assert "location" not in reply.headers


def test_an_upstream_that_is_not_there_is_named_as_the_reason(learned_once: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with Served(forwarding(f"http://127.0.0.1:{port}/v1", learned_once)) as served:
            reply = served.ask(body=HELLO)
            assert (reply.status, reply.error["code"]) == (502, "upstream_unreachable")
            assert str(port) not in reply.error["message"]
            assert served.ask("/ready").status == 503
            assert served.ask("/health").status == 200


@pytest.mark.parametrize("answer", [Empty(), WrongContentType("text/plain", "hello")])
def test_answers_of_any_kind_pass(served: Served, upstream: Scripted, answer: Answer) -> None:
    upstream.answers(answer)
    reply = served.ask(body=HELLO)
    assert reply.status == 200
    assert reply.body == (b"" if isinstance(answer, Empty) else b"hello")


def _events(reply: Reply) -> list[Any]:
    texts = [line.removeprefix("data: ") for line in reply.body.decode().split("\n\n") if line]
    return [text if text == "[DONE]" else json.loads(text) for text in texts]


def test_a_stream_passes_byte_for_byte(served: Served, upstream: Scripted) -> None:
    upstream.answers(Stream("Grüner Tee, bitte.", size=3))
    reply = served.ask(body={**STREAMED, "user": "ann"})
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.headers["x-accel-buffering"] == "no"
    assert reply.headers["x-idiolect-personalization"].startswith("fermi-")
    found = _events(reply)
    assert found[-1] == "[DONE]"
    assert found[-2]["usage"]["completion_tokens"] > 0
    pieces = [event["choices"][0]["delta"].get("content", "") for event in found[:-2]]
    assert "".join(pieces) == "Grüner Tee, bitte."


@pytest.mark.parametrize("breaks", [0, 1, 3])
def test_a_stream_that_breaks_ends_with_an_error_and_the_end(served: Served, upstream: Scripted, breaks: int) -> None:
    upstream.answers(Stream("Green tea, please.", breaks_after=breaks))
    *passed, error, end = _events(served.ask(body=STREAMED))
    assert len(passed) == breaks
    assert error["error"]["code"] == "upstream_broken"
    assert end == "[DONE]"


def test_an_error_event_of_the_upstream_passes(served: Served, upstream: Scripted) -> None:
    upstream.answers(Stream("Green tea", error={"message": "overloaded", "code": "x"}))
    found = _events(served.ask(body=STREAMED))
    assert found[-2:] == [{"error": {"message": "overloaded", "code": "x"}}, "[DONE]"]


def test_a_stream_that_falls_silent_ends_with_an_error(served: Served, upstream: Scripted) -> None:
    upstream.answers(Stream("Green tea", interval=3.0))
    *_, error, end = _events(served.ask(body=STREAMED))
    assert (error["error"]["code"], end) == ("upstream_timeout", "[DONE]")


def _with_examples(store: Path) -> None:
    with Store.open(store, tenant=DEFAULT_TENANT) as opened:
        payload = dict(opened.personalization("ann", "fermi"))
        payload["settings"] = {**payload["settings"], "hybrid": {**payload["settings"]["hybrid"], "examples": 2}}
        payload["evidence"] = {"personalized": [0.0], "base": [0.0], "few_shot": [1.0]}
        opened.save_personalization("ann", "fermi", payload)


def test_a_prompt_that_is_too_long_is_shortened_and_left_out_at_last(
    server: ApiServer, upstream: Scripted, store: Path
) -> None:
    _with_examples(store)
    long = Status(400, {}, {"error": {"message": "too long", "code": "context_length_exceeded"}})
    lengths: list[int] = []

    def answer(body: Body, _number: int) -> Answer:
        lengths.append(len(json.dumps(body["messages"])))
        return long if len(body["messages"]) > 1 and lengths[-1] >= limit else "Yes"

    upstream.answers(answer)
    with Served(forwarding(server.url, store)) as served:
        limit = 10**6
        whole = served.ask(body={**HELLO, "user": "ann"})
        limit = lengths[0]
        shorter = served.ask(body={**HELLO, "user": "ann"})
        limit = 0
        none = served.ask(body={**HELLO, "user": "ann"})
        upstream.answers(long)
        failed = served.ask(body={**HELLO, "user": "ann"})
    assert lengths[0] == lengths[1] > lengths[2]
    names = [reply.headers["x-idiolect-personalization"] for reply in (whole, shorter, none)]
    assert names[0].startswith("fermi-")
    assert names[1].startswith("fermi-")
    assert names[1] != names[0]
    assert names[2] == "base"
    assert none.headers["x-idiolect-why"].startswith("the conversation is too long")
    assert (failed.status, failed.json["error"]["code"]) == (400, "context_length_exceeded")


def test_plain_completions_pass_without_a_prompt(served: Served, upstream: Scripted) -> None:
    reply = served.ask("/v1/completions", {"model": "m", "prompt": "Tea", "user": "ann"})
    assert reply.status == 404  # the server of these tests has no such path, and the answer is the upstream's
    assert upstream.last.path != "/v1/completions"


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/v1/chat/completions", None, 405, "method_not_allowed"),
        ("/v1/nothing", None, 404, "unknown_url"),
        ("/v1/nothing", HELLO, 404, "unknown_url"),
        ("/health", HELLO, 405, "method_not_allowed"),
        ("/v1/chat/completions", [], 400, "invalid_json"),
        ("/v1/chat/completions", {"model": "m"}, 400, "missing_required_parameter"),
        ("/v1/models/none", None, 404, "model_not_found"),
    ],
)
def test_every_error_has_the_form_that_clients_expect(
    served: Served, path: str, body: object, status: int, code: str
) -> None:
    reply = served.ask(path, body)
    assert (reply.status, reply.error["code"]) == (status, code)
    assert reply.headers["x-request-id"]
    assert reply.headers["content-type"] == "application/json"
