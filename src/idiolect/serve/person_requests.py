"""What routes about people begin with: the key's right to them, the user that the path names, and the body.

    /v1/users/a%2Fb/opinions → key with the scope `people` → Person (tenant, user "a/b", store) → work in a thread

A key that is bound to one user reaches no other: such a user is unknown to it, whether or not there is one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

from aiohttp import web

from idiolect.errors import BusyError, CacheError, NotFittedError, UnknownUserError
from idiolect.people.json_line import Problem, UnreadableLineError, parse_object
from idiolect.people.user import Opinion, User
from idiolect.people.user_record import InvalidRecordError, user_from_record
from idiolect.people.users_file import MAX_LINE_BYTES
from idiolect.serve.errors import AUTHENTICATION, NOT_FOUND, SERVER, HttpError, invalid
from idiolect.serve.identity import LONGEST_ID, Asker
from idiolect.serve.keys import PEOPLE
from idiolect.serve.routes.context import Context, admitted, body_bytes
from idiolect.serve.thread_pools import Threads
from idiolect.store import DEFAULT_TENANT, Store

T = TypeVar("T")

USER_PLACE = 3  # of a user's id among the parts of a path: "", v1, users, ID, …
_SHOWN_PROBLEMS = 20
_FORWARDING = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")  # headers of proxies
_RETRY = {"Retry-After": "1"}


@dataclass(frozen=True, slots=True)
class People:
    """A request about the people of a tenant.

    Args:
        context: the request's context.
        tenant: the key's tenant.
        only: the only user that the key reaches; None: any user of the tenant.
        store: the tenant's store.
    """

    context: Context
    tenant: str
    only: str | None
    store: Store

    @property
    def threads(self) -> Threads:
        """The threads in which the request's work is done."""
        return self.context.gateway.threads

    def check_reach(self, user_id: str, *, erasing: bool = False) -> None:
        """Check that the key reaches a user, and that they are not being erased, unless this request is `erasing`.

        Raises:
            HttpError: it does not (404, as for a user who is not there), or they are (409).
        """
        if self.only not in (None, user_id):
            raise unknown_user()
        if not erasing and self.context.gateway.erasures.erases(Asker(self.tenant, user_id)):
            message = "this user is being erased; try again when that has ended"
            raise HttpError(409, message, code="user_being_erased", headers=_RETRY)


@dataclass(frozen=True, slots=True)
class Person:
    """A request about one user.

    Args:
        people: the request.
        id: the user's id.
    """

    people: People
    id: str

    @property
    def asker(self) -> Asker:
        """The user, as one who asks."""
        return Asker(self.people.tenant, self.id)

    async def work(self, work: Callable[[Store, str], T], *, writes: bool = False) -> T:
        """Return the result of work with the store, which is done in a thread; `writes`: it changes the store.

        Raises:
            HttpError: there is no such user, or their data is in use (see `people_faults`).
        """
        run = self.people.threads.write if writes else asyncio.to_thread
        with people_faults():
            return await run(work, self.people.store, self.id)

    async def export(self, work: Callable[[Store, str], T]) -> T:
        """Return the result of work with the store and the tenant's caches of calls, which waits for erasures there.

        Raises:
            HttpError: see `work`.
        """
        people = self.people
        with people_faults():
            async with people.context.gateway.erasures.turns[people.tenant]:
                return await people.threads.export(work, people.store, self.id)

    async def change(self, work: Callable[[Store, str], T]) -> T:
        """Do work as `work` does, which changes the user's data: an erasure waits for it, and answers use it at once.

        Raises:
            HttpError: see `work`; or the user is being erased (409).
        """
        gateway = self.people.context.gateway
        self.people.check_reach(self.id)  # again, because the body took a while to come
        with gateway.erasures.using(self.asker):
            done = await self.work(work, writes=True)
            gateway.personalizations.forget(self.asker)
        return done


async def admitted_people(request: web.Request) -> People:
    """Return a request about people, whose caller may make it.

    Raises:
        HttpError: a key is needed or not known (401), not for this (403), or used too often (429).
    """
    context = await admitted(request, scope=PEOPLE)
    key, trust = context.key, context.gateway.trust
    open_here = context.gateway.settings.anonymous_people and trust.loopback_only
    if key is None and (not open_here or any(name in request.headers for name in _FORWARDING)):
        message = "data about people needs a key with the scope people: Authorization: Bearer KEY"
        headers = {"WWW-Authenticate": "Bearer"}
        raise HttpError(401, message, kind=AUTHENTICATION, code="invalid_api_key", headers=headers)
    tenant = DEFAULT_TENANT if key is None else key.tenant
    store = await asyncio.to_thread(context.gateway.store_of, tenant)
    return People(context, tenant, None if key is None else key.user, store)


async def admitted_person(request: web.Request, *, erasing: bool = False) -> Person:
    """Return a request about the user that its path names.

    Args:
        request: the request.
        erasing: whether it asks for their erasure, which it may also do while they are being erased.

    Raises:
        HttpError: as for `admitted_people`; the id is no text (400), the key does not reach them (404), or they are
            being erased (409).
    """
    people = await admitted_people(request)
    user_id = user_of_path(request)
    people.check_reach(user_id, erasing=erasing)
    return Person(people, user_id)


def user_of_path(request: web.Request) -> str:
    """Return the id of the user that a path names, with its percent-encoding undone.

    Raises:
        HttpError: it is not UTF-8 (400).
    """
    part = request.rel_url.raw_path.split("/")[USER_PLACE]
    try:
        return unquote_to_bytes(part).decode("utf-8")
    except UnicodeError:  # the percent-encoded bytes are not UTF-8, or the path has others that are not
        raise invalid("the user's id in the path is not percent-encoded UTF-8", param="user") from None


def check_new_id(user_id: str) -> None:
    """Check the id of a user who is to be created over HTTP.

    Raises:
        HttpError: no request could name them: the id is too long, or one that paths lose on their way (400).
    """
    if len(user_id) > LONGEST_ID:
        raise invalid(f"id: has more than {LONGEST_ID} characters", param="id")
    if user_id in (".", ".."):
        raise invalid('id: clients and proxies drop "." and ".." from paths; choose another', param="id")


async def body_object(request: web.Request, people: People) -> dict[str, Any]:
    """Return the body of a request, a JSON object.

    Raises:
        HttpError: see `BodyReader`; or it is no JSON object that can be stored (400).
    """
    data = await body_bytes(request, people.context, most=MAX_LINE_BYTES)
    try:
        return await people.threads.parse(parse_object, data)
    except UnreadableLineError as error:
        raise invalid(f"the body {error}", code="invalid_json") from None


async def user_in(people: People, record: dict[str, Any]) -> User:
    """Return the user that a record of the users file describes.

    Raises:
        HttpError: the record has faults; the message lists them (400).
    """
    try:
        return await people.threads.parse(user_from_record, record)
    except InvalidRecordError as error:
        raise with_problems(error.problems) from None


async def opinion_in(people: People, body: dict[str, Any]) -> Opinion:
    """Return the opinion that an object of the users file describes.

    Raises:
        HttpError: it has faults; the message lists them (400).
    """
    user = await _part_of_user(people, {"opinions": [body]}, "opinions[0].")
    return user.opinions[0]


async def texts_in(people: People, body: dict[str, Any]) -> tuple[str, ...]:
    """Return the texts in a body, {"texts": […]}.

    Raises:
        HttpError: there is none, or one has faults; the message lists them (400).
    """
    if not body.get("texts"):
        raise invalid("texts: is missing or empty", param="texts")
    return (await _part_of_user(people, {"texts": body["texts"]}, "")).texts


async def _part_of_user(people: People, part: dict[str, Any], place: str) -> User:
    try:
        return await people.threads.parse(user_from_record, {"id": "-", **part})
    except InvalidRecordError as error:
        problems = (Problem(each.field.removeprefix(place), each.message) for each in error.problems)
        raise with_problems(tuple(problems)) from None


def with_problems(problems: tuple[Problem, ...]) -> HttpError:
    """Return the error for a body that has faults; the message lists them."""
    shown = "; ".join(map(str, problems[:_SHOWN_PROBLEMS]))
    more = len(problems) - _SHOWN_PROBLEMS
    return invalid(f"{shown}; and {more} more" if more > 0 else shown, param=problems[0].field)


def unknown_user() -> HttpError:
    """Return the error for a user who is not there, or whom the key does not reach."""
    return HttpError(404, "there is no such user", kind=NOT_FOUND, code="user_not_found")


@contextmanager
def people_faults() -> Iterator[None]:
    """Turn errors about users, which may quote ids or texts, into answers to the client.

    Raises:
        HttpError: there is no such user or result (404), their data is in use (409), or a cache is (503).
    """
    try:
        yield
    except UnknownUserError:
        raise unknown_user() from None
    except NotFittedError as error:
        message = f"{error.method} has learned nothing for this user yet"
        raise HttpError(404, message, kind=NOT_FOUND, code="nothing_learned") from None
    except BusyError as error:
        raise HttpError(409, str(error), code="user_busy", headers=_RETRY) from None
    except CacheError:
        message = "the cache of calls is in use or cannot be read; try again"
        raise HttpError(503, message, kind=SERVER, code="cache_unavailable", headers=_RETRY) from None
