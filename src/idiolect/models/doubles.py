"""Test doubles for code built on Idiolect: a model made of two plain functions.

    model = FunctionModel("parrot", complete=lambda request: request.messages[-1].content)

They need no torch.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence

from idiolect.errors import ModelError
from idiolect.models.language_model import (
    ChoiceLogProbs,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Message,
    Streamed,
    Usage,
)
from idiolect.models.streaming import completed_in_words

CompleteFunction = Callable[[CompletionRequest], str | Completion]
ChoiceFunction = Callable[[ChoiceRequest], Sequence[float] | ChoiceLogProbs]


class FunctionModel:
    """A `LanguageModel` that calls plain functions, one request at a time, and records its requests; it also streams.

    Args:
        name: the model's name.
        complete: returns the text, or a whole `Completion`, for one request.
        choice_logprobs: returns one log-probability per choice, or a whole `ChoiceLogProbs`, for one request.

    A request whose function is missing raises `ModelError`. If a function returns bare text or bare numbers, the usage
    is that of a model whose tokens are the blank-separated words.
    `completion_requests` and `choice_requests` contain every request so far, in order.
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
        """Return one completion per request, in order."""
        if self._complete is None:
            raise ModelError(f"the model {self.name!r} cannot write text: it has no `complete` function")
        self.completion_requests.extend(requests)
        return [_completion(request, self._complete(request)) for request in requests]

    def stream(self, request: CompletionRequest) -> AsyncGenerator[Streamed, None]:
        """Yield the completion word by word, then the whole."""
        return completed_in_words(self, request)

    async def choice_logprobs(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceLogProbs]:
        """Return the log-probabilities of each request's choices, in order."""
        if self._choice_logprobs is None:
            raise ModelError(f"the model {self.name!r} cannot score choices: it has no `choice_logprobs` function")
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
        raise ValueError(f"expected {len(request.choices)} log-probabilities, one per choice, found {len(answer)}")
    n_tokens = tuple(max(len(choice.split()), 1) for choice in request.choices)
    prompt = _words(request.messages, request.prefill) + sum(n_tokens)
    return ChoiceLogProbs(tuple(answer), n_tokens, Usage(1, prompt, 0, prompt))


def _words(messages: Sequence[Message], prefill: str) -> int:
    return sum(len(message.content.split()) for message in messages) + len(prefill.split())
