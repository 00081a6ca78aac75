"""What is reported of directions beside the edit itself: how parallel they are, and how far an edit moves a token.

|cos(a, b)| per layer: θ_P and the mean activation (near 1: no more than "louder"), θ_P and θ_N (near 1: the edit's
two steps cancel), two users' θ (near 1: a direction that everybody shares personalizes nobody)
edit size = mean over tokens of ‖Δx‖ / ‖x‖,   Δx = Σ_i g(⟨x, read_i⟩) write_i
"""

from __future__ import annotations

import torch
from torch import Tensor

from idiolect.models.edits import Gate


def cosine_sizes(first: Tensor, second: Tensor) -> Tensor:
    """|cos| of two sets of directions, layer by layer.

    Args:
        first: shape (L, d), of any length but 0.
        second: the same.

    Returns:
        float32 (L,), 0..1.

    Raises:
        ValueError: other or unequal shapes, or a direction of length 0 or not finite.
    """
    if first.ndim != 2 or first.shape != second.shape:
        raise ValueError(f"directions are {tuple(first.shape)} and {tuple(second.shape)}, both must be (L, d)")
    return (_unit(first) * _unit(second)).sum(dim=1).abs().clamp(max=1)


def cosine_with_mean(theta: Tensor, activations: Tensor) -> Tensor:
    """|cos(θ, mean activation)| of each layer.

    Args:
        theta: shape (L, d).
        activations: shape (K, L, d).

    Returns:
        float32 (L,), 0..1.

    Raises:
        ValueError: other shapes, or a mean of length 0 or not finite.
    """
    if activations.ndim != 3 or not len(activations):
        raise ValueError(f"activations are {tuple(activations.shape)}, must be (K, L, d)")
    return cosine_sizes(theta, activations.float().mean(dim=0))


def edit_size(tokens: Tensor, read: Tensor, write: Tensor, gate: Gate = "none") -> float:
    """How far the edit of one layer moves a token, relative to the token: 0 or more.

    Args:
        tokens: MLP outputs, shape (m, d).
        read: shape (r, d).
        write: shape (r, d).
        gate: as in `models.edits.Edit`.

    Raises:
        ValueError: other shapes, no tokens, or one of length 0 or not finite.
    """
    if tokens.ndim != 2 or read.shape != write.shape or read.shape[1:] != tokens.shape[1:]:
        raise ValueError(
            f"tokens are {tuple(tokens.shape)}, read {tuple(read.shape)}, write {tuple(write.shape)}, "
            "must be (m, d), (r, d), (r, d)"
        )
    length = tokens.float().norm(dim=1)  # (m,)
    if not len(length) or not bool((length.isfinite() & (length > 0)).all()):
        raise ValueError("there must be a token, and each of finite length above 0")
    along = tokens.float() @ read.float().mT  # (m, r)
    moved = (along.clamp(min=0) if gate == "positive" else along) @ write.float()  # (m, d)
    return float((moved.norm(dim=1) / length).mean())


def _unit(vectors: Tensor) -> Tensor:
    length = torch.linalg.vector_norm(vectors.float(), dim=-1, keepdim=True)
    if not bool((length.isfinite() & (length > 0)).all()):
        raise ValueError("a direction is of length 0 or not finite")
    return torch.div(vectors.float(), length)
