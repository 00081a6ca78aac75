"""Answers of a model in this process: OpenAI's documents and events, refusals, edits, and one user's failures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from idiolect.application.model_pool import ModelPool, OpenModel, own_model
from idiolect.errors import ContextLengthError, UnusableModelError
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import ChoiceRequest, CompletionRequest
from idiolect.serve.settings import GatewaySettings
from tests.application.test_chats_edited import let_it_answer
from tests.serve.serving import HELLO, Served


class Said:
    """Requests to the double, and what it is to do."""

    def __init__(self) -> None:
        self.requests: list[CompletionRequest] = []

    def write(self, request: CompletionRequest) -> str:
        self.requests.append(request)
        text = request.messages[-1].content
        if text == "unusable":
            raise UnusableModelError("the key sk-secret was refused")
        if text == "long" and len(request.messages) > 1:
            raise ContextLengthError("too long", limit=10)
        if text == "very long":
            raise ContextLengthError("too long", limit=10)
        return "Tea, I think."


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Said:
    """A double in the place of every model."""
    found = Said()

    def choose(request: ChoiceRequest) -> Sequence[float]:
        return [-1.0 for _ in request.choices]

    double = own_model(FunctionModel("mimic", complete=found.write, choice_logprobs=choose))

    async def model(_pool: ModelPool, _name: str) -> OpenModel:
        return double

    monkeypatch.setattr(ModelPool, "model", model)
    return found


@pytest.fixture
def served(said: Said, store: Path) -> Iterator[Served]:
    assert said.requests == []
    with Served(GatewaySettings(model="mimic", served_names=("gpt-4o",), store=str(store), port=0)) as gateway:
        yield gateway


def _hello(text: str = "Would you drink tea at noon?", **fields: Any) -> dict[str, Any]:
    return {**HELLO, "model": "mimic", "messages": [{"role": "user", "content": text}], **fields}


def test_the_prompt_of_whoever_asks_is_in_front(served: Served, said: Said) -> None:
    with OpenAI(base_url=served.url, api_key="any", max_retries=0) as client:
        raw = client.chat.completions.with_raw_response.create(
            model="gpt-4o",
            messages=[{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "tea at noon?"}],
            user="ann",
            max_tokens=7,
            temperature=0.5,
            seed=-1,
            stop=["\n"],
        )
        answer = raw.parse()
    assert raw.headers["x-idiolect-personalization"].startswith("fermi-")
    assert answer.choices[0].message.content == "Tea, I think."
    assert (answer.choices[0].finish_reason, answer.model) == ("stop", "gpt-4o")
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    (request,) = said.requests
    assert request.messages[0].content.endswith("\n\nBe brief.")
    assert "always" in request.messages[0].content
    sampling = request.sampling
    assert (sampling.max_tokens, sampling.temperature, sampling.stop) == (7, 0.5, ("\n",))


def test_a_stream_has_openais_events(served: Served) -> None:
    with OpenAI(base_url=served.url, api_key="any", max_retries=0) as client:
        stream = client.chat.completions.create(
            model="mimic",
            messages=[{"role": "user", "content": "tea?"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = list(stream)
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(pieces) == "Tea, I think."
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert {chunk.id for chunk in chunks} == {chunks[0].id}


def test_models_are_the_one_that_answers_and_the_askers_own(served: Served) -> None:
    listed = served.ask("/v1/models").json["data"]
    assert [(card["id"], card["root"], card["parent"]) for card in listed] == [
        ("mimic", "mimic", None),
        ("gpt-4o", "mimic", None),
    ]
    assert served.ask(body=_hello(model="mimic:personalized")).json["model"] == "mimic:personalized"


def test_a_trusted_peers_user_sees_their_own_model(said: Said, store: Path) -> None:
    settings = GatewaySettings(model="mimic", store=str(store), port=0, trusted_peers="127.0.0.1")
    with Served(settings) as served:
        headers = {"X-OpenWebUI-User-Id": "ann"}
        listed = served.ask("/v1/models", headers=headers).json["data"]
        one = served.ask("/v1/models/mimic:personalized", headers=headers)
    assert [(card["id"], card["parent"]) for card in listed] == [("mimic", None), ("mimic:personalized", "mimic")]
    assert (one.status, one.json["root"]) == (200, "mimic")
    assert said.requests == []


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"model": "other"}, 404, "model"),
        ({"tools": [{"type": "function"}]}, 400, "tools"),
        ({"n": 2}, 400, "n"),
        ({"logprobs": True}, 400, "logprobs"),
        ({"response_format": {"type": "json_object"}}, 400, "response_format"),
        ({"max_tokens": 0}, 400, "max_tokens"),
        ({"temperature": 3}, 400, "temperature"),
        ({"stop": [""]}, 400, "stop"),
        ({"messages": [{"role": "tool", "content": "x"}]}, 400, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, 400, "messages"),
    ],
)
def test_what_the_model_cannot_do_is_refused(
    served: Served, said: Said, fields: dict[str, Any], status: int, param: str
) -> None:
    reply = served.ask(body=_hello(**fields))
    assert (reply.status, reply.error["param"]) == (status, param)
    assert said.requests == []


def test_usual_values_of_what_is_not_done_are_no_fault(served: Served) -> None:
    usual: dict[str, Any] = {
        "tools": [],
        "n": 1,
        "logprobs": False,
        "response_format": {"type": "text"},
        "presence_penalty": 0,
    }
    assert served.ask(body=_hello(**usual, unheard_of=1)).status == 200


def test_plain_completions_are_refused_by_name(served: Served) -> None:
    reply = served.ask("/v1/completions", {"model": "mimic", "prompt": "Tea"})
    assert (reply.status, reply.error["code"]) == (404, "unsupported_endpoint")


@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_of_one_request_stops_no_other(served: Served, stream: bool) -> None:
    failed = served.ask(body=_hello("unusable", user="ann", stream=stream))
    assert (failed.status, failed.error["code"]) == (503, "model_failed")
    assert "sk-secret" not in failed.body.decode()
    assert served.ask(body=_hello(user="ann", stream=stream)).status == 200
    assert served.ask("/ready").status == 200


def test_a_prompt_that_is_too_long_is_left_out(served: Served) -> None:
    reply = served.ask(body=_hello("long", user="ann"))
    assert (reply.status, reply.headers["x-idiolect-personalization"]) == (200, "base")
    assert reply.headers["x-idiolect-why"].startswith("the conversation is too long")
    failed = served.ask(body=_hello("very long", user="ann"))
    assert (failed.status, failed.error["code"]) == (400, "context_length_exceeded")


def test_no_conversation_is_kept(served: Served, store: Path) -> None:
    served.ask(body=_hello("a very private question", user="ann"))
    files = [path for path in store.rglob("*") if path.is_file()]
    assert files
    assert not any(b"a very private question" in path.read_bytes() for path in files)
    assert not (store / "calls.db").exists() or b"Tea, I think." not in (store / "calls.db").read_bytes()


@pytest.mark.usefixtures("hashed")
def test_an_edit_answers_and_is_named(edited_store: Path, tiny_weights: str) -> None:
    let_it_answer(edited_store)
    body = {"model": tiny_weights, "messages": [{"role": "user", "content": "What did you do?"}], "max_tokens": 8}
    with Served(GatewaySettings(model=tiny_weights, store=str(edited_store), port=0)) as served:
        edited = served.ask(body={**body, "user": "u1"})
        base = served.ask(body={**body, "user": "nobody"})
        streamed = served.ask(body={**body, "user": "u1", "stream": True})
    assert edited.headers["x-idiolect-personalization"].startswith("chameleon-")
    assert base.headers["x-idiolect-personalization"] == "base"
    whole = edited.json["choices"][0]["message"]["content"]
    events = [line.removeprefix("data: ") for line in streamed.body.decode().split("\n\n") if line]
    pieces = [json.loads(each)["choices"][0]["delta"].get("content", "") for each in events[:-1]]
    assert "".join(pieces) == whole
    assert streamed.headers["x-idiolect-personalization"] == edited.headers["x-idiolect-personalization"]
