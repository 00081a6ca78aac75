"""Every reply of `quirks`, over real HTTP: what happens, after how many requests, and what people are told."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from idiolect.errors import ContextLengthError, ModelError, UnusableModelError
from idiolect.models.language_model import (
    ChoiceRequest,
    CompletionRequest,
    Message,
    SamplingParams,
)
from idiolect.models.remote.chat import RemoteModel, open_remote_model
from idiolect.models.remote.transport import RemoteSettings
from tests.api_server import Answer, ApiServer, Body, Status, chat_payload, logprobs_content
from tests.models.remote.quirks import Seen, cases, table

FAST = RemoteSettings(timeout=5, wait_initial=0.001, wait_max=0.002, attempts=3)
SAMPLING = SamplingParams(max_tokens=300, temperature=0.5, top_p=0.5, seed=7, stop=("\n",))
DOCS = Path(__file__).parents[3] / "docs" / "remote.md"


def of(*outcomes: str) -> pytest.MarkDecorator:
    chosen = [
        pytest.param(seen, id=f"{seen.server}-{number}")
        for number, (quirk, seen) in enumerate(cases())
        if quirk.outcome in outcomes
    ]
    return pytest.mark.parametrize("seen", chosen)


def asked(text: str = "Tea?") -> CompletionRequest:
    return CompletionRequest((Message("user", text),), SAMPLING)


def model_at(server: ApiServer) -> RemoteModel:
    return open_remote_model(f"{server.url}#m", settings=FAST)


def unless(parameter: str, reply: Answer) -> ApiServer:
    """A server that refuses a parameter."""
    return ApiServer(lambda body, _: reply if parameter in body else "Yes")


def once(reply: Answer) -> ApiServer:
    """A server that answers from the second request on."""
    return ApiServer(lambda _, number: reply if number == 1 else "Yes")


async def failure(server: ApiServer, kind: type[ModelError] = ModelError) -> ModelError:
    async with model_at(server) as model:
        with pytest.raises(kind) as caught:
            await model.complete([asked()])
    return caught.value


@of("omits")
async def test_refused_parameter_is_left_out_from_then_on(seen: Seen) -> None:
    with unless(seen.value, seen.reply) as server:
        async with model_at(server) as model:
            answers = [(await model.complete([asked(text)]))[0].text for text in "abc"]
            assert answers == ["Yes"] * 3
            assert len(model.notes) == 1
            assert seen.value in model.notes[0]
        assert [seen.value in received.body for received in server.requests] == [True, False, False, False]
        optional = {"temperature", "top_p", "seed", "stop"}
        assert optional - server.requests[-1].body.keys() == {seen.value}


@of("renames")
async def test_limit_of_tokens_is_renamed(seen: Seen) -> None:
    with unless("max_tokens", seen.reply) as server:
        async with model_at(server) as model:
            await model.complete([asked()])
        assert [received.body.get("max_completion_tokens") for received in server.requests] == [None, 300]


@of("plain")
async def test_refused_stream_is_asked_for_no_more(seen: Seen) -> None:
    parameter = seen.value or "stream"
    with unless(parameter, seen.reply) as server:
        async with model_at(server) as model:
            for text in "ab":
                assert (await model.complete([asked(text)]))[0].text == "Yes"
            assert model.notes == []
        assert [parameter in received.body for received in server.requests] == [True, False, False]


@of("waits")
async def test_time_to_wait_is_heeded(seen: Seen) -> None:
    with once(seen.reply) as server:
        async with model_at(server) as model:
            assert (await model.complete([asked()]))[0].text == "Yes"
        first, second = server.requests
        assert seen.value <= second.start - first.start < seen.value + 2


@of("retries")
async def test_busy_server_is_asked_again(seen: Seen) -> None:
    with once(seen.reply) as server:
        async with model_at(server) as model:
            assert (await model.complete([asked()]))[0].text == "Yes"
        assert len(server.requests) == 2


@of("ends")
async def test_lack_of_money_ends_the_run(seen: Seen) -> None:
    with ApiServer(lambda *_: seen.reply) as server:
        assert seen.value in str(await failure(server, UnusableModelError))
        assert len(server.requests) == 1


@of("filters")
async def test_filtered_request_costs_itself_only(seen: Seen) -> None:
    def answer(body: Body, _: int) -> Answer:
        return seen.reply if body["messages"][0]["content"] == "bad" else "Yes"

    with ApiServer(answer) as server:
        async with model_at(server) as model:
            good, refused, other = await model.complete([asked("a"), asked("bad"), asked("b")])
            assert (good.text, refused.text, other.text) == ("Yes", "", "Yes")
            assert refused.finish_reason == "content_filter"
            assert refused.free_refusal == (seen.value != "paid")
            assert any("content filter" in note for note in model.notes)
        assert len(server.requests) == 3


@of("filters")
async def test_filtered_question_has_no_possible_choice(seen: Seen) -> None:
    with ApiServer(lambda *_: seen.reply) as server:
        async with model_at(server) as model:
            (found,) = await model.choice_logprobs([ChoiceRequest((Message("user", "Tea?"),), ("Yes", "No"))])
            assert found.logprobs == (-math.inf, -math.inf)
            assert found.free_refusal == (seen.value != "paid")


@of("too long")
async def test_too_long_prompt_is_an_error_with_the_context(seen: Seen) -> None:
    with ApiServer(lambda *_: seen.reply) as server:
        async with model_at(server) as model:
            for _ in range(2):
                with pytest.raises(ContextLengthError) as caught:
                    await model.complete([asked()])
                assert caught.value.limit == seen.value
                assert "too long" in str(caught.value)
        assert len(server.requests) == 1, "the same prompt was sent again"


@of("fewer")
async def test_fewer_likeliest_tokens_are_asked_for(seen: Seen) -> None:
    def answer(body: Body, _: int) -> Answer:
        if body.get("top_logprobs", 0) > seen.value:
            return seen.reply
        payload = chat_payload("B", body)
        payload["choices"][0]["logprobs"] = logprobs_content({"B": -0.1, "A": -3.0})
        return payload

    with ApiServer(answer) as server:
        async with model_at(server) as model:
            for text in "ab":
                (found,) = await model.choice_logprobs([ChoiceRequest((Message("user", text),), ("Yes", "No"))])
                assert found.logprobs == pytest.approx((-3.0, -0.1))
            assert any(f"{seen.value} likeliest tokens" in note for note in model.notes)
        assert [received.body["top_logprobs"] for received in server.requests] == [20, seen.value, seen.value]


@of("tokens")
async def test_tokens_used_up_by_thoughts_name_the_option(seen: Seen) -> None:
    with ApiServer(lambda *_: seen.reply) as server:
        error = await failure(server, UnusableModelError)
        assert error.remedy is not None
        assert error.remedy.setting == "max_tokens"
        assert len(server.requests) == 1
    with ApiServer(lambda _, number: seen.reply if number == 2 else "Yes") as server:
        async with model_at(server) as model:
            answers = [(await model.complete([asked(text)]))[0] for text in "abc"]
            assert [answer.text for answer in answers] == ["Yes", "", "Yes"]
            assert answers[1].finish_reason == "length"
            assert any("--max-tokens" in note for note in model.notes)


@of("at most")
async def test_too_many_tokens_for_an_answer_name_the_option(seen: Seen) -> None:
    with ApiServer(lambda *_: seen.reply) as server:
        error = await failure(server, UnusableModelError)
        assert error.remedy is not None
        assert (error.remedy.setting, error.remedy.value) == ("max_tokens", seen.value)
        assert len(server.requests) == 1


@of("at least")
async def test_more_tokens_are_asked_for_where_one_is_too_few(seen: Seen) -> None:
    def answer(body: Body, _: int) -> Answer:
        if body["max_tokens"] < seen.value:
            return seen.reply
        payload = chat_payload("B", body)
        payload["choices"][0]["logprobs"] = logprobs_content({"B": -0.1, "A": -3.0})
        return payload

    with ApiServer(answer) as server:
        async with model_at(server) as model:
            for text in "ab":
                (found,) = await model.choice_logprobs([ChoiceRequest((Message("user", text),), ("Yes", "No"))])
                assert found.logprobs == pytest.approx((-3.0, -0.1))
            assert any("up to 16 tokens" in note for note in model.notes)
        assert [received.body["max_tokens"] for received in server.requests] == [1, 16, 16]


@of("refused")
async def test_refused_account_ends_the_run(seen: Seen) -> None:
    with ApiServer(lambda *_: seen.reply) as server:
        assert seen.value in str(await failure(server, UnusableModelError))
        assert len(server.requests) == 1


async def test_log_probabilities_that_the_account_may_not_have_are_named() -> None:
    reply = Status(403, body={"error": {"message": "You are not allowed to request logprobs from this model."}})
    with ApiServer(lambda *_: reply) as server:
        async with model_at(server) as model:
            with pytest.raises(UnusableModelError, match="no log-probabilities"):
                await model.choice_logprobs([ChoiceRequest((Message("user", "Tea?"),), ("Yes", "No"))])
        assert len(server.requests) == 1


async def test_limits_that_are_not_used_up_make_no_failed_call_wait() -> None:
    headers = {"X-RateLimit-Reset-Requests": "6m0s", "X-RateLimit-Remaining-Requests": "900"}
    with once(Status(500, headers)) as server:
        async with model_at(server) as model:
            assert (await model.complete([asked()]))[0].text == "Yes"
        assert server.requests[1].start - server.requests[0].start < 5


@pytest.mark.parametrize(
    "event",
    [
        {"error": {"code": 429, "message": "busy"}, "choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]},
        {"object": "error", "message": "busy", "type": "server_error", "code": 503},
    ],
)
async def test_error_at_the_end_of_a_stream_is_no_end_of_the_answer(event: dict[str, object]) -> None:
    begun = {"choices": [{"index": 0, "delta": {"content": "No, or rath"}}]}
    body = "".join(f"data: {json.dumps(each)}\n\n" for each in (begun, event))
    with once(Status(200, {"Content-Type": "text/event-stream"}, body)) as server:
        async with model_at(server) as model:
            assert (await model.complete([asked()]))[0].text == "Yes"
        assert len(server.requests) == 2


async def test_unknown_path_without_a_list_of_models_gets_a_hint() -> None:
    with ApiServer(lambda *_: Status(404), models=[]) as server:
        url = server.url.removesuffix("/v1") + "/api"
        async with open_remote_model(f"{url}#m", settings=FAST) as model:
            with pytest.raises(UnusableModelError, match="most servers' ends in /v1"):
                await model.complete([asked()])


async def test_listed_model_that_is_not_served_is_no_wrong_path() -> None:
    with ApiServer(lambda *_: Status(404, body={"error": "model 'm' not found"})) as server:
        assert "does not serve it at present" in str(await failure(server, UnusableModelError))


@of("path")
async def test_wrong_path_is_named(seen: Seen) -> None:
    with ApiServer(lambda *_: seen.reply) as server:
        assert seen.value in str(await failure(server, UnusableModelError))
        assert len(server.requests) == 1


async def test_path_without_v1_is_completed_in_the_message() -> None:
    with ApiServer() as server:
        root = server.url.removesuffix("/v1")
        async with open_remote_model(f"{root}#m", settings=FAST) as model:
            with pytest.raises(UnusableModelError, match=f"most servers are at {root}/v1"):
                await model.complete([asked()])


def test_docs_have_the_table() -> None:
    assert table() in DOCS.read_text()


def test_every_reply_is_tested() -> None:
    outcomes = {quirk.outcome for quirk, _ in cases()}
    tested = {"omits", "renames", "plain", "waits", "retries", "ends", "filters", "too long", "fewer", "tokens", "path"}
    tested |= {"at most", "at least", "refused"}
    assert outcomes == tested
