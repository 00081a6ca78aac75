"""Bodies of requests: what is not read passes byte for byte, prefixes go in front, and nonsense is refused."""

from __future__ import annotations

import json

import pytest

from idiolect.serve.body import JsonBody
from idiolect.serve.errors import HttpError

ODD = (
    b'{"model": "m", "temperature": 1.10, "big": 123456789012345678901234567890, "huge": 1e400, '
    b'"tools": [{"type": "function", "function": {"name": "f", "strict": true}}], "x": {"y": [null]}, '
    b'"messages": [{"role": "user", "content": [{"type": "text", "text": "Tea?"}, '
    b'{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}], "z": 1.0}]}'
)


def test_a_body_that_is_not_changed_is_the_very_bytes() -> None:
    assert JsonBody(ODD).encoded() == ODD


def test_dropping_a_field_keeps_how_the_others_are_written() -> None:
    body = JsonBody(ODD.replace(b'"model": "m"', b'"model": "m", "user": "ann"'))
    assert body.text("user") == "ann"
    body.drop("user")
    for raw in (b"1.10", b"123456789012345678901234567890", b"1e400", b'"z": 1.0', b'{"y": [null]}'):
        assert raw in body.encoded()
    assert b"ann" not in body.encoded()


def test_a_prefix_goes_in_front_and_the_turns_stay_as_they_are() -> None:
    body = JsonBody(ODD)
    sent = body.with_prefix(body.messages(), "Ann is brief.")
    assert json.loads(sent)["messages"][0] == {"role": "system", "content": "Ann is brief."}
    assert b'{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}], "z": 1.0}' in sent
    assert body.encoded() == ODD


@pytest.mark.parametrize("role", ["system", "developer"])
def test_the_clients_own_instructions_follow_the_prefix(role: str) -> None:
    turns = [{"role": role, "content": "Answer in French.", "name": "n"}, {"role": "user", "content": "Tea?"}]
    body = JsonBody(json.dumps({"messages": turns}).encode())
    first, second = json.loads(body.with_prefix(body.messages(), "Ann is brief."))["messages"]
    assert first == {"role": role, "content": "Ann is brief.\n\nAnswer in French.", "name": "n"}
    assert second == turns[1]


def test_the_last_turn_of_the_user_is_the_question() -> None:
    turns = [
        {"role": "user", "content": "first"},
        {"role": "user", "content": [{"type": "text", "text": "second"}]},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "content": "result", "tool_call_id": "t"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {}}]},
    ]
    body = JsonBody(json.dumps({"messages": turns}).encode())
    question = body.last_question(body.messages())
    assert question is not None
    assert question.text == "second"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"a": 1}x',
        b"\xff",
        b'{"a": "\\ud800"}',
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=["nothing", "list", "null", "cut", "more", "bytes", "half a character", "deep"],
)
def test_what_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(HttpError) as raised:
        JsonBody(data)
    assert (raised.value.status, raised.value.code) == (400, "invalid_json")


@pytest.mark.parametrize("messages", ["absent", None, [], "text", [1], [{}], [{"role": 1}], {"role": "user"}])
def test_what_is_no_conversation_is_refused(messages: object) -> None:
    body = JsonBody(b"{}" if messages == "absent" else json.dumps({"messages": messages}).encode())
    with pytest.raises(HttpError) as raised:
        body.messages()
    assert (raised.value.status, raised.value.param) == (400, "messages")
