"""Open weights for CHAMELEON at a method's desk: calls are counted and cached, activations are computed once.

    DeskWeights → bench's model (activations, gradients: remembered during the work on a person) and its edited views

Several methods learn from the same pairs of a person. The activations for these pairs are the same for all methods, and
are the most expensive part of learning on a small machine.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from torch import Tensor

from idiolect.errors import SettingsError
from idiolect.evaluate.methods.bench import Bench, Desk
from idiolect.methods.chameleon.measuring import Text, TrainableModel
from idiolect.methods.chameleon.settings import ChameleonSettings
from idiolect.methods.chameleon.start import Start, plain_start, plain_start_key
from idiolect.models.activations import Activations
from idiolect.models.edit_training import EditFactors, EditTraining, OnStep, ignore_step
from idiolect.models.edits import Edit
from idiolect.models.language_model import (
    ChoiceLogProbs,
    ChoiceRequest,
    ChosenAnswer,
    Completion,
    CompletionRequest,
    LanguageModel,
)

T = TypeVar("T")

_REMEMBERED = 4  # results; one with 2,048 sampled tokens takes 140 MB for a small model


def edited(desk: Desk, edit: Edit | None) -> LanguageModel:
    """Return the model with an edit; its calls are counted and cached like those of the model itself.

    Raises:
        SettingsError: the model is behind an API.
        ModelError: the edit does not fit the model.
    """
    weights = desk.bench.weights()
    if edit is None:
        return desk.model
    fingerprint = hashlib.sha256(f"{weights.fingerprint} {edit.digest}".encode()).hexdigest()
    return desk.called(replace(desk.bench.model, model=weights.model.with_edit(edit), fingerprint=fingerprint))


class DeskWeights:
    """An `EditableModel` at a desk.

    Attributes:
        writing: seconds spent on writing texts.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk, self.name = desk, desk.bench.model.model.name
        self.writing = 0.0

    def with_edit(self, edit: Edit | None) -> LanguageModel:
        """Return the model with an edit; its calls are counted."""
        return edited(self._desk, edit)

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """Complete requests with the model, and add the time to `writing`."""
        start = time.perf_counter()
        try:
            return await self._desk.model.complete(requests)
        finally:
            self.writing += time.perf_counter() - start

    async def choice_logprobs(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceLogProbs]:
        """Score choices with the model."""
        return await self._desk.model.choice_logprobs(requests)

    async def activations(self, texts: Sequence[Text], *, sample: int = 0) -> Activations:
        """Return the model's activations, computed once for the same texts."""
        model = self._desk.bench.weights().model
        key = ("activations", tuple(texts), sample)
        return await _once(self._desk.bench, key, lambda: model.activations(texts, sample=sample))

    async def likelihood_gradients(self, texts: Sequence[Text]) -> Tensor:
        """Return the model's likelihood gradients, computed once for the same texts."""
        model = self._desk.bench.weights().model
        return await _once(self._desk.bench, ("gradients", tuple(texts)), lambda: model.likelihood_gradients(texts))

    async def write_gradient(
        self, factors: EditFactors, answers: Sequence[ChosenAnswer], *, on_step: OnStep = ignore_step
    ) -> Tensor:
        """Return the gradient of the answers' likelihood with respect to an edit's writes."""
        return await self._trainable().write_gradient(factors, answers, on_step=on_step)

    async def train_edit(
        self,
        start: EditFactors,
        scale: Tensor,
        answers: Sequence[ChosenAnswer],
        settings: EditTraining,
        *,
        on_step: OnStep = ignore_step,
    ) -> EditFactors:
        """Return a trained edit."""
        return await self._trainable().train_edit(start, scale, answers, settings, on_step=on_step)

    def _trainable(self) -> TrainableModel:
        model = self._desk.bench.weights().model
        if not isinstance(model, TrainableModel):
            raise SettingsError("the model gives no gradients, which the preset needs: choose the preset paper")
        return model


async def plain_start_of(desk: Desk, settings: ChameleonSettings) -> Start:
    """Return the start that changes nothing, measured once for an evaluation."""
    model = DeskWeights(desk)
    return await desk.bench.once(plain_start_key(settings), lambda: plain_start(model, model, settings))


async def _once(bench: Bench, key: Hashable, compute: Callable[[], Coroutine[Any, Any, T]]) -> T:
    remembered: OrderedDict[Hashable, T] = bench.shared.setdefault("activations", OrderedDict())
    if key not in remembered:
        remembered[key] = await compute()
    remembered.move_to_end(key)
    while len(remembered) > _REMEMBERED:
        remembered.popitem(last=False)
    return remembered[key]
