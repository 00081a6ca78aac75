"""What tests of CHAMELEON's use cases share: writers, small choices, and a fit on tiny weights in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from idiolect.application.choices import ChameleonChoices
from idiolect.application.fitting import FitReport, fit_users, open_learner
from idiolect.application.run import CallSettings
from idiolect.application.workspace import AsyncWorkspace, WorkspaceSettings
from idiolect.models.calls.budget import Limits
from idiolect.people.user import User
from idiolect.people.user_record import user_from_record
from tests.cli import open_weights

SMALL = ChameleonChoices("measured", max_tokens=20)
PAPER = replace(SMALL, preset="paper", pairs=6)
U1, U2 = (user_from_record(open_weights.writer(user_id)) for user_id in ("u1", "u2"))


async def fit(
    store: Path,
    model: str,
    users: Sequence[User],
    choices: ChameleonChoices = SMALL,
    *,
    limit: int | None = None,
    resume: bool = False,
) -> FitReport:
    """Learn in a workspace of its own."""
    calls = CallSettings(run=Limits(calls=limit))
    async with AsyncWorkspace(WorkspaceSettings(store, model, calls=calls)) as space:
        return await fit_users(space, await open_learner(space, choices), users, resume=resume)
