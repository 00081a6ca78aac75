"""Answers: /v1/chat/completions, and /v1/completions where the model has it."""

from __future__ import annotations

from functools import partial

from aiohttp import web

from idiolect.people.user import Question
from idiolect.serve.gateway import Gateway
from idiolect.serve.heard import Heard
from idiolect.serve.identity import Asker
from idiolect.serve.routes.context import admitted, json_body


async def chat_completions(request: web.Request) -> web.StreamResponse:
    """Answer a conversation as the asking user's own model would."""
    context = await admitted(request)
    body = await json_body(request, context)
    messages = body.messages()
    gateway, exchange = context.gateway, context.exchange
    asker = context.asker(request, body)
    with gateway.erasures.using(asker):
        with gateway.span("personalize"):
            applicable = await gateway.personalizations.of(asker)
            question = body.last_question(messages) if applicable.prompts is not None else None
            applied = await applicable.at(question)
        if asker.user is None or not gateway.kept.most:
            return await gateway.answers.chat(request, exchange, body, asker, applied)
        heard = Heard()
        keep = partial(_keep, gateway, asker, question or body.last_question(messages), heard)
        exchange.hears, exchange.heard = heard.add, keep
        response = await gateway.answers.chat(request, exchange, body, asker, applied)
        if response.status == 200 and not exchange.streams:
            keep(response)
        return response


def _keep(
    gateway: Gateway, asker: Asker, question: Question | None, heard: Heard, response: web.StreamResponse
) -> None:
    """Keep what was asked and answered for a while, so that the user can comment on it."""
    if isinstance(response, web.Response) and isinstance(response.body, bytes):
        heard.add(response.body)
    compressed = response.headers.get("Content-Encoding", "identity") != "identity"
    found = heard.answer(content_type=response.headers.get("Content-Type", ""), compressed=compressed)
    if found is not None and question is not None:
        response_id, answer = found
        gateway.kept.add(asker, response_id, question.text, answer)


async def completions(request: web.Request) -> web.StreamResponse:
    """Answer a request for a plain completion; a prompt of one's own is not personalized."""
    context = await admitted(request)
    body = await json_body(request, context)
    context.exchange.name("base", "plain completions are not personalized")
    return await context.gateway.answers.complete(request, context.exchange, body)
