from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idiolect.errors import CacheError
from idiolect.models.calls.cache.results import (
    completion_from_result,
    completion_to_result,
    logprobs_from_result,
    logprobs_to_result,
)
from idiolect.models.language_model import ChoiceLogProbs, Completion, Usage

_USAGE = Usage(1, 20, 3, 20)


def _through_json(result: Any) -> Any:
    return json.loads(json.dumps(result, allow_nan=False))


@given(st.text(), st.sampled_from(["stop", "length"]))
def test_completions_come_back_as_they_were(text: str, reason: Any) -> None:
    completion = Completion(text, reason, _USAGE)
    assert completion_from_result(_through_json(completion_to_result(completion))) == completion


@given(st.lists(st.floats(max_value=0, allow_nan=False), min_size=1))
def test_logprobs_come_back_exactly(values: list[float]) -> None:
    logprobs = ChoiceLogProbs(tuple(values), tuple(range(1, len(values) + 1)), _USAGE)
    assert logprobs_from_result(_through_json(logprobs_to_result(logprobs))) == logprobs


def test_impossible_choice_comes_back_as_minus_infinity() -> None:
    result = _through_json(logprobs_to_result(ChoiceLogProbs((-math.inf, -0.5), (1, 2), _USAGE)))
    assert result["logprobs"] == [None, -0.5]
    assert logprobs_from_result(result).logprobs == (-math.inf, -0.5)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_logprobs_that_are_none_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not a log-probability"):
        logprobs_to_result(ChoiceLogProbs((value,), (1,), _USAGE))


@pytest.mark.parametrize(
    "result",
    [
        {},
        {"text": "a"},
        {"text": 1, "finish_reason": "stop", "usage": {}},
        {"text": "a", "finish_reason": "x", "usage": {}},
    ],
)
def test_a_result_of_another_shape_is_no_completion(result: dict[str, Any]) -> None:
    with pytest.raises(CacheError, match=r"expected a completion.*to continue"):
        completion_from_result(result)


@pytest.mark.parametrize(
    "result", [{}, {"logprobs": ["a"], "n_tokens": [1], "usage": {}}, {"logprobs": 1, "n_tokens": 1}]
)
def test_a_result_of_another_shape_is_no_logprobs(result: dict[str, Any]) -> None:
    with pytest.raises(CacheError, match=r"expected log-probabilities.*to continue"):
        logprobs_from_result(result)
