"""What the model makes of the pairs: texts without guidance → activations → directions of every layer.

Between `preferences` (what was said) and `variants` (which edit it becomes). Only the query and what was said to it go
through the model; insight, history and system prompt are left out, so that sides differ in nothing else.
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
from idiolect.models.edits import Edit
from idiolect.models.language_model import LanguageModel, Message

Text = tuple[tuple[Message, ...], str]


@runtime_checkable
class EditableModel(LanguageModel, Protocol):
    """Open weights: what `models.local.LocalModel` offers to this method."""

    def with_edit(self, edit: Edit | None) -> LanguageModel:
        """The same model under an edit."""
        ...

    async def activations(self, texts: Sequence[Text], *, sample: int = 0) -> Activations:
        """What its MLPs put out for texts."""
        ...

    async def likelihood_gradients(self, texts: Sequence[Text]) -> Tensor:
        """How likely answers become when MLP outputs are pushed, (n, L, d)."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """All that edits are made of, for L layers of width d and K pairs, with k more that nothing is fitted on.

    Args:
        literal, contrastive: θ_P by SVD of H_P, and of H_P − H_N; (L, d).
        ccs: θ_N, losses, agreement.
        margin, share: of the held-out pairs under θ_N, (L,); zeros and None without any.
        mean_difference: of the sides' mean activations, (L, d).
        gradient: mean likelihood gradient of the personalized sides, (L, d); None where it was not asked for.
            That of the neutral sides is not taken off: on what a model writes itself it is zero in expectation, and on
            few texts nothing but noise.
        reader: ⟨x, reader⟩ ≈ 1, (L, d).
        scale: mean ‖x‖ over sampled tokens, (L,).
        last: H_P, (K, L, d).
        tokens: a sample of tokens, (L, m, d).
        neutral: held-out neutral texts (of all pairs where none is held out): what fluency is measured on.
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
    """The pairs that directions are fitted on, and the last ones, that only break ties and measure the fluency."""
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
        fitted: what directions come from.
        held_out: what breaks ties between layers, and on whose neutral sides fluency is measured; may be empty.
        model: unedited.
        seed: of CCS's restarts.
        gradients: False leaves out the backward pass.

    Raises:
        PersonalizationError: the sides' activations don't differ: there is no direction.
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
