"""Every route: its path, what answers it, and how OpenAPI describes it. Another subject is a table of its own here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from aiohttp import web
from pydantic import BaseModel

from idiolect.serve import people_wire as wire
from idiolect.serve.fit_documents import FitDocument, FitList
from idiolect.serve.job_work import FitOptions
from idiolect.serve.routes import chat, comments, fits, learned, models, operations, people
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
        status: HTTP status of a successful answer.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    handler: Handler
    answer: type[BaseModel] | None
    body: type[BaseModel] | None = None
    streams: bool = False
    open: bool = False
    status: int = 200


_USERS = "/v1/users"
_USER = f"{_USERS}/{{user:[^/]+}}"  # its percent-encoded slashes are no slashes here

PEOPLE_ROUTES: tuple[Route, ...] = (
    Route("POST", _USERS, people.create_user, wire.UserSummaryDocument, wire.UserRecord, status=201),
    Route("GET", _USERS, people.list_users, wire.UserPage),
    Route("GET", _USER, people.show_user, wire.UserDocument),
    Route("PUT", _USER, people.replace_user, wire.UserSummaryDocument, wire.UserReplacement),
    Route("DELETE", _USER, learned.erase_user, wire.ReceiptDocument),
    Route("POST", f"{_USER}/opinions", people.add_opinion, wire.OpinionAddedDocument, wire.OpinionRecord),
    Route("POST", f"{_USER}/opinions/remove", people.remove_opinion, wire.OpinionRemovedDocument, wire.NamedOpinion),
    Route("POST", f"{_USER}/texts", people.add_user_texts, wire.TextsAddedDocument, wire.NewTexts),
    Route("GET", f"{_USER}/dispositions", learned.list_dispositions, wire.DispositionsDocument),
    Route(
        "PATCH",
        f"{_USER}/dispositions",
        learned.change_dispositions,
        wire.DispositionsDocument,
        wire.DispositionChanges,
    ),
    Route("GET", f"{_USER}/export", learned.export_user, wire.ExportDocument),
    Route("POST", f"{_USER}/fits", fits.ask_for_fit, FitDocument, FitOptions, status=202),
    Route("GET", f"{_USER}/fits", fits.list_fits, FitList),
    Route("GET", f"{_USER}/fits/{{job}}", fits.show_fit, FitDocument),
    Route("DELETE", f"{_USER}/fits/{{job}}", fits.cancel_fit, FitDocument),
    Route("GET", f"{_USER}/fits/{{job}}/events", fits.watch_fit, None, streams=True),
)

ROUTES: tuple[Route, ...] = (
    Route("POST", "/v1/chat/completions", chat.chat_completions, ChatAnswerDocument, ChatRequest, streams=True),
    Route("POST", "/v1/completions", chat.completions, None, CompletionsRequest, streams=True),
    Route("POST", "/v1/feedback", comments.give_feedback, comments.FeedbackDocument, comments.Feedback),
    Route("GET", "/v1/models", models.list_models, ModelList),
    Route("GET", "/v1/models/{model:.+}", models.one_model, ModelCard),
    Route("GET", "/health", operations.health, Status, open=True),
    Route("GET", "/ready", operations.ready, Status, open=True),
    Route("GET", "/metrics", operations.metrics, None, open=True),
    Route("GET", "/openapi.json", operations.openapi, None, open=True),
    *PEOPLE_ROUTES,
)
