"""Log-probabilities of choices from a chat API, as a substitute for the exact ones that a local model computes.

A chat API reports how likely the first token of its own answer is, not of a given text. So the choices are listed as
A, B, C …, the model is asked for a letter, and the result is log p(letter), *not* the log-probability of the choice's
text. It is comparable only within one request, and not with a local model's. Over the likeliest tokens T that the
server reports,

    log p(letter) = log Σ_{t ∈ T, t is the letter} p(t),    or the floor min_{t ∈ T} log p(t) − 1 if none does.

Case, spaces and punctuation around the letter don't matter.
"""

from __future__ import annotations

import string
from typing import Any

import numpy as np

from idiolect.errors import ModelError, Remedy, UnusableModelError
from idiolect.models.language_model import ChoiceLogProbs, ChoiceRequest, Message
from idiolect.models.remote.faults import UnansweredError
from idiolect.models.remote.wire import MOST_LOGPROBS, Dialect, first_choice, message_list, read_usage, whole

MOST_CHOICES = MOST_LOGPROBS  # each choice's letter may be among the likeliest tokens
_GENERATE = Remedy("answering", "generate")
_INSTRUCTION = "Reply with the letter of one choice only."
_BELOW_THE_TOP = 1.0
_LEAST = -1e6  # a lower number is not a log-probability, but a server's way to write "impossible"
_AROUND = string.whitespace + string.punctuation + "▁Ġ"  # the last two: spaces as some tokenizers write them


def choice_body(request: ChoiceRequest, dialect: Dialect) -> dict[str, Any]:
    """Return the body that asks for a choice's letter.

    The request's prefill is left out, because a chat API cannot begin the model's turn; the instruction takes its
    place.

    Raises:
        ModelError: there are more choices than the tokens that a server reports.
    """
    if len(request.choices) > MOST_CHOICES:
        raise ModelError(
            f"{dialect.model}: log-probabilities of {len(request.choices)} choices were requested, but an API reports "
            f"those of at most {MOST_CHOICES}",
            remedy=_GENERATE,
        )
    body = {
        "model": dialect.model,
        "messages": message_list(_with_letters(request)),
        dialect.limit: dialect.least,
        "temperature": 1,  # at 1, no server's treatment of the temperature changes a probability
        "logprobs": True,
        "top_logprobs": dialect.logprobs,
    }
    return {name: value for name, value in body.items() if name not in dialect.omitted}


def read_choices(payload: Any, request: ChoiceRequest, dialect: Dialect) -> tuple[ChoiceLogProbs, bool]:
    """Return each letter's log-probability, and whether the token counts are estimates.

    Raises:
        UnansweredError: the payload contains no answer, or no finite log-probability.
        UnusableModelError: the payload contains no log-probabilities, or no choice's letter has been among the
            model's likeliest tokens yet.
    """
    top = _top_logprobs(first_choice(payload))
    if not top:
        raise no_logprobs(dialect)
    floor = min(top.values()) - _BELOW_THE_TOP
    letters = string.ascii_uppercase[: len(request.choices)]
    by_letter: dict[str, list[float]] = {letter: [] for letter in letters}
    for token, logprob in top.items():
        by_letter.get(token.strip(_AROUND).upper(), []).append(logprob)
    if not any(by_letter.values()):
        if not dialect.writes_letters:
            raise UnusableModelError(
                f"{dialect.model} has no choice's letter among its likeliest first tokens; one that thinks has none",
                remedy=_GENERATE,
            )
        dialect.note("had no choice's letter among its likeliest tokens; such choices tie, and the first is taken")
    dialect.writes_letters = True
    logprobs = tuple(min(float(np.logaddexp.reduce(by_letter[x])), 0.0) if by_letter[x] else floor for x in letters)
    usage, estimated = read_usage(payload, _with_letters(request), letters[:1])
    return ChoiceLogProbs(logprobs, (1,) * len(letters), usage), estimated


def no_logprobs(dialect: Dialect) -> UnusableModelError:
    """Return the error for a server that reports no log-probabilities."""
    return UnusableModelError(f"{dialect.model} offers no log-probabilities", remedy=_GENERATE)


def _with_letters(request: ChoiceRequest) -> tuple[Message, ...]:
    lines = [
        f"{letter}. {choice.strip()}" for letter, choice in zip(string.ascii_uppercase, request.choices, strict=False)
    ]
    listed = "\n".join([*lines, _INSTRUCTION])
    *before, last = request.messages or (Message("user", ""),)
    if last.role != "user":
        return (*before, last, Message("user", listed))
    return (*before, Message("user", f"{last.content}\n\n{listed}".lstrip("\n")))


def _top_logprobs(choice: Any) -> dict[str, float]:
    """Return the likeliest first tokens and the one that was written; empty if the server reports none."""
    logprobs = choice.get("logprobs")
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    first = content[0] if isinstance(content, list) and content else None
    if not isinstance(first, dict):
        return {}
    listed = first.get("top_logprobs")
    top = dict(filter(None, map(_token, [first, *(listed if isinstance(listed, list) else [])])))
    if not top and "logprob" in first:
        raise UnansweredError("log-probabilities that are not finite numbers")
    return top


def _token(entry: Any) -> tuple[str, float] | None:
    if not isinstance(entry, dict):
        return None
    token, logprob = entry.get("token"), entry.get("logprob")
    if not isinstance(token, str) or isinstance(logprob, bool) or not isinstance(logprob, int | float):
        return None
    if not _LEAST < logprob < -_LEAST:
        return None
    return whole(token), min(float(logprob), 0.0)
