"""The remote model as a whole: order, concurrency, what it learns from rejections, names that leave the model open."""

from __future__ import annotations

import asyncio

import pytest

from idiolect.errors import ModelError, SettingsError
from idiolect.models.language_model import (
    ChoiceModel,
    CompletionModel,
    CompletionRequest,
    Message,
    SamplingParams,
)
from idiolect.models.remote.chat import RemoteModel, find_model, open_remote_model
from idiolect.models.remote.endpoint import parse_endpoint
from idiolect.models.remote.transport import RemoteSettings
from tests.api_server import Answer, ApiServer, Body, Hang, Status

FAST = RemoteSettings(timeout=5, wait_initial=0.001, wait_max=0.002, attempts=3)


def asked(text: str, sampling: SamplingParams = SamplingParams()) -> CompletionRequest:  # noqa: B008
    return CompletionRequest((Message("user", text),), sampling)


def unsupported(parameter: str, message: str = "", **changes: str) -> Status:
    said = message or f"Unsupported parameter: '{parameter}' is not supported with this model."
    return Status(400, body={"error": {"message": said, "code": "unsupported_parameter", **changes}})


async def test_model_answers_in_order_and_all_at_once() -> None:
    with ApiServer(lambda body, _: body["messages"][0]["content"].upper(), latency=0.05) as server:
        async with open_remote_model(f"{server.url}#m", settings=FAST) as model:
            completions = await model.complete([asked(letter) for letter in "abcdefgh"])
            assert [completion.text for completion in completions] == list("ABCDEFGH")
            assert isinstance(model, CompletionModel)
            assert isinstance(model, ChoiceModel)
            assert model.name == f"{server.url}#m"
            assert await model.complete([]) == []
        assert server.peak == 8


async def test_model_sends_no_more_at_once_than_its_settings_say() -> None:
    with ApiServer(latency=0.02) as server:
        settings = RemoteSettings(concurrency=3)
        async with open_remote_model(f"{server.url}#m", settings=settings) as model:
            await asyncio.gather(*(model.complete([asked("a"), asked("b")]) for _ in range(6)))
        assert server.peak == 3
        assert len(server.requests) == 12


@pytest.mark.parametrize("concurrency", [150, None])
async def test_connections_do_not_limit_the_concurrency(concurrency: int | None) -> None:
    with ApiServer(latency=0.3) as server:
        async with open_remote_model(f"{server.url}#m", settings=RemoteSettings(concurrency=concurrency)) as model:
            await model.complete([asked(str(number)) for number in range(150)])
        assert server.peak == 150


async def test_failure_of_one_request_ends_the_others() -> None:
    def answer(body: Body, _: int) -> Answer:
        return Status(401) if body["messages"][0]["content"] == "bad" else Hang()

    with ApiServer(answer) as server:
        async with open_remote_model(f"{server.url}#m", settings=FAST) as model:
            with pytest.raises(ModelError, match="401"):
                await model.complete([asked("good"), asked("bad"), asked("good")])
            async with asyncio.timeout(2):
                while server.in_flight:
                    await asyncio.sleep(0.01)


async def test_limit_of_tokens_is_renamed_for_models_that_want_it() -> None:
    message = "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."

    def answer(body: Body, _: int) -> Answer:
        return unsupported("max_tokens", message, param="max_tokens") if "max_tokens" in body else "Yes"

    with ApiServer(answer) as server:
        async with open_remote_model(f"{server.url}#m", settings=RemoteSettings(attempts=1)) as model:
            await model.complete([asked("a")])
            await model.complete([asked("b"), asked("c")])
            assert model.notes == []
            assert model.client.attempts == 4
        assert ["max_tokens" in received.body for received in server.requests] == [True, False, False, False]
        assert server.requests[-1].body["max_completion_tokens"] == 64


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("temperature", "Unsupported value: 'temperature' does not support 0.0. Only the default (1) is supported."),
        ("top_p", "top_p: Extra inputs are not permitted"),
        ("seed", "Unknown parameter: seed"),
        ("stop", ""),
    ],
)
async def test_parameter_that_a_model_does_not_take_is_left_out_with_a_note(parameter: str, message: str) -> None:
    def answer(body: Body, _: int) -> Answer:
        return unsupported(parameter, message) if parameter in body else "Yes\nNo"

    sampling = SamplingParams(temperature=0.5, top_p=0.5, seed=7, stop=("\n",))
    with ApiServer(answer) as server:
        async with open_remote_model(f"{server.url}#m", settings=RemoteSettings(attempts=1)) as model:
            completions = await model.complete([asked(text, sampling) for text in "abc"])
            assert [completion.text for completion in completions] == ["Yes"] * 3
            assert len(model.notes) == 1
            assert model.notes[0].startswith(f"m does not support {parameter.replace('stop', 'stop strings')};")
        last = server.requests[-1].body
        assert {"temperature", "top_p", "seed", "stop"} - last.keys() == {parameter}


@pytest.mark.parametrize(
    "error",
    [
        {"message": "max_tokens is too large: 9000", "param": "max_tokens"},
        {"message": "temperature must be at most 2", "param": "temperature"},
        {"message": "unsupported", "param": "messages"},
        {"message": "unsupported"},
    ],
)
async def test_other_rejections_change_nothing(error: dict[str, str]) -> None:
    with ApiServer(lambda *_: Status(400, body={"error": error})) as server:
        async with open_remote_model(f"{server.url}#m", settings=FAST) as model:
            with pytest.raises(ModelError, match="rejected the request as invalid"):
                await model.complete([asked("a")])
            assert model.notes == []
        assert len(server.requests) == 1


async def test_rejections_without_end_end() -> None:
    refused = [unsupported(name) for name in ("temperature", "temperature", "max_tokens", "max_completion_tokens")]
    with ApiServer(lambda _, number: refused[min(number, 4) - 1]) as server:
        async with open_remote_model(f"{server.url}#m", settings=FAST) as model:
            with pytest.raises(ModelError, match="rejected the request as invalid"):
                await model.complete([asked("a")])
        assert len(server.requests) == 2


async def test_name_without_a_model_means_the_only_one() -> None:
    with ApiServer(models=["only"]) as server:
        async with open_remote_model(server.url, settings=FAST) as model:  # inside a running loop
            assert model.name == f"{server.url}#only"
    with ApiServer(models=["a", "b"]) as server, pytest.raises(ModelError, match="has 2 models; name one of them"):
        open_remote_model(server.url, settings=FAST)
    with ApiServer(models=[]) as server, pytest.raises(ModelError, match="lists no models"):
        open_remote_model(server.url, settings=FAST)


async def test_endpoint_without_a_model_is_completed_first() -> None:
    with ApiServer(models=["only"]) as server:
        endpoint = parse_endpoint(server.url)
        assert endpoint is not None
        with pytest.raises(ValueError, match="does not name a model"):
            RemoteModel(endpoint)
        assert (await find_model(endpoint, settings=FAST)).model == "only"


def test_name_of_no_remote_model_is_refused() -> None:
    with pytest.raises(SettingsError, match="is not the name of a model behind an API"):
        open_remote_model("embedded")
