"""Upper estimates of the cost of requests before they are sent; `budget` reserves them."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from idiolect.models.calls.prices import Cost, Price
from idiolect.models.language_model import ChoiceRequest, CompletionRequest, Usage

_FIRST_RATIO = 0.5  # tokens per byte; English has 0.25, the most expensive scripts have about 0.5
_SEEN_ENOUGH = 20
_MARGIN = 1.25
_BYTES_AROUND = 16  # added by a chat template around each message, and around all of them
_BYTES_OF_A_LIST = 48  # sent to a chat API to introduce a list of choices
_BYTES_OF_A_CHOICE = 4  # sent to a chat API around each choice


@dataclass(slots=True)
class _Seen:
    """Statistics of the prompts of one kind of request so far."""

    greatest: float = 0.0  # tokens per byte
    count: int = 0

    def ratio(self) -> float:
        ratio = self.greatest * _MARGIN
        return ratio if self.count >= _SEEN_ENOUGH else max(ratio, _FIRST_RATIO)


class Estimator:
    """An estimator of the highest cost that requests to one model may have.

    Prompt tokens are the UTF-8 bytes of a request's texts times a ratio: the greatest seen so far with this model and
    kind of request, with a margin of a quarter, and at least 0.5 for the first 20 requests.

    Args:
        price: the model's price; None if unknown, in which case estimates contain no money.
        remote: whether the model is remote. A remote model reads a prompt once per request and answers a choice by
            writing a letter; a local model may read the prompt once for each choice, and writes nothing.
    """

    def __init__(self, price: Price | None, *, remote: bool = False) -> None:
        self._price, self._remote = price, remote
        self._completions, self._choices = _Seen(), _Seen()

    def estimate(self, request: CompletionRequest | ChoiceRequest) -> Cost:
        """Return the most that one request may cost, assuming that the model writes all the tokens it may."""
        written = request.sampling.max_tokens if isinstance(request, CompletionRequest) else int(self._remote)
        return self._priced(1, ceil(self._seen(request).ratio() * self._size(request)), written)

    def failed_try(self, request: CompletionRequest | ChoiceRequest) -> Cost:
        """Return the cost of a try without an answer; the real cost is unknown, so the estimated prompt counts."""
        return self._priced(1, self.estimate(request).prompt_tokens, 0)

    def written(self, tokens: int) -> Cost:
        """Return the cost of tokens that were written before a call ended early, without that of the call itself."""
        return self._priced(0, 0, tokens)

    def cost(self, request: CompletionRequest | ChoiceRequest, usage: Usage) -> Cost:
        """Return the actual cost of a request by the model's own count, and adapt later estimates to it."""
        seen = self._seen(request)
        seen.greatest = max(seen.greatest, usage.prompt_tokens / self._size(request))
        seen.count += 1
        return self._priced(usage.calls, usage.prompt_tokens, usage.completion_tokens)

    def _seen(self, request: CompletionRequest | ChoiceRequest) -> _Seen:
        return self._completions if isinstance(request, CompletionRequest) else self._choices

    def _priced(self, calls: int, prompt_tokens: int, completion_tokens: int) -> Cost:
        money = None if self._price is None else self._price.cost(prompt_tokens, completion_tokens)
        return Cost(calls, prompt_tokens, completion_tokens, money)

    def _size(self, request: CompletionRequest | ChoiceRequest) -> int:
        """Return the number of bytes that the model may read."""
        prompt = _bytes(request.prefill) + _BYTES_AROUND
        prompt += sum(_bytes(message.content) + _BYTES_AROUND for message in request.messages)
        if isinstance(request, CompletionRequest):
            return prompt
        choices = sum(map(_bytes, request.choices))
        if self._remote:
            return prompt + choices + _BYTES_OF_A_LIST + _BYTES_OF_A_CHOICE * len(request.choices)
        return prompt * len(request.choices) + choices


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
