"""Chat completions as JSON: requests to bodies, and payloads to completions. Pure functions; `transport` does the I/O.

Servers differ in the parameters they support. A `Dialect` starts with the common ones and learns from what one model
rejects: `max_tokens` becomes `max_completion_tokens`, an unsupported parameter is left out from then on, and no more
likeliest tokens are requested than the server reports.

Answers that may be long are streamed, so that a time limit can count the server's silence instead of the whole answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from idiolect.errors import ModelError
from idiolect.models.language_model import Completion, CompletionRequest, Message, Usage
from idiolect.models.remote.faults import RejectedError, UnansweredError
from idiolect.models.thoughts import after_thoughts

_MOST_TOKENS = 10_000_000  # a greater count is not credible
_BYTES_PER_TOKEN = 4
_OMITTED = {
    "temperature": "does not support temperature; it answers at its own",
    "top_p": "does not support top_p; it samples from its own share of the tokens",
    "seed": "does not support seed; sampled answers can't be reproduced",
    "stop": "does not support stop strings; answers are cut afterwards",
}
_OMITTED_SILENTLY = {"stream", "stream_options"}  # the answer is the same without
_USED_UP = {"length", "max_tokens", "max_output_tokens", "max_completion_tokens", "model_length", "token_limit"}
STREAMED_FROM = 256  # tokens; shorter answers come at once, and a stream takes more CPU per call
MOST_LOGPROBS = 20  # the maximum number of likeliest tokens that most servers report


@dataclass(slots=True)
class Dialect:
    """The parameters that one model supports; `notes` lists those that it does not, for people to read.

    `writes_letters` is whether a choice's letter has been among its likeliest first tokens, and `least` the smallest
    number of tokens that a request may ask for.
    """

    model: str
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    omitted: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    logprobs: int = MOST_LOGPROBS
    writes_letters: bool = False
    least: int = 1

    def adapt(self, error: RejectedError, sent: Mapping[str, Any]) -> bool:
        """Learn from a rejected body; return whether a new one will differ from it."""
        if error.most_logprobs is not None and error.most_logprobs < sent.get("top_logprobs", 0):
            self.logprobs = min(self.logprobs, error.most_logprobs)
            self.note(
                f"reports the {self.logprobs} likeliest tokens only; less likely letters count as equally unlikely"
            )
            return True
        if error.least_tokens is not None and error.least_tokens > sent.get(self.limit, error.least_tokens):
            self.least = max(self.least, error.least_tokens)
            self.note(f"may write up to {self.least} tokens for a shorter answer; its server allows no fewer")
            return True
        if "max_tokens" in error.unsupported and "max_tokens" in sent:
            self.limit = "max_completion_tokens"
            return True
        if silent := error.unsupported & _OMITTED_SILENTLY & sent.keys():
            self.omitted |= _OMITTED_SILENTLY if "stream" in silent else silent
            return True
        refused = error.unsupported & _OMITTED.keys() & sent.keys()
        for name in sorted(refused - self.omitted):
            self.omitted.add(name)
            self.note(_OMITTED[name])
        if not error.unsupported and "stream" in sent:  # streaming may be what an unknown wording is about
            self.omitted |= _OMITTED_SILENTLY
            return True
        return bool(refused)

    def note(self, what: str) -> None:
        """Keep a note on the model, once."""
        if (note := f"{self.model} {what}") not in self.notes:
            self.notes.append(note)


def chat_body(request: CompletionRequest, dialect: Dialect, *, streamed: bool = False) -> dict[str, Any]:
    """Return the body that asks for one completion. Each draw is a call of its own; `n` is not used.

    Args:
        request: the request.
        dialect: the parameters that the model supports.
        streamed: whether to stream the answer, if the server streams.

    Raises:
        ModelError: the request has a prefill.
    """
    if request.prefill:
        raise ModelError(f"{dialect.model}: prefill is not supported by models behind an API")
    sampling = request.sampling
    body: dict[str, Any] = {
        "model": dialect.model,
        "messages": message_list(request.messages),
        dialect.limit: max(sampling.max_tokens, dialect.least),
        "temperature": sampling.temperature,
    }
    if sampling.top_p != 1:
        body["top_p"] = sampling.top_p
    if sampling.temperature > 0:
        body["seed"] = _folded(sampling.seed, request.draw)
    if sampling.stop:
        body["stop"] = [whole(text) for text in sampling.stop]
    if streamed:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return {name: value for name, value in body.items() if name not in dialect.omitted}


def message_list(messages: Sequence[Message]) -> list[dict[str, str]]:
    """Return messages as JSON."""
    return [{"role": message.role, "content": whole(message.content)} for message in messages]


def read_completion(payload: Any, request: CompletionRequest) -> tuple[Completion, bool]:
    """Return the completion in a payload without its thoughts, and whether its token counts are estimates.

    `reasoning_content` and `reasoning` beside the content are no answer. Stop strings apply to what is said after the
    thoughts. A completion that was cut off within a thought is empty, and its finish reason is "length".

    Raises:
        UnansweredError: the payload contains no answer.
    """
    choice = first_choice(payload)
    limited = _is_used_up(choice.get("finish_reason"))
    # Gemini leaves the message out if its thoughts have used up the tokens.
    content = "" if limited and choice.get("message") is None else _content(choice.get("message"))
    spoken = after_thoughts(content)
    text, cut = _cut(spoken.text, request.sampling.stop)
    used_up = spoken.cut_off or limited
    reason: Literal["stop", "length"] = "length" if used_up and not cut else "stop"
    usage, estimated = read_usage(payload, request.messages, content)
    return Completion(text, reason, usage), estimated


def first_choice(payload: Any) -> Mapping[str, Any]:
    """Return the first of a payload's choices.

    Raises:
        UnansweredError: there is none.
    """
    choices = payload.get("choices") if isinstance(payload, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise UnansweredError("the answer has no choices")
    first: Mapping[str, Any] = choices[0]
    return first


def read_usage(payload: Any, messages: Sequence[Message], text: str) -> tuple[Usage, bool]:
    """Return the usage of a call, and whether any of it is an estimate (a token per four bytes) for lack of a count."""
    counted = payload.get("usage") if isinstance(payload, dict) else None
    counted = counted if isinstance(counted, dict) else {}
    prompt, completion = _count(counted.get("prompt_tokens")), _count(counted.get("completion_tokens"))
    estimated = prompt is None or completion is None
    if prompt is None:
        prompt = sum(_estimate(message.content) for message in messages)
    if completion is None:
        completion = _estimate(text)
    details = counted.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else 0
    return Usage(1, prompt, completion, max(prompt - (cached or 0), 0)), estimated


def read_prompt_tokens(payload: Any, texts: Sequence[str]) -> int:
    """Return the number of tokens of embedded texts, by the payload's count, or else one per four bytes."""
    counted = payload.get("usage") if isinstance(payload, dict) else None
    counted = counted if isinstance(counted, dict) else {}
    counts = [_count(counted.get(name)) for name in ("prompt_tokens", "total_tokens")]
    return next((count for count in counts if count), None) or max(sum(map(_estimate, texts)), 1)


def whole(text: str) -> str:
    """Return the text in a form that UTF-8 and a database can store: NUL and lone surrogates become "�"."""
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.replace("\0", "\ufffd")


def _content(message: Any) -> str:
    if not isinstance(message, dict):
        raise UnansweredError("the answer has no message")
    content = message.get("content")
    if content is None:
        refusal = message.get("refusal")
        content = refusal if isinstance(refusal, str) else ""
    if not isinstance(content, str | list):
        raise UnansweredError("the answer's content is not text")
    return whole(said_in(content))


def said_in(content: Any) -> str:
    """Return the text of a message's content, or of a piece of it: a text, or a list of parts; "" for anything else."""
    if isinstance(content, list):
        return "".join(_part(part) for part in content)
    return content if isinstance(content, str) else ""


def _part(part: Any) -> str:
    """Return the text of one part of a message's content; "" if the part is not said (such as thinking)."""
    if isinstance(part, str):
        return part
    if not isinstance(part, dict) or part.get("thought") or part.get("type", "text") not in ("text", "output_text"):
        return ""
    text = part.get("text")
    return text if isinstance(text, str) else ""


def _is_used_up(reason: Any) -> bool:
    """Return whether an answer ended because its tokens were used up, in any server's word for it."""
    return isinstance(reason, str) and reason.lower() in _USED_UP


def _cut(text: str, stop: Sequence[str]) -> tuple[str, bool]:
    """Return the text before the first stop string, and whether there was one, which the server had not cut."""
    ends = [end for end in (text.find(mark) for mark in stop) if end >= 0]
    return (text[: min(ends)], True) if ends else (text, False)


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= _MOST_TOKENS else None


def _estimate(text: str) -> int:
    return -(-len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN)


def _folded(seed: int, draw: int) -> int:
    """Return a seed of 31 bits, which every server accepts, from seed and draw; it differs between draws of a seed."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{draw}".encode()).digest()[:4], "big") >> 1
