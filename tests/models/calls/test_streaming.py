"""Streamed calls: kept and paid as completions are; what a stream costs that is left or breaks off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from decimal import Decimal
from pathlib import Path

import pytest

from idiolect.errors import BudgetExceededError, HaltedError, ModelError
from idiolect.models.calls.budget import Budget, Limits
from idiolect.models.calls.cache import CallCache
from idiolect.models.calls.model import CalledModel, Calls, Source
from idiolect.models.calls.prices import Price
from idiolect.models.calls.turns import Turns
from idiolect.models.language_model import (
    ChoiceLogProbs,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Message,
    SamplingParams,
    Streamed,
    StreamingModel,
    Usage,
)
from idiolect.models.remote.attempts import failed_try

USAGE = Usage(calls=1, prompt_tokens=5, completion_tokens=3, computed_tokens=5)
PRICE = Price(Decimal(1_000_000), Decimal(2_000_000))  # dollars for a million tokens
WORDS = ["Tea, ", "", "I think."]


def ask(text: str = "Tea?") -> CompletionRequest:
    return CompletionRequest((Message("user", text),), SamplingParams(max_tokens=8))


class Streaming:
    """Streams `WORDS`; after the first one, "hold" waits for `go`, and "fail" fails."""

    name = "streaming"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go, self.left = asyncio.Event(), 0

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Streamed, None]:
        text = request.messages[-1].content
        self.asked.append(text)
        try:
            if "refuse" in text:
                raise ModelError("refused")
            for number, word in enumerate(WORDS):
                yield word
                if "hold" in text and number == 1:
                    await self.go.wait()
                if "fail" in text and number == 1:
                    failed_try(True)
                    raise ModelError("broke off")
                await asyncio.sleep(0)
            yield Completion("".join(WORDS), "stop", USAGE)
        except (asyncio.CancelledError, GeneratorExit):
            self.left += 1
            raise

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        self.asked += [request.messages[-1].content for request in requests]
        return [Completion("".join(WORDS), "stop", USAGE) for _ in requests]

    async def choice_logprobs(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceLogProbs]:
        raise ModelError(f"{len(requests)} choices were to be scored")


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[CallCache]:
    with CallCache.open(tmp_path / "calls.db") as opened:
        yield opened


def calls_of(cache: CallCache | None, run: Limits | None = None, *, concurrency: int = 8) -> Calls:
    return Calls(Budget(run=run or Limits()), Turns(concurrency), cache)


def called(calls: Calls, model: Streaming, *, remote: bool = True, price: Price | None = PRICE) -> CalledModel:
    return calls.model(Source(model, "streaming", price=price, remote=remote), owner="ann")


async def all_of(stream: AsyncGenerator[Streamed, None]) -> list[Streamed]:
    async with asyncio.timeout(10), aclosing(stream) as items:
        return [item async for item in items]


@pytest.mark.parametrize("remote", [True, False])
async def test_a_stream_is_paid_once_and_kept_for_streams_and_completions(cache: CallCache, remote: bool) -> None:
    calls, model = calls_of(cache), Streaming()
    user = called(calls, model, remote=remote)
    assert isinstance(user, StreamingModel)
    completion = Completion("Tea, I think.", "stop", USAGE)
    assert await all_of(user.stream(ask())) == [*WORDS, completion]
    assert await all_of(user.stream(ask())) == ["Tea, I think.", completion]
    assert await user.complete([ask()]) == [completion]
    assert model.asked == ["Tea?"]
    spent = calls.budget.spent("ann")
    assert (spent.calls, spent.prompt_tokens, spent.completion_tokens, spent.money) == (1, 5, 3, Decimal(11))
    assert (calls.counts.made, calls.counts.found, calls.counts.failed, calls.counts.dropped) == (1, 2, 0, 0)
    assert calls.turns.in_flight == 0


async def test_what_a_completion_has_kept_is_streamed(cache: CallCache) -> None:
    calls, model = calls_of(cache), Streaming()
    user = called(calls, model)
    (completion,) = await user.complete([ask()])
    assert await all_of(user.stream(ask())) == ["Tea, I think.", completion]
    assert model.asked == ["Tea?"]


async def test_a_stream_that_is_left_costs_what_was_used_and_is_not_kept(cache: CallCache) -> None:
    calls, model = calls_of(cache), Streaming()
    user = called(calls, model)
    async with aclosing(user.stream(ask("hold"))) as items:
        assert [await anext(items), await anext(items)] == ["Tea, ", ""]
        assert calls.turns.in_flight == 1
    assert (model.left, calls.turns.in_flight, calls.counts.dropped, calls.counts.made) == (1, 0, 1, 0)
    spent = calls.budget.spent("ann")
    assert (spent.calls, spent.completion_tokens) == (1, 2)
    assert spent.prompt_tokens > 0
    assert spent.money == Decimal(spent.prompt_tokens) + 4
    assert cache.uncertain() == []
    model.go.set()
    await all_of(user.stream(ask("hold")))
    assert model.asked == ["hold", "hold"]


async def test_a_stream_that_breaks_off_gives_its_pieces_and_costs_its_try_and_its_words(cache: CallCache) -> None:
    calls, model = calls_of(cache), Streaming()
    items = called(calls, model).stream(ask("fail"))
    assert [await anext(items), await anext(items)] == ["Tea, ", ""]
    with pytest.raises(ModelError, match="broke off"):
        await anext(items)
    spent = calls.budget.spent("ann")
    assert (spent.calls, spent.completion_tokens) == (1, 2)
    assert spent.prompt_tokens > 0
    assert (calls.counts.failed, calls.counts.failed_tries, calls.counts.made) == (1, 1, 0)
    with pytest.raises(ModelError):
        await all_of(called(calls, model).stream(ask("fail")))
    assert model.asked == ["fail", "fail"]


async def test_a_refused_stream_costs_a_call_and_nothing_else() -> None:
    calls = calls_of(None)
    with pytest.raises(ModelError, match="refused"):
        await all_of(called(calls, Streaming()).stream(ask("refuse")))
    spent = calls.budget.spent("ann")
    assert (spent.calls, spent.tokens, spent.money, calls.counts.failed) == (1, 0, Decimal(0), 1)


async def test_two_who_want_the_same_stream_pay_once(cache: CallCache) -> None:
    calls, model = calls_of(cache), Streaming()
    first = asyncio.ensure_future(all_of(called(calls, model).stream(ask("hold"))))
    second = asyncio.ensure_future(called(calls, model).complete([ask("hold")]))
    await asyncio.sleep(0.05)
    model.go.set()
    assert (await first)[-1] == (await second)[0]
    assert model.asked == ["hold"]
    assert (calls.counts.made, calls.counts.found) == (1, 1)


async def test_limits_and_halts_hold_for_streams(cache: CallCache) -> None:
    calls, model = calls_of(cache, Limits(calls=1)), Streaming()
    user = called(calls, model)
    await all_of(user.stream(ask("one")))
    with pytest.raises(BudgetExceededError):
        await all_of(user.stream(ask("two")))
    await all_of(user.stream(ask("one")))  # kept
    halted = calls_of(cache)
    halted.budget.halt("enough")
    with pytest.raises(HaltedError, match="enough"):
        await all_of(called(halted, model).stream(ask("three")))
    assert model.asked == ["one"]


async def test_a_stream_waits_for_its_turn() -> None:
    calls, model = calls_of(None, concurrency=1), Streaming()
    user = called(calls, model)
    async with aclosing(user.stream(ask("hold"))) as held:
        await anext(held)
        waiting = asyncio.ensure_future(all_of(user.stream(ask("next"))))
        await asyncio.sleep(0.02)
        assert model.asked == ["hold"]
    await waiting
    assert model.asked == ["hold", "next"]


async def test_an_unknown_price_stays_unknown_after_a_stream_that_is_left() -> None:
    calls, model = calls_of(None), Streaming()
    async with aclosing(called(calls, model, price=None).stream(ask("hold"))) as items:
        await anext(items)
    assert calls.budget.spent("ann").money is None
