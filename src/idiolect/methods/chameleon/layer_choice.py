"""The choice of layers to edit: those with the lowest CCS loss, with ties broken on held-out pairs.

With d ≫ K a hyperplane fits nearly every layer, so losses within a tolerance of the lowest count as ties (p = 1/2
everywhere has 0.25). Ties are broken by how well θ separates held-out pairs, and remaining ties by the lower layer.

How many layers is a setting. With "elbow", it is where the losses jump, as in the ancestor's code (docs/methods.md);
then losses decide alone, and only equal ones are ties.

    margin_l = mean_i ⟨x_i^P − x_i^N, θ_l⟩ / ‖x_i^P − x_i^N‖      over held-out pairs, −1..1, independent of scale
"""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Literal

import torch
from torch import Tensor

from idiolect.methods.chameleon.directions import rows_by_layer

TOLERANCE = 0.01


def held_out_margin(theta: Tensor, personalized: Tensor, neutral: Tensor) -> Tensor:
    """Return the margin of each layer, float32 (L,).

    Args:
        theta: unit vectors, shape (L, d), that point to the personalized side (`CcsFit.theta_n`).
        personalized: held-out rows, shape (k, L, d).
        neutral: the other sides, the same shape; a pair whose sides are equal counts as 0.

    Raises:
        ValueError: `rows_by_layer` rejects the activations, or the directions have another shape.
    """
    contrast = _contrast(theta, personalized, neutral)  # (L, k, d)
    along = (torch.nn.functional.normalize(contrast, dim=2) @ theta.float()[..., None]).squeeze(2)  # (L, k)
    return along.mean(dim=1)


def held_out_share(theta: Tensor, personalized: Tensor, neutral: Tensor) -> Tensor:
    """Return the share of held-out pairs with p(x_P) > p(x_N), that is ⟨x_P − x_N, θ⟩ > 0: float32 (L,), 0..1.

    Arguments and errors are those of `held_out_margin`.
    """
    along = (_contrast(theta, personalized, neutral) @ theta.float()[..., None]).squeeze(2)  # (L, k)
    return (along > 0).float().mean(dim=1)


def choose_layers(
    loss: Tensor, held_out_margin: Tensor, n: int | Literal["all", "elbow"], *, tolerance: float = TOLERANCE
) -> tuple[int, ...]:
    """Return the n layers to edit, in ascending order.

    Args:
        loss: CCS losses, shape (L,).
        held_out_margin: margins, shape (L,); higher is better.
        n: number of layers, 1..L; "all"; or "elbow", see `elbow`.
        tolerance: maximum distance of a loss from the lowest remaining one for a tie; 0 or more. "elbow" has none.

    Raises:
        ValueError: the shapes are wrong, n or tolerance is out of range, or a value is not finite.
    """
    ranked = ranked_layers(loss, held_out_margin, tolerance=0 if n == "elbow" else tolerance)
    wanted = len(ranked) if n == "all" else elbow(loss) if n == "elbow" else n
    if not 1 <= wanted <= len(ranked):
        raise ValueError(f"n is {n!r}, must be 1 to {len(ranked)}, 'all' or 'elbow'")
    return tuple(sorted(ranked[:wanted]))


def elbow(loss: Tensor) -> int:
    """Return the number of layers before the largest jump of the running mean of the sorted losses.

    With sorted losses and m_i the mean of the i lowest ones, i = 1..L − 1, this is the k ≥ 1 with the largest
    m_{k+2} − m_{k+1}; of equal jumps, the first. So the layer just before the jump is left out, and the highest loss
    never counts. Both are so in the ancestor's code; only where that edits no layer at all, one layer is edited here.

    Args:
        loss: CCS losses, shape (L,), L ≥ 1, all finite.

    Returns:
        1 to max(L − 3, 1); 1 also if all losses are equal, or there are fewer than five layers.
    """
    ascending = sorted(loss.double().tolist())
    sums = accumulate(ascending[:-1])
    jumps = [after - before for before, after in pairwise(total / i for i, total in enumerate(sums, 1))]
    return max(jumps.index(max(jumps)), 1) if jumps else 1


def ranked_layers(loss: Tensor, held_out_margin: Tensor, *, tolerance: float = TOLERANCE) -> tuple[int, ...]:
    """Return all layers, best first.

    Arguments and errors are those of `choose_layers`.
    """
    if loss.ndim != 1 or loss.shape != held_out_margin.shape or not loss.numel():
        raise ValueError(f"loss is {tuple(loss.shape)}, margin {tuple(held_out_margin.shape)}, both must be (L,)")
    if not bool(loss.isfinite().all() & held_out_margin.isfinite().all()):
        raise ValueError("a loss or a margin is not finite")
    if not tolerance >= 0:
        raise ValueError(f"tolerance is {tolerance}, must be 0 or more")
    losses, margins = loss.tolist(), held_out_margin.tolist()
    left, ranked = set(range(len(losses))), list[int]()
    while left:
        lowest = min(losses[layer] for layer in left)
        tied = sorted((-margins[layer], layer) for layer in left if losses[layer] <= lowest + tolerance)
        ranked += [layer for _, layer in tied]
        left.difference_update(ranked)
    return tuple(ranked)


def _contrast(theta: Tensor, personalized: Tensor, neutral: Tensor) -> Tensor:
    ours, theirs = rows_by_layer(personalized, neutral)
    if theta.shape != ours[:, 0].shape:
        raise ValueError(f"directions are {tuple(theta.shape)}, must be {tuple(ours[:, 0].shape)}")
    return ours - theirs
