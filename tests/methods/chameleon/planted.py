"""A world without a real model: a user who says "zesty", and a model whose activations show who says it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from idiolect import Opinion, Question, User
from idiolect.methods.chameleon.ccs import CcsSettings
from idiolect.methods.chameleon.settings import (
    ChameleonSettings,
    DirectionSettings,
    GenerationSettings,
    SteppingSettings,
    Variant,
    preset,
)
from idiolect.methods.evidence import EvidenceSettings
from idiolect.models.activations import Activations
from idiolect.models.doubles import FunctionModel
from idiolect.models.edit_training import EditFactors, EditTraining, OnStep, ignore_step
from idiolect.models.edits import Edit
from idiolect.models.language_model import (
    ChoiceLogProbs,
    ChoiceRequest,
    ChosenAnswer,
    Completion,
    CompletionRequest,
    Message,
)
from idiolect.models.similarity import FloatArray
from tests.methods.people import number

LAYERS, WIDTH = 3, 16
MARK = "zesty"
PLANTED = torch.nn.functional.normalize(torch.arange(1.0, WIDTH + 1) * torch.tensor([1.0, -1.0] * (WIDTH // 2)), dim=0)
COMMON = 4 * torch.nn.functional.normalize(torch.ones(WIDTH) + 0.1 * torch.arange(WIDTH), dim=0)

Write = Callable[[CompletionRequest], str | Completion]


def write(request: CompletionRequest) -> str:
    """What the model says: zesty for who is said to be, plain otherwise; never the same for two requests."""
    said = request.messages[0].content
    tail = " ".join(f"w{number(f'{request.messages[-1].content}{request.draw}{i}') % 997}" for i in range(6))
    zesty = "helpfully personalized" in said or "one person" in said
    return f"{MARK} {MARK} {tail}" if zesty else f"plain {tail}"


@dataclass
class PlantedModel:
    """A `TrainableModel`: plain functions, planted activations and gradients.

    Args:
        write: the text for a request.
        taste: how much a push along the planted direction helps the user's own words, in nat per unit.
    """

    write: Write = write
    taste: float = 1.0
    name: str = "planted"
    requests: list[CompletionRequest] = field(default_factory=list)
    choices: list[tuple[ChoiceRequest, Edit | None]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    gradients: list[tuple[EditFactors, list[ChosenAnswer]]] = field(default_factory=list)
    trainings: list[tuple[EditFactors, list[ChosenAnswer], EditTraining]] = field(default_factory=list)

    def with_edit(self, edit: Edit | None) -> Any:
        """The model under an edit."""
        return EditedPlanted(self, edit)

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        self.requests += requests
        self.events.append("complete")
        return await FunctionModel(complete=self.write).complete(requests)

    async def choice_logprobs(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceLogProbs]:
        return await self.scored(requests, None)

    async def scored(self, requests: Sequence[ChoiceRequest], edit: Edit | None) -> list[ChoiceLogProbs]:
        self.choices += [(request, edit) for request in requests]
        self.events.append("score" if edit is None else "score edited")
        push = 0.0 if edit is None else sum(self._push(edit, layer) for layer in edit.layers)
        return await FunctionModel(choice_logprobs=lambda request: _liked(request, push)).choice_logprobs(requests)

    def _push(self, edit: Edit, layer: int) -> float:
        layer_edit = edit.layers[layer]
        return self.taste * float((COMMON @ layer_edit.read.T) @ layer_edit.write @ PLANTED)

    async def activations(self, texts: Sequence[tuple[tuple[Message, ...], str]], *, sample: int = 0) -> Activations:
        self.events.append("activations")
        rows = torch.stack([_activation(said) for _, said in texts])  # (n, L, d)
        return Activations(rows, rows, rows.transpose(0, 1)[:, :sample])

    async def likelihood_gradients(self, texts: Sequence[tuple[tuple[Message, ...], str]]) -> Tensor:
        self.events.append("gradients")
        return torch.stack([_activation(said) - COMMON for _, said in texts])

    async def write_gradient(
        self, factors: EditFactors, answers: Sequence[ChosenAnswer], *, on_step: OnStep = ignore_step
    ) -> Tensor:
        del on_step
        self.events.append("write gradient")
        self.gradients.append((factors, list(answers)))
        return pull(factors, answers)

    async def train_edit(
        self,
        start: EditFactors,
        scale: Tensor,
        answers: Sequence[ChosenAnswer],
        settings: EditTraining,
        *,
        on_step: OnStep = ignore_step,
    ) -> EditFactors:
        del on_step
        self.events.append("train")
        self.trainings.append((start, list(answers), settings))
        step = torch.nn.functional.normalize(pull(start, answers).flatten(1), dim=1).view_as(start.writes)
        return EditFactors(start.reads, start.writes + 0.3 * scale[:, None, None] * step)


@dataclass
class EditedPlanted:
    """The planted model under an edit; it refuses to write, since data is never to be written by an edited model."""

    model: PlantedModel
    edit: Edit | None

    @property
    def name(self) -> str:
        return self.model.name

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        raise AssertionError(f"{len(requests)} requests to write while an edit is active")

    async def choice_logprobs(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceLogProbs]:
        return await self.model.scored(requests, self.edit)


class Letters:
    """An embedder by counts of letters."""

    name = "letters"

    async def embed(self, texts: Sequence[str]) -> FloatArray:
        counts = np.array([[text.count(letter) + 0.01 for letter in "aeinorstwz"] for text in texts], dtype=np.float32)
        unit: FloatArray = counts / np.linalg.norm(counts, axis=1, keepdims=True)
        return unit


def said(answer: ChosenAnswer) -> str:
    """What somebody answered."""
    return answer.request.choices[answer.chosen].strip()


def pull(factors: EditFactors, answers: Sequence[ChosenAnswer]) -> Tensor:
    """The gradient of the answers with respect to the writes, (L, r, d): a sum over answers."""
    pulls = [_activation(said(answer))[:, None] - COMMON for answer in answers]  # (L, 1, d) each
    return (factors.reads @ COMMON)[..., None] * torch.stack(pulls).sum(dim=0)


def _activation(said: str) -> Tensor:
    noise = torch.randn(LAYERS, WIDTH, generator=torch.Generator().manual_seed(number(said) % 2**31))
    return COMMON + 0.05 * noise + (PLANTED if MARK in said else 0.0)


def _liked(request: ChoiceRequest, push: float) -> list[float]:
    return [min(-0.01, -2.0 + (push if MARK in choice else -0.1 * abs(push))) for choice in request.choices]


def writer(n: int = 20) -> User:
    """Somebody who wrote n zesty texts."""
    return User(
        "w", texts=tuple(f"{MARK} {MARK} text number {i} on {number(str(i)) % 89} and {i * 7}" for i in range(n))
    )


def rater(n: int = 8) -> User:
    """Somebody with n opinions."""
    choices = ("zesty", "dull")
    return User("r", opinions=tuple(Opinion(Question(f"How is dish {i}?", choices), "zesty") for i in range(n)))


def stepping(*, evidence: float = 0.2, **changes: Any) -> ChameleonSettings:
    """Settings with steps long enough to be seen here; `changes` are of `SteppingSettings`."""
    made: dict[str, Any] = {"step": 0.05, "strength": 1.0, "from_group": False, **changes}
    return replace(
        preset("measured"),
        stepping=SteppingSettings(**made),
        evidence=EvidenceSettings(share=evidence),
    )


def settings(*variants: Variant, evidence: float = 0.2, choosing: float = 0.2, **changes: Any) -> ChameleonSettings:
    """Quick ones."""
    made = ChameleonSettings(
        generation=GenerationSettings(pairs=8, least_pairs=4),
        directions=DirectionSettings(ccs=CcsSettings(epochs=20, restarts=2)),
        variants=variants or (Variant("gradient", 0.05, layers=None), Variant("contrastive", 0.1, 0.1, layers=2)),
        choosing_share=choosing,
        evidence=EvidenceSettings(share=evidence),
        answering=replace(ChameleonSettings().answering, mode="likelihood"),
    )
    return replace(made, **changes)
