"""Meters: what a method is billed for, and where it ends."""

from __future__ import annotations

from decimal import Decimal

import pytest

from idiolect.errors import BudgetExceededError, HaltedError, ModelError
from idiolect.evaluate.metering import Meter
from idiolect.models.calls.budget import Budget
from idiolect.models.calls.model import CalledModel, Calls, Source
from idiolect.models.calls.prices import Price
from idiolect.models.calls.turns import Turns
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import (
    ChoiceLogProbs,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Message,
    SamplingParams,
    Usage,
)
from tests.evaluate.small_world import bench, desk


def request(text: str) -> CompletionRequest:
    return CompletionRequest((Message("user", text),), SamplingParams(max_tokens=8))


def choice(text: str) -> ChoiceRequest:
    return ChoiceRequest((Message("user", text),), (" a", " b"))


def double() -> FunctionModel:
    return FunctionModel(
        "double",
        complete=lambda r: Completion(r.messages[0].content, "stop", Usage(1, 10, 2, 10)),
        choice_logprobs=lambda _request: ChoiceLogProbs((-1.0, -2.0), (1, 1), Usage(1, 7, 0, 7)),
    )


def metered(model: FunctionModel, meter: Meter, *, name: str = "m", price: Price | None = None) -> CalledModel:
    return Calls(Budget(), Turns(4)).model(Source(model, name, price=price), owner="ann", observer=meter)


async def test_a_meter_counts_a_repeated_request_once() -> None:
    meter = Meter("ann")
    model = metered(double(), meter)
    answers = await model.complete([request("one"), request("two"), request("one")])
    assert [answer.text for answer in answers] == ["one", "two", "one"]
    await model.complete([request("one")])
    await model.choice_logprobs([choice("one"), choice("one")])
    assert meter.calls == 3
    assert (meter.usage.prompt_tokens, meter.usage.completion_tokens) == (27, 4)


async def test_a_meter_tells_its_models_apart() -> None:
    meter = Meter("ann")
    for name in ("m", "n", "m"):
        await metered(double(), meter, name=name).complete([request("one")])
    assert meter.calls == 2


async def test_a_meter_refuses_what_does_not_fit_and_counts_none_of_it() -> None:
    inner, meter = double(), Meter("ann", limit=3)
    model = metered(inner, meter)
    await model.complete([request("one"), request("two")])
    assert not meter.refused
    with pytest.raises(BudgetExceededError, match="the limit is 3 calls per person: 2 were made, 2 more") as refused:
        await model.complete([request("three"), request("four")])
    assert (refused.value.owner, meter.refused, meter.halted) == ("ann", True, None)
    assert (meter.calls, len(inner.completion_requests)) == (2, 2)
    await model.complete([request("one"), request("three"), request("two")])  # what is known costs nothing
    assert meter.calls == 3


def test_a_meter_wants_room_for_a_call() -> None:
    with pytest.raises(ValueError, match="limit is 0"):
        Meter("ann", limit=0)


async def test_a_meter_remembers_that_the_run_refused() -> None:
    def refuse(_request: CompletionRequest) -> str:
        raise HaltedError("stopped by hand")

    meter = Meter("ann")
    with pytest.raises(HaltedError):
        await metered(FunctionModel(complete=refuse), meter).complete([request("one")])
    assert str(meter.halted) == "stopped by hand"
    assert not meter.refused


async def test_calls_that_reach_a_model_are_paid() -> None:
    meter = Meter("ann")
    price = Price(Decimal(1000), Decimal(2000))
    model = metered(double(), meter, price=price)
    await model.complete([request("one"), request("two")])
    await model.choice_logprobs([choice("one")])
    cost = meter.cost(seconds=1.23456)
    assert cost.calls_made == 3
    assert cost.money == float(2 * price.cost(10, 2) + price.cost(7, 0))
    assert cost.seconds == 1.235
    await metered(double(), meter).complete([request("three")])
    assert meter.cost(seconds=0).money is None
    await model.complete([request("four")])
    assert meter.cost(seconds=0).money is None


async def test_a_request_that_failed_is_billed_when_it_is_answered() -> None:
    answers = iter([ModelError("no answer came"), Completion("one", "stop", Usage(1, 10, 2, 10))])

    def answer(_request: CompletionRequest) -> Completion:
        if isinstance(following := next(answers), ModelError):
            raise following
        return following

    meter = Meter("ann")
    model = metered(FunctionModel(complete=answer), meter)
    with pytest.raises(ModelError):
        await model.complete([request("one")])
    assert (meter.calls, meter.usage) == (1, Usage())
    await model.complete([request("one")])
    assert (meter.calls, meter.usage.prompt_tokens) == (1, 10)


async def test_a_desk_bills_what_the_run_knows_already() -> None:
    inner = double()
    opened = bench(answers=inner)
    first, second = desk(opened), desk(opened, "bob")
    await first.model.complete([request("one")])
    await first.optimizer.complete([request("one")])  # the same model: the same call
    await second.model.complete([request("one")])
    assert (first.meter.calls, second.meter.calls) == (1, 1)
