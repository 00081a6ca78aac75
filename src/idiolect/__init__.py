"""Idiolect personalizes any LLM to one user from a handful of their past answers.

    with Workspace.open("./people", model="embedded") as space:
        space.fit([User("ann", profile={"Age": "30-44"}, opinions=[...])])
        answer = space.ask("ann", "Tea or coffee?", choices=["Tea", "Coffee"])

Everything else is behind these names; they are imported when they are first used, so that `import idiolect` is cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from idiolect.version import __version__

if TYPE_CHECKING:
    from idiolect.application.asking import Asked, ask
    from idiolect.application.blocking import Workspace
    from idiolect.application.choices import ChameleonChoices, FermiChoices
    from idiolect.application.fitting import FitEvents, FitReport, Outcome, fit_users, open_learner
    from idiolect.application.owner import Owner
    from idiolect.application.run import CallSettings, Spending
    from idiolect.application.workspace import AsyncWorkspace, WorkspaceEvents, WorkspaceSettings
    from idiolect.evaluate.configuration import EvaluationConfig
    from idiolect.evaluate.evaluation import EvaluationEvents, run_evaluation
    from idiolect.export.exporting import ExportOptions
    from idiolect.models.calls.budget import Limits
    from idiolect.people.user import Opinion, Question, QuestionKind, User, UserProfile
    from idiolect.people.users_file import read_users

__all__ = [
    "Asked",
    "AsyncWorkspace",
    "CallSettings",
    "ChameleonChoices",
    "EvaluationConfig",
    "EvaluationEvents",
    "ExportOptions",
    "FermiChoices",
    "FitEvents",
    "FitReport",
    "Limits",
    "Opinion",
    "Outcome",
    "Owner",
    "Question",
    "QuestionKind",
    "Spending",
    "User",
    "UserProfile",
    "Workspace",
    "WorkspaceEvents",
    "WorkspaceSettings",
    "__version__",
    "ask",
    "fit_users",
    "open_learner",
    "read_users",
    "run_evaluation",
]

# Each public name with its module, and the name that it has there.
_PLACES = {
    "Asked": "application.asking:Asked",
    "AsyncWorkspace": "application.workspace:AsyncWorkspace",
    "CallSettings": "application.run:CallSettings",
    "ChameleonChoices": "application.choices:ChameleonChoices",
    "EvaluationConfig": "evaluate.configuration:EvaluationConfig",
    "EvaluationEvents": "evaluate.evaluation:EvaluationEvents",
    "ExportOptions": "export.exporting:ExportOptions",
    "FermiChoices": "application.choices:FermiChoices",
    "FitEvents": "application.fitting:FitEvents",
    "FitReport": "application.fitting:FitReport",
    "Limits": "models.calls.budget:Limits",
    "Opinion": "people.user:Opinion",
    "Outcome": "application.fitting:Outcome",
    "Owner": "application.owner:Owner",
    "Question": "people.user:Question",
    "QuestionKind": "people.user:QuestionKind",
    "Spending": "application.run:Spending",
    "User": "people.user:User",
    "UserProfile": "people.user:UserProfile",
    "Workspace": "application.blocking:Workspace",
    "WorkspaceEvents": "application.workspace:WorkspaceEvents",
    "WorkspaceSettings": "application.workspace:WorkspaceSettings",
    "ask": "application.asking:ask",
    "fit_users": "application.fitting:fit_users",
    "open_learner": "application.fitting:open_learner",
    "read_users": "people.users_file:read_users",
    "run_evaluation": "evaluate.evaluation:run_evaluation",
}


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module 'idiolect' has no attribute {name!r}")
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(f"idiolect.{module}"), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
