from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch

from idiolect.models.chat_format import ChatFormat
from idiolect.models.generation import EncodedPrompt, Generated, generate
from idiolect.models.language_model import SamplingParams
from idiolect.models.network import Network
from tests.models import tiny


def run(items: list[EncodedPrompt], *, batch_size: int = 32, network: Network | None = None) -> list[Generated]:
    decoder = ChatFormat(tiny.tokenizer())
    with torch.inference_mode():
        return generate(items, network=network or Network(tiny.llama()), decoder=decoder, batch_size=batch_size)


def prompts(n: int, *, seed: int = 0, longest: int = 40) -> list[tuple[int, ...]]:
    rng = random.Random(seed)
    return [tuple(rng.randrange(2, 300) for _ in range(rng.randrange(1, longest))) for _ in range(n)]


def mixed_items() -> list[EncodedPrompt]:
    """Greedy and sampled, short and long."""
    kinds = [
        SamplingParams(max_tokens=9),
        SamplingParams(max_tokens=20, temperature=1.5, seed=4),
        SamplingParams(max_tokens=3, temperature=0.7, top_p=0.5, seed=5),
    ]
    return [EncodedPrompt(prompt, kinds[i % 3], draw=i) for i, prompt in enumerate(prompts(10))]


def texts(generated: list[Generated]) -> list[tuple[str, str, int]]:
    return [(row.text, row.finish_reason, row.n_tokens) for row in generated]


def test_a_batch_generates_what_each_row_would_alone() -> None:
    items = mixed_items()
    alone = [run([item])[0] for item in items]
    assert texts(run(items)) == texts(alone)
    assert texts(run(items, batch_size=4)) == texts(alone)


@pytest.mark.parametrize("name", ["llama", "mistral"])
def test_greedy_equals_transformers_generate(name: str) -> None:
    module = {"llama": tiny.llama, "mistral": tiny.mistral}[name]()
    items = [EncodedPrompt(prompt, SamplingParams(max_tokens=24)) for prompt in prompts(6, seed=2)]
    for item, row in zip(items, run(items, network=Network(module)), strict=True):
        ids = torch.tensor([item.prompt])
        with torch.inference_mode():
            out = module.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False, eos_token_id=1
            )
        new = out[0, ids.shape[1] :].tolist()
        assert row.n_tokens == len(new)
        assert row.text == tiny.tokenizer().decode(new, skip_special_tokens=True)


@pytest.mark.parametrize(("temperature", "top_p"), [(1e-300, 1.0), (1e-45, 1.0), (1.0, 1e-300), (1e-300, 1e-300)])
def test_the_least_temperature_and_nucleus_draw_the_most_likely_tokens(temperature: float, top_p: float) -> None:
    (prompt,) = prompts(1)
    cold = SamplingParams(max_tokens=6, temperature=temperature, top_p=top_p, seed=1)
    drawn, greedy = run([EncodedPrompt(prompt, cold)]), run([EncodedPrompt(prompt, SamplingParams(max_tokens=6))])
    assert texts(drawn) == texts(greedy)


def test_draws_of_one_prompt_differ_repeat_and_share_their_prefill() -> None:
    sampling = SamplingParams(max_tokens=12, temperature=2.0, seed=7)
    prompt = prompts(1, seed=3)[0]
    items = [EncodedPrompt(prompt, sampling, draw) for draw in range(6)]
    first, second = run(items), run(items[::-1])[::-1]
    assert texts(first) == texts(second)
    assert len({row.text for row in first}) == 6
    assert [row.computed for row in first] == [len(prompt), 0, 0, 0, 0, 0]


def test_seed_changes_a_sample_and_leaves_greedy_alone() -> None:
    prompt = prompts(1, seed=4)[0]
    for temperature, n in ((2.0, 3), (0.0, 1)):
        some = [SamplingParams(max_tokens=12, temperature=temperature, seed=seed) for seed in range(3)]
        assert len({row.text for row in run([EncodedPrompt(prompt, s) for s in some])}) == n


def test_a_narrow_nucleus_is_greedy() -> None:
    prompt = prompts(1, seed=5)[0]
    sampled = SamplingParams(max_tokens=12, temperature=1.0, top_p=1e-6)
    greedy, narrow = run([EncodedPrompt(prompt, SamplingParams(max_tokens=12)), EncodedPrompt(prompt, sampled)])
    assert greedy.text == narrow.text


def test_generation_ends_before_the_first_stop_string() -> None:
    items = [EncodedPrompt(prompt, SamplingParams(max_tokens=20)) for prompt in prompts(4, seed=6)]
    for item, full in zip(items, run(items), strict=True):
        stops = (full.text[5:7], full.text[3:5], "never there")
        stopped = run([replace(item, sampling=replace(item.sampling, stop=stops))])[0]
        assert stopped.text == full.text[: min(full.text.find(stops[0]), full.text.find(stops[1]))]
        assert stopped.finish_reason == "stop"
        assert stopped.n_tokens < full.n_tokens


def test_an_end_of_turn_ends_generation_and_is_no_text() -> None:
    item = EncodedPrompt(prompts(1, seed=8)[0], SamplingParams(max_tokens=400, temperature=3.0))
    row = run([replace(item, draw=draw, sampling=replace(item.sampling, max_tokens=150)) for draw in range(24)])
    ended = [r for r in row if r.finish_reason == "stop"]
    assert ended
    assert all("<|im_end|>" not in r.text for r in row)
    assert all(r.n_tokens == 150 for r in row if r.finish_reason == "length")
