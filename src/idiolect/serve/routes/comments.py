"""Feedback: what people think of an answer, by the id of the response; it becomes an opinion, from which is learned."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from idiolect.errors import UnknownUserError
from idiolect.people.json_line import object_problems
from idiolect.serve.body import JsonBody
from idiolect.serve.errors import NOT_FOUND, HttpError, invalid
from idiolect.serve.gateway import Gateway
from idiolect.serve.heard import KEEPS_EVERY
from idiolect.serve.identity import Asker
from idiolect.serve.person_requests import with_problems
from idiolect.serve.responding import json_response
from idiolect.serve.routes.context import admitted, json_body
from idiolect.serve.wire import read_as
from idiolect.store import Store
from idiolect.store.responses import Comment, Given, Learning, Responses

_MOST_BYTES = 2**20  # of a comment
_OTHERS_KEEP = (KEEPS_EVERY, 2 * KEEPS_EVERY, 5 * KEEPS_EVERY)  # seconds
_Words = Annotated[str, Field(min_length=1, max_length=50_000)]


class Feedback(BaseModel):
    """A comment on a response: a rating, what the user would have said, or the choice that they would have made."""

    model_config = ConfigDict(extra="forbid")

    response_id: Annotated[str, Field(min_length=1, max_length=512, description="`id` of the answer.")]
    rating: Annotated[
        Literal["up", "down"] | None, Field(description="up: the answer becomes an opinion; down: it is only noted.")
    ] = None
    said: Annotated[_Words | None, Field(description="What the user would have said instead.")] = None
    choice: Annotated[_Words | None, Field(description="The choice that the user would have made.")] = None
    choices: Annotated[list[_Words] | None, Field(min_length=2, description="Those that they had.")] = None
    ordinal: Annotated[bool, Field(description="Whether the choices are a scale in order.")] = False
    user: Annotated[str | None, Field(description="Who comments, as in a conversation.")] = None
    safety_identifier: str | None = None

    def comment(self) -> Comment:
        """Return the comment.

        Raises:
            HttpError: it is none, or more than one (400).
        """
        given: list[Comment] = []
        if self.rating is not None:
            given.append(Comment(self.response_id, "rating", {"rating": self.rating}))
        if self.said is not None:
            given.append(Comment(self.response_id, "said", {"said": self.said}))
        if self.choice is not None:
            if self.choices is None:
                raise invalid("choices: is missing", param="choices")
            chosen = {"choice": self.choice, "choices": self.choices, "ordinal": self.ordinal}
            given.append(Comment(self.response_id, "choice", chosen))
        if len(given) != 1:
            raise invalid("a comment has one of rating, said, and choice with choices")
        return given[0]


class FeedbackDocument(BaseModel):
    """The outcome of a comment."""

    response_id: str
    kind: Literal["rating", "said", "choice"]
    opinion: Annotated[Literal["added", "replaced"] | None, Field(description="Whether it became an opinion, and how.")]
    fit: Annotated[str | None, Field(description="The fit that learns from it, once there is one.")]
    new: Annotated[bool, Field(description="False: it was given before, and nothing was changed.")]


async def give_feedback(request: web.Request) -> web.StreamResponse:
    """Comment on a response, once in each way.

    A thumb up makes the answer an opinion of the user, unless they stated their own; a thumb down is only noted. The
    same comment again changes nothing, and another one of the same kind is refused (409).
    """
    context = await admitted(request)
    body = await json_body(request, context, most=_MOST_BYTES)
    gateway = context.gateway
    comment = await gateway.threads.parse(_comment_in, body)
    asker = context.asker(request, body)
    await gateway.kept.write()  # the response may have come a moment ago
    store = await asyncio.to_thread(gateway.store_of, asker.tenant)
    if asker.user is not None and gateway.erasures.erases(asker):
        raise _no_response()
    try:
        with gateway.erasures.using(asker):
            given = await _given(gateway, store, comment, asker.user)
    except UnknownUserError:
        given = None
    except ValueError as error:
        raise invalid(str(error), param=comment.kind) from None
    if given is None:
        raise _no_response()
    if not given.same:
        raise HttpError(409, f"another {comment.kind} was given before", code="feedback_exists")
    if given.new:
        gateway.personalizations.forget(Asker(asker.tenant, given.user))
        gateway.wake_workers()
    answer = {
        "response_id": comment.response,
        "kind": comment.kind,
        "opinion": given.opinion,
        "fit": given.job,
        "new": given.new,
    }
    return json_response(answer, context.exchange)


def _comment_in(body: JsonBody) -> Comment:
    document = body.decoded()
    if problems := object_problems(document):
        raise with_problems(tuple(problems))
    return read_as(Feedback, document).comment()


async def _given(gateway: Gateway, store: Store, comment: Comment, user_id: str | None) -> Given | None:
    """Record a comment; wait a moment for a response that another replica may be about to keep."""
    for pause in (*(_OTHERS_KEEP if store.database.kind != "sqlite" else ()), None):
        given = await gateway.threads.write(_give, gateway, store, comment, user_id)
        if given is not None or pause is None:
            break
        await asyncio.sleep(pause)
    return given


def _give(gateway: Gateway, store: Store, comment: Comment, user_id: str | None) -> Given | None:
    learning = None
    settings = gateway.settings
    if settings.learn_after:
        learning = Learning(settings.learn_after, settings.learning_method, {"continue": True})
    return Responses(store.rows).give(comment, user_id=user_id, learning=learning, seconds=gateway.kept.seconds)


def _no_response() -> HttpError:
    message = "there is no such response of this user, or it is not kept any more"
    return HttpError(404, message, kind=NOT_FOUND, code="response_not_found", param="response_id")
