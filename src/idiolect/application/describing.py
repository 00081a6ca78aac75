"""What an open model is, for records of results.

OpenModel → describe → ModelDescription
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath
from typing import Protocol, runtime_checkable

from idiolect.application.model_pool import OpenModel
from idiolect.models.catalog import PREFIXED
from idiolect.models.description import ModelDescription


@runtime_checkable
class _Described(Protocol):
    """A model that describes itself."""

    def description(self) -> ModelDescription: ...


def describe(opened: OpenModel) -> ModelDescription:
    """Return what a model is; for local weights with their fingerprint, which may take a second."""
    model = opened.model
    if opened.source.remote:
        return model.description() if isinstance(model, _Described) else ModelDescription(opened.name, "remote")
    if isinstance(model, _Described):
        return replace(model.description(), fingerprint=opened.fingerprint() or None)
    if opened.name.startswith(tuple(PREFIXED)):
        return ModelDescription(model.name, "recording", file=PurePath(opened.name.partition(":")[2]).name)
    return ModelDescription(model.name, "object", fingerprint=opened.fingerprint() or None)
