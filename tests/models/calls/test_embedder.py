from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from idiolect.errors import BudgetExceededError, ModelError
from idiolect.models.calls.budget import Budget, Cost, Limits
from idiolect.models.calls.cache import CallCache
from idiolect.models.calls.embedder import _TEXTS, CalledEmbedder
from idiolect.models.calls.model import Calls
from idiolect.models.calls.prices import Price
from idiolect.models.calls.turns import Turns
from idiolect.models.remote.embedding import TEXTS_A_REQUEST, RemoteEmbedder
from idiolect.models.remote.endpoint import parse_endpoint
from idiolect.models.remote.transport import RemoteSettings
from idiolect.models.similarity import FloatArray
from tests.api_server import ApiServer, vectors_payload


class Letters:
    """Embeds a text as the counts of three letters; remembers what it was asked."""

    name = "letters"

    def __init__(self, *, fails: bool = False) -> None:
        self.asked: list[list[str]] = []
        self.fails, self.answered = fails, False

    async def embed(self, texts: Sequence[str]) -> FloatArray:
        self.asked.append(list(texts))
        await asyncio.sleep(0.001)
        self.answered = True
        if self.fails:
            raise ModelError("no embeddings today")
        rows = np.array([[text.count(letter) + 0.5 for letter in "abc"] for text in texts], dtype=np.float32)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[CallCache]:
    with CallCache.open(tmp_path / "calls.db") as opened:
        yield opened


def calls(cache: CallCache | None, limits: Limits = Limits()) -> Calls:
    return Calls(Budget(run=limits), Turns(2), cache)


def called(by: Calls, embedder: Letters, owner: str = "ann", price: Price | None = None) -> CalledEmbedder:
    return CalledEmbedder(by, embedder, known_as="http://x/v1#letters", price=price, owner=owner)


async def test_every_text_is_asked_once_and_comes_back_exactly(cache: CallCache) -> None:
    embedder, run = Letters(), calls(cache)
    mine = called(run, embedder)
    first = await mine.embed(["aab", "c", "aab"])
    again = await mine.embed(["c", "abc", "aab"])
    assert embedder.asked == [["aab", "c"], ["abc"]]
    expected = await Letters().embed(["aab", "c", "aab", "abc"])
    assert np.array_equal(first, expected[:3])
    assert np.array_equal(again, expected[[1, 3, 0]])
    assert first.dtype == np.float32
    assert run.budget.spent().calls == 2


async def test_another_run_and_another_user_find_what_is_kept(cache: CallCache) -> None:
    await called(calls(cache), Letters()).embed(["a", "b"])
    embedder, run = Letters(), calls(cache)
    await called(run, embedder, "bob").embed(["b", "a"])
    assert embedder.asked == []
    assert run.budget.spent().calls == 0
    assert len(list(cache.calls_of("bob"))) == len(list(cache.calls_of("ann"))) == 2


async def test_the_same_texts_asked_at_once_are_asked_once(cache: CallCache) -> None:
    embedder, run = Letters(), calls(cache)
    one, two = called(run, embedder, "ann"), called(run, embedder, "bob")
    rows = await asyncio.gather(one.embed(["a", "b"]), two.embed(["b", "a", "c"]))
    assert sorted(text for asked in embedder.asked for text in asked) == ["a", "b", "c"]
    assert np.array_equal(rows[0], rows[1][[1, 0]])


async def test_a_failure_counts_as_a_call_and_leaves_no_claim(cache: CallCache) -> None:
    embedder, run = Letters(fails=True), calls(cache)
    with pytest.raises(ModelError, match="today"):
        await called(run, embedder).embed(["a"])
    assert (run.budget.spent().calls, run.counts.failed) == (1, 1)
    embedder.fails = False
    await asyncio.wait_for(called(run, embedder).embed(["a"]), 2)


async def test_a_budget_that_is_spent_asks_nothing(cache: CallCache) -> None:
    embedder, run = Letters(), calls(cache, Limits(calls=1))
    await called(run, embedder).embed(["a"])
    with pytest.raises(BudgetExceededError):
        await called(run, embedder).embed(["b"])
    assert embedder.asked == [["a"]]
    assert (await called(run, embedder).embed(["a"])).shape == (1, 3)


async def test_tokens_are_estimated_and_priced() -> None:
    run = calls(None)
    price = Price(Decimal(1_000_000), Decimal(0))
    await called(run, Letters(), price=price).embed(["abcdefgh", "é"])
    assert run.budget.spent().prompt_tokens == 3 + 1
    assert run.budget.spent().money == 4


async def test_no_texts_are_no_call(cache: CallCache) -> None:
    embedder = Letters()
    assert (await called(calls(cache), embedder).embed([])).shape == (0, 0)
    assert embedder.asked == []


@pytest.mark.parametrize("steps", range(8))
async def test_cancelled_at_any_step_no_vector_that_came_is_asked_for_again(cache: CallCache, steps: int) -> None:
    embedder, run = Letters(), calls(cache)
    task = asyncio.ensure_future(called(run, embedder).embed(["a", "b"]))
    while not embedder.answered:
        await asyncio.sleep(0)
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    dropped = run.counts.dropped
    async with asyncio.timeout(5):
        await called(run, embedder).embed(["b", "a"])
    assert len(embedder.asked) == 1 + dropped
    assert dropped <= (steps == 0)


async def test_given_up_claims_end_in_one_transaction(cache: CallCache) -> None:
    statements: list[str] = []
    embedder, run = Letters(fails=True), calls(cache)
    cache._database.set_trace_callback(statements.append)
    with pytest.raises(ModelError):
        await called(run, embedder).embed(["a", "b", "c"])
    cache._database.set_trace_callback(None)
    assert sum(each.startswith("BEGIN") for each in statements) == 2
    assert sum(each.startswith("DELETE") for each in statements) == 3


@asynccontextmanager
async def remote(server: ApiServer) -> AsyncIterator[RemoteEmbedder]:
    endpoint = parse_endpoint(f"{server.url}#e")
    assert endpoint is not None
    async with RemoteEmbedder(endpoint, settings=RemoteSettings(timeout=5, wait_initial=0.001)) as embedder:
        yield embedder


def called_remote(by: Calls, embedder: RemoteEmbedder, owner: str = "ann") -> CalledEmbedder:
    dollar_a_token = Price(Decimal(1_000_000), Decimal(0))
    return CalledEmbedder(by, embedder, known_as="e", price=dollar_a_token, owner=owner)


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 7, "total_tokens": 9}, 7),
        ({"total_tokens": 9}, 9),
        ({"prompt_tokens": 0, "total_tokens": 0}, 2 + 1),
        ({"prompt_tokens": -1}, 2 + 1),
        ({"prompt_tokens": 10**18}, 2 + 1),
        ("none", 2 + 1),
    ],
)
async def test_what_the_server_counts_is_settled_where_it_can_be_believed(usage: Any, tokens: int) -> None:
    run = calls(None)
    with ApiServer(embeddings=lambda body, _: {**vectors_payload(body), "usage": usage}) as server:
        async with remote(server) as embedder:
            await called_remote(run, embedder).embed(["abcdefgh", "é"])
    spent = run.budget.spent()
    assert spent == Cost(1, tokens, 0, Decimal(tokens))


async def test_what_the_embedder_remembers_is_no_call(cache: CallCache) -> None:
    run = calls(cache)
    with ApiServer() as server:
        async with remote(server) as embedder:
            await embedder.embed(["a", "b"])
            await called_remote(run, embedder).embed(["b", "a"])
            assert run.budget.spent() == Cost()
            assert run.counts.made == 0
            await called_remote(run, embedder).embed(["a", "c"])
            assert (run.budget.spent().calls, run.counts.made, len(server.requests)) == (1, 1, 2)


async def test_every_request_for_many_texts_is_a_call_and_kept(cache: CallCache) -> None:
    run, texts = calls(cache, Limits(calls=2)), [f"{n}" for n in range(300)]
    with ApiServer() as server:
        async with remote(server) as embedder:
            with pytest.raises(BudgetExceededError):
                await called_remote(run, embedder).embed(texts)
        assert run.budget.spent().calls == len(server.requests) == 2
    assert len(list(cache.calls_of("ann"))) == sum(len(received.body["input"]) for received in server.requests)
    assert _TEXTS <= TEXTS_A_REQUEST
