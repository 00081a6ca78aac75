"""Test doubles for whoever builds on Idiolect: a model that is a pair of plain functions. Needs no torch.

model = FunctionModel("parrot", complete=lambda request: request.messages[-1].content)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from idiolect.errors import ModelError
from idiolect.models.language_model import (
    ChoiceLogProbs,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Message,
    Usage,
)

CompleteFunction = Callable[[CompletionRequest], str | Completion]
ChoiceFunction = Callable[[ChoiceRequest], Sequence[float] | ChoiceLogProbs]


class FunctionModel:
    """A `LanguageModel` that asks plain functions, one request at a time, and remembers what it was asked.

    Args:
        name: the model's name.
        complete: the text, or a whole `Completion`, for one request.
        choice_logprobs: one log-probability a choice, or a whole `ChoiceLogProbs`, for one request.

    A request that it was given no function for is a `ModelError`. A bare text or bare numbers are given the usage of a
    model whose tokens are the blank-separated words.
    `completion_requests` and `choice_requests` hold every request so far, in order.
    """

    def __init__(
        self,
        name: str = "function",
        *,
        complete: CompleteFunction | None = None,
        choice_logprobs: ChoiceFunction | None = None,
    ) -> None:
        self.name, self._complete, self._choice_logprobs = name, complete, choice_logprobs
        self.completion_requests: list[CompletionRequest] = []
        self.choice_requests: list[ChoiceRequest] = []

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """One completion a request, in order."""
        if self._complete is None:
            raise ModelError(f"the model {self.name!r} writes no text")
        self.completion_requests.extend(requests)
        return [_completion(request, self._complete(request)) for request in requests]

    async def choice_logprobs(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceLogProbs]:
        """The log-probabilities of each request's choices, in order."""
        if self._choice_logprobs is None:
            raise ModelError(f"the model {self.name!r} scores no choices")
        self.choice_requests.extend(requests)
        return [_choice_logprobs(request, self._choice_logprobs(request)) for request in requests]


def _completion(request: CompletionRequest, answer: str | Completion) -> Completion:
    if isinstance(answer, Completion):
        return answer
    prompt = _words(request.messages, request.prefill)
    return Completion(answer, "stop", Usage(1, prompt, len(answer.split()), prompt))


def _choice_logprobs(request: ChoiceRequest, answer: Sequence[float] | ChoiceLogProbs) -> ChoiceLogProbs:
    if isinstance(answer, ChoiceLogProbs):
        return answer
    if len(answer) != len(request.choices):
        raise ValueError(f"{len(answer)} log-probabilities were given for {len(request.choices)} choices")
    n_tokens = tuple(max(len(choice.split()), 1) for choice in request.choices)
    prompt = _words(request.messages, request.prefill) + sum(n_tokens)
    return ChoiceLogProbs(tuple(answer), n_tokens, Usage(1, prompt, 0, prompt))


def _words(messages: Sequence[Message], prefill: str) -> int:
    return sum(len(message.content.split()) for message in messages) + len(prefill.split())
