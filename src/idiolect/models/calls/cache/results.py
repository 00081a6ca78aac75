"""Conversion of results of calls to strict JSON and back, for the cache of calls.

An impossible choice has the log-probability -inf, which JSON cannot represent; it is written as null.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from idiolect.errors import CacheError
from idiolect.models.language_model import ChoiceLogProbs, Completion, Usage


def completion_to_result(completion: Completion) -> dict[str, Any]:
    """Return the completion as strict JSON."""
    return {"text": completion.text, "finish_reason": completion.finish_reason, "usage": _usage(completion.usage)}


def completion_from_result(result: Mapping[str, Any]) -> Completion:
    """Return the completion that `completion_to_result` wrote.

    Raises:
        CacheError: the result is not a completion.
    """
    try:
        text, reason, usage = result["text"], result["finish_reason"], Usage(**result["usage"])
    except (KeyError, TypeError) as error:
        raise _unexpected("a completion") from error
    if not isinstance(text, str) or reason not in ("stop", "length", "content_filter"):
        raise _unexpected("a completion")
    return Completion(text, reason, usage)


def logprobs_to_result(logprobs: ChoiceLogProbs) -> dict[str, Any]:
    """Return the log-probabilities as strict JSON; -inf becomes null.

    Raises:
        ValueError: one of them is NaN or +inf.
    """
    values = [_number(value) for value in logprobs.logprobs]
    return {"logprobs": values, "n_tokens": list(logprobs.n_tokens), "usage": _usage(logprobs.usage)}


def logprobs_from_result(result: Mapping[str, Any]) -> ChoiceLogProbs:
    """Return exactly the log-probabilities that `logprobs_to_result` wrote.

    Raises:
        CacheError: the result is not one of log-probabilities.
    """
    try:
        values = tuple(-math.inf if value is None else float(value) for value in result["logprobs"])
        return ChoiceLogProbs(values, tuple(map(int, result["n_tokens"])), Usage(**result["usage"]))
    except (KeyError, TypeError, ValueError) as error:
        raise _unexpected("log-probabilities of choices") from error


def _usage(usage: Usage) -> dict[str, int]:
    """Return the usage as `dataclasses.asdict` would, which is too slow for this path."""
    return {
        "calls": usage.calls,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "computed_tokens": usage.computed_tokens,
    }


def _number(value: float) -> float | None:
    if math.isnan(value) or value == math.inf:
        raise ValueError(f"{value} is not a log-probability")
    return None if value == -math.inf else float(value)


def _unexpected(expected: str) -> CacheError:
    return CacheError(
        f"expected {expected} in the cache, found a result that another version wrote; "
        "move the cache's file away to continue"
    )
