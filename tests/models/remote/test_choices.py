"""Log-probabilities of choices by their letters."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idiolect.errors import ModelError, Remedy, UnusableModelError
from idiolect.models.language_model import ChoiceRequest, Message
from idiolect.models.remote.chat import open_remote_model
from idiolect.models.remote.choices import choice_body, read_choices
from idiolect.models.remote.faults import UnansweredError
from idiolect.models.remote.transport import RemoteSettings
from idiolect.models.remote.wire import Dialect
from tests.api_server import Answer, ApiServer, Body, Status, chat_payload, logprobs_content

ASKED = ChoiceRequest((Message("system", "Be brief."), Message("user", "Tea?")), (" Yes", " No", " Perhaps"), "Answer:")

GENERATE = Remedy("answering", "generate")


def payload(top: dict[str, float]) -> Body:
    return {"choices": [{"message": {"content": "A"}, "logprobs": logprobs_content(top)}]}


def test_body_lists_the_choices_under_letters() -> None:
    body = choice_body(ASKED, Dialect("m"))
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert body["messages"][1]["content"] == (
        "Tea?\n\nA. Yes\nB. No\nC. Perhaps\nReply with the letter of one choice only."
    )
    assert (body["max_tokens"], body["logprobs"], body["top_logprobs"]) == (1, True, 20)
    assert "Answer:" not in str(body)


def test_body_asks_in_a_new_message_after_the_models_own() -> None:
    asked = ChoiceRequest((Message("assistant", "Hello."),), ("x",))
    assert [message["role"] for message in choice_body(asked, Dialect("m"))["messages"]] == ["assistant", "user"]


def test_body_takes_twenty_choices_at_most() -> None:
    choices = tuple(f"c{number}" for number in range(21))
    assert "T. c19" in str(choice_body(ChoiceRequest(ASKED.messages, choices[:20]), Dialect("m")))
    with pytest.raises(ModelError, match=r"21 choices.*at most 20") as caught:
        choice_body(ChoiceRequest(ASKED.messages, choices), Dialect("m"))
    assert caught.value.remedy == GENERATE


def test_logprobs_of_a_letter_are_summed_over_its_spellings() -> None:
    top = {"A": math.log(0.3), " a": math.log(0.2), "**A.": math.log(0.1), "B": math.log(0.25), "An": math.log(0.05)}
    logprobs, _ = read_choices(payload(top), ASKED, Dialect("m"))
    assert logprobs.logprobs == pytest.approx((math.log(0.6), math.log(0.25), math.log(0.05) - 1))
    assert logprobs.n_tokens == (1, 1, 1)


@pytest.mark.parametrize("first_token", ["<think>", "I", "\n"])
async def test_a_model_that_writes_no_letter_carries_what_to_do(first_token: str) -> None:
    with ApiServer(lambda *_: first_token) as server:
        async with open_remote_model(f"{server.url}#m") as model:
            with pytest.raises(UnusableModelError, match="no choice's letter") as caught:
                await model.choice_logprobs([ASKED])
            assert caught.value.remedy == GENERATE


async def test_choices_that_tie_because_no_letter_is_likely_are_noted_once() -> None:
    with ApiServer(lambda _, number: "A" if number == 1 else "I") as server:
        async with open_remote_model(f"{server.url}#m") as model:
            await model.choice_logprobs([ASKED])
            for logprobs in await model.choice_logprobs([ASKED, ASKED]):
                assert len(set(logprobs.logprobs)) == 1
            assert len(model.notes) == 1
            assert "no choice's letter" in model.notes[0]


@pytest.mark.parametrize("logprobs", [None, {}, {"content": None}, {"content": []}, {"content": ["x"]}, "x", [1]])
def test_payload_without_logprobs_carries_what_to_do(logprobs: Any) -> None:
    answer = {"choices": [{"message": {"content": "A"}, "logprobs": logprobs}]}
    with pytest.raises(ModelError, match="m offers no log-probabilities") as caught:
        read_choices(answer, ASKED, Dialect("m"))
    assert caught.value.remedy == GENERATE


@pytest.mark.parametrize("impossible", [-math.inf, math.inf, math.nan, -(10**400), "-1", True])
def test_logprobs_that_are_not_finite_are_no_answer(impossible: Any) -> None:
    entry = {"token": "A", "logprob": impossible}
    content = [{**entry, "top_logprobs": [entry, {"token": "B", "logprob": impossible}]}]
    answer = {"choices": [{"message": {"content": "A"}, "logprobs": {"content": content}}]}
    with pytest.raises(UnansweredError, match="not finite numbers"):
        read_choices(answer, ASKED, Dialect("m"))
    content[0]["top_logprobs"][1] = {"token": "B", "logprob": -0.5}
    assert read_choices(answer, ASKED, Dialect("m"))[0].logprobs == (-1.5, -0.5, -1.5)


numbers = st.floats() | st.integers() | st.none() | st.booleans() | st.text()
texts = st.text() | st.sampled_from(["A", " b", "C."])
tokens = st.fixed_dictionaries({}, optional={"token": texts, "logprob": numbers})
entries = st.fixed_dictionaries({}, optional={"token": st.text(), "logprob": numbers, "top_logprobs": st.lists(tokens)})


@given(st.lists(entries | st.none(), max_size=2))
def test_any_logprobs_give_finite_ones_or_a_model_error(content: Any) -> None:
    answer = {"choices": [{"message": {"content": "A"}, "logprobs": {"content": content}}]}
    try:
        logprobs, _ = read_choices(answer, ASKED, Dialect("m"))
    except ModelError:
        return
    assert len(logprobs.logprobs) == 3
    assert all(math.isfinite(logprob) and logprob <= 0 for logprob in logprobs.logprobs)


async def test_model_tells_the_choices_logprobs() -> None:
    with ApiServer(lambda body, _: "B" if "Tea" in str(body) else "A") as server:
        async with open_remote_model(f"{server.url}#m", settings=RemoteSettings()) as model:
            other = ChoiceRequest((Message("user", "Milk?"),), (" Yes", " No"))
            first, second = await model.choice_logprobs([ASKED, other])
    assert max(range(3), key=first.logprobs.__getitem__) == 1
    assert max(range(2), key=second.logprobs.__getitem__) == 0
    assert first.usage.calls == 1


@pytest.mark.parametrize(
    "answer",
    [
        Status(400, body={"error": {"message": "logprobs is not supported with this model", "param": "logprobs"}}),
        chat_payload("A", {}),
    ],
)
async def test_model_without_logprobs_carries_what_to_do(answer: Answer) -> None:
    with ApiServer(lambda *_: answer) as server:
        async with open_remote_model(f"{server.url}#m", settings=RemoteSettings(wait_initial=0.001)) as model:
            with pytest.raises(ModelError, match="offers no log-probabilities") as caught:
                await model.choice_logprobs([ASKED])
            assert caught.value.remedy == GENERATE
        assert len(server.requests) == 1


async def test_model_asks_for_letters_in_the_dialect_it_learned() -> None:
    error = {"message": "Use 'max_completion_tokens' instead", "param": "max_tokens"}

    def answer(body: Body, _: int) -> Answer:
        return Status(400, body={"error": error}) if "max_tokens" in body else "A"

    with ApiServer(answer) as server:
        async with open_remote_model(f"{server.url}#m") as model:
            await model.choice_logprobs([ASKED])
        assert server.requests[-1].body["max_completion_tokens"] == 1
