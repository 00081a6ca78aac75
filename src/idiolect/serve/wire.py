"""OpenAI's requests and answers as types: what a local model is asked with, and what `openapi` describes.

What passes to an upstream is never validated here; see `body`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from idiolect.application.personalized_chat import CHAT_SAMPLING
from idiolect.application.plain_faults import in_words
from idiolect.models.language_model import Completion, SamplingParams
from idiolect.serve.errors import HttpError, invalid

Document = TypeVar("Document", bound=BaseModel)

PERSONALIZED = ":personalized"  # follows a base model's name in the list of models; the two names answer alike
_MOST_TOKENS = 1_000_000
_MOST_FAULTS = 1000  # of a body of which one is named
_MOST_SEED = 2**63 - 1


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class ChatRequestMessage(_Open):
    """A message of a conversation; further fields of OpenAI's protocol are taken too."""

    role: Annotated[str, Field(description="system, developer, user, assistant, tool, …")]
    content: Annotated[
        str | list[dict[str, Any]] | None, Field(description="Text, or parts such as texts and images.")
    ] = None


class StreamOptions(_Open):
    """Options of a stream."""

    include_usage: Annotated[bool | None, Field(description="Whether the last event has the usage.")] = None


class ChatRequest(_Open):
    """A request for the next turn of a conversation. Fields that are not listed pass to the upstream unchanged."""

    model: Annotated[str | None, Field(description="Name of a model that GET /v1/models lists.")] = None
    messages: Annotated[list[ChatRequestMessage], Field(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int | None, Field(ge=1, le=_MOST_TOKENS)] = None
    max_completion_tokens: Annotated[int | None, Field(ge=1, le=_MOST_TOKENS)] = None
    temperature: Annotated[float | None, Field(ge=0, le=2)] = None
    top_p: Annotated[float | None, Field(gt=0, le=1)] = None
    seed: Annotated[int | None, Field(ge=-_MOST_SEED, le=_MOST_SEED)] = None
    stop: str | list[str] | None = None
    user: Annotated[str | None, Field(description="Who asks, if neither the key nor a trusted peer names them.")] = None
    safety_identifier: Annotated[str | None, Field(description="Who asks; comes before `user`.")] = None


class CompletionsRequest(_Open):
    """A request for a plain completion, which passes to the upstream as it is, without personalization."""

    model: str | None = None
    prompt: str | list[Any] = ""


class UsageCounts(_Open):
    """Tokens of a request and of its answer."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatMessageAnswer(_Open):
    """The model's turn."""

    role: str = "assistant"
    content: str | None = None


class ChatChoice(_Open):
    """One answer."""

    index: int
    message: ChatMessageAnswer
    finish_reason: str | None = None


class ChatAnswerDocument(_Open):
    """The answer to a conversation."""

    id: str
    object: str = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: UsageCounts | None = None


class ModelCard(_Open):
    """A model, or the asking user's personalization of one."""

    id: str
    object: str = "model"
    created: int | None = None
    owned_by: str | None = None
    root: Annotated[str | None, Field(description="Model that computes the answers.")] = None
    parent: Annotated[str | None, Field(description="Model that is personalized; null for a base model.")] = None


class ModelList(_Open):
    """The models that the asking user can name."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class ErrorBody(_Open):
    """What went wrong."""

    message: str
    type: str | None = None
    param: str | None = None
    code: str | int | None = None


class ErrorDocument(_Open):
    """An error."""

    error: ErrorBody


class Status(_Open):
    """The state of the server."""

    status: str


# Whatever changes an answer and is not done here is refused, rather than left out without a word.
_NOT_LOCAL: Mapping[str, tuple[object, ...]] = {
    "tools": (None, []),
    "functions": (None, []),
    "n": (None, 1),
    "logprobs": (None, False),
    "top_logprobs": (None, 0),
    "logit_bias": (None, {}),
    "frequency_penalty": (None, 0),
    "presence_penalty": (None, 0),
    "response_format": (None, {"type": "text"}),
    "audio": (None,),
    "modalities": (None, ["text"]),
}


def chat_request(body: Mapping[str, Any]) -> ChatRequest:
    """Return the request to a local model.

    Raises:
        HttpError: a field is not valid, or asks for what local models do not do (400).
    """
    for name, usual in _NOT_LOCAL.items():
        if name in body and body[name] not in usual:
            raise invalid(f"local models do not support {name}", param=name, code="unsupported_parameter")
    return read_as(ChatRequest, body)


def read_as(kind: type[Document], document: Mapping[str, Any]) -> Document:
    """Return the object of a request's body as a type of ours.

    Raises:
        HttpError: a field is not valid; the first fault is named, and its value is not repeated (400).
    """
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        if error.error_count() > _MOST_FAULTS:  # a list of them could take half a gigabyte
            raise invalid(f"the body has {error.error_count():,} faults") from None
        fault = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, fault["loc"]))
        raise invalid(in_words(fault, kind.model_fields), param=place or None) from None


def sampling_of(request: ChatRequest, *, seed: int) -> SamplingParams:
    """Return the parameters of decoding; greedy unless a temperature is given.

    Args:
        request: the request.
        seed: seed if the request has none.

    Raises:
        HttpError: a stop text is empty (400).
    """
    stop = [request.stop] if isinstance(request.stop, str) else request.stop or []
    asked = request.seed if request.seed is not None else seed
    usual = CHAT_SAMPLING
    try:
        return SamplingParams(
            max_tokens=request.max_completion_tokens or request.max_tokens or usual.max_tokens,
            temperature=usual.temperature if request.temperature is None else request.temperature,
            top_p=usual.top_p if request.top_p is None else request.top_p,
            seed=asked % 2**32,
            stop=tuple(stop),
        )
    except ValueError as error:
        raise invalid(str(error), param="stop") from None


def usage_document(completion: Completion) -> dict[str, int]:
    """Return the usage of a completion."""
    usage = completion.usage
    total = usage.prompt_tokens + usage.completion_tokens
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": total,
    }


def answer_document(head: Mapping[str, Any], completion: Completion) -> dict[str, Any]:
    """Return a whole answer; `head` has its id, time and model."""
    message = {"role": "assistant", "content": completion.text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": completion.finish_reason}
    return {**head, "object": "chat.completion", "choices": [choice], "usage": usage_document(completion)}


def chunk_document(
    head: Mapping[str, Any], delta: Mapping[str, Any], *, finish_reason: str | None = None
) -> dict[str, Any]:
    """Return a chunk of a streamed answer."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return {**head, "object": "chat.completion.chunk", "choices": [choice]}


def usage_chunk_document(head: Mapping[str, Any], completion: Completion) -> dict[str, Any]:
    """Return the last chunk of a stream, if the client asked for the usage."""
    return {**head, "object": "chat.completion.chunk", "choices": [], "usage": usage_document(completion)}


def missing_model(name: str, known: str) -> HttpError:
    """Return the error for a model that is not served here."""
    message = f"the model {name[:100]!r} is not served here; this server has {known!r} (GET /v1/models lists all)"
    return HttpError(404, message, kind="not_found_error", param="model", code="model_not_found")
