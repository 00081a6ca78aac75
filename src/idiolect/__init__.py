"""Idiolect personalizes any LLM to one user from a handful of their past answers.

    with Workspace.open("./people", model="embedded") as space:
        space.fit([User("ann", profile={"Age": "30-44"}, opinions=[...])])
        answer = space.ask("ann", "Tea or coffee?", choices=["Tea", "Coffee"])

These names are the public API. They are imported when they are first used, so that `import idiolect` is cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from idiolect.version import __version__

if TYPE_CHECKING:
    from idiolect.application.asking import Asked, ask
    from idiolect.application.blocking import Workspace
    from idiolect.application.chats import chat, personalized_chat, stream_chat
    from idiolect.application.choices import ChameleonChoices, FermiChoices
    from idiolect.application.fitting import FitEvents, FitReport, Outcome, fit_users, open_learner
    from idiolect.application.owner import Owner
    from idiolect.application.personalized_chat import ChatAnswer, PersonalizedChat
    from idiolect.application.run import CallSettings, Spending
    from idiolect.application.workspace import AsyncWorkspace, WorkspaceEvents, WorkspaceSettings
    from idiolect.evaluate.configuration import EvaluationConfig
    from idiolect.evaluate.evaluation import EvaluationEvents, run_evaluation
    from idiolect.export.exporting import ExportOptions
    from idiolect.models.calls.budget import Limits
    from idiolect.models.language_model import Message, SamplingParams
    from idiolect.people.user import Opinion, Question, QuestionKind, User, UserProfile
    from idiolect.people.users_file import read_users

__all__ = [
    "Asked",
    "AsyncWorkspace",
    "CallSettings",
    "ChameleonChoices",
    "ChatAnswer",
    "EvaluationConfig",
    "EvaluationEvents",
    "ExportOptions",
    "FermiChoices",
    "FitEvents",
    "FitReport",
    "Limits",
    "Message",
    "Opinion",
    "Outcome",
    "Owner",
    "PersonalizedChat",
    "Question",
    "QuestionKind",
    "SamplingParams",
    "Spending",
    "User",
    "UserProfile",
    "Workspace",
    "WorkspaceEvents",
    "WorkspaceSettings",
    "__version__",
    "ask",
    "chat",
    "fit_users",
    "open_learner",
    "personalized_chat",
    "read_users",
    "run_evaluation",
    "stream_chat",
]

# The public names of each module, whose path starts with `idiolect.`.
_MODULES = {
    "application.asking": ("Asked", "ask"),
    "application.blocking": ("Workspace",),
    "application.chats": ("chat", "personalized_chat", "stream_chat"),
    "application.choices": ("ChameleonChoices", "FermiChoices"),
    "application.fitting": ("FitEvents", "FitReport", "Outcome", "fit_users", "open_learner"),
    "application.owner": ("Owner",),
    "application.personalized_chat": ("ChatAnswer", "PersonalizedChat"),
    "application.run": ("CallSettings", "Spending"),
    "application.workspace": ("AsyncWorkspace", "WorkspaceEvents", "WorkspaceSettings"),
    "evaluate.configuration": ("EvaluationConfig",),
    "evaluate.evaluation": ("EvaluationEvents", "run_evaluation"),
    "export.exporting": ("ExportOptions",),
    "models.calls.budget": ("Limits",),
    "models.language_model": ("Message", "SamplingParams"),
    "people.user": ("Opinion", "Question", "QuestionKind", "User", "UserProfile"),
    "people.users_file": ("read_users",),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f"idiolect.{module}"), name)
    raise AttributeError(f"module 'idiolect' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
