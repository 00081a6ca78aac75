"""Bodies and payloads of chat completions, without a network."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idiolect.errors import ModelError
from idiolect.models.language_model import Completion, CompletionRequest, Message, SamplingParams, Usage
from idiolect.models.remote.faults import RejectedError, UnansweredError
from idiolect.models.remote.wire import Dialect, chat_body, read_completion
from idiolect.people.user import unstorable_part

ASKED = CompletionRequest((Message("system", "Be short."), Message("user", "Tea or coffee?")))


def payload(message: Any, **changes: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": 12, "completion_tokens": 3}
    return {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage, **changes}


def test_body_of_a_greedy_request_holds_no_seed() -> None:
    assert chat_body(ASKED, Dialect("m")) == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Tea or coffee?"}],
        "max_tokens": 64,
        "temperature": 0.0,
    }


def test_body_of_a_sampled_request_holds_what_was_asked() -> None:
    sampling = SamplingParams(max_tokens=5, temperature=0.7, top_p=0.9, seed=2**62, stop=("\n",))
    bodies = [chat_body(CompletionRequest(ASKED.messages, sampling, draw=draw), Dialect("m")) for draw in (0, 1)]
    assert (bodies[0]["temperature"], bodies[0]["top_p"], bodies[0]["stop"]) == (0.7, 0.9, ["\n"])
    assert all(0 <= body["seed"] < 2**31 for body in bodies)
    assert bodies[0]["seed"] != bodies[1]["seed"]
    assert "n" not in bodies[0]


def test_body_refuses_a_prefill() -> None:
    with pytest.raises(ModelError, match="prefill is not supported"):
        chat_body(CompletionRequest(ASKED.messages, prefill="Answer:"), Dialect("m"))


def test_body_can_be_sent_whatever_the_text() -> None:
    body = chat_body(CompletionRequest((Message("user", "a\ud800b"),)), Dialect("m"))
    assert json.dumps(body, ensure_ascii=False).encode()
    assert body["messages"][0]["content"] == "a�b"


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": " Tea. "}, " Tea. "),
        ({"content": "Tea", "reasoning_content": "Hm, coffee"}, "Tea"),
        ({"content": None, "refusal": "No."}, "No."),
        ({"content": None, "tool_calls": []}, ""),
        ({}, ""),
        ({"content": [{"type": "thinking"}, {"type": "text", "text": "Te"}, "a"]}, "Tea"),
        ({"content": [{"type": "reasoning", "text": "Coffee"}, {"type": "output_text", "text": "Tea"}]}, "Tea"),
        ({"content": [{"text": "Coffee", "thought": True}, {"text": "Tea"}]}, "Tea"),
        ({"content": "half \ud83d"}, "half �"),
        ({"content": "a\0b\ud83d"}, "a�b�"),
        ({"content": ["\ud83d", "\ude00\0"]}, "\U0001f600�"),
        ({"content": None, "refusal": "No\0"}, "No�"),
        ({"content": ""}, ""),
    ],
)
def test_completion_is_the_messages_text(message: Any, text: str) -> None:
    assert read_completion(payload(message), ASKED) == (Completion(text, "stop", Usage(1, 12, 3, 12)), False)


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("length", "length"),
        ("MAX_TOKENS", "length"),
        ("model_length", "length"),
        ("stop", "stop"),
        ("content_filter", "stop"),
        ("tool_calls", "stop"),
        (None, "stop"),
    ],
)
def test_completion_tells_why_it_ended(finish: str | None, reason: str) -> None:
    answer = {"choices": [{"message": {"content": "x"}, "finish_reason": finish}]}
    assert read_completion(answer, ASKED)[0].finish_reason == reason


def test_message_that_is_left_out_when_the_tokens_are_used_up_is_an_answer_cut_off() -> None:
    completion, _ = read_completion({"choices": [{"index": 0, "finish_reason": "length"}]}, ASKED)
    assert (completion.text, completion.finish_reason) == ("", "length")


def test_completion_ends_before_a_stop_string_that_the_server_ignored() -> None:
    asked = CompletionRequest(ASKED.messages, SamplingParams(stop=("]", "\n")))
    answer = {"choices": [{"message": {"content": "[tea]\nor"}, "finish_reason": "length"}]}
    completion, _ = read_completion(answer, asked)
    assert (completion.text, completion.finish_reason) == ("[tea", "stop")


@pytest.mark.parametrize(
    ("message", "finish", "text", "reason"),
    [
        ({"content": "<think>Coffee? [Tea]</think>\n[Water]"}, "stop", "[Water", "stop"),
        ({"content": "Coffee? [Tea]\n</think>\n\nWater"}, "stop", "Water", "stop"),
        ({"content": "<think>Coffee? [Tea]"}, "length", "", "length"),
        ({"content": "<think>Coffee? [Tea"}, "stop", "", "length"),
        ({"content": "", "reasoning_content": "Coffee"}, "length", "", "length"),
        ({"content": None, "reasoning": "Coffee"}, "length", "", "length"),
        ({"content": None, "reasoning_content": "Coffee"}, "stop", "", "stop"),
        ({"content": "Water", "reasoning": "Coffee"}, "length", "Water", "length"),
    ],
)
def test_completion_holds_no_word_of_a_thought(message: Any, finish: str, text: str, reason: str) -> None:
    answer = {"choices": [{"message": message, "finish_reason": finish}]}
    completion, _ = read_completion(answer, CompletionRequest(ASKED.messages, SamplingParams(stop=("]",))))
    assert (completion.text, completion.finish_reason) == (text, reason)


def test_tokens_of_thoughts_are_counted() -> None:
    answer = {"choices": [{"message": {"content": "<think>" + "x" * 40 + "</think>Tea"}}]}
    assert read_completion(answer, ASKED)[0].usage.completion_tokens >= 10


@pytest.mark.parametrize("absurd", [-1, 10**18, "12", None, True, 1.5, [], {}])
def test_usage_that_makes_no_sense_is_estimated(absurd: Any) -> None:
    usage = {"prompt_tokens": absurd, "completion_tokens": absurd}
    completion, estimated = read_completion(payload({"content": "12345"}, usage=usage), ASKED)
    assert estimated
    assert completion.usage == Usage(1, 3 + 4, 2, 7)  # a token per four bytes, each text rounded up


def test_usage_counts_cached_tokens_as_not_computed() -> None:
    usage = {"prompt_tokens": 12, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 10}}
    assert read_completion(payload({"content": ""}, usage=usage), ASKED)[0].usage == Usage(1, 12, 3, 2)


@pytest.mark.parametrize(
    "answer",
    [None, [], {}, {"choices": None}, {"choices": []}, {"choices": ["x"]}, {"choices": [{}]}, payload({"content": 1})],
)
def test_payload_without_an_answer_is_tried_again(answer: Any) -> None:
    with pytest.raises(UnansweredError):
        read_completion(answer, ASKED)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.just("\ud800")
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
messages = st.fixed_dictionaries({}, optional={"content": values, "refusal": values, "reasoning_content": values})
candidates = st.fixed_dictionaries({}, optional={"message": messages | values, "finish_reason": values})
usages = st.fixed_dictionaries({}, optional={"prompt_tokens": values, "prompt_tokens_details": values})
payloads = st.fixed_dictionaries({}, optional={"choices": st.lists(candidates | values) | values, "usage": usages})


@given(payloads | values)
def test_any_payload_gives_a_completion_or_a_model_error(answer: Any) -> None:
    try:
        completion, _ = read_completion(answer, ASKED)
    except ModelError:
        return
    assert unstorable_part(completion.text) is None
    assert completion.finish_reason in ("stop", "length")
    assert min(completion.usage.prompt_tokens, completion.usage.completion_tokens) >= 0


def test_dialect_learns_from_what_a_model_rejects() -> None:
    dialect = Dialect("m")
    asked = CompletionRequest(ASKED.messages, SamplingParams(temperature=1.0))
    sent = chat_body(asked, dialect)
    assert dialect.adapt(RejectedError("", unsupported=frozenset({"max_tokens"})), sent)
    assert dialect.adapt(RejectedError("", unsupported=frozenset({"seed"})), sent)
    assert dialect.adapt(RejectedError("", unsupported=frozenset({"seed"})), sent)  # another call, sent before
    assert "seed" not in chat_body(asked, dialect)
    assert chat_body(asked, dialect)["max_completion_tokens"] == 64
    assert dialect.notes == ["m does not support seed; sampled answers can't be reproduced"]
    assert not dialect.adapt(RejectedError("", unsupported=frozenset({"seed"})), chat_body(asked, dialect))
    assert not dialect.adapt(RejectedError("", unsupported=frozenset({"messages"})), sent)
