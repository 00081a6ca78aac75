"""`CalledModel`: no answer is paid for twice, none that was paid for is lost, nothing is asked beyond the budget."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from idiolect.errors import BudgetExceededError, CacheError, HaltedError, ModelError
from idiolect.models.calls.budget import Budget, Cost, Limits
from idiolect.models.calls.cache import CallCache
from idiolect.models.calls.cache.keys import call_key
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
    Usage,
)

DOLLAR_A_TOKEN = Price(Decimal(1_000_000), Decimal(2_000_000))
USAGE = Usage(calls=1, prompt_tokens=5, completion_tokens=3, computed_tokens=5)


def ask(text: str) -> CompletionRequest:
    return CompletionRequest((Message("user", text),), SamplingParams(max_tokens=4))


def choose(text: str) -> ChoiceRequest:
    return ChoiceRequest((Message("user", text),), ("yes", "no"))


def text_of(request: CompletionRequest | ChoiceRequest) -> str:
    return request.messages[-1].content


class Model:
    """Echoes; fails for texts with "fail"; texts with "hold" wait until `go` is set. `asked` holds every batch."""

    name = "echo"

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.go, self.called = asyncio.Event(), asyncio.Event()
        self.in_flight = self.peak = 0

    @property
    def texts(self) -> list[str]:
        """Every text that was asked, in order."""
        return [text for batch in self.asked for text in batch]

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        await self._answer([text_of(each) for each in requests])
        return [Completion(f"echo {text_of(each)}", "stop", USAGE) for each in requests]

    async def choice_logprobs(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceLogProbs]:
        await self._answer([text_of(each) for each in requests])
        return [ChoiceLogProbs((-0.5, -float("inf")), (1, 1), USAGE) for _ in requests]

    async def _answer(self, texts: list[str]) -> None:
        self.asked.append(texts)
        self.called.set()
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            await asyncio.sleep(0)
            if any("hold" in text for text in texts):
                await self.go.wait()
            if any("fail" in text for text in texts):
                raise ModelError("no answer came")
        finally:
            self.in_flight -= 1


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[CallCache]:
    with CallCache.open(tmp_path / "calls.db") as opened:
        yield opened


def calls_of(
    cache: CallCache | None, *, run: Limits = Limits(), user: Limits = Limits(), concurrency: int = 8
) -> Calls:
    return Calls(Budget(run=run, user=user), Turns(concurrency), cache)


def remote(model: Model, *, price: Price | None = None, name: str = "echo") -> Source:
    return Source(model, name, price=price, remote=True)


def called(calls: Calls, model: Model, owner: str = "ann", *, price: Price | None = None) -> CalledModel:
    return calls.model(remote(model, price=price), owner=owner)


def local(calls: Calls, model: Model, owner: str = "ann") -> CalledModel:
    return calls.model(Source(model, "echo", "weights"), owner=owner)


def key_of(text: str) -> str:
    return call_key("complete", model="echo", fingerprint="", request=ask(text))


async def soon(task: asyncio.Future[list[Completion]]) -> list[Completion]:
    """The result, or a failed test instead of one that hangs."""
    async with asyncio.timeout(10):
        return await task


def replies(*texts: str) -> list[Completion]:
    return [Completion(f"echo {text}", "stop", USAGE) for text in texts]


@pytest.mark.parametrize("source", [called, local])
async def test_what_was_answered_is_not_asked_again(
    cache: CallCache, source: Callable[[Calls, Model], CalledModel]
) -> None:
    model, first = Model(), calls_of(cache)
    assert await source(first, model).complete([ask("a"), ask("b")]) == replies("a", "b")
    again = calls_of(cache, run=Limits(calls=1, tokens=1))
    assert await source(again, model).complete([ask("b"), ask("a"), ask("b")]) == replies("b", "a", "b")
    assert sorted(model.texts) == ["a", "b"]
    assert again.budget.spent().calls == 0
    assert (again.counts.made, again.counts.found) == (0, 2)


async def test_scored_choices_are_kept_exactly(cache: CallCache) -> None:
    model = Model()
    first = await called(calls_of(cache), model).choice_logprobs([choose("a")])
    assert first[0].logprobs == (-0.5, -float("inf"))
    assert await called(calls_of(cache), model).choice_logprobs([choose("a")]) == first
    assert model.texts == ["a"]


async def test_choices_and_texts_of_the_same_messages_are_different_calls(cache: CallCache) -> None:
    model = Model()
    both = called(calls_of(cache), model)
    await both.complete([ask("a")])
    await both.choice_logprobs([choose("a")])
    assert model.texts == ["a", "a"]


@pytest.mark.parametrize("source", [called, local])
async def test_the_same_request_twice_is_one_call(
    cache: CallCache, source: Callable[[Calls, Model], CalledModel]
) -> None:
    model, calls = Model(), calls_of(cache)
    assert await source(calls, model).complete([ask("a"), ask("b"), ask("a")]) == replies("a", "b", "a")
    assert sorted(model.texts) == ["a", "b"]
    assert calls.budget.spent().calls == calls.counts.made == 2


async def test_without_a_cache_the_same_request_twice_is_two_calls() -> None:
    model, calls = Model(), calls_of(None)
    assert await called(calls, model).complete([ask("a"), ask("a")]) == replies("a", "a")
    await called(calls, model).complete([ask("a")])
    assert model.texts == ["a", "a", "a"]
    assert calls.budget.spent().calls == 3


async def test_a_source_that_is_not_cached_is_not_kept(cache: CallCache) -> None:
    model, calls = Model(), calls_of(cache)
    uncached = calls.model(Source(model, "echo", cached=False), owner="ann")
    await uncached.complete([ask("a")])
    await uncached.complete([ask("a")])
    assert model.asked == [["a"], ["a"]]
    assert list(cache.calls_of("ann")) == []


async def test_nothing_to_ask_calls_nobody(cache: CallCache) -> None:
    model, calls = Model(), calls_of(cache)
    for source in (called(calls, model), local(calls, model)):
        assert await source.complete([]) == []
    assert model.asked == []


async def test_another_server_is_another_call(cache: CallCache) -> None:
    model, calls = Model(), calls_of(cache)
    for fingerprint in ("http://a/v1", "http://b/v1"):
        await calls.model(Source(model, "openai:m", fingerprint, remote=True), owner="ann").complete([ask("a")])
    assert model.texts == ["a", "a"]


async def test_two_owners_share_an_entry(cache: CallCache) -> None:
    model, calls = Model(), calls_of(cache)
    await called(calls, model, "ann").complete([ask("a")])
    await called(calls, model, "bob").complete([ask("a")])
    assert model.texts == ["a"]
    assert [each.shared for each in cache.calls_of("bob")] == [True]
    assert calls.budget.spent("bob").calls == 0
    cache.forget("ann")
    await called(calls, model, "bob").complete([ask("a")])
    assert model.texts == ["a"]


async def test_two_who_ask_the_same_at_the_same_time_make_one_call(cache: CallCache) -> None:
    model, calls = Model(), calls_of(cache)
    tasks = [asyncio.ensure_future(called(calls, model, owner).complete([ask("hold")])) for owner in ("ann", "bob")]
    await model.called.wait()
    await asyncio.sleep(0.02)
    model.go.set()
    assert [await soon(task) for task in tasks] == [replies("hold")] * 2
    assert model.texts == ["hold"]
    assert (calls.counts.made, calls.counts.found, calls.budget.spent().calls) == (1, 1, 1)


async def test_who_waited_for_a_call_that_failed_makes_it(cache: CallCache) -> None:
    model, calls = Model(), calls_of(cache)
    tasks = [
        asyncio.ensure_future(called(calls, model, owner).complete([ask("hold, fail")])) for owner in ("ann", "bob")
    ]
    model.go.set()
    for task in tasks:
        with pytest.raises(ModelError):
            await soon(task)
    assert len(model.texts) == calls.counts.failed == 2


async def test_a_failing_neighbour_cancels_nobody_and_the_others_are_kept(cache: CallCache) -> None:
    model, calls = Model(), calls_of(cache)
    task = asyncio.ensure_future(called(calls, model).complete([ask("fail"), ask("hold"), ask("b")]))
    await asyncio.sleep(0.02)
    assert not task.done(), "a call in flight was not waited for"
    model.go.set()
    with pytest.raises(ModelError, match="no answer came"):
        await soon(task)
    assert await called(calls_of(cache), model).complete([ask("hold"), ask("b")]) == replies("hold", "b")
    assert sorted(model.texts) == ["b", "fail", "hold"]
    assert (calls.counts.made, calls.counts.failed) == (2, 1)


@pytest.mark.parametrize("texts", [("hold, fail", "a", "b"), ("a", "hold, fail", "b")])
async def test_a_failure_of_the_model_comes_before_the_halt(cache: CallCache, texts: tuple[str, ...]) -> None:
    """Wherever it stands among the requests, and though the refusal comes first in time."""
    model, calls = Model(), calls_of(cache, run=Limits(calls=texts.index("hold, fail") + 1))
    task = asyncio.ensure_future(called(calls, model).complete([ask(text) for text in texts]))
    await asyncio.sleep(0.02)
    model.go.set()
    with pytest.raises(ModelError, match="no answer came"):
        await soon(task)
    assert "b" not in model.texts


@pytest.mark.parametrize("source", [called, local])
async def test_a_call_beyond_the_budget_is_not_made(
    cache: CallCache, source: Callable[[Calls, Model], CalledModel]
) -> None:
    model, calls = Model(), calls_of(cache, run=Limits(calls=1))
    await source(calls, model).complete([ask("a")])
    with pytest.raises(BudgetExceededError, match="the budget of 1 calls is spent"):
        await source(calls, model).complete([ask("a"), ask("b")])
    assert model.texts == ["a"]
    assert not cache.in_flight


async def test_of_many_calls_as_many_are_made_and_kept_as_fit_the_budget(cache: CallCache) -> None:
    model, calls = Model(), calls_of(cache, run=Limits(calls=3))
    with pytest.raises(BudgetExceededError):
        await called(calls, model).complete([ask(str(n)) for n in range(8)])
    assert len(model.texts) == calls.counts.made == calls.budget.spent().calls == 3
    assert len(list(cache.calls_of("ann"))) == 3


async def test_a_users_limit_stops_this_user_alone(cache: CallCache) -> None:
    model, calls = Model(), calls_of(cache, user=Limits(calls=1))
    await called(calls, model, "ann").complete([ask("a")])
    with pytest.raises(BudgetExceededError) as caught:
        await called(calls, model, "ann").complete([ask("b")])
    assert caught.value.owner == "ann"
    assert calls.budget.exceeded is None
    assert await called(calls, model, "bob").complete([ask("b")]) == replies("b")


async def test_a_halt_lets_finish_what_is_in_flight_and_keeps_it(cache: CallCache) -> None:
    model, calls = Model(), calls_of(cache, concurrency=1)
    task = asyncio.ensure_future(called(calls, model).complete([ask("hold"), ask("b")]))
    await model.called.wait()
    calls.budget.halt("stopped by hand")
    model.go.set()
    with pytest.raises(HaltedError, match="stopped by hand"):
        await soon(task)
    assert await called(calls_of(cache), model).complete([ask("hold")]) == replies("hold")
    assert model.texts == ["hold"]


@pytest.mark.parametrize("source", [called, local])
async def test_a_call_that_failed_counts_and_can_be_made_again(
    cache: CallCache, source: Callable[[Calls, Model], CalledModel]
) -> None:
    model, calls = Model(), calls_of(cache, run=Limits(calls=2))
    for _ in range(2):
        with pytest.raises(ModelError):
            await source(calls, model).complete([ask("fail")])
    assert (calls.budget.spent().calls, calls.counts.failed, calls.counts.made) == (2, 2, 0)
    with pytest.raises(BudgetExceededError):
        await source(calls, model).complete([ask("fail")])


@pytest.mark.parametrize("source", [called, local])
async def test_a_call_cancelled_in_flight_is_dropped_and_leaves_no_claim(
    cache: CallCache, source: Callable[[Calls, Model], CalledModel]
) -> None:
    model, calls = Model(), calls_of(cache)
    task = asyncio.ensure_future(source(calls, model).complete([ask("hold"), ask("hold on")]))
    while len(model.texts) < 2:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon(task)
    assert (calls.counts.dropped, calls.counts.made, calls.turns.in_flight, calls.turns.waiting) == (2, 0, 0, 0)
    model.go.set()
    async with asyncio.timeout(5):
        assert await source(calls, model).complete([ask("hold")]) == replies("hold")
    assert cache.uncertain() == []


async def test_who_waited_for_a_cancelled_call_makes_it(cache: CallCache) -> None:
    model, calls = Model(), calls_of(cache)
    first = asyncio.ensure_future(called(calls, model, "ann").complete([ask("hold")]))
    await model.called.wait()
    second = asyncio.ensure_future(called(calls, model, "bob").complete([ask("hold")]))
    await asyncio.sleep(0.02)
    first.cancel()
    model.go.set()
    assert await soon(second) == replies("hold")
    assert model.texts == ["hold", "hold"]
    assert (calls.counts.dropped, calls.counts.made) == (1, 1)


async def test_who_is_cancelled_while_waiting_for_anothers_call_leaves_it_alone(cache: CallCache) -> None:
    model, calls = Model(), calls_of(cache)
    first = asyncio.ensure_future(called(calls, model, "ann").complete([ask("hold")]))
    await model.called.wait()
    second = asyncio.ensure_future(called(calls, model, "bob").complete([ask("hold")]))
    await asyncio.sleep(0.02)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon(second)
    model.go.set()
    assert await soon(first) == replies("hold")
    assert (calls.counts.dropped, model.texts) == (0, ["hold"])
    assert calls.turns.in_flight == 0


async def test_turns_bound_the_calls_in_flight(cache: CallCache) -> None:
    model, calls = Model(), calls_of(cache, concurrency=3)
    people = [called(calls, model, f"u{n}") for n in range(4)]
    await asyncio.gather(*(each.complete([ask(f"{n} {i}") for i in range(10)]) for n, each in enumerate(people)))
    assert model.peak == 3
    assert len(model.texts) == 40


async def test_a_user_with_few_calls_does_not_wait_behind_one_with_many(cache: CallCache) -> None:
    model, calls = Model(), calls_of(cache, concurrency=2)
    many = asyncio.ensure_future(called(calls, model, "ann").complete([ask(f"ann {n}") for n in range(100)]))
    await model.called.wait()
    await called(calls, model, "bob").complete([ask("bob")])
    assert model.texts.index("bob") < 10
    assert not many.done()
    await many


async def test_a_local_model_is_asked_for_all_that_is_missing_at_once_and_in_order(cache: CallCache) -> None:
    model, calls = Model(), calls_of(cache, concurrency=1)
    mine = local(calls, model)
    async with asyncio.timeout(5), calls.turns.take("bob"):  # it needs no turn
        await mine.complete([ask("c")])
        await mine.complete([ask(text) for text in "edcbae"])
    assert model.asked == [["c"], ["e", "d", "b", "a"]]


async def test_a_local_batch_is_asked_only_what_nobody_else_asks_meanwhile(cache: CallCache) -> None:
    model, calls = Model(), calls_of(cache)
    first = asyncio.ensure_future(local(calls, model, "ann").complete([ask("hold"), ask("b")]))
    await model.called.wait()
    second = asyncio.ensure_future(local(calls, model, "bob").complete([ask("c"), ask("b"), ask("a")]))
    await asyncio.sleep(0.02)
    model.go.set()
    assert await soon(first) == replies("hold", "b")
    assert await soon(second) == replies("c", "b", "a")
    assert model.asked == [["hold", "b"], ["c", "a"]]
    assert (calls.counts.made, calls.counts.found) == (4, 1)


@pytest.mark.parametrize("source", [called, local])
async def test_overlapping_batches_in_opposite_orders_end(
    cache: CallCache, source: Callable[[Calls, Model, str], CalledModel]
) -> None:
    model, calls = Model(), calls_of(cache)
    texts = [str(n) for n in range(20)]
    rotated = [texts[n:] + texts[:n] for n in range(0, 20, 3)]
    orders = [*rotated, *([*reversed(each)] for each in rotated)]
    tasks = [
        asyncio.ensure_future(source(calls, model, f"u{n}").complete([ask(text) for text in order[: 12 + n % 9]]))
        for n, order in enumerate(orders)
    ]
    async with asyncio.timeout(20):
        await asyncio.gather(*tasks)
    assert sorted(model.texts, key=int) == texts


async def test_cost_follows_the_usage_and_the_price(cache: CallCache) -> None:
    model, calls = Model(), calls_of(cache)
    await called(calls, model, price=DOLLAR_A_TOKEN).complete([ask("a"), ask("b")])
    spent = calls.budget.spent("ann")
    assert (spent.calls, spent.prompt_tokens, spent.completion_tokens) == (2, 10, 6)
    assert spent.money == 2 * (5 + 3 * 2)


async def test_without_a_price_the_money_is_not_known(cache: CallCache) -> None:
    model, calls = Model(), calls_of(cache)
    await called(calls, model).complete([ask("a")])
    assert calls.budget.spent().money is None
    assert calls.budget.spent().tokens == 8


async def test_one_of_two_models_without_a_price_makes_the_sum_unknown(cache: CallCache) -> None:
    model, calls = Model(), calls_of(cache)
    await calls.model(remote(model, price=DOLLAR_A_TOKEN, name="priced"), owner="ann").complete([ask("a")])
    assert calls.budget.spent().money == 11
    await calls.model(remote(model, name="unpriced"), owner="ann").complete([ask("a")])
    assert calls.budget.spent().money is None


async def test_a_limit_of_money_holds(cache: CallCache) -> None:
    model, calls = Model(), calls_of(cache, run=Limits(money=Decimal(40)))
    with pytest.raises(BudgetExceededError, match=r"\$40"):
        await called(calls, model, price=DOLLAR_A_TOKEN).complete([ask(str(n)) for n in range(50)])
    spent = calls.budget.spent().money
    assert spent is not None
    assert 11 <= spent <= 40
    assert spent == 11 * len(model.texts)


async def test_a_result_that_cannot_be_kept_is_an_error_and_stops_nobody_else(
    cache: CallCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, calls, keep = Model(), calls_of(cache), cache.keep

    async def kept(results: Mapping[str, Mapping[str, object]]) -> None:
        if key_of("full") in results:
            raise CacheError("the disk is full")
        await keep(results)

    with monkeypatch.context() as patch:
        patch.setattr(cache, "keep", kept)
        with pytest.raises(CacheError, match="the disk is full"):
            await called(calls, model).complete([ask("full"), ask("a")])
    assert calls.budget.spent().calls == 2, "what was paid for counts, kept or not"
    await called(calls, model).complete([ask("a")])
    assert sorted(model.texts) == ["a", "full"]


async def test_what_was_answered_is_kept_though_its_task_is_cancelled_then(
    cache: CallCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled between the answer and its commit: it is paid for, so it is there afterwards."""
    model, calls = Model(), calls_of(cache)
    answered, keep = asyncio.Event(), cache.keep

    async def kept(results: Mapping[str, Mapping[str, object]]) -> None:
        answered.set()
        await keep(results)

    monkeypatch.setattr(cache, "keep", kept)
    task = asyncio.ensure_future(called(calls, model).complete([ask("a"), ask("b")]))
    await answered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon(task)
    async with asyncio.timeout(5):
        assert await called(calls, model).complete([ask("a"), ask("b")]) == replies("a", "b")
    assert sorted(model.texts) == ["a", "b"]
    assert calls.counts.dropped == 0


async def test_a_broken_model_leaves_no_claim(cache: CallCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also an error that is none of ours."""
    model, calls = Model(), calls_of(cache)

    async def broken(requests: Sequence[CompletionRequest]) -> list[Completion]:
        raise ZeroDivisionError(len(requests))

    with monkeypatch.context() as patch:
        patch.setattr(model, "complete", broken)
        with pytest.raises(ZeroDivisionError):
            await called(calls, model).complete([ask("a"), ask("b")])
    assert not cache.holds("ann")
    assert not cache.in_flight
    assert calls.turns.in_flight == 0


async def test_the_name_is_the_models_own() -> None:
    assert calls_of(None).model(Source(Model(), "http://x/v1#echo"), owner="ann").name == "echo"


@pytest.mark.parametrize("steps", range(8))
async def test_cancelled_at_any_step_nothing_is_stuck_and_nothing_kept_is_asked_again(
    cache: CallCache, steps: int
) -> None:
    """Each step of the event loop after the model was called: it answers in the first, the commit comes soon after."""
    model, calls = Model(), calls_of(cache)
    task = asyncio.ensure_future(local(calls, model).complete([ask("a"), ask("b")]))
    await model.called.wait()
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await soon(task)
    dropped = calls.counts.dropped
    async with asyncio.timeout(5):
        assert await local(calls, model).complete([ask("b"), ask("a")]) == replies("b", "a")
    assert len(model.texts) == 2 + dropped
    assert dropped == (2 if len(model.asked) == 2 else 0)


@pytest.mark.parametrize("user", [False, True], ids=["of the run", "of a user"])
async def test_of_a_local_batch_as_many_are_asked_and_kept_as_fit_the_budget(cache: CallCache, user: bool) -> None:
    model, limits = Model(), Limits(calls=10)
    calls = calls_of(cache, user=limits) if user else calls_of(cache, run=limits)
    texts = [str(n) for n in range(20)]
    with pytest.raises(BudgetExceededError, match="the budget of 10 calls"):
        await local(calls, model).complete([ask(text) for text in texts])
    assert model.asked == [texts[:10]]
    assert calls.budget.spent().calls == 10
    await local(calls_of(cache, user=limits), model).complete([ask(text) for text in texts])
    assert model.asked == [texts[:10], texts[10:]]


async def test_a_local_batch_larger_than_a_limit_of_tokens_goes_on_as_long_as_there_are_some(cache: CallCache) -> None:
    model, calls = Model(), calls_of(cache, run=Limits(tokens=100))
    with pytest.raises(BudgetExceededError, match="tokens"):
        await local(calls, model).complete([ask(str(n)) for n in range(40)])
    assert calls.budget.spent().tokens <= 100
    assert len(model.asked[0]) > 1
    assert len(model.texts) >= 8


async def test_a_local_batch_waits_for_room_that_calls_in_flight_may_give_back(cache: CallCache) -> None:
    model, calls = Model(), calls_of(cache, run=Limits(calls=4))
    reservation = await calls.budget.reserve("bob", Cost(2))
    task = asyncio.ensure_future(local(calls, model).complete([ask(text) for text in "abcd"]))
    await asyncio.sleep(0.02)
    assert not task.done()
    reservation.release()
    assert await soon(task) == replies(*"abcd")
    assert model.texts == list("abcd")


async def test_who_waits_for_their_own_limit_holds_no_turn(cache: CallCache) -> None:
    model, calls = Model(), calls_of(cache, user=Limits(calls=1), concurrency=2)
    first = asyncio.ensure_future(called(calls, model, "ann").complete([ask("hold")]))
    await model.called.wait()
    second = asyncio.ensure_future(called(calls, model, "ann").complete([ask("a")]))
    await asyncio.sleep(0.02)
    async with asyncio.timeout(5):
        assert await called(calls, model, "bob").complete([ask("b")]) == replies("b")
    assert not second.done()
    calls.budget.halt("stopped by hand")
    with pytest.raises(HaltedError, match="stopped by hand"):
        await soon(second)
    model.go.set()
    assert await soon(first) == replies("hold")
    assert (calls.turns.in_flight, calls.turns.waiting) == (0, 0)


async def test_who_was_admitted_and_halted_before_their_turn_gives_the_room_back() -> None:
    model, calls = Model(), calls_of(None, run=Limits(calls=2), concurrency=1)
    room = await calls.budget.reserve("bob", Cost(2))
    task = asyncio.ensure_future(called(calls, model, "ann").complete([ask("a")]))
    await asyncio.sleep(0.02)
    async with asyncio.timeout(5), calls.turns.take("bob"):
        room.release()
        await asyncio.sleep(0.02)
        assert not task.done()
        calls.budget.halt("stopped by hand")
    with pytest.raises(HaltedError, match="stopped by hand"):
        await soon(task)
    assert model.texts == []
    assert calls.budget._run.reserved_calls == calls.turns.in_flight == 0


class Follower:
    """A `CallObserver` that writes down what it hears, and refuses texts with "no"."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []

    def requested(self, source: Source, requests: Sequence[CompletionRequest | ChoiceRequest]) -> None:
        texts = [text_of(each) for each in requests]
        if "no" in texts:
            raise ValueError("refused")
        self.heard.append(("requested", source.name, *texts))

    def answered(
        self, source: Source, requests: Sequence[CompletionRequest | ChoiceRequest], usages: Sequence[Usage]
    ) -> None:
        self.heard.append(("answered", source.name, *map(text_of, requests), *usages))

    def reached(self, source: Source, usages: Sequence[Usage]) -> None:
        self.heard.append(("reached", source.name, *usages))

    def stopped(self, error: HaltedError) -> None:
        self.heard.append(("stopped", str(error)))


async def test_an_observer_follows_every_request_and_hears_which_calls_reached_the_model(cache: CallCache) -> None:
    model, calls, follower = Model(), calls_of(cache), Follower()
    mine = calls.model(Source(model, "echo"), owner="ann", observer=follower)
    await mine.complete([ask("a"), ask("b")])
    await mine.choice_logprobs([choose("a")])
    await mine.complete([ask("a")])  # from the cache
    with pytest.raises(ValueError, match="refused"):
        await mine.complete([ask("no")])
    calls.budget.halt("stopped by hand")
    with pytest.raises(HaltedError):
        await mine.complete([ask("c")])
    assert follower.heard == [
        ("requested", "echo", "a", "b"),
        ("reached", "echo", USAGE, USAGE),
        ("answered", "echo", "a", "b", USAGE, USAGE),
        ("requested", "echo", "a"),
        ("reached", "echo", USAGE),
        ("answered", "echo", "a", USAGE),
        ("requested", "echo", "a"),
        ("answered", "echo", "a", USAGE),
        ("requested", "echo", "c"),
        ("stopped", "stopped by hand"),
    ]
    assert model.texts == ["a", "b", "a"]
