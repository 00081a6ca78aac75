"""A control of every edit: the same layers, rule and strength along directions that mean nothing."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from idiolect.methods.chameleon.personalization import ChameleonPersonalization
from idiolect.methods.chameleon.rules import two_step
from idiolect.models.edits import Edit, LayerEdit

_ADDING = ("addition", "gradient")


def random_edit(learned: ChameleonPersonalization, *, seed: int) -> Edit:
    """An edit as large as the learned one along random directions.

    Where the rule adds a vector, what is read stays and a random vector of equal length is written; else both
    directions are drawn anew, at the same strengths.

    Args:
        learned: whose layers, rule and strengths count.
        seed: another one, other directions; combined with whose it is.
    """
    drawn = hashlib.blake2b(f"{seed}:{learned.user_id}".encode(), digest_size=7).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(drawn))
    variant, edit = learned.variant, learned.edit
    layers: dict[int, LayerEdit] = {}
    for index, layer in edit.layers.items():
        if variant.rule in _ADDING:
            lengths = layer.write.norm(dim=1, keepdim=True)  # (r, 1)
            layers[index] = LayerEdit(layer.read, lengths * _directions(layer.write, generator))
        else:
            alpha = 0.0 if variant.rule == "n_only" else variant.alpha
            beta = 0.0 if variant.rule == "p_only" else variant.beta
            p, n = _directions(torch.empty(2, edit.width), generator)  # (d,) each
            layers[index] = two_step(p, n, alpha=alpha, beta=beta)
    return Edit(layers, positions=edit.positions, gate=edit.gate)


def _directions(like: Tensor, generator: torch.Generator) -> Tensor:
    """Unit rows of that shape."""
    return torch.nn.functional.normalize(torch.randn(like.shape, generator=generator), dim=1)
