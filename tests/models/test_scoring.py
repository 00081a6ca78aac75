from __future__ import annotations

import random

import pytest
import torch

from idiolect.models.network import Network
from idiolect.models.prefix_cache import PrefixCache
from idiolect.models.scoring import EncodedChoices, PackedScorer, PaddedScorer, ScoredChoices, packs
from tests.models import tiny

TOLERANCE = 1e-4


def random_ids(rng: random.Random, length: int) -> tuple[int, ...]:
    return tuple(rng.randrange(2, 300) for _ in range(length))


def random_items(rng: random.Random) -> list[EncodedChoices]:
    """Prompts that share all, some or none of their tokens; choices long, short, equal, and prefixes of each other."""
    stem = random_ids(rng, rng.randrange(1, 40))
    items = []
    for _ in range(rng.randrange(1, 9)):
        prompt = stem[: rng.choice([0, len(stem) // 2, len(stem)])] + random_ids(rng, rng.randrange(1, 20))
        long = random_ids(rng, rng.randrange(2, 8))
        items.append(EncodedChoices(prompt, (long, long[:1], long[:2], random_ids(rng, 1), long)))
    first = items[0]
    grown = EncodedChoices(first.prompt + first.choices[0], first.choices)  # its prompt runs along another's choice
    return [*items, grown, first]


def assert_close(scored: list[ScoredChoices], items: list[EncodedChoices], network: Network) -> None:
    assert len(scored) == len(items)
    for score, item in zip(scored, items, strict=True):
        assert score.logprobs == pytest.approx(tiny.reference_logprobs(network, item), abs=TOLERANCE)


@pytest.fixture
def network() -> Network:
    return Network(tiny.llama())


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("capacity", "max_pass"), [(0, 1024), (30, 16), (4096, 7), (4096, 1024)])
@torch.inference_mode()
def test_packed_equals_one_by_one_cold_and_warm(network: Network, seed: int, capacity: int, max_pass: int) -> None:
    items = random_items(random.Random(seed))
    scorer = PackedScorer(network, cache=PrefixCache(capacity), max_pass_tokens=max_pass)
    for _ in ("cold", "warm", "hot"):
        assert_close(scorer.score(items), items, network)
        random.Random(seed).shuffle(items)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("batch_size", [1, 3, 32])
@torch.inference_mode()
def test_padded_equals_one_by_one(network: Network, seed: int, batch_size: int) -> None:
    items = random_items(random.Random(seed))
    assert_close(PaddedScorer(network, batch_size=batch_size, max_kept=50).score(items), items, network)


@torch.inference_mode()
def test_warm_prefix_costs_only_the_new_tokens(network: Network) -> None:
    rng = random.Random(1)
    stem = random_ids(rng, 50)
    ask = [EncodedChoices(stem + random_ids(rng, 6), ((7,), (8,), (9, 10))) for _ in range(8)]
    scorer = PackedScorer(network, cache=PrefixCache(1000), max_pass_tokens=1024)
    assert sum(score.computed for score in scorer.score(ask[:4])) == 50 + 4 * (6 + 1)
    assert sum(score.computed for score in scorer.score(ask[4:])) == 4 * (6 + 1)


@torch.inference_mode()
def test_computed_tokens_sum_to_what_the_network_saw(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = 0
    plain = network.logits

    def counting(keep: torch.Tensor, **inputs: torch.Tensor) -> torch.Tensor:
        nonlocal seen
        seen += inputs["input_ids"].numel()
        return plain(keep, **inputs)

    monkeypatch.setattr(network, "logits", counting)
    scorer = PackedScorer(network, cache=PrefixCache(500), max_pass_tokens=20)
    items = [item for seed in range(4) for item in random_items(random.Random(seed))]
    assert sum(score.computed for score in scorer.score(items)) == seen


@torch.inference_mode()
def test_scoring_leaves_the_cached_tensors_alone(network: Network) -> None:
    items = random_items(random.Random(3))
    cache = PrefixCache(1000)
    scorer = PackedScorer(network, cache=cache, max_pass_tokens=1024)
    scorer.score(items)
    before = [k.clone() for k, _ in cache.gather(cache.match(items[0].prompt))]
    scorer.score(items)
    after = [k for k, _ in cache.gather(cache.match(items[0].prompt))]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@torch.inference_mode()
def test_probe_tells_who_can_be_packed(network: Network) -> None:
    assert packs(network)
    assert packs(Network(tiny.mistral(64)))
    assert not packs(Network(tiny.mistral(4)))


def test_window_is_read_from_the_config() -> None:
    assert Network(tiny.llama()).window is None
    assert Network(tiny.mistral(8)).window == 8
