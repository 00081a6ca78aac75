"""What tests of use cases share that need no server: people, and a workspace whose model is the mimic."""

from __future__ import annotations

from pathlib import Path

from idiolect.application.choices import FermiChoices
from idiolect.application.run import CallSettings
from idiolect.application.workspace import WorkspaceSettings
from idiolect.models.doubles import FunctionModel
from idiolect.people.user_record import user_from_record
from tests.cli import learning

FAST = FermiChoices(preset="demo", similarity="bm25", iterations=2, proposers=("llm", "demonstrations"))
ANN, BOB, SILENT = (user_from_record(each) for each in (learning.ANN, learning.BOB, learning.SILENT))


def opened(store: Path, model: FunctionModel | None = None, calls: CallSettings | None = None) -> WorkspaceSettings:
    """A workspace with the mimic, or another function, as its model."""
    return WorkspaceSettings(store, learning.mimic() if model is None else model, calls=calls or CallSettings())
