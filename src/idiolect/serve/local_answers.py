"""Answers by a model of this process, or any other model of the workspace, under the prompt or edit of whoever asks.

    JsonBody, Applied → PersonalizedChat → chat | stream_chat → OpenAI's documents, or events

Conversations do not go through the workspace's run: they are kept in no cache, and a failure of one user's request
stops nobody else's. Requests of one model wait for the batch that is being written.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from aiohttp import web

from idiolect.application.chat_messages import check_messages, readable_messages
from idiolect.application.chats import chat, put_together, stream_chat
from idiolect.application.owner import Owner
from idiolect.application.personalized_chat import ChatAnswer, PersonalizedChat
from idiolect.application.workspace import AsyncWorkspace
from idiolect.errors import SettingsError
from idiolect.models.language_model import CompletionModel, LanguageModel, SamplingParams
from idiolect.serve.body import JsonBody
from idiolect.serve.errors import HttpError, invalid
from idiolect.serve.event_streams import DONE, event
from idiolect.serve.exchange import Exchange
from idiolect.serve.identity import Asker
from idiolect.serve.personalizations import Applied
from idiolect.serve.responding import json_response, stream_response
from idiolect.serve.tracing import Span
from idiolect.serve.wire import (
    PERSONALIZED,
    answer_document,
    chat_request,
    chunk_document,
    missing_model,
    sampling_of,
    usage_chunk_document,
)

_NOBODY = ""


class LocalAnswers:
    """Answers by one model of the workspace. Use it with `async with`, which opens the model.

    Args:
        workspace: store and models.
        name: name of the model, see `models.catalog`.
        served_names: further names by which clients may ask for it.
        span: opens a span of a trace.
    """

    def __init__(self, workspace: AsyncWorkspace, name: str, served_names: tuple[str, ...], span: Span) -> None:
        self._workspace, self._span = workspace, span
        self.name = name
        self._names = frozenset((name, *served_names))
        self._model: LanguageModel | None = None
        self._opened = int(time.time())

    async def __aenter__(self) -> LocalAnswers:
        opened = await self._workspace.models.model(self.name)
        await self._workspace.models.check(opened)
        if not isinstance(opened.model, CompletionModel):
            raise SettingsError(f"the model {self.name!r} writes no text, so it cannot answer in a conversation")
        self._model = opened.model
        return self

    async def __aexit__(self, *_: object) -> None:
        self._model = None  # the workspace closes it

    @property
    def describes(self) -> str:
        """What answers, in words."""
        return self.name

    async def chat(
        self, request: web.Request, exchange: Exchange, body: JsonBody, asker: Asker, applied: Applied
    ) -> web.StreamResponse:
        """Answer a conversation.

        Raises:
            HttpError: the body is no conversation, or asks for what this model does not do.
            ModelError: the model could not answer.
        """
        body.messages()
        document = body.decoded()
        asked = chat_request(document)
        named = (asked.model or self.name).removesuffix(PERSONALIZED)
        if named not in self._names:
            raise missing_model(asked.model or "", self.name)
        sampling = sampling_of(asked, seed=secrets.randbits(32))
        prepared = self._prepared(document["messages"], asker, applied, sampling)
        exchange.name(applied.name, applied.why)
        head = {"id": f"chatcmpl-{exchange.id}", "created": int(time.time()), "model": asked.model or self.name}
        exchange.asks_model()
        if not asked.stream:
            with self._span("model"):
                answer = await chat(self._workspace, prepared)
            exchange.name(answer.chat.personalization, answer.chat.why)
            return json_response(answer_document(head, answer.completion), exchange)
        usage = asked.stream_options is not None and asked.stream_options.include_usage is True
        first, events = await self._begun(prepared, head, usage=usage)
        return await stream_response(request, exchange, _after(first, events))

    async def complete(self, request: web.Request, exchange: Exchange, body: JsonBody) -> web.StreamResponse:
        """Refuse a plain completion.

        Raises:
            HttpError: always (404).
        """
        del request, exchange, body
        raise HttpError(
            404,
            "this model answers in conversations only: use /v1/chat/completions",
            kind="not_found_error",
            code="unsupported_endpoint",
        )

    async def models(self, exchange: Exchange) -> list[Mapping[str, object]]:
        """Return the model that answers, under each of its names."""
        del exchange
        card = {"object": "model", "created": self._opened, "owned_by": "idiolect", "root": self.name}
        return [{"id": name, **card} for name in sorted(self._names, key=lambda name: name != self.name)]

    async def check(self) -> None:
        """Check that the model is open.

        Raises:
            HttpError: it is not (503).
        """
        if self._model is None:
            raise HttpError(503, "the model is not loaded", kind="server_error", code="model_unavailable")

    def _prepared(
        self, messages: list[Mapping[str, Any]], asker: Asker, applied: Applied, sampling: SamplingParams
    ) -> PersonalizedChat:
        turns = check_messages(messages)
        try:
            readable_messages(turns)
        except ValueError as error:
            raise invalid(str(error), param="messages", code="unsupported_content") from None
        assert self._model is not None, "the model is not open"
        answering = applied.edit.edited or self._model
        owner = Owner.user(asker.user or _NOBODY)
        return put_together(owner, turns, applied.why, applied.prompt, applied.edit, answering, sampling)

    async def _begun(
        self, prepared: PersonalizedChat, head: Mapping[str, Any], *, usage: bool
    ) -> tuple[bytes, AsyncGenerator[bytes, None]]:
        """Return the first event and the others: what fails before the first word still gets a status of its own."""
        events = self._events(prepared, head, usage=usage)
        try:
            first = await anext(events)
        except BaseException:
            await events.aclose()
            raise
        return first, events

    async def _events(
        self, prepared: PersonalizedChat, head: Mapping[str, Any], *, usage: bool
    ) -> AsyncGenerator[bytes, None]:
        delta: dict[str, Any] = {"role": "assistant"}
        with self._span("model"):
            async with aclosing(stream_chat(self._workspace, prepared)) as items:
                async for item in items:
                    if isinstance(item, ChatAnswer):
                        completion = item.completion
                        yield event(chunk_document(head, {}, finish_reason=completion.finish_reason))
                        if usage:
                            yield event(usage_chunk_document(head, completion))
                        yield DONE
                    else:
                        yield event(chunk_document(head, {**delta, "content": item}))
                        delta = {}


async def _after(first: bytes, others: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(others):
        yield first
        async for each in others:
            yield each
