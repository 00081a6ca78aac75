"""Runs that stop and go on: a checkpoint sink that goes through JSON text, and models that are told to stop."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from idiolect.errors import BudgetExceededError
from idiolect.methods.answering import Answerer
from idiolect.methods.evidence import EvidenceSettings
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.presets import preset
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.models.language_model import Completion, CompletionModel, CompletionRequest
from tests.held_out_settings import HELD_OUT
from tests.planted_world import AnsweringModel, Optimizer, TopicSimilarity

PAPER = replace(preset("paper"), iterations=3, proposals=3)
BOTH = replace(
    HELD_OUT,
    iterations=3,
    proposals=3,
    proposers=("llm", "demonstrations"),
    evidence=EvidenceSettings(),
)
GATED = replace(BOTH, evidence=EvidenceSettings(0.25))


class Pages:
    """A checkpoint sink that keeps every page, as JSON text."""

    def __init__(self, page: str | None = None) -> None:
        self.pages = [] if page is None else [page]

    def load(self) -> Mapping[str, Any] | None:
        """The last page."""
        if not self.pages:
            return None
        page: Mapping[str, Any] = json.loads(self.pages[-1])
        return page

    def save(self, payload: Mapping[str, Any]) -> None:
        """One more page."""
        self.pages.append(json.dumps(payload, allow_nan=False))


class Meter:
    """Counts single calls of several models, and tells them to stop at one of them."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.calls = 0
        self._stop_at = stop_at

    def pay(self) -> None:
        """One call."""
        if self.calls == self._stop_at:
            raise BudgetExceededError("enough")
        self.calls += 1


class Metered:
    """A model on a meter."""

    def __init__(self, model: CompletionModel, meter: Meter) -> None:
        self._model, self._meter = model, meter

    @property
    def name(self) -> str:
        """The model's."""
        return self._model.name

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """As the model, while it may."""
        for _ in requests:
            self._meter.pay()
        return await self._model.complete(requests)


def planted(settings: FermiSettings, meter: Meter | None = None) -> Fermi:
    """Fermi in the planted world."""
    meter = meter or Meter()
    answerer = Answerer(Metered(AnsweringModel(), meter), settings.answering)
    return Fermi(answerer, settings, optimizer=Metered(Optimizer(), meter), similarity=TopicSimilarity())
