from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from idiolect.models.prefix_cache import KeysValues, PrefixCache


def source(values: Sequence[float]) -> KeysValues:
    """Two layers, one head, head_dim 2; token i's keys are values[i], its values the negative."""
    keys = torch.tensor(values, dtype=torch.float32)[None, :, None].repeat(1, 1, 2)  # (1, tokens, 2)
    return [(keys, -keys), (keys + 0.5, -keys - 0.5)]


def held(cache: PrefixCache, tokens: Sequence[int]) -> list[float]:
    """The first layer's keys of the longest prefix of `tokens` that is held."""
    gathered = cache.gather(cache.match(tokens))
    return [float(x) for x in gathered[0][0][0, :, 0]] if gathered else []


def test_match_finds_the_longest_prefix_of_another_prompt() -> None:
    cache = PrefixCache(100)
    cache.insert([1, 2, 3], [0, 1, 2], source([10, 20, 30]))
    assert held(cache, [1, 2, 9]) == [10, 20]
    assert held(cache, [2, 3]) == []


def test_insert_leaves_what_is_held_and_adds_the_rest() -> None:
    cache = PrefixCache(100)
    cache.insert([1, 2], [0, 1], source([10, 20]))
    cache.insert([1, 2, 3], [-1, -1, 0], source([30]))
    assert held(cache, [1, 2, 3]) == [10, 20, 30]


def test_gather_copies() -> None:
    cache = PrefixCache(100)
    cache.insert([1], [0], source([10]))
    cache.gather(cache.match([1]))[0][0].zero_()
    assert held(cache, [1]) == [10]


def test_least_recently_used_leaves_go_first() -> None:
    cache = PrefixCache(4)
    cache.insert([1, 2], [0, 1], source([10, 20]))
    cache.insert([3, 4], [0, 1], source([30, 40]))
    cache.match([1, 2])
    cache.insert([5], [0], source([50]))
    assert len(cache) == 4
    assert held(cache, [3, 4]) == [30]
    assert held(cache, [1, 2]) == [10, 20]
    assert held(cache, [5]) == [50]


def test_what_does_not_fit_is_left_out() -> None:
    cache = PrefixCache(2)
    cache.insert([1, 2, 3], [0, 1, 2], source([10, 20, 30]))
    assert held(cache, [1, 2, 3]) == [10, 20]
    nothing = PrefixCache(0)
    nothing.insert([1], [0], source([10]))
    assert held(nothing, [1]) == []


def test_pool_grows_and_keeps_what_it_held() -> None:
    cache = PrefixCache(5000)
    many = list(range(3000))
    cache.insert(many[:1000], many[:1000], source(many))
    cache.insert(many, [-1] * 1000 + many[1000:], source(many))
    assert held(cache, many) == many


def test_clear_forgets() -> None:
    cache = PrefixCache(10)
    cache.insert([1], [0], source([10]))
    cache.clear()
    assert len(cache) == 0
    assert held(cache, [1]) == []


def test_capacity_must_not_be_negative() -> None:
    with pytest.raises(ValueError, match="-1"):
        PrefixCache(-1)
