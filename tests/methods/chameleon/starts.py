"""Starts of people's steps that nothing was learned for: random factors, and texts with made-up measurements."""

from __future__ import annotations

import torch

from idiolect.methods.chameleon.personalization import StartMeasures
from idiolect.methods.chameleon.start import Start, edit_of_factors
from idiolect.methods.neutral_texts import NeutralText
from idiolect.models.edit_training import EditFactors


def random_start(layers: int, width: int, *, rank: int = 1, size: float = 0.01, group: str = "critics") -> Start:
    """The edit of a group, with writes of length `size` and reads of length 1."""
    drawn = torch.Generator().manual_seed(5)
    reads, writes = (
        torch.nn.functional.normalize(torch.randn(layers, rank, width, generator=drawn), dim=2) for _ in range(2)
    )
    factors = EditFactors(reads, size * writes)
    neutral = (NeutralText("Write about rain.", "plain rain falls", -0.7), NeutralText("And tea?", "plain tea", -1.0))
    measures = StartMeasures(tuple(2.0 + at for at in range(layers)), neutral)
    return Start(factors, measures, group, edit_of_factors(factors).digest)
