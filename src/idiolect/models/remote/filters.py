"""Refused requests as answers: what a content filter withholds costs its question, and nothing else.

A filtered answer has no text and the reason "content_filter". If the server refused the request, it is free, and the
cache does not keep it, so that another run tries again; if the answer was withheld inside HTTP 200, it is paid and
kept as any other answer.
"""

from __future__ import annotations

import math
from typing import Any

from idiolect.models.language_model import ChoiceLogProbs, ChoiceRequest, Completion, CompletionRequest, Usage
from idiolect.models.remote import wordings
from idiolect.models.remote.wire import read_usage

REFUSED = Completion("", "content_filter", Usage())
CUT_OFF = Completion("", "length", Usage())
_FEEDBACK = ("prompt_feedback", "promptFeedback")  # Gemini's, instead of choices


def withheld_text(payload: Any, request: CompletionRequest) -> tuple[Completion, bool] | None:
    """Return the answer in a payload with HTTP 200 if a filter withheld it, and whether its counts are estimates.

    Returns:
        None for an answer that no filter touched.
    """
    if not _is_filtered(payload):
        return None
    usage, estimated = read_usage(payload, request.messages, "")
    return Completion("", "content_filter", usage), estimated


def cut_short(request: CompletionRequest, said: str) -> Completion:
    """Return the answer that a filter broke off after words that were handed out; its counts are estimates."""
    usage, _ = read_usage(None, request.messages, said)
    return Completion(said, "content_filter", usage)


def withheld_choice(payload: Any, request: ChoiceRequest) -> tuple[ChoiceLogProbs, bool] | None:
    """Return the same for a request for choices: none of them is possible."""
    if not _is_filtered(payload):
        return None
    usage, estimated = read_usage(payload, request.messages, "")
    return no_choice(request, usage), estimated


def no_choice(request: ChoiceRequest, usage: Usage = Usage()) -> ChoiceLogProbs:
    """Return the answer to a refused request for choices: none of them is possible."""
    n = len(request.choices)
    return ChoiceLogProbs((-math.inf,) * n, (1,) * n, usage)


def _is_filtered(payload: Any) -> bool:
    if not isinstance(payload, dict):
        return False
    choices = payload.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    if isinstance(first, dict):
        return wordings.is_filter_code(first.get("finish_reason"))
    given = [payload[name] for name in _FEEDBACK if isinstance(payload.get(name), dict)]
    return any(feedback.get("blockReason") or feedback.get("block_reason") for feedback in given)
