"""The models that the asking user can name: base models, and that user's personalization of each."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from idiolect.serve.responding import json_response
from idiolect.serve.routes.context import Context, admitted
from idiolect.serve.wire import PERSONALIZED, missing_model


async def list_models(request: web.Request) -> web.StreamResponse:
    """List the models."""
    context = await admitted(request)
    return json_response({"object": "list", "data": await _cards(request, context)}, context.exchange)


async def one_model(request: web.Request) -> web.StreamResponse:
    """Describe one model."""
    context = await admitted(request)
    wanted, cards = request.match_info["model"], await _cards(request, context)
    for card in cards:
        if card["id"] == wanted:
            return json_response(card, context.exchange)
    raise missing_model(wanted, str(cards[0]["id"]) if cards else "none")


async def _cards(request: web.Request, context: Context) -> list[Mapping[str, object]]:
    gateway = context.gateway
    asker = context.asker(request)
    base = [
        {**card, "root": card.get("root") or card["id"], "parent": card.get("parent")}
        for card in await gateway.answers.models(context.exchange)
        if isinstance(card.get("id"), str)
    ]
    if not (await gateway.personalizations.of(asker)).used:
        return list(base)
    return [*base, *({**card, "id": f"{card['id']}{PERSONALIZED}", "parent": card["id"]} for card in base)]
