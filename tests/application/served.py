"""What tests of use cases against a server share: people, a small fit by call, and what it learns on any server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from idiolect.application.choices import FermiChoices
from idiolect.application.fitting import NO_EVENTS, FitEvents, FitReport, State, fit_users, open_learner
from idiolect.application.run import CallSettings
from idiolect.application.workspace import AsyncWorkspace, WorkspaceSettings
from idiolect.models.calls.budget import Limits
from idiolect.people.user import User
from idiolect.people.user_record import user_from_record
from tests.api_server import ApiServer, Body
from tests.cli.remote_world import person

FEW = FermiChoices(preset="api", similarity="bm25", iterations=2)
CALLS = CallSettings(concurrency=4)


def people(*ids: str, n: int = 5) -> list[User]:
    """Users whose questions no other user is asked."""
    return [user_from_record(json.loads(json.dumps(person(user_id, n)))) for user_id in ids]


def limited(calls: int) -> CallSettings:
    """So many calls in all, and no more."""
    return replace(CALLS, run=Limits(calls=calls))


def settings(store: Path, server: ApiServer, calls: CallSettings = CALLS) -> WorkspaceSettings:
    """A workspace whose model is behind the server."""
    return WorkspaceSettings(store, f"{server.url}#m", calls=calls)


async def fit_in(
    workspace: WorkspaceSettings,
    users: Sequence[User],
    choices: FermiChoices = FEW,
    *,
    resume: bool = False,
    events: FitEvents = NO_EVENTS,
) -> FitReport:
    """Learn in a workspace of its own."""
    async with AsyncWorkspace(workspace) as space:
        learner = await open_learner(space, choices)
        return await fit_users(space, learner, users, resume=resume, events=events)


async def fit(
    store: Path,
    server: ApiServer,
    users: Sequence[User],
    choices: FermiChoices = FEW,
    *,
    calls: CallSettings = CALLS,
    resume: bool = False,
) -> FitReport:
    """Learn with the server's model, in a workspace of its own."""
    return await fit_in(settings(store, server, calls), users, choices, resume=resume)


def states(report: FitReport) -> dict[str, State]:
    """By user."""
    return {outcome.user_id: outcome.state for outcome in report.outcomes}


def about(body: Body, user_id: str) -> bool:
    """Whether a request is about this user."""
    return user_id in json.dumps(body["messages"])


def without_server(kept: dict[str, Any], server: ApiServer) -> dict[str, Any]:
    """What was learned, as with any server: each test has its own."""
    plain: dict[str, dict[str, dict[str, Any]]] = json.loads(json.dumps(kept).replace(server.url, "URL"))
    for methods in plain.values():
        assert methods["fermi"].pop("made_with")
    return plain
