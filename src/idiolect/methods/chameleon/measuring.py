"""Measurement of the pairs: texts without guidance → activations → directions of every layer.

This step is between `preferences` (the texts) and `variants` (the edits). Only queries and their answers go through the
model. Insight, history and system prompt are omitted, so that the sides differ only in the answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from idiolect.errors import PersonalizationError
from idiolect.methods.chameleon.ccs import CcsFit, fit_ccs
from idiolect.methods.chameleon.directions import personal_direction
from idiolect.methods.chameleon.layer_choice import held_out_margin, held_out_share
from idiolect.methods.chameleon.preferences import Pair
from idiolect.methods.chameleon.rules import constant_reader
from idiolect.methods.chameleon.settings import DirectionSettings
from idiolect.models.activations import Activations
from idiolect.models.edit_training import EditFactors, EditTraining, OnStep, ignore_step
from idiolect.models.edits import Edit
from idiolect.models.language_model import ChosenAnswer, LanguageModel, Message

Text = tuple[tuple[Message, ...], str]


@runtime_checkable
class EditableModel(LanguageModel, Protocol):
    """A model with open weights: the part of `models.local.LocalModel` that this method uses."""

    def with_edit(self, edit: Edit | None) -> LanguageModel:
        """Return the same model with an edit."""
        ...

    async def activations(self, texts: Sequence[Text], *, sample: int = 0) -> Activations:
        """Return the outputs of the model's MLPs for texts."""
        ...

    async def likelihood_gradients(self, texts: Sequence[Text]) -> Tensor:
        """Return the gradients of the answers' log-likelihoods with respect to MLP outputs, (n, L, d)."""
        ...


@runtime_checkable
class TrainableModel(EditableModel, Protocol):
    """A model with open weights on whose layers an edit can be trained (`grouped`)."""

    async def write_gradient(
        self, factors: EditFactors, answers: Sequence[ChosenAnswer], *, on_step: OnStep = ignore_step
    ) -> Tensor:
        """Return the sum over answers of ∂ log-likelihood / ∂ writes at an edit.

        Args:
            factors: reads and writes of every layer, (L, r, d) each.
            answers: what somebody answered; at least one.
            on_step: receives the number of passes done and of all passes, in any thread; may raise to stop the work.

        Returns:
            float32 on the CPU, (L, r, d); nat per unit of a write. A text counts per token, a choice as one answer.

        Raises:
            ModelError: a request does not fit the model, or the model failed.
            ValueError: there are no answers.
        """
        ...

    async def train_edit(
        self,
        start: EditFactors,
        scale: Tensor,
        answers: Sequence[ChosenAnswer],
        settings: EditTraining,
        *,
        on_step: OnStep = ignore_step,
    ) -> EditFactors:
        """Return an edit of every layer, trained to make the answers likelier.

        Args:
            start: reads and writes to start from, (L, r, d) each.
            scale: mean length of each layer's activations, (L,), > 0.
            answers: what somebody answered; at least one.
            settings: settings of the training.
            on_step: receives the number of steps done and of all steps, in any thread; may raise to stop the work.

        Returns:
            reads and writes, (L, r, d) each; not finite if the training diverged.

        Raises:
            ModelError: a request does not fit the model, or the model failed.
            ValueError: there are no answers.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Measurements for edits, for L layers of width d, K fitted pairs and k held-out pairs.

    Args:
        literal, contrastive: θ_P by SVD of H_P, and of H_P − H_N; (L, d).
        ccs: θ_N, losses, agreement.
        margin, share: margin and share of the held-out pairs with θ_N, (L,); zeros and None if there are none.
        mean_difference: difference of the sides' mean activations, (L, d).
        gradient: mean likelihood gradient of the personalized sides, (L, d); None if not requested. The gradient of
            the neutral sides is not subtracted: on the model's own texts it is zero in expectation, and on few texts
            only noise.
        reader: vectors with ⟨x, reader⟩ ≈ 1, (L, d).
        scale: mean ‖x‖ over sampled tokens, (L,).
        last: H_P, (K, L, d).
        tokens: a sample of tokens, (L, m, d).
        neutral: the model's own texts for measuring fluency: the held-out ones, or all if none is held out.
    """

    literal: Tensor
    contrastive: Tensor
    ccs: CcsFit
    margin: Tensor
    share: Tensor | None
    mean_difference: Tensor
    gradient: Tensor | None
    reader: Tensor
    scale: Tensor
    last: Tensor
    tokens: Tensor
    neutral: tuple[Text, ...]


def hold_out(pairs: Sequence[Pair], share: float) -> tuple[list[Pair], list[Pair]]:
    """Return the pairs to fit directions on, and the last ones, which only break ties and measure fluency."""
    held = int(len(pairs) * share)
    return list(pairs[: len(pairs) - held]), list(pairs[len(pairs) - held :])


async def measure(
    fitted: Sequence[Pair],
    held_out: Sequence[Pair],
    model: EditableModel,
    settings: DirectionSettings,
    *,
    seed: int,
    gradients: bool = True,
) -> Measured:
    """Run the pairs through the unedited model, and compute every direction.

    Args:
        fitted: pairs to fit directions on.
        held_out: pairs that break ties between layers, and whose neutral sides measure fluency; may be empty.
        model: the unedited model.
        settings: settings of the directions.
        seed: seed of CCS's restarts.
        gradients: False omits the backward pass.

    Raises:
        PersonalizationError: the activations of the two sides do not differ, so there is no direction.
        ModelError: the model failed.
    """
    n = len(fitted)
    texts = [*_texts(fitted), *_neutral_texts(fitted)]
    found = await model.activations(texts, sample=settings.sample)
    h_p, h_n = found.last[:n], found.last[n:]  # (n, L, d) each
    gradient = (await model.likelihood_gradients(texts[:n])).mean(dim=0) if gradients else None  # (L, d)
    k, margin, share = len(held_out), torch.zeros(h_p.shape[1]), None
    try:
        ccs = fit_ccs(h_p, h_n, settings.ccs, torch.Generator().manual_seed(seed))
        literal, contrastive = personal_direction(h_p, h_n, "svd"), personal_direction(h_p, h_n, "svd_difference")
    except ValueError as error:
        raise PersonalizationError(f"no direction can be computed from these pairs: {error}") from error
    if k:
        held = (await model.activations([*_texts(held_out), *_neutral_texts(held_out)])).last  # (2 k, L, d)
        margin = held_out_margin(ccs.theta_n, held[:k], held[k:])
        share = held_out_share(ccs.theta_n, held[:k], held[k:])
    return Measured(
        literal=literal,
        contrastive=contrastive,
        ccs=ccs,
        margin=margin,
        share=share,
        mean_difference=(found.mean[:n] - found.mean[n:]).mean(dim=0),
        gradient=gradient,
        reader=constant_reader(found.tokens),
        scale=found.tokens.norm(dim=2).mean(dim=1),
        last=h_p,
        tokens=found.tokens,
        neutral=tuple(_neutral_texts(held_out or fitted)),
    )


def _texts(pairs: Sequence[Pair]) -> list[Text]:
    return [((Message("user", pair.query),), pair.personalized) for pair in pairs]


def _neutral_texts(pairs: Sequence[Pair]) -> list[Text]:
    return [((Message("user", pair.query),), pair.neutral) for pair in pairs]
