"""Every route: its path, what answers it, and how OpenAPI describes it. Another subject is a table of its own here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from aiohttp import web
from pydantic import BaseModel

from idiolect.serve.routes import chat, models, operations
from idiolect.serve.wire import ChatAnswerDocument, ChatRequest, CompletionsRequest, ModelCard, ModelList, Status

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path.

    Args:
        method: HTTP method.
        path: template of the path, as aiohttp writes it.
        handler: what answers.
        answer: type of a successful answer; None: text.
        body: type of the request's body; None: there is none.
        streams: whether the answer may be a stream of events.
        open: whether no key is needed.
    """

    method: Literal["GET", "POST"]
    path: str
    handler: Handler
    answer: type[BaseModel] | None
    body: type[BaseModel] | None = None
    streams: bool = False
    open: bool = False


ROUTES: tuple[Route, ...] = (
    Route("POST", "/v1/chat/completions", chat.chat_completions, ChatAnswerDocument, ChatRequest, streams=True),
    Route("POST", "/v1/completions", chat.completions, None, CompletionsRequest, streams=True),
    Route("GET", "/v1/models", models.list_models, ModelList),
    Route("GET", "/v1/models/{model:.+}", models.one_model, ModelCard),
    Route("GET", "/health", operations.health, Status, open=True),
    Route("GET", "/ready", operations.ready, Status, open=True),
    Route("GET", "/metrics", operations.metrics, None, open=True),
    Route("GET", "/openapi.json", operations.openapi, None, open=True),
)
