"""What is held about a user over HTTP: dispositions, read and corrected; the export of everything, and the erasure."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from idiolect.application.dispositions import dispositions_in, edit_in
from idiolect.application.documents import dispositions_document, receipt_document
from idiolect.application.persons import export_from
from idiolect.errors import PersonalizationError
from idiolect.methods.fermi.dispositions import DispositionEdits
from idiolect.people.json_line import object_problems
from idiolect.serve.errors import HttpError, invalid
from idiolect.serve.people_wire import DispositionChanges
from idiolect.serve.person_requests import admitted_person, body_object, people_faults, with_problems
from idiolect.serve.responding import json_response
from idiolect.serve.wire import read_as
from idiolect.store import Store

_IDEMPOTENCY = "Idempotency-Key"
_LONGEST_KEY = 255  # characters


async def list_dispositions(request: web.Request) -> web.StreamResponse:
    """List what is stated of a user behind Fermi's prompts."""
    person = await admitted_person(request)
    document = await person.work(lambda store, user_id: _document(store, user_id))
    return json_response(document, person.people.context.exchange)


async def change_dispositions(request: web.Request) -> web.StreamResponse:
    """Strike, restore, reword and add dispositions of a user, all at once.

    What the user rewords or adds is always stated, and what is struck never; the changes stay when learning goes on.
    """
    person = await admitted_person(request)
    edits = await person.people.threads.parse(_edits, await body_object(request, person.people))
    document = await person.change(lambda store, user_id: _document(store, user_id, edits))
    return json_response(document, person.people.context.exchange)


def _document(store: Store, user_id: str, edits: DispositionEdits | None = None) -> dict[str, Any]:
    try:
        theirs = dispositions_in(store, user_id) if edits is None else edit_in(store, user_id, edits)
    except PersonalizationError as error:  # it names numbers and fields of the stored result, and no text
        raise HttpError(409, str(error), code="disposition_not_changed" if edits else "damaged_result") from None
    return dispositions_document(theirs)


def _edits(body: dict[str, Any]) -> DispositionEdits:
    if problems := object_problems(body):
        raise with_problems(tuple(problems))
    changes = read_as(DispositionChanges, body)
    reworded = tuple((each.number, each.text) for each in changes.reword)
    try:
        return DispositionEdits(tuple(changes.strike), tuple(changes.restore), reworded, tuple(changes.add))
    except ValueError as error:
        raise invalid(str(error)) from None


async def export_user(request: web.Request) -> web.StreamResponse:
    """Return everything that is held about a user, as one JSON document."""
    person = await admitted_person(request)

    def export(store: Store, user_id: str) -> dict[str, Any]:
        exported = export_from(store, user_id)
        return exported.holdings.document() | {"caches_missed": list(exported.missed)}

    return json_response(await person.export(export), person.people.context.exchange)


async def erase_user(request: web.Request) -> web.StreamResponse:
    """Erase a user: everything in the store, artifacts, cached calls, and what the server keeps in memory.

    The receipt names what was deleted, and what a search for the user's words found before and after. Meanwhile, the
    user's requests get the base model. Whoever sends a random `Idempotency-Key` of their own gets the receipt again
    with it, for 30 days, whatever became of the first answer.
    """
    person = await admitted_person(request, erasing=True)
    key = _idempotency_key(request)
    gateway = person.people.context.gateway
    with people_faults():
        receipt = await gateway.erasures.erase(person.people.store, person.asker, key)
    gateway.kept.forget(person.asker)
    return json_response(receipt_document(receipt), person.people.context.exchange)


def _idempotency_key(request: web.Request) -> str | None:
    key = request.headers.get(_IDEMPOTENCY)
    if key is not None and not (1 <= len(key) <= _LONGEST_KEY and key.isascii() and key.isprintable()):
        raise invalid(f"{_IDEMPOTENCY}: must have 1 to {_LONGEST_KEY} printable ASCII characters", param=_IDEMPOTENCY)
    return key
