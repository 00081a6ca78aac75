from __future__ import annotations

import copy
import random
from typing import Any

import pytest
import torch

from idiolect.errors import ModelError
from idiolect.models.activations import EncodedText, capture
from idiolect.models.language_model import CompletionRequest, SamplingParams
from idiolect.models.network import Network
from tests.models import tiny


def random_texts(n: int) -> list[EncodedText]:
    rng = random.Random(n)
    lengths = [rng.randrange(2, 30) for _ in range(n)]
    return [EncodedText(tuple(rng.randrange(2, 300) for _ in range(k)), rng.randrange(k)) for k in lengths]


@torch.inference_mode()
def alone(module: Any, text: EncodedText) -> torch.Tensor:
    """Each layer's outputs for one text on its own, (L, T, d)."""
    found: list[torch.Tensor] = []
    handles = [
        layer.mlp.down_proj.register_forward_hook(lambda _m, _i, output: found.append(output[0]))
        for layer in module.model.layers
    ]
    module(torch.tensor([text.ids]), use_cache=False)
    for handle in handles:
        handle.remove()
    return torch.stack(found).float()


@pytest.mark.parametrize("batch_size", [1, 4, 32])
def test_activations_equal_those_of_each_text_alone(batch_size: int) -> None:
    module, texts = tiny.llama(), random_texts(11)
    found = capture(Network(module), texts, batch_size=batch_size)
    assert found.tokens.shape == (3, 0, 32)
    for i, text in enumerate(texts):
        outputs = alone(module, text)
        torch.testing.assert_close(found.last[i], outputs[:, -1], atol=1e-4, rtol=1e-4)
        mean = outputs[:, max(text.start, 1) :].mean(dim=1)
        torch.testing.assert_close(found.mean[i], mean, atol=1e-4, rtol=1e-4)


def test_sampled_tokens_are_spread_over_all_answers() -> None:
    module, texts = tiny.llama(), random_texts(12)
    ordered = sorted(texts, key=lambda text: len(text.ids))
    every = torch.cat([alone(module, text)[:, max(text.start, 1) :] for text in ordered], dim=1)  # (L, all, d)
    whole = capture(Network(module), texts, batch_size=5, sample=10_000).tokens
    torch.testing.assert_close(whole, every, atol=1e-4, rtol=1e-4)
    step = -(-every.shape[1] // 20)
    some = capture(Network(module), texts, batch_size=5, sample=20).tokens
    torch.testing.assert_close(some, every[:, step - 1 :: step], atol=1e-4, rtol=1e-4)
    assert 10 < some.shape[1] <= 20


def test_statistics_are_float32_whatever_the_dtype() -> None:
    network = Network(copy.deepcopy(tiny.llama()).to(torch.bfloat16))
    found = capture(network, random_texts(3), batch_size=2, sample=5)
    assert {found.last.dtype, found.mean.dtype, found.tokens.dtype} == {torch.float32}


def test_texts_are_checked() -> None:
    with pytest.raises(ValueError, match="1 tokens"):
        EncodedText((5,))
    for start in (-1, 2):
        with pytest.raises(ValueError, match="start is"):
            EncodedText((5, 6), start)
    with pytest.raises(ValueError, match="no texts"):
        capture(Network(tiny.llama()), [], batch_size=2)


def test_hooks_are_gone_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(tiny.llama())

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(network, "logits", broken)
    with pytest.raises(RuntimeError, match="out of memory"):
        capture(network, random_texts(2), batch_size=2)
    assert not any(module._forward_hooks for module in network.module.modules())


def test_a_layer_that_does_not_run_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(tiny.llama())
    monkeypatch.setattr(network, "logits", lambda *_, **__: None)
    with pytest.raises(ModelError, match="only 0 of 3"):
        capture(network, random_texts(2), batch_size=2)


async def test_a_local_models_activations_are_those_of_the_answer_unedited() -> None:
    async with tiny.local_model() as model:
        edited = model.with_edit(tiny.edit())
        texts = [(tiny.ask("agree?"), "Strongly agree, agree"), (tiny.ask("help"), "disagree")]
        found = await model.activations(texts, sample=4)
        await edited.complete([CompletionRequest(tiny.ask("agree?"), SamplingParams(max_tokens=3))])
        again = await edited.model.activations(texts, sample=4)
        assert torch.equal(found.last, again.last)
        for i, (messages, answer) in enumerate(texts):
            prompt = model.format.prompt_ids(messages)
            text = EncodedText(prompt + model.format.text_ids(answer), len(prompt))
            outputs = alone(tiny.llama(), text)
            torch.testing.assert_close(found.last[i], outputs[:, -1], atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(found.mean[i], outputs[:, len(prompt) :].mean(dim=1), atol=1e-4, rtol=1e-4)
        with pytest.raises(ModelError, match="256"):
            await model.activations([(tiny.ask("agree?"), "a" * 300)])
        with pytest.raises(ModelError, match="no tokens"):
            await model.activations([(tiny.ask("agree?"), "")])
        with pytest.raises(ValueError, match="no texts"):
            await model.activations([])
