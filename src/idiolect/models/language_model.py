"""Idiolect's interface to language models: three small async Protocols over frozen requests.

`CompletionModel` writes text (Fermi's `M` in generate mode, and `M_opt`); `ChoiceModel` scores given answers.
Both take *sequences* of requests, so that a local model can batch them and share their prefixes, and a remote one
can send them concurrently. `StreamingModel` hands out one text while it is being written, for conversations.
Requests are values: hashable, comparable and serializable. The cache and the recordings use them as keys.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """Parameters of decoding.

    Args:
        max_tokens: maximum number of new tokens; ≥ 1.
        temperature: 0 is greedy; otherwise > 0.
        top_p: nucleus; in (0, 1].
        seed: makes a sampled completion reproducible; ignored when greedy.
        stop: generation ends before the first of these strings, which is not part of the text.
    """

    max_tokens: int = 64
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens is {self.max_tokens}, must be at least 1")
        if self.temperature < 0:
            raise ValueError(f"temperature is {self.temperature}, must not be negative")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}, must be in (0, 1]")
        if "" in self.stop:
            raise ValueError("stop contains an empty string")


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """A request for one completion.

    Args:
        messages: the chat so far.
        sampling: how to decode.
        draw: index among several draws of the same messages; K draws are K different calls, also for a cache.
        prefill: text that the assistant's turn begins with; not repeated in the completion.
        thinking: whether to think before the answer, for local models whose chat template leaves the choice; None: as
            usual, that is without thoughts where the template can leave them out. With False, a thought that the
            template opens in any case is closed at once. Models behind an API do as they always do: there is no
            parameter for it that every server accepts.
    """

    messages: tuple[Message, ...]
    sampling: SamplingParams = SamplingParams()
    draw: int = 0
    prefill: str = ""
    thinking: bool | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Counts of calls and tokens; `calls` counts requests, whether or not their prefix was reused.

    `computed_tokens` is the number of prompt tokens that went through the model after prefix reuse. It exceeds
    `prompt_tokens` if a model reuses nothing and each choice pays for the whole prompt.
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    computed_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.computed_tokens + other.computed_tokens,
        )

    def __sub__(self, other: Usage) -> Usage:
        return Usage(
            self.calls - other.calls,
            self.prompt_tokens - other.prompt_tokens,
            self.completion_tokens - other.completion_tokens,
            self.computed_tokens - other.computed_tokens,
        )


@dataclass(frozen=True, slots=True)
class Completion:
    """A model's text.

    Args:
        text: the text; "" if a content filter withheld it.
        finish_reason: "stop" (the model or a stop string ended it), "length", or "content_filter".
        usage: its cost; no call for a request that was refused without cost, which a later run may repeat.
    """

    text: str
    finish_reason: Literal["stop", "length", "content_filter"]
    usage: Usage

    @property
    def free_refusal(self) -> bool:
        """Whether the server refused the request, without a text and without cost."""
        return not self.text and not self.usage.calls


Streamed: TypeAlias = str | Completion
"""An item of a stream: a piece of the text, which may be empty while a model thinks; at the end, the completion."""


@dataclass(frozen=True, slots=True)
class ChoiceRequest:
    """A request for the log-probability of each of several continuations of the assistant's turn.

    The continuations are what the model says, not what it thinks: a thought that a chat template opens is closed first.

    Args:
        messages: the chat so far.
        choices: the continuations; at least one, none empty.
        prefill: text that the assistant's turn begins with, before the choice.
    """

    messages: tuple[Message, ...]
    choices: tuple[str, ...]
    prefill: str = ""

    def __post_init__(self) -> None:
        if not self.choices or "" in self.choices:
            raise ValueError("choices must not be empty, and no choice may be empty text")


@dataclass(frozen=True, slots=True)
class ChosenAnswer:
    """An answer that somebody gave: a request with one continuation or several, and the index of the chosen one.

    Raises:
        ValueError: there is no such choice.
    """

    request: ChoiceRequest
    chosen: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.chosen < len(self.request.choices):
            raise ValueError(f"chosen is {self.chosen}, must be in [0, {len(self.request.choices)})")


@dataclass(frozen=True, slots=True)
class ChoiceLogProbs:
    """Natural log-probabilities of a request's choices, in the order of the request.

    Args:
        logprobs: per choice, the sum over its tokens of log p(token | everything before); ≤ 0. All are -inf if the
            server refused the request.
        n_tokens: per choice, the number of tokens in that sum; ≥ 1.
    """

    logprobs: tuple[float, ...]
    n_tokens: tuple[int, ...]
    usage: Usage

    @property
    def free_refusal(self) -> bool:
        """Whether the server refused the request, without cost, so that no choice is possible."""
        return not self.usage.calls and max(self.logprobs) == -math.inf

    @property
    def per_token(self) -> tuple[float, ...]:
        """The mean log-probability per token of each choice, in nat; ≤ 0."""
        return tuple(total / n for total, n in zip(self.logprobs, self.n_tokens, strict=True))


@runtime_checkable
class CompletionModel(Protocol):
    """A model that writes text."""

    @property
    def name(self) -> str:
        """The name under which the user opened the model."""
        ...

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """Return one completion per request, in order.

        Raises:
            ModelError: the model could not answer.
        """
        ...


@runtime_checkable
class ChoiceModel(Protocol):
    """A model that scores given answers."""

    @property
    def name(self) -> str:
        """The name under which the user opened the model."""
        ...

    async def choice_logprobs(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceLogProbs]:
        """Return the log-probabilities of each request's choices, in order.

        Raises:
            ModelError: the model could not answer.
        """
        ...


@runtime_checkable
class StreamingModel(Protocol):
    """A model that hands out a text while it is being written."""

    @property
    def name(self) -> str:
        """The name under which the user opened the model."""
        ...

    def stream(self, request: CompletionRequest) -> AsyncGenerator[Streamed, None]:
        """Yield the pieces of the text, and then the whole `Completion`, whose text is the pieces joined.

        No piece is taken back, ends within a character or contains the beginning of a stop string. The text is that of
        `complete`, unless the model writes thoughts behind words that were handed out already: those words stay.
        Closing the generator (`contextlib.aclosing`) cancels the call.

        Raises:
            ModelError: the model could not answer, or stopped in the middle; what was received was handed out before.
        """
        ...


class LanguageModel(CompletionModel, ChoiceModel, Protocol):
    """A model that both writes text and scores given answers."""
