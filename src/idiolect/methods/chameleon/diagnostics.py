"""Diagnostics of directions: how parallel they are, and how far an edit moves a token.

|cos(a, b)| per layer: θ_P and the mean activation (near 1: θ_P only makes activations "louder"), θ_P and θ_N (near 1:
the edit's two steps cancel), two users' θ (near 1: a direction that everybody shares personalizes nobody)
edit size = mean over tokens of ‖Δx‖ / ‖x‖,   Δx = Σ_i g(⟨x, read_i⟩) write_i
"""

from __future__ import annotations

import torch
from torch import Tensor

from idiolect.models.edits import Gate


def cosine_sizes(first: Tensor, second: Tensor) -> Tensor:
    """Return |cos| of two sets of directions, layer by layer.

    Args:
        first: directions, shape (L, d), of any length except 0.
        second: directions, shape (L, d), of any length except 0.

    Returns:
        float32 (L,), 0..1.

    Raises:
        ValueError: the shapes are wrong or unequal, or a direction has length 0 or is not finite.
    """
    if first.ndim != 2 or first.shape != second.shape:
        raise ValueError(f"directions are {tuple(first.shape)} and {tuple(second.shape)}, both must be (L, d)")
    return (_unit(first) * _unit(second)).sum(dim=1).abs().clamp(max=1)


def cosine_with_mean(theta: Tensor, activations: Tensor) -> Tensor:
    """Return |cos(θ, mean activation)| of each layer.

    Args:
        theta: directions, shape (L, d).
        activations: activations, shape (K, L, d).

    Returns:
        float32 (L,), 0..1.

    Raises:
        ValueError: the shapes are wrong, or a mean has length 0 or is not finite.
    """
    if activations.ndim != 3 or not len(activations):
        raise ValueError(f"activations are {tuple(activations.shape)}, must be (K, L, d)")
    return cosine_sizes(theta, activations.float().mean(dim=0))


def edit_size(tokens: Tensor, read: Tensor, write: Tensor, gate: Gate = "none") -> float:
    """Return how far the edit of one layer moves a token on average, relative to the token's length; 0 or more.

    Args:
        tokens: MLP outputs, shape (m, d).
        read: read vectors, shape (r, d).
        write: write vectors, shape (r, d).
        gate: gate of the edit, see `models.edits.Edit`.

    Raises:
        ValueError: the shapes are wrong, there are no tokens, or a token has length 0 or is not finite.
    """
    if tokens.ndim != 2 or read.shape != write.shape or read.shape[1:] != tokens.shape[1:]:
        raise ValueError(
            f"tokens are {tuple(tokens.shape)}, read {tuple(read.shape)}, write {tuple(write.shape)}, "
            "must be (m, d), (r, d), (r, d)"
        )
    length = tokens.float().norm(dim=1)  # (m,)
    if not len(length) or not bool((length.isfinite() & (length > 0)).all()):
        raise ValueError("expected at least one token, and a finite length above 0 for each")
    along = tokens.float() @ read.float().mT  # (m, r)
    moved = (along.clamp(min=0) if gate == "positive" else along) @ write.float()  # (m, d)
    return float((moved.norm(dim=1) / length).mean())


def _unit(vectors: Tensor) -> Tensor:
    length = torch.linalg.vector_norm(vectors.float(), dim=-1, keepdim=True)
    if not bool((length.isfinite() & (length > 0)).all()):
        raise ValueError("a direction has length 0 or is not finite")
    return torch.div(vectors.float(), length)
