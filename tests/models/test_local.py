from __future__ import annotations

import asyncio
import copy
import gc
import json
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from idiolect.errors import ModelError
from idiolect.models.generation import EncodedPrompt, Generated
from idiolect.models.language_model import (
    ChoiceRequest,
    CompletionRequest,
    LanguageModel,
    Message,
    SamplingParams,
    Usage,
)
from idiolect.models.local import LocalModel, LocalSettings
from idiolect.models.scoring import EncodedChoices
from tests.models import tiny

CHOICES = ("agree", "disagree", "Strongly agree", "a")


def questions(n: int) -> list[ChoiceRequest]:
    rng = random.Random(n)
    return [
        ChoiceRequest(
            (Message("system", "Be brief."), Message("user", " ".join(rng.sample(tiny.WORDS.split(), 8)))), CHOICES
        )
        for _ in range(n)
    ]


def encoded(model: LocalModel, request: ChoiceRequest) -> EncodedChoices:
    return EncodedChoices(model.format.prompt_ids(request.messages), tuple(map(model.format.text_ids, request.choices)))


def test_a_local_model_is_a_language_model() -> None:
    model: LanguageModel = tiny.local_model()
    assert model.name == "tiny"


async def test_packed_and_padded_answer_alike() -> None:
    requests = questions(9)
    literal = LocalSettings(prefix_reuse=False)
    async with tiny.local_model() as packed, tiny.local_model(settings=literal) as padded:
        for one, other in zip(
            await packed.choice_logprobs(requests), await padded.choice_logprobs(requests), strict=True
        ):
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
            assert one.n_tokens == other.n_tokens
            assert one.usage.computed_tokens < other.usage.computed_tokens


async def test_usage_counts_calls_prompts_and_choices() -> None:
    async with tiny.local_model() as model:
        request = questions(1)[0]
        item = encoded(model, request)
        (answer,) = await model.choice_logprobs([request])
        shared = len(item.prompt) + sum(len(c) - 1 for c in item.choices)
        assert answer.usage.prompt_tokens == len(item.prompt) + sum(map(len, item.choices))
        assert 0 < answer.usage.computed_tokens <= shared
        (again,) = await model.choice_logprobs([request])
        assert again.usage.computed_tokens == answer.usage.computed_tokens - len(item.prompt) + 1
        (text,) = await model.complete([CompletionRequest(request.messages, SamplingParams(max_tokens=5))])
        assert text.usage == Usage(1, len(item.prompt), 5, len(item.prompt))


@pytest.mark.parametrize("window", [8, 24])
async def test_a_window_shorter_than_the_text_is_obeyed(window: int) -> None:
    async with tiny.local_model(tiny.mistral(window)) as model:
        requests = questions(4)
        for request, answer in zip(requests, await model.choice_logprobs(requests), strict=True):
            item = encoded(model, request)
            assert item.longest > window
            assert answer.logprobs == pytest.approx(tiny.reference_logprobs(model.network, item), abs=1e-4)


async def test_a_window_longer_than_the_text_is_packed() -> None:
    async with tiny.local_model(tiny.mistral(200)) as model:
        requests = questions(4)
        answers = await model.choice_logprobs(requests)
        assert sum(a.usage.computed_tokens for a in answers) < sum(a.usage.prompt_tokens for a in answers)
        truth = tiny.reference_logprobs(model.network, encoded(model, requests[0]))
        assert answers[0].logprobs == pytest.approx(truth, abs=1e-4)


async def test_concurrent_calls_become_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    async with tiny.local_model() as model:
        batches: list[int] = []
        plain = model._completions._work

        def counting(items: list[EncodedPrompt]) -> list[Generated]:
            batches.append(len(items))
            return plain(items)

        monkeypatch.setattr(model._completions, "_work", counting)
        requests = [CompletionRequest(tiny.ask(word)) for word in ["some", "words", "to", "be", "completed"]]
        together = await asyncio.gather(*(model.complete([request]) for request in requests))
        assert batches == [5]
        assert [c.text for (c,) in together] == [c.text for c in await model.complete(requests)]
        assert batches == [5, 5]


async def test_a_bad_request_fails_alone() -> None:
    async with tiny.local_model() as model:
        good = CompletionRequest(tiny.ask("agree?"), SamplingParams(max_tokens=4))
        bad = CompletionRequest(tiny.ask("agree? " * 300))
        results = await asyncio.gather(model.complete([good]), model.complete([bad]), return_exceptions=True)
        assert isinstance(results[0], list)
        assert isinstance(results[1], ModelError)


async def test_too_long_a_prompt_says_how_long() -> None:
    async with tiny.local_model() as model:
        long = tiny.ask("a" * 250)
        with pytest.raises(ModelError, match=r"2\d\d tokens and the completion up to 64.*256"):
            await model.complete([CompletionRequest(long)])
        with pytest.raises(ModelError, match="256"):
            await model.choice_logprobs([ChoiceRequest(long, ("a",))])


async def test_a_failing_network_is_a_model_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async with tiny.local_model() as model:

        def broken(*_: object, **__: object) -> None:
            raise RuntimeError("out of memory")

        monkeypatch.setattr(model.network, "logits", broken)
        with pytest.raises(ModelError, match=r"tiny.*out of memory"):
            await model.complete([CompletionRequest(tiny.ask("agree?"))])


async def test_a_closed_model_says_so() -> None:
    model = tiny.local_model()
    model.close()
    with pytest.raises(ModelError, match="closed"):
        await model.complete([CompletionRequest(tiny.ask("agree?"))])


async def test_no_requests_give_no_answers() -> None:
    async with tiny.local_model() as model:
        assert await model.complete([]) == []
        assert await model.choice_logprobs([]) == []


def test_a_model_outlives_event_loops() -> None:
    model = tiny.local_model()
    request = CompletionRequest(tiny.ask("agree?"), SamplingParams(max_tokens=4))
    first = asyncio.run(model.complete([request]))
    assert asyncio.run(model.complete([request])) == first
    model.close()


async def test_the_event_loop_stays_alive_while_the_worker_works() -> None:
    async with tiny.local_model() as model:
        started, release = threading.Event(), threading.Event()

        def work() -> str:
            started.set()
            release.wait(10)
            return threading.current_thread().name

        task = asyncio.create_task(model.run(work))
        while not started.is_set():
            await asyncio.sleep(0.001)
        release.set()
        assert (await task).startswith("idiolect-local-model")


async def test_a_cancelled_call_leaves_the_others() -> None:
    async with tiny.local_model() as model:
        blocking = asyncio.create_task(model.run(lambda: time.sleep(0.05)))
        await asyncio.sleep(0)
        request = CompletionRequest(tiny.ask("agree?"), SamplingParams(max_tokens=4))
        lost, kept = (asyncio.create_task(model.complete([request])) for _ in range(2))
        await asyncio.sleep(0.01)
        lost.cancel()
        assert len(await kept) == 1
        await blocking
        assert len(await model.complete([request])) == 1


async def test_forgotten_prefixes_are_computed_again() -> None:
    async with tiny.local_model() as model:
        request = questions(1)
        first = await model.choice_logprobs(request)
        await model.forget_prefixes()
        assert await model.choice_logprobs(request) == first


@pytest.mark.parametrize(
    "setting", [{"batch_size": 0}, {"max_pass_tokens": 0}, {"prefix_cache_tokens": -1}], ids=lambda s: next(iter(s))
)
def test_settings_are_checked(setting: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(setting))):
        LocalSettings(**setting)


def test_event_loops_are_not_kept() -> None:
    model = tiny.local_model()
    asyncio.run(model.complete([CompletionRequest(tiny.ask("agree?"), SamplingParams(max_tokens=2))]))
    gc.collect()
    assert len(model._completions._queues) == 0
    model.close()


def _other_eos(network: Any, _: Any) -> None:
    network.generation_config.eos_token_id = [1, 7]


def _other_config(network: Any, _: Any) -> None:
    network.config.rope_parameters = {**network.config.rope_parameters, "rope_theta": 5.0}


def _other_merges(_: Any, tokenizer: Any) -> None:
    rules = json.loads(tokenizer.backend_tokenizer.to_str())
    rules["model"]["merges"].pop()
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(rules))


def _other_template(_: Any, tokenizer: Any) -> None:
    tokenizer.chat_template = tiny.CHATML + " "


def _other_weight(network: Any, _: Any) -> None:
    with torch.no_grad():
        next(network.parameters())[0, 0] += 1


@pytest.mark.parametrize("change", [_other_eos, _other_config, _other_merges, _other_template, _other_weight])
def test_fingerprint_follows_whatever_answers_depend_on(change: Callable[[Any, Any], None]) -> None:
    network, tokenizer = copy.deepcopy(tiny.llama()), copy.deepcopy(tiny.tokenizer())
    before = LocalModel(network, tokenizer, name="a").fingerprint()
    change(network, tokenizer)
    assert LocalModel(network, tokenizer, name="a").fingerprint() != before


async def test_fingerprint_does_not_follow_use_or_place() -> None:
    network, tokenizer = copy.deepcopy(tiny.llama()), copy.deepcopy(tiny.tokenizer())
    tokenizer.backend_tokenizer.enable_truncation(5)
    async with LocalModel(network, tokenizer, name="a") as model:
        before = model.fingerprint()
        await model.complete([CompletionRequest(tiny.ask("agree?"), SamplingParams(max_tokens=2))])
        network.config._name_or_path = "/elsewhere"
        assert model.fingerprint() == before
        assert LocalModel(network, tokenizer, name="b").fingerprint() == before
