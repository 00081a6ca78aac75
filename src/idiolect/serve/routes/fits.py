"""Fits over HTTP: asked for, listed, watched while they run, and cancelled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator

from aiohttp import web

from idiolect.application.names import CHAMELEON, PRESETS, MethodName
from idiolect.serve.errors import LIMITED, NOT_FOUND, HttpError, invalid
from idiolect.serve.event_streams import event
from idiolect.serve.fit_documents import job_document
from idiolect.serve.job_work import FitOptions
from idiolect.serve.person_requests import Person, admitted_person, body_object
from idiolect.serve.responding import json_response, stream_response
from idiolect.serve.settings import GatewaySettings
from idiolect.serve.wire import read_as
from idiolect.store import Store
from idiolect.store.jobs import Job, Jobs

_LOOK = 0.5  # seconds between looks at a job that is watched
_SILENCE = 15.0  # seconds after which a comment keeps the stream open


async def ask_for_fit(request: web.Request) -> web.StreamResponse:
    """Ask for a fit of a user, which a worker begins when it is free.

    A user has one fit at a time: while one is active, the answer is 409, and `Location` names it.
    """
    person = await admitted_person(request)
    gateway = person.people.context.gateway
    body = await body_object(request, person.people) if request.can_read_body else {}
    options = read_as(FitOptions, body)
    method = method_of(gateway.settings, options)

    def put(store: Store, user_id: str) -> tuple[Job, bool]:
        store.summary(user_id)
        if gateway.budgets.left(store, user_id) is None:
            raise HttpError(429, gateway.budgets.message, kind=LIMITED, code="budget_spent")
        return Jobs(store.rows).put(user_id, method, options.model_dump(by_alias=True, exclude_none=True))

    job, new = await person.work(put, writes=True)
    place = f"{request.rel_url.raw_path}/{job.id}"
    if not new:
        message = f"the fit {job.id} of this user is {job.state}; wait for its end, or cancel it"
        raise HttpError(409, message, code="fit_active", headers={"Location": place})
    gateway.wake_workers()
    return json_response(job_document(job), person.people.context.exchange, status=202, headers={"Location": place})


def method_of(settings: GatewaySettings, options: FitOptions) -> MethodName:
    """Return the method of a fit.

    Raises:
        HttpError: the gateway's model does not have the method, or the method has no such option (400).
    """
    if options.method == CHAMELEON and settings.upstream is not None:
        raise invalid("method: only prompts can be learned for a model behind an API", param="method")
    method = options.method or settings.learning_method
    if method == CHAMELEON:
        for name, given in (("iterations", options.iterations is not None), ("continue", options.continues)):
            if given:
                raise invalid(f"{name}: only prompts (method fermi) are learned in iterations", param=name)
    if options.preset is not None and options.preset not in PRESETS[method]:
        raise invalid(f"preset: {method} has {', '.join(PRESETS[method])}", param="preset")
    return method


async def list_fits(request: web.Request) -> web.StreamResponse:
    """List the fits of a user, the newest first."""
    person = await admitted_person(request)

    def listed(store: Store, user_id: str) -> list[Job]:
        store.summary(user_id)
        return Jobs(store.rows).of_user(user_id)

    found = await person.work(listed)
    document = {"object": "list", "data": [job_document(job) for job in found]}
    return json_response(document, person.people.context.exchange)


async def show_fit(request: web.Request) -> web.StreamResponse:
    """Show one fit of a user."""
    person = await admitted_person(request)
    return json_response(job_document(await _job(person, request)), person.people.context.exchange)


async def cancel_fit(request: web.Request) -> web.StreamResponse:
    """Cancel a fit: at once if it waits, otherwise as soon as its worker notices; one that has ended stays as it is."""
    person = await admitted_person(request)
    job_id = request.match_info["job"]
    job = await person.work(lambda store, user_id: Jobs(store.rows).cancel(user_id, job_id), writes=True)
    if job is None:
        raise _no_job()
    return json_response(job_document(job), person.people.context.exchange)


async def watch_fit(request: web.Request) -> web.StreamResponse:
    """Watch a fit: an event for each change, the last one when it has ended; whichever replica works on it."""
    person = await admitted_person(request)
    first = await _job(person, request)
    return await stream_response(request, person.people.context.exchange, _events(person, first))


async def _events(person: Person, job: Job) -> AsyncGenerator[bytes, None]:
    sent, when, job_id = None, time.monotonic(), job.id
    while True:
        document = job_document(job)
        if document != sent:
            yield event(document)
            sent, when = document, time.monotonic()
        elif time.monotonic() - when > _SILENCE:
            yield b": the fit goes on\n\n"
            when = time.monotonic()
        if job.ended:
            return
        await asyncio.sleep(_LOOK)
        found = await person.work(lambda store, user_id: Jobs(store.rows).find(user_id, job_id))
        if found is None:
            raise _no_job()
        job = found


async def _job(person: Person, request: web.Request) -> Job:
    job_id = request.match_info["job"]
    job = await person.work(lambda store, user_id: Jobs(store.rows).find(user_id, job_id))
    if job is None:
        raise _no_job()
    return job


def _no_job() -> HttpError:
    return HttpError(404, "the user has no such fit", kind=NOT_FOUND, code="fit_not_found")
