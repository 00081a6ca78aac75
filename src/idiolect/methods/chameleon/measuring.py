"""What the model makes of the pairs: texts without guidance → activations → directions of every layer.

Between `preferences` (what was said) and `variants` (which edit it becomes). Only the query and what was said to it go
through the model; insight, history and system prompt are left out, so that sides differ in nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

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
    """All that edits are made of, for L layers of width d; k of the K pairs are held out from everything but ties.

    Args:
        literal, contrastive: θ_P by SVD of H_P, and of H_P − H_N; (L, d).
        ccs: θ_N, losses, agreement.
        margin, share: of the held-out pairs under θ_N, (L,); zeros and None without any.
        mean_difference: of the sides' mean activations, (L, d).
        gradient: mean likelihood gradient of the personalized sides, (L, d). That of the neutral sides is not
            taken off: on what a model writes itself it is zero in expectation, and on few texts nothing but noise.
        reader: ⟨x, reader⟩ ≈ 1, (L, d).
        scale: mean ‖x‖ over sampled tokens, (L,).
        last: H_P, (K − k, L, d).
        tokens: a sample of tokens, (L, m, d).
        neutral: held-out neutral texts (of all pairs where none is held out): what fluency is measured on.
    """

    literal: Tensor
    contrastive: Tensor
    ccs: CcsFit
    margin: Tensor
    share: Tensor | None
    mean_difference: Tensor
    gradient: Tensor
    reader: Tensor
    scale: Tensor
    last: Tensor
    tokens: Tensor
    neutral: tuple[Text, ...]


async def measure(pairs: Sequence[Pair], model: EditableModel, settings: DirectionSettings, *, seed: int) -> Measured:
    """Run the pairs through the unedited model, and compute every direction.

    Raises:
        PersonalizationError: the sides' activations don't differ: there is no direction.
        ModelError: the model failed.
    """
    held = int(len(pairs) * settings.held_out_share)
    fitted, kept = list(pairs[: len(pairs) - held]), list(pairs[len(pairs) - held :])
    ours = [_text(pair.query, pair.personalized) for pair in (*fitted, *kept)]
    theirs = [_text(pair.query, pair.neutral) for pair in (*fitted, *kept)]
    found = await model.activations([*ours, *theirs], sample=settings.sample)
    gradients = await model.likelihood_gradients(ours[: len(fitted)])  # (fitted, L, d)
    n, total = len(fitted), len(pairs)
    h_p, h_n = found.last[:n], found.last[total : total + n]  # (n, L, d) each
    try:
        ccs = fit_ccs(h_p, h_n, settings.ccs, torch.Generator().manual_seed(seed))
        literal, contrastive = personal_direction(h_p, h_n, "svd"), personal_direction(h_p, h_n, "svd_difference")
    except ValueError as error:
        raise PersonalizationError(f"no direction can be computed from these pairs: {error}") from error
    held_p, held_n = found.last[n:total], found.last[total + n :]
    return Measured(
        literal=literal,
        contrastive=contrastive,
        ccs=ccs,
        margin=held_out_margin(ccs.theta_n, held_p, held_n) if held else torch.zeros(len(literal)),
        share=held_out_share(ccs.theta_n, held_p, held_n) if held else None,
        mean_difference=(found.mean[:n] - found.mean[total : total + n]).mean(dim=0),
        gradient=gradients.mean(dim=0),
        reader=constant_reader(found.tokens),
        scale=found.tokens.norm(dim=2).mean(dim=1),
        last=h_p,
        tokens=found.tokens,
        neutral=tuple(theirs[n:] or theirs),
    )


def _text(query: str, said: str) -> Text:
    return (Message("user", query),), said
