from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idiolect.models.calls.cache.keys import _as_json, call_key
from idiolect.models.language_model import ChoiceRequest, CompletionRequest, Message, SamplingParams

Request = CompletionRequest | ChoiceRequest

_texts = st.text(st.characters(codec=None), max_size=4)  # lone surrogates too
_messages = st.lists(st.builds(Message, st.sampled_from(["system", "user", "assistant"]), _texts), max_size=3).map(
    tuple
)
_sampling = st.builds(
    SamplingParams,
    max_tokens=st.integers(1, 3),
    temperature=st.sampled_from([0, 0.0, 0.5, 1, 1.0]),
    top_p=st.sampled_from([0.5, 1, 1.0]),
    seed=st.integers(0, 2),
    stop=st.lists(st.sampled_from(["a", "b"]), max_size=2).map(tuple),
)
_completions = st.builds(
    CompletionRequest, _messages, _sampling, st.integers(0, 2), _texts, st.sampled_from([None, False, True])
)
_choices = st.builds(ChoiceRequest, _messages, st.lists(st.sampled_from("abc"), min_size=1).map(tuple), _texts)
_calls = st.tuples(
    st.sampled_from(["complete", "choice_logprobs"]),
    st.sampled_from(["m", "n", ""]),
    st.sampled_from(["f", ""]),
    _completions | _choices,
)


def _key(call: tuple[str, str, str, Request]) -> str:
    operation, model, fingerprint, request = call
    return call_key(operation, model=model, fingerprint=fingerprint, request=request)


@given(_calls, _calls)
def test_call_keys_are_equal_exactly_when_the_calls_are(
    one: tuple[str, str, str, Request], other: tuple[str, str, str, Request]
) -> None:
    assert (_key(one) == _key(other)) == (one == other)


_HELLO = (Message("system", "Answer briefly."), Message("user", "Ça va ?"))
_COMPLETION = CompletionRequest(_HELLO, SamplingParams(temperature=0.7), draw=1, prefill="Well")
_CHOICE = ChoiceRequest(_HELLO, ("yes", "no"), prefill="A:")
_CHANGED: list[tuple[Request, Request]] = [
    (_COMPLETION, replace(_COMPLETION, draw=2)),
    (_COMPLETION, replace(_COMPLETION, prefill="")),
    (_COMPLETION, replace(_COMPLETION, thinking=False)),
    (replace(_COMPLETION, thinking=True), replace(_COMPLETION, thinking=False)),
    (_COMPLETION, replace(_COMPLETION, messages=_HELLO[::-1])),
    (_COMPLETION, replace(_COMPLETION, messages=(_HELLO[0], Message("assistant", _HELLO[1].content)))),
    (_COMPLETION, replace(_COMPLETION, messages=(_HELLO[0], Message("user", "Ca va ?")))),
    *(
        (_COMPLETION, replace(_COMPLETION, sampling=sampling))
        for sampling in (
            SamplingParams(temperature=0.7, seed=1),
            SamplingParams(temperature=0.7, max_tokens=65),
            SamplingParams(temperature=0.71),
            SamplingParams(temperature=0.7, top_p=0.9),
            SamplingParams(temperature=0.7, stop=("\n",)),
        )
    ),
    (_CHOICE, replace(_CHOICE, choices=("no", "yes"))),
    (_CHOICE, replace(_CHOICE, choices=("yes", "no", "no"))),
    (_CHOICE, replace(_CHOICE, prefill="B:")),
    (_CHOICE, replace(_CHOICE, messages=_HELLO[:1])),
]


@pytest.mark.parametrize(("request_", "changed"), _CHANGED)
def test_call_key_changes_with_every_field(request_: Request, changed: Request) -> None:
    assert _key(("complete", "m", "", request_)) != _key(("complete", "m", "", changed))


@pytest.mark.parametrize("changed", [("choice_logprobs", "m", "f"), ("complete", "n", "f"), ("complete", "m", "g")])
def test_call_key_changes_with_operation_model_and_fingerprint(changed: tuple[str, str, str]) -> None:
    assert _key((*changed, _COMPLETION)) != _key(("complete", "m", "f", _COMPLETION))


def test_call_key_is_the_same_in_every_process() -> None:
    """The value is pinned: another one would mean that every kept answer is paid for again."""
    golden = "8af33af533ba37f586c415f229e4a375dc96f82d4a926049c41f24e17a85f688"
    assert _key(("complete", "openai:gpt-x", "", _COMPLETION)) == golden
    code = (
        "from idiolect.models.calls.cache.keys import _as_json, call_key\n"
        "from idiolect.models.language_model import *\n"
        f"print(call_key('complete', model='openai:gpt-x', fingerprint='', request={_COMPLETION!r}))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == golden


@given(_completions | _choices)
def test_no_field_of_a_request_is_left_out(request_: Request) -> None:
    """The key's content is written field by field: a new field must not be forgotten."""

    def names(value: object) -> object:
        if isinstance(value, dict):
            return {name: names(item) for name, item in value.items()}
        return [names(item) for item in value] if isinstance(value, list | tuple) else None

    content = asdict(request_)
    if content.get("thinking", ...) is None:
        del content["thinking"]  # calls from before it existed keep their keys
    assert names(_as_json(request_)) == names(content)
