"""Texts that a model writes itself, on which a change of the model is measured; they contain nothing of anybody's.

    requests → drawn at temperature 1, without guidance → texts → scored under the unchanged model → NeutralText

The model draws them from its own distribution, so minus the mean change of their log-probability under a changed model
estimates KL(unchanged ‖ changed) per token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from idiolect.methods.texts import storable
from idiolect.models.language_model import CompletionModel, CompletionRequest, Message, SamplingParams, Usage
from idiolect.models.thoughts import after_thoughts
from idiolect.people.user import unstorable_part


@dataclass(frozen=True, slots=True)
class NeutralText:
    """A text that the unchanged model wrote.

    Args:
        request: the request that it answers.
        text: the text, not blank; it can be stored (`methods.texts.storable`), and so can the request.
        logprob: its mean log-probability per token under the unchanged model, in nat, finite.

    Raises:
        ValueError: a value is not what it must be.
    """

    request: str
    text: str
    logprob: float

    def __post_init__(self) -> None:
        if not self.text.strip() or unstorable_part(self.text) or unstorable_part(self.request):
            raise ValueError("a neutral text is blank, or has characters that cannot be stored")
        if not isfinite(self.logprob):
            raise ValueError(f"logprob is {self.logprob!r}, must be finite")


async def draw_texts(
    requests: Sequence[str], writer: CompletionModel, *, max_tokens: int, seed: int
) -> tuple[list[tuple[str, str]], Usage]:
    """Return one text per request, as (request, text), and the cost of writing them; blank texts are left out.

    Args:
        requests: what to ask for, without a system message; a request that comes again is another draw.
        writer: the unchanged model, or the same with calls through a cache and a budget.
        max_tokens: maximum number of tokens of a text; ≥ 1.
        seed: seed of the draws.

    Raises:
        ModelError: the model could not answer.
        HaltedError: the run was halted.
    """
    sampling = SamplingParams(max_tokens, temperature=1.0, seed=seed)
    completions = await writer.complete(
        [
            CompletionRequest((Message("user", request),), sampling, draw=at, thinking=False)
            for at, request in enumerate(requests)
        ]
    )
    written = [storable(after_thoughts(completion.text).text) for completion in completions]
    usage = sum((completion.usage for completion in completions), Usage())
    return [each for each in zip(requests, written, strict=True) if each[1]], usage
