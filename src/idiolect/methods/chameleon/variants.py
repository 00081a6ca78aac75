"""From directions to an edit: which layers, and which rule at which strength (`rules` has the equations)."""

from __future__ import annotations

import torch
from torch import Tensor

from idiolect.methods.chameleon.diagnostics import cosine_sizes, cosine_with_mean, edit_size
from idiolect.methods.chameleon.directions import orthogonalize
from idiolect.methods.chameleon.layer_choice import choose_layers
from idiolect.methods.chameleon.measuring import Measured
from idiolect.methods.chameleon.personalization import LayerDiagnostics
from idiolect.methods.chameleon.rules import addition, two_step
from idiolect.methods.chameleon.settings import ChameleonSettings, Variant
from idiolect.models.edits import Edit, LayerEdit


def edit_of(variant: Variant, measured: Measured, settings: ChameleonSettings) -> Edit:
    """The edit that a variant makes of what was measured."""
    losses = measured.ccs.loss  # (L,)
    n = len(losses) if variant.layers is None else min(variant.layers, len(losses))
    chosen = choose_layers(losses, measured.margin, n)
    theta_p, theta_n = directions_of(variant, measured)
    layers = {layer: _layer_edit(layer, variant, measured, theta_p, theta_n) for layer in chosen}
    return Edit(layers, positions=settings.positions, gate=settings.gate)


def directions_of(variant: Variant, measured: Measured) -> tuple[Tensor, Tensor]:
    """θ_P and θ_N of all layers as the variant uses them, (L, d) each."""
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
    """What is known of every layer, for the record."""
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
    alpha = 0.0 if variant.rule == "n_only" else variant.alpha
    beta = 0.0 if variant.rule == "p_only" else variant.beta
    return two_step(theta_p[layer], theta_n[layer], alpha=alpha, beta=beta)


def _size(edit: Edit, layer: int, tokens: Tensor) -> float:
    done = edit.layers.get(layer)
    return 0.0 if done is None else edit_size(tokens[layer], done.read, done.write, edit.gate)
