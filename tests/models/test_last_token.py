"""The ancestor's way to edit (docs/methods.md): the last token of each pass and no other; "generated" is the same."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from idiolect.models.chat_format import ChatFormat
from idiolect.models.edits import Edit, LayerEdit
from idiolect.models.generation import EncodedPrompt, generate
from idiolect.models.language_model import SamplingParams
from idiolect.models.network import Network
from idiolect.models.prefix_cache import PrefixCache
from idiolect.models.scoring import EncodedChoices, PackedScorer, PaddedScorer
from tests.models import tiny

GENERATED = tiny.edit(1, positions="generated")
EVERYWHERE = tiny.edit(1, positions="all")


def prompts(n: int) -> list[tuple[int, ...]]:
    rng = random.Random(12)
    return [tuple(rng.randrange(2, 300) for _ in range(rng.randrange(2, 20))) for _ in range(n)]


@contextmanager
def last_token_of_each_pass(module: Any, edit: Edit) -> Iterator[None]:
    """Edit `output[:, -1]` of every pass, however many tokens it has."""

    def hook(layer: LayerEdit) -> Any:
        def change(_module: Any, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
            changed = output.clone()
            changed[:, -1] += (output[:, -1] @ layer.read.T) @ layer.write
            return changed

        return change

    layers = module.model.layers
    handles = [layers[i].mlp.down_proj.register_forward_hook(hook(each)) for i, each in edit.layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.inference_mode()
def next_logits(module: Any, prompt: Sequence[int], forced: Sequence[int], edit: Edit) -> list[torch.Tensor]:
    """Logits (V,) of the prompt's pass, and of one pass for each forced token, with a cache of keys and values."""
    found, cache = [], None
    with last_token_of_each_pass(module, edit):
        for ids in (prompt, *([token] for token in forced)):
            out = module(torch.tensor([list(ids)]), past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            found.append(out.logits[0, -1])
    return found


@torch.inference_mode()
def test_generation_edits_the_last_token_of_each_pass() -> None:
    module, sampling = tiny.llama(), SamplingParams(max_tokens=10)
    decoder = ChatFormat(tiny.tokenizer())

    def written(edit: Edit) -> list[str]:
        items = [EncodedPrompt(prompt, sampling, edit=edit) for prompt in prompts(6)]
        return [row.text for row in generate(items, network=Network(module), decoder=decoder, batch_size=4)]

    expected = []
    for prompt in prompts(6):
        with last_token_of_each_pass(module, GENERATED):
            ids = torch.tensor([prompt])
            out = module.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=10, do_sample=False, eos_token_id=1
            )
        new = out[0, len(prompt) :].tolist()
        expected.append(decoder.decode(new[:-1] if new[-1] in decoder.stop_ids else new))
    assert written(GENERATED) == expected
    assert written(EVERYWHERE) != expected


@pytest.mark.parametrize("packed", [True, False])
@torch.inference_mode()
def test_scores_edit_the_last_token_of_each_pass(packed: bool) -> None:
    module = tiny.llama()
    network = Network(module)
    scorer = (
        PackedScorer(network, cache=PrefixCache(100), max_pass_tokens=64)
        if packed
        else PaddedScorer(network, batch_size=4)
    )
    choices = ((5, 6, 7), (5, 9), (8,))
    items = [EncodedChoices(prompt, choices, GENERATED) for prompt in prompts(4)]
    for item, scored in zip(items, scorer.score(items), strict=True):
        for choice, logprob in zip(choices, scored.logprobs, strict=True):
            logits = next_logits(module, item.prompt, choice[:-1], GENERATED)
            steps = zip(logits, choice, strict=True)
            expected = sum(float(each.log_softmax(-1)[token]) for each, token in steps)
            assert logprob == pytest.approx(expected, abs=2e-4)
        (everywhere,) = scorer.score([EncodedChoices(item.prompt, choices, EVERYWHERE)])
        assert everywhere.logprobs != pytest.approx(scored.logprobs, abs=0.05)
