"""The rules that turn two directions into an edit ("align it", CHAMELEON, arXiv 2503.01048, Section 3.3), and our own.

Literal, with unit vectors p = θ_P, n = θ_N and strengths α, β (1 in the paper): add first, then subtract from the sum,

    x ← x + α ⟨x, p⟩ p          x ← x − β ⟨x, n⟩ n

which is read = [p; n], write = [α p − αβ ⟨n, p⟩ n ; −β n].

Addition (ours): x ← x + s v for a vector v is not a linear map of x. But there is an r with ⟨x, r⟩ ≈ 1 on nearly every
token, the ridge regression of the constant 1 on x:

    r = argmin_r  mean_t (⟨x_t, r⟩ − 1)² + λ ‖r‖² · mean ‖x_t‖² / d          read = [r], write = [s v]

(on the embedded model ⟨x, r⟩ = 0.97 ± 0.10 … 0.25 on unseen text, by layer). So an added vector is a rank-1 LoRA too,
and every engine that supports the paper's edit supports this one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from idiolect.models.edits import LayerEdit


def two_step(theta_p: Tensor, theta_n: Tensor, *, alpha: float, beta: float) -> LayerEdit:
    """Return the edit of one layer by the paper's rule, which does not depend on the directions' scale or sign.

    Args:
        theta_p, theta_n: directions, shape (d,).
        alpha, beta: strengths; 0 omits that step.

    Raises:
        ValueError: a direction has length zero.
    """
    p, n = _unit(theta_p, "theta_p"), _unit(theta_n, "theta_n")  # (d,)
    write = torch.stack([alpha * p - alpha * beta * (n @ p) * n, -beta * n])  # (2, d)
    return LayerEdit(torch.stack([p, n]), write)


def addition(vector: Tensor, reader: Tensor, *, strength: float) -> LayerEdit:
    """Return the edit that adds strength · vector where ⟨x, reader⟩ is 1; shapes (d,)."""
    return LayerEdit(reader[None], strength * vector[None])


def constant_reader(tokens: Tensor, *, ridge: float = 1e-2) -> Tensor:
    """Return r with ⟨x, r⟩ ≈ 1 on ordinary tokens, for every layer.

    Args:
        tokens: activations of a sample of tokens, without the first token of any text; shape (L, m, d).
        ridge: λ, > 0.

    Returns:
        float32, shape (L, d).

    Raises:
        ValueError: there are no tokens.
    """
    if not tokens.shape[1]:
        raise ValueError("no tokens to fit a reader on")
    x = tokens.double()  # (L, m, d)
    m, d = x.shape[1:]
    penalty = ridge * x.square().mean(dim=(1, 2))[:, None, None]  # (L, 1, 1): λ · mean ‖x‖² / d
    if m < d:  # the smaller system has the same solution
        gram = x @ x.transpose(1, 2) + m * penalty * torch.eye(m, dtype=x.dtype)  # (L, m, m)
        weights = _solved(gram, x.new_ones(len(x), m, 1))  # (L, m, 1)
        found: Tensor = (x.transpose(1, 2) @ weights)[..., 0].float()
        return found
    covariance = x.transpose(1, 2) @ x / m + penalty * torch.eye(d, dtype=x.dtype)  # (L, d, d)
    found = _solved(covariance, x.mean(dim=1)[..., None])[..., 0].float()
    return found


def _solved(positive: Tensor, right: Tensor) -> Tensor:
    """Return the solution of positive · z = right for each layer; positive: (L, n, n), positive definite.

    By Cholesky's factors: batched LU fails in torch 2.13 after `torch.set_num_threads` or with MKL_DYNAMIC=FALSE.
    """
    return torch.cholesky_solve(right, torch.linalg.cholesky(positive))


def _unit(theta: Tensor, name: str) -> Tensor:
    length = float(theta.float().norm())
    if not length > 0:
        raise ValueError(f"{name} has length {length}, which gives no direction")
    return theta.float() / length
