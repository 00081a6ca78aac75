"""What requests may cost, before they are sent."""

from __future__ import annotations

from decimal import Decimal

import pytest

from idiolect.models.calls.estimates import Estimator
from idiolect.models.calls.prices import Cost, Price
from idiolect.models.language_model import ChoiceRequest, CompletionRequest, Message, SamplingParams, Usage
from idiolect.models.remote.choices import choice_body
from idiolect.models.remote.wire import Dialect


def chat(text: str, max_tokens: int = 64) -> CompletionRequest:
    return CompletionRequest((Message("user", text),), SamplingParams(max_tokens))


def test_an_estimate_is_above_what_real_tokenizers_count() -> None:
    estimator = Estimator(Price(Decimal(2), Decimal(10)))
    estimate = estimator.estimate(chat("x" * 968))
    assert estimate == Cost(1, 500, 64, (500 * 2 + 64 * 10) / Decimal(1_000_000))
    assert Estimator(None).estimate(chat("x")).money is None
    assert estimator.estimate(chat("ü" * 484)) == estimate  # bytes, not characters


def test_an_estimate_of_choices_writes_nothing_and_may_read_the_prompt_for_each() -> None:
    messages = (Message("user", "x" * 62),)
    estimate = Estimator(None).estimate(ChoiceRequest(messages, ("yes!", "nope"), prefill="Answer"))
    assert estimate == Cost(1, (100 * 2 + 8) // 2, 0, None)


def test_estimates_follow_the_greatest_ratio_seen() -> None:
    estimator = Estimator(None)
    request = chat("x" * 968)
    for _ in range(20):
        assert estimator.estimate(request).prompt_tokens == 500
        estimator.cost(request, Usage(1, 200, 3, 200))
    assert estimator.estimate(request).prompt_tokens == 250
    estimator.cost(request, Usage(1, 800, 3, 800))
    estimator.cost(request, Usage(1, 200, 3, 200))
    assert estimator.estimate(request).prompt_tokens == 1000


def test_a_cost_is_what_the_model_counted() -> None:
    estimator = Estimator(Price(Decimal(1), Decimal(3)))
    assert estimator.cost(chat("x"), Usage(1, 7, 2, 0)) == Cost(1, 7, 2, Decimal("0.000013"))


def test_choices_of_a_chat_api_are_read_once_and_do_not_change_the_estimate_of_completions() -> None:
    estimator = Estimator(None, remote=True)
    text = "x" * 10_000
    choices = ChoiceRequest((Message("user", text),), tuple("abcde"))
    for _ in range(30):
        estimator.cost(chat(text), Usage(1, 2500, 3, 2500))
        estimator.cost(choices, Usage(1, 2540, 1, 2540))
    completion, choice = estimator.estimate(chat(text)), estimator.estimate(choices)
    assert completion.prompt_tokens == pytest.approx(2500 * 1.25, rel=0.01)
    assert choice.prompt_tokens == pytest.approx(2540 * 1.25, rel=0.01)
    assert choice.completion_tokens == 1


def test_choices_of_a_local_model_do_not_change_the_estimate_of_completions() -> None:
    estimator = Estimator(None)
    choices = ChoiceRequest((Message("user", "x" * 968),), tuple("abcde"))
    for _ in range(20):
        estimator.cost(chat("x" * 968), Usage(1, 500, 3, 500))
        estimator.cost(choices, Usage(1, 250, 0, 250))
    assert estimator.estimate(chat("x" * 968)).prompt_tokens == 625
    assert estimator.estimate(choices).prompt_tokens < 325


def test_a_first_choice_of_a_chat_api_is_estimated_with_the_list_that_is_written_for_it() -> None:
    endpoint_reads = choice_body(ChoiceRequest((Message("user", "x"),), ("yes", "no")), Dialect("m"))
    read = sum(len(message["content"]) for message in endpoint_reads["messages"])
    estimate = Estimator(None, remote=True).estimate(ChoiceRequest((Message("user", "x"),), ("yes", "no")))
    assert estimate.prompt_tokens >= read / 2


def test_a_try_that_failed_may_have_cost_its_prompt() -> None:
    estimator = Estimator(Price(Decimal(2), Decimal(10)))
    assert estimator.failed_try(chat("x" * 968)) == Cost(1, 500, 0, Decimal("0.001"))
