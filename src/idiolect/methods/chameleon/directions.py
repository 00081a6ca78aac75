"""θ_P, the personal direction of every layer, from the pairs' activations; `ccs` finds θ_N, `rules` edits with both.

    svd               θ_P = v₁ of H_P = U Σ Vᵀ, uncentred                        (arXiv 2503.01048, Section 3.2)
    svd_centred       v₁ of H_P minus its mean row
    svd_difference    v₁ of H_P − H_N, uncentred                                 (AlignEZ, arXiv 2406.03642)
    mean_difference   the mean row of H_P − H_N

Most of an activation is common to all texts, so uncentred v₁ is nearly the mean activation; the others are contrastive.
v₁ comes from the smaller Gram matrix: if K < d, H Hᵀ u = σ² u gives v = Hᵀu / σ. All layers are computed at once.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

Estimator = Literal["svd", "svd_centred", "svd_difference", "mean_difference"]

# Rounding error in the difference of equal float32 activations, relative to their size; below it, no direction is left.
NOTHING = 1e-6


def personal_direction(personalized: Tensor, neutral: Tensor, estimator: Estimator = "svd") -> Tensor:
    """Return θ_P of each layer.

    Args:
        personalized: H_P, shape (K, L, d), of any float type; computed in float32 and above.
        neutral: H_N, the same shape; row i is the other side of pair i.
        estimator: name of the estimator, see the module's docstring.

    Returns:
        float32 unit vectors, shape (L, d), positive on the mean of the rows that they come from (the mean of H_P if
        these were centred), so that reports can be compared; edits do not depend on the sign.

    Raises:
        ValueError: there are no pairs, the shapes are unequal, a value is not finite, or a layer has no direction
            because its rows are all zero, equal after centring, or equal to the other side. The message lists such
            layers.
    """
    if estimator not in get_args(Estimator):
        raise ValueError(f"estimator is {estimator!r}, must be one of {', '.join(map(repr, get_args(Estimator)))}")
    ours, theirs = (rows.double() for rows in rows_by_layer(personalized, neutral))  # (L, K, d)
    size = ours.norm(dim=(1, 2))  # (L,)
    if estimator in ("svd_difference", "mean_difference"):
        size = size + theirs.norm(dim=(1, 2))
        ours = ours - theirs
    mean = ours.mean(dim=1)  # (L, d)
    if estimator == "mean_difference":
        found, strength = mean, mean.norm(dim=1) * ours.shape[1] ** 0.5
    else:
        found, strength = _first_right_singular(ours - mean[:, None] if estimator == "svd_centred" else ours)
    _require_a_direction(strength, size, f"no direction by {estimator!r}")
    return oriented(torch.nn.functional.normalize(found, dim=1), mean).float()


def rows_by_layer(personalized: Tensor, neutral: Tensor) -> tuple[Tensor, Tensor]:
    """Check H_P and H_N, shape (K, L, d), and return them as float32 of shape (L, K, d).

    Raises:
        ValueError: the shapes are wrong, unequal or empty, the type is not a float type, or a value is not finite.
    """
    if personalized.ndim != 3 or personalized.shape != neutral.shape:
        raise ValueError(
            f"activations are {tuple(personalized.shape)} and {tuple(neutral.shape)}, both must be (K, L, d)"
        )
    if not personalized.numel():
        raise ValueError(f"activations are {tuple(personalized.shape)}: pairs, layers and width must be 1 or more")
    sides = []
    for name, rows in (("personalized", personalized), ("neutral", neutral)):
        if not rows.is_floating_point():
            raise ValueError(f"{name} activations are {rows.dtype}, must be of a float type")
        rows = rows.detach().float().transpose(0, 1).contiguous()  # (L, K, d)
        finite = rows.isfinite().all(dim=2).all(dim=1)  # (L,)
        if not bool(finite.all()):
            raise ValueError(f"{name} activations are not finite in layers {_layers(~finite)}")
        sides.append(rows)
    return sides[0], sides[1]


def orthogonalize(theta: Tensor, *, against: Tensor) -> Tensor:
    """Return θ without its component along `against`, as unit vectors, layer by layer.

    Args:
        theta: directions, shape (L, d).
        against: directions, shape (L, d), of any length except 0.

    Returns:
        float32, shape (L, d).

    Raises:
        ValueError: the shapes are wrong or unequal, or nothing is left in some layers, which the message lists.
    """
    if theta.ndim != 2 or theta.shape != against.shape:
        raise ValueError(f"directions are {tuple(theta.shape)} and {tuple(against.shape)}, both must be (L, d)")
    _require_a_direction(against.norm(dim=1), torch.zeros(()), "nothing to orthogonalize against")
    unit = torch.nn.functional.normalize(against.double(), dim=1)
    rest = theta.double()
    for _ in range(2):  # the second pass removes the rounding error of the first
        rest = rest - (rest * unit).sum(dim=1, keepdim=True) * unit
    _require_a_direction(rest.norm(dim=1), theta.norm(dim=1).double(), "nothing is left of a parallel direction")
    return torch.nn.functional.normalize(rest, dim=1).float()


def oriented(theta: Tensor, towards: Tensor) -> Tensor:
    """Return θ or −θ for each layer: the one with ⟨θ, towards⟩ > 0, or if it is 0, with a positive largest coordinate.

    Args:
        theta: directions, shape (L, d).
        towards: vectors, shape (L, d).
    """
    along = (theta * towards).sum(dim=1, keepdim=True)  # (L, 1)
    largest = theta.gather(1, theta.abs().argmax(dim=1, keepdim=True))
    return torch.where(torch.where(along == 0, largest, along) < 0, -theta, theta)


def _first_right_singular(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return v₁ (L, d), not normalized, and σ₁ (L,) of rows (L, K, d), in float64 because a Gram matrix squares."""
    if rows.shape[1] < rows.shape[2]:
        values, vectors = torch.linalg.eigh(rows @ rows.mT)  # (L, K), (L, K, K), ascending
        found = (vectors[:, None, :, -1] @ rows).squeeze(1)
    else:
        values, vectors = torch.linalg.eigh(rows.mT @ rows)  # (L, d), (L, d, d)
        found = vectors[..., -1]
    return found, values[:, -1].clamp_min(0).sqrt()


def _require_a_direction(strength: Tensor, size: Tensor, why: str) -> None:
    nothing = strength <= NOTHING * size
    if bool(nothing.any()):
        raise ValueError(f"{why} in layers {_layers(nothing)}")


def _layers(chosen: Tensor) -> list[int]:
    return [int(index) for index in chosen.nonzero()[:, 0]]
