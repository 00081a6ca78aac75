"""Upper estimates of what requests to one model cost, before they are sent: what `budget` reserves for them."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from idiolect.models.calls.prices import Cost, Price
from idiolect.models.language_model import ChoiceRequest, CompletionRequest, Usage

_FIRST_RATIO = 0.5  # tokens a byte; English has 0.25, the scripts that cost most about as much as this
_SEEN_ENOUGH = 20
_MARGIN = 1.25
_BYTES_AROUND = 16  # what a chat template puts around a message, and around all of them
_BYTES_OF_A_LIST = 48  # what a chat API gets to read about a list of choices, and about each of them
_BYTES_OF_A_CHOICE = 4


@dataclass(slots=True)
class _Seen:
    """The prompts of one kind of request so far."""

    greatest: float = 0.0  # tokens a byte
    count: int = 0

    def ratio(self) -> float:
        ratio = self.greatest * _MARGIN
        return ratio if self.count >= _SEEN_ENOUGH else max(ratio, _FIRST_RATIO)


class Estimator:
    """Upper estimates of what requests to one model cost.

    Prompt tokens are the UTF-8 bytes of a request's texts times a ratio: the greatest seen so far with this model and
    kind of request, with a margin of a quarter, and at least 0.5 for the first 20 requests.

    Args:
        price: of the model; None where it isn't known, then no money is.
        remote: its prompts are read once a request, and a choice is a letter that it writes; a local model may read
            the prompt once for each choice, and writes nothing.
    """

    def __init__(self, price: Price | None, *, remote: bool = False) -> None:
        self._price, self._remote = price, remote
        self._completions, self._choices = _Seen(), _Seen()

    def estimate(self, request: CompletionRequest | ChoiceRequest) -> Cost:
        """Return the most that one request may cost: it writes as many tokens as it allows."""
        written = request.sampling.max_tokens if isinstance(request, CompletionRequest) else int(self._remote)
        return self._priced(1, ceil(self._seen(request).ratio() * self._size(request)), written)

    def failed_try(self, request: CompletionRequest | ChoiceRequest) -> Cost:
        """Return what a try that brought nothing may have cost: nobody knows, so its prompt counts as estimated."""
        return self._priced(1, self.estimate(request).prompt_tokens, 0)

    def cost(self, request: CompletionRequest | ChoiceRequest, usage: Usage) -> Cost:
        """Return what the request did cost, by the model's own count; the next estimates follow it."""
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
        """Return how many bytes the model may read."""
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
