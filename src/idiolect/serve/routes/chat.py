"""Answers: /v1/chat/completions, and /v1/completions where the model has it."""

from __future__ import annotations

from aiohttp import web

from idiolect.serve.routes.context import admitted, json_body


async def chat_completions(request: web.Request) -> web.StreamResponse:
    """Answer a conversation as the asking user's own model would."""
    context = await admitted(request)
    body = await json_body(request, context)
    messages = body.messages()
    gateway, exchange = context.gateway, context.exchange
    asker = context.asker(request, body)
    with gateway.span("personalize"):
        applicable = await gateway.personalizations.of(asker)
        applied = await applicable.at(body.last_question(messages) if applicable.prompts is not None else None)
    return await gateway.answers.chat(request, exchange, body, asker, applied)


async def completions(request: web.Request) -> web.StreamResponse:
    """Answer a request for a plain completion; a prompt of one's own is not personalized."""
    context = await admitted(request)
    body = await json_body(request, context)
    context.exchange.name("base", "plain completions are not personalized")
    return await context.gateway.answers.complete(request, context.exchange, body)
