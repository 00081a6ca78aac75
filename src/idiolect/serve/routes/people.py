"""Users over HTTP: created, replaced, listed and read; their opinions and texts added, and opinions taken back."""

from __future__ import annotations

import asyncio

from aiohttp import web

from idiolect.application.documents import opinion_added_document, user_document, user_summary_document
from idiolect.application.names import CHAMELEON
from idiolect.application.opinions import OpinionAdded
from idiolect.application.people_documents import (
    opinion_removed_document,
    texts_added_document,
    users_page_document,
)
from idiolect.application.persons import known_in
from idiolect.application.run import Spending
from idiolect.errors import DamagedError, StoreError, UnknownUserError
from idiolect.people.user import Opinion, User, unstorable_part
from idiolect.serve.errors import NOT_FOUND, HttpError, invalid
from idiolect.serve.person_requests import (
    Person,
    admitted_people,
    admitted_person,
    body_object,
    check_new_id,
    opinion_in,
    texts_in,
    user_in,
)
from idiolect.serve.responding import json_response
from idiolect.store import DamagedUser, Store, UserSummary
from idiolect.store.people_changes import MOST_LISTED, add_texts, add_user, page_of_users

_USUAL_PAGE = 100


async def create_user(request: web.Request) -> web.StreamResponse:
    """Create a user.

    The body is a record of the users file. A user of that id must not be there yet (409).
    """
    people = await admitted_people(request)
    user = await user_in(people, await body_object(request, people))
    check_new_id(user.id)
    if people.only not in (None, user.id):
        raise HttpError(403, "this key is for another user", kind="permission_error", code="other_user")
    people.check_reach(user.id)

    def create(store: Store, user_id: str) -> UserSummary:
        if not add_user(store, user):
            raise HttpError(409, "there is a user of this id; PUT replaces them", code="user_exists", param="id")
        return store.summary(user_id)

    made = await Person(people, user.id).change(create)
    return json_response(user_summary_document(made), people.context.exchange, status=201)


async def replace_user(request: web.Request) -> web.StreamResponse:
    """Replace a user, or create them.

    The body is a record of the users file; its `id` may be left out. What was learned stays, and so do opinions that
    were added one by one, as when a users file is imported again.
    """
    person = await admitted_person(request)
    body = await body_object(request, person.people)
    if body.setdefault("id", person.id) != person.id:
        raise invalid("id: is another than in the path", param="id")
    user = await user_in(person.people, body)
    check_new_id(user.id)

    def replace(store: Store, user_id: str) -> tuple[UserSummary, bool]:
        saved = store.save_users([user])
        return store.summary(user_id), saved.new > 0

    held, new = await person.change(replace)
    return json_response(user_summary_document(held), person.people.context.exchange, status=201 if new else 200)


async def list_users(request: web.Request) -> web.StreamResponse:
    """List users by page, in the order of their ids: `after` is the last id of the page before."""
    people = await admitted_people(request)
    after, limit = request.query.get("after"), _limit(request.query.get("limit"))
    if after is not None and unstorable_part(after) is not None:
        raise invalid("after: is no id", param="after")

    def page() -> list[UserSummary | DamagedUser]:
        if people.only is None:
            return page_of_users(people.store, after=after, most=limit + 1)
        own = people.only if after is None or people.only > after else None
        return _those(people.store, own)

    found = await asyncio.to_thread(page)
    return json_response(users_page_document(found[:limit], has_more=len(found) > limit), people.context.exchange)


def _limit(given: str | None) -> int:
    if given is None:
        return _USUAL_PAGE
    if not (given.isascii() and given.isdecimal() and len(given) < 9 and 1 <= int(given) < MOST_LISTED):
        raise invalid(f"limit: must be a whole number from 1 to {MOST_LISTED - 1}", param="limit")
    return int(given)


def _those(store: Store, user_id: str | None) -> list[UserSummary | DamagedUser]:
    """Return the summary of a user, if there is one."""
    if user_id is None:
        return []
    try:
        return [store.summary(user_id)]
    except UnknownUserError:
        return []
    except DamagedError:
        return [DamagedUser(user_id, user_id)]


async def show_user(request: web.Request) -> web.StreamResponse:
    """Show what is known about a user, and what was learned for them."""
    person = await admitted_person(request)
    document = await person.work(lambda store, user_id: user_document(known_in(store, user_id)))
    return json_response(document, person.people.context.exchange)


async def add_opinion(request: web.Request) -> web.StreamResponse:
    """Add an opinion of a user; it replaces the one on the same question with the same choices."""
    person = await admitted_person(request)
    opinion = await opinion_in(person.people, await body_object(request, person.people))
    added = await person.change(lambda store, user_id: _put(store, user_id, opinion))
    document = opinion_added_document(person.id, added, Spending())
    return json_response(document, person.people.context.exchange)


def _put(store: Store, user_id: str, opinion: Opinion) -> OpinionAdded:
    change = store.put_opinion(user_id, opinion)
    return OpinionAdded(change, edited=store.find_personalization(user_id, CHAMELEON) is not None)


async def remove_opinion(request: web.Request) -> web.StreamResponse:
    """Remove an opinion of a user.

    `choices` are needed if the question was asked with several sets of choices; an empty list stands for none. What was
    learned stays until learning goes on.
    """
    person = await admitted_person(request)
    body = await body_object(request, person.people)
    question, choices = body.get("question"), body.get("choices")
    if not isinstance(question, str):
        raise invalid("question: must be text", param="question")
    if choices is not None and not (isinstance(choices, list) and all(isinstance(each, str) for each in choices)):
        raise invalid("choices: must be a list of texts", param="choices")
    left = await person.change(lambda store, user_id: _removed(store, user_id, question, choices))
    return json_response(opinion_removed_document(left), person.people.context.exchange)


def _removed(store: Store, user_id: str, question: str, choices: list[str] | None) -> UserSummary:
    try:
        removed = store.remove_opinion(user_id, question, choices)
    except StoreError as error:
        raise _not_removed(store.user(user_id), question, choices) or error from None
    if not removed:
        raise HttpError(404, "the user has no such opinion", kind=NOT_FOUND, code="opinion_not_found")
    return store.summary(user_id)


def _not_removed(user: User, question: str, choices: list[str] | None) -> HttpError | None:
    """Return the error for an opinion that cannot be removed; None if that is not why the removal failed."""
    named = [each for each in user.opinions if each.question.text == question]
    if choices is None and len(named) > 1:
        return HttpError(409, "there are several opinions on this question: name the choices", code="ambiguous_opinion")
    if named and len(user.opinions) == 1 and not user.texts:
        message = "nothing would be left of the user: erase them with DELETE"
        return HttpError(409, message, code="last_opinion")
    return None


async def add_user_texts(request: web.Request) -> web.StreamResponse:
    """Add texts that a user wrote; those that they have already are not added again."""
    person = await admitted_person(request)
    texts = await texts_in(person.people, await body_object(request, person.people))

    def add(store: Store, user_id: str) -> tuple[UserSummary, int]:
        added = add_texts(store, user_id, texts)
        return store.summary(user_id), added

    left, added = await person.change(add)
    return json_response(texts_added_document(left, added), person.people.context.exchange)
