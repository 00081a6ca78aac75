"""Values that are computed once."""

from __future__ import annotations

import asyncio

import pytest

from idiolect.application.computed_once import ComputedOnce


async def test_concurrent_callers_wait_for_the_first() -> None:
    values, computed, free = ComputedOnce(), list[str](), asyncio.Event()

    async def compute() -> str:
        computed.append("once")
        await free.wait()
        return "value"

    waiting = [asyncio.ensure_future(values.get("key", compute)) for _ in range(3)]
    await asyncio.sleep(0)
    free.set()
    assert await asyncio.gather(*waiting) == ["value"] * 3
    assert computed == ["once"]


async def test_after_a_failure_the_next_caller_computes_anew() -> None:
    values, results = ComputedOnce(), iter([ValueError("no"), "value"])

    async def compute() -> str:
        if isinstance(result := next(results), Exception):
            raise result
        return result

    with pytest.raises(ValueError, match="no"):
        await values.get("key", compute)
    assert await values.get("key", compute) == "value"
    assert await values.get("other", _none) is None
    assert await values.get("other", compute) is None, "None is a value"  # type: ignore[func-returns-value]


async def _none() -> None:
    return None
