"""Called models against a server that fails: what is tried again, what that costs, and when nobody else tries."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from idiolect.errors import BudgetExceededError, HaltedError, ModelError, Remedy, UnusableModelError
from idiolect.models.calls.budget import Budget, Cost, Limits
from idiolect.models.calls.cache import CallCache
from idiolect.models.calls.embedder import CalledEmbedder
from idiolect.models.calls.model import CalledModel, Calls, Source
from idiolect.models.calls.prices import Price
from idiolect.models.calls.turns import Turns
from idiolect.models.language_model import ChoiceRequest, CompletionRequest, Message, SamplingParams
from idiolect.models.remote.chat import RemoteModel
from idiolect.models.remote.embedding import RemoteEmbedder
from idiolect.models.remote.endpoint import Endpoint, parse_endpoint
from idiolect.models.remote.transport import RemoteSettings
from tests.api_server import Answer, ApiServer, Body, Drop, Hang, Malformed, NoChoices, Status, chat_payload

FAST = RemoteSettings(timeout=5, wait_initial=0.001, wait_max=0.002, attempts=3)
DOLLAR_A_TOKEN = Price(Decimal(1_000_000), Decimal(1_000_000))


def ask(text: str) -> CompletionRequest:
    return CompletionRequest((Message("user", text),), SamplingParams(max_tokens=4))


def endpoint_of(server: ApiServer) -> Endpoint:
    endpoint = parse_endpoint(f"{server.url}#m")
    assert endpoint is not None
    return endpoint


@asynccontextmanager
async def called(
    server: ApiServer, limits: Limits = Limits(), *, concurrency: int = 8, settings: RemoteSettings = FAST
) -> AsyncIterator[tuple[CalledModel, Calls]]:
    calls = Calls(Budget(run=limits), Turns(concurrency))
    async with RemoteModel(endpoint_of(server), settings=settings) as model:
        yield calls.model(Source(model, model.name, price=DOLLAR_A_TOKEN, remote=True), owner="ann"), calls


async def test_a_wait_that_the_server_asks_for_is_noted() -> None:
    with ApiServer(lambda _, number: Status(429, {"Retry-After": "1"}) if number == 1 else "Yes") as server:
        async with called(server) as (model, calls):
            asked = asyncio.ensure_future(model.complete([ask("a")]))
            while not calls.counts.paused_until:
                await asyncio.sleep(0.01)
            assert 0.5 < calls.counts.paused_until - time.monotonic() <= 1
            await asked


@pytest.mark.parametrize("headers", [{"Retry-After": "60"}, {}], ids=["the server's pause", "our own"])
async def test_a_time_limit_ends_the_wait_for_another_try(headers: dict[str, str]) -> None:
    slow = RemoteSettings(wait_initial=60, wait_max=60)
    with ApiServer(lambda *_: Status(429, headers)) as server:
        async with called(server, Limits(seconds=0.3), settings=slow) as (model, calls):
            start = time.monotonic()
            with pytest.raises(BudgetExceededError, match=r"0\.3 seconds"):
                await model.complete([ask("a"), ask("b")])
            assert time.monotonic() - start < 3
            assert calls.budget.exceeded is not None
            assert calls.budget.spent().calls == 0


async def test_a_halt_ends_the_wait_for_another_try() -> None:
    with ApiServer(lambda *_: Status(503, {"Retry-After": "60"})) as server:
        async with called(server) as (model, calls):
            task = asyncio.ensure_future(model.complete([ask("a"), ask("b")]))
            while len(server.requests) < 1:
                await asyncio.sleep(0.01)
            calls.budget.halt("stopped by hand")
            async with asyncio.timeout(3):
                with pytest.raises(HaltedError, match="stopped by hand"):
                    await task
            assert calls.turns.in_flight == 0


@pytest.mark.parametrize("fault", [NoChoices(), Malformed(), Drop(20), Drop(None)], ids=str)
async def test_a_server_that_bills_and_answers_nothing_gets_no_more_requests_than_calls_are_allowed(
    fault: Answer,
) -> None:
    with ApiServer(lambda *_: fault) as server:
        async with called(server, Limits(calls=10)) as (model, calls):
            with pytest.raises((ModelError, BudgetExceededError)):
                await model.complete([ask(f"{n}") for n in range(20)])
            assert 3 <= len(server.requests) <= 10
            assert calls.budget.spent().calls == len(server.requests)


async def test_a_try_that_may_be_billed_costs_its_prompt_and_the_answer_after_it_what_it_says() -> None:
    with ApiServer(lambda _, number: NoChoices() if number == 1 else "Yes") as server:
        async with called(server) as (model, calls):
            request = ask("x" * 968)
            await model.complete([request])
            spent = calls.budget.spent("ann")
            assert (spent.calls, spent.prompt_tokens, spent.completion_tokens) == (2, 500 + 243, 1)
            assert spent.money == 500 + 243 + 1


async def test_a_try_that_timed_out_may_be_billed() -> None:
    hasty = RemoteSettings(timeout=0.2, attempts=1)
    with ApiServer(lambda *_: Hang()) as server:
        async with called(server, settings=hasty) as (model, calls):
            with pytest.raises(ModelError):
                await model.complete([ask("a")])
            assert calls.budget.spent().calls == 1


@pytest.mark.parametrize("status", [429, 500, 503, 400, 404])
async def test_a_try_that_was_refused_costs_nothing(status: int) -> None:
    with ApiServer(lambda *_: Status(status)) as server:
        async with called(server, Limits(calls=1)) as (model, calls):
            with pytest.raises(ModelError):
                await model.complete([ask("a")])
            assert len(server.requests) == (3 if status in (429, 500, 503) else 1)
            assert calls.budget.spent() == Cost()


async def test_tries_of_embeddings_count_too() -> None:
    calls = Calls(Budget(run=Limits(calls=2)), Turns(2))
    with ApiServer(embeddings=lambda *_: Malformed()) as server:
        async with RemoteEmbedder(endpoint_of(server), settings=FAST) as embedder:
            mine = CalledEmbedder(calls, embedder, known_as="e", price=DOLLAR_A_TOKEN, owner="ann")
            with pytest.raises(BudgetExceededError):
                await mine.embed(["a", "b"])
        assert len(server.requests) == calls.budget.spent().calls == 2


UNUSABLE: list[tuple[Callable[[Body, int], Answer], str]] = [
    (lambda *_: Status(404), "no such model"),
    (lambda *_: Status(401), "denied access"),
    (lambda *_: Status(403), "denied access"),
    (lambda *_: Status(429, body={"error": {"code": "insufficient_quota"}}), "quota"),
]


@pytest.mark.parametrize(("answer", "words"), UNUSABLE, ids=["404", "401", "403", "quota"])
async def test_an_error_that_every_call_would_meet_is_paid_for_by_those_in_flight_only(
    answer: Callable[[Body, int], Answer], words: str
) -> None:
    with ApiServer(answer) as server:
        async with called(server, concurrency=4) as (model, calls):
            with pytest.raises(UnusableModelError, match=words):
                await model.complete([ask(str(n)) for n in range(30)])
            assert len(server.requests) <= 4
            assert len(server.log) - len(server.requests) <= 1, "the hint is asked for once"
            assert words in str(calls.budget.halted)
            with pytest.raises(HaltedError, match=words):
                await model.complete([ask("z")])
            assert calls.turns.in_flight == 0


async def test_a_server_without_logprobs_is_asked_by_those_in_flight_only() -> None:
    with ApiServer(lambda *_: chat_payload("A", {})) as server:
        async with called(server, concurrency=4) as (model, calls):
            requests = [ChoiceRequest((Message("user", str(n)),), ("yes", "no")) for n in range(30)]
            with pytest.raises(UnusableModelError, match="offers no log-probabilities") as caught:
                await model.choice_logprobs(requests)
            assert caught.value.remedy == Remedy("answering", "generate")
            assert len(server.requests) <= 4
            assert calls.budget.spent().calls == len(server.requests), "answers came, and are billed"


async def test_embeddings_of_a_missing_model_halt_the_run() -> None:
    calls = Calls(Budget(), Turns(2))
    with ApiServer(embeddings=lambda *_: Status(404)) as server:
        async with RemoteEmbedder(endpoint_of(server), settings=FAST) as embedder:
            mine = CalledEmbedder(calls, embedder, known_as="e", price=None, owner="ann")
            with pytest.raises(UnusableModelError):
                await mine.embed(["a"])
            with pytest.raises(HaltedError):
                await mine.embed(["a"])
        assert len(server.requests) == 1


async def test_one_who_has_failed_is_told_why_in_the_words_of_the_fault() -> None:
    with ApiServer(lambda *_: Status(500)) as server:
        async with called(server, Limits(calls=1)) as (model, _):
            with pytest.raises(ModelError, match="gave up after 3 attempts"):
                await model.complete([ask("a")])


async def test_a_call_is_one_however_many_tries_it_took() -> None:
    faults = {1: NoChoices(), 2: Drop(None), 3: Status(503)}
    with ApiServer(lambda _, number: faults.get(number, "Yes")) as server:
        async with called(server, settings=RemoteSettings(wait_initial=0.001, wait_max=0.002)) as (model, calls):
            await model.complete([ask("a")])
            counts = calls.counts
            assert (counts.made, counts.failed, counts.failed_tries) == (1, 0, 2), "a 503 is not billed"
            assert calls.budget.spent().calls == 3, "a limit on calls counts what may be billed"


async def test_a_filtered_request_is_no_call_and_is_not_kept(tmp_path: Path) -> None:
    refused = Status(400, body={"error": {"code": "content_filter"}})
    with ApiServer(lambda _, number: refused if number == 1 else "Yes") as server:
        for expected, made, found in (("", 0, 0), ("Yes", 1, 0), ("Yes", 0, 1)):
            cache = CallCache.open(tmp_path / "calls.db")
            calls = Calls(Budget(), Turns(2), cache)
            async with RemoteModel(endpoint_of(server), settings=FAST) as model:
                mine = calls.model(Source(model, model.name, price=DOLLAR_A_TOKEN, remote=True), owner="ann")
                (completion,) = await mine.complete([ask("a")])
                assert (completion.text, calls.counts.made, calls.counts.found) == (expected, made, found)
                assert calls.budget.spent().calls == calls.counts.made
                assert not cache.uncertain()
            cache.close()
