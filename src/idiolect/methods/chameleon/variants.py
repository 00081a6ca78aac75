"""Edits from directions: the layers, and the rule with its strength (`rules` has the equations).

`random_edit` is a control for an edit: the same layers, rule and strength, along random directions.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import torch
from torch import Tensor

from idiolect.methods.chameleon.diagnostics import cosine_sizes, cosine_with_mean, edit_size
from idiolect.methods.chameleon.directions import orthogonalize
from idiolect.methods.chameleon.layer_choice import choose_layers
from idiolect.methods.chameleon.measuring import Measured
from idiolect.methods.chameleon.personalization import ChameleonPersonalization, LayerDiagnostics
from idiolect.methods.chameleon.rules import addition, two_step
from idiolect.methods.chameleon.settings import ADDING_RULES, ChameleonSettings, Variant
from idiolect.models.edits import Edit, LayerEdit


def edit_of(variant: Variant, measured: Measured, settings: ChameleonSettings) -> Edit:
    """Return the edit of a variant, from the measured directions."""
    losses = measured.ccs.loss  # (L,)
    chosen = choose_layers(losses, measured.margin, _number_of_layers(variant, len(losses)))
    theta_p, theta_n = directions_of(variant, measured)
    layers = {layer: _layer_edit(layer, variant, measured, theta_p, theta_n) for layer in chosen}
    return Edit(layers, positions=settings.positions, gate=settings.gate)


def _number_of_layers(variant: Variant, at_most: int) -> int | Literal["all", "elbow"]:
    if variant.layers is None:
        return "all"
    return "elbow" if variant.layers == "elbow" else min(variant.layers, at_most)


def directions_of(variant: Variant, measured: Measured) -> tuple[Tensor, Tensor]:
    """Return the variant's θ_P and θ_N of all layers, (L, d) each."""
    if variant.rule in ("literal", "p_only", "n_only"):
        return measured.literal, measured.ccs.theta_n
    if variant.rule == "orthogonalized":
        return measured.contrastive, orthogonalize(measured.ccs.theta_n, against=measured.contrastive)
    if variant.rule == "gradient":
        if measured.gradient is None:
            raise ValueError("the gradient was not measured")
        return measured.gradient, measured.ccs.theta_n
    if variant.rule == "addition":
        return measured.mean_difference, measured.ccs.theta_n
    return measured.contrastive, measured.ccs.theta_n


def diagnose(variant: Variant, edit: Edit, measured: Measured) -> tuple[LayerDiagnostics, ...]:
    """Return the diagnostics of every layer."""
    theta_p, theta_n = directions_of(variant, measured)
    losses, cos_mean = measured.ccs.loss, cosine_with_mean(theta_p, measured.last)
    cos_directions = cosine_sizes(theta_p, theta_n)
    return tuple(
        LayerDiagnostics(
            layer=layer,
            loss=float(losses[layer]),
            agreement=float(measured.ccs.agreement[layer]),
            separation=float(measured.ccs.separation[layer]),
            held_out=None if measured.share is None else float(measured.share[layer]),
            cos_mean=float(cos_mean[layer]),
            cos_directions=float(cos_directions[layer]),
            edit_size=_size(edit, layer, measured.tokens),
        )
        for layer in range(len(losses))
    )


def _layer_edit(layer: int, variant: Variant, measured: Measured, theta_p: Tensor, theta_n: Tensor) -> LayerEdit:
    if variant.rule == "addition":
        return addition(theta_p[layer], measured.reader[layer], strength=variant.alpha)
    if variant.rule == "gradient":
        step = torch.nn.functional.normalize(theta_p[layer], dim=0) * measured.scale[layer]  # (d,)
        return addition(step, measured.reader[layer], strength=variant.alpha)
    return _two_steps(variant, theta_p[layer], theta_n[layer])


def _two_steps(variant: Variant, theta_p: Tensor, theta_n: Tensor) -> LayerEdit:
    alpha = 0.0 if variant.rule == "n_only" else variant.alpha
    beta = 0.0 if variant.rule == "p_only" else variant.beta
    return two_step(theta_p, theta_n, alpha=alpha, beta=beta)


def _size(edit: Edit, layer: int, tokens: Tensor) -> float:
    done = edit.layers.get(layer)
    return 0.0 if done is None else edit_size(tokens[layer], done.read, done.write, edit.gate)


def random_edit(learned: ChameleonPersonalization, *, seed: int) -> Edit:
    """Return an edit as large as the learned one, along random directions.

    If the rule adds a vector, the read vectors stay and random vectors of equal length are written. Otherwise, both
    directions are drawn at random, with the same strengths.

    Args:
        learned: result whose layers, rule and strengths are used.
        seed: seed of the random directions, combined with the owner's id.
    """
    drawn = hashlib.blake2b(f"{seed}:{learned.user_id}".encode(), digest_size=7).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(drawn))
    variant, edit = learned.variant, learned.edit
    layers: dict[int, LayerEdit] = {}
    for index, layer in edit.layers.items():
        if variant.rule in ADDING_RULES:
            lengths = layer.write.norm(dim=1, keepdim=True)  # (r, 1)
            layers[index] = LayerEdit(layer.read, lengths * _random_directions(layer.write, generator))
        else:
            p, n = _random_directions(torch.empty(2, edit.width), generator)  # (d,) each
            layers[index] = _two_steps(variant, p, n)
    return Edit(layers, positions=edit.positions, gate=edit.gate)


def _random_directions(like: Tensor, generator: torch.Generator) -> Tensor:
    """Return random unit rows of the same shape."""
    return torch.nn.functional.normalize(torch.randn(like.shape, generator=generator), dim=1)
