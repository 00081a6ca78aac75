"""θ_N, the neutral direction of every layer: the normal of the hyperplane that CCS finds between the two sides.

    p(x) = σ(⟨w, x⟩ + b)                                  (Contrast-Consistent Search, arXiv 2212.03827, Section 2.2)
    loss = mean_i (p(x_i^P) − (1 − p(x_i^N)))² + mean_i min(p(x_i^P), p(x_i^N))²
    θ_N  = w / ‖w‖ of the restart with the lowest loss                                   (arXiv 2503.01048, Section 3.2)

The reference trains one probe at a time, with autograd. Here all layers and restarts are one parameter (L, R, d + 1)
with an explicit gradient. AdamW is elementwise, so probes do not affect one another: this gives the same numbers with
two batched products per epoch. All d coordinates are needed: AdamW is not invariant to rotations, so the span of the
rows is not enough.

Centring. Burns et al. subtract from each side its own mean, to hide which side says "yes"; which side is *true* varies
from pair to pair and is preserved. Here one side is always the personalized one: the difference of the two means *is*
the signal, and "separate" removes it. "joint" subtracts the mean of all rows, which shifts the hyperplane but does not
rotate it.

A limit of the estimator: with d ≫ K the loss is near 0 after few steps, and AdamW's first steps follow the gradient's
*signs*. Restarts then retain much of their random initial values, and a planted θ is recovered with a |cos| of about
√(2/π) = 0.80 at most.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from idiolect.methods.chameleon.directions import NOTHING, oriented, rows_by_layer
from idiolect.methods.setting_checks import require, require_one_of

Centring = Literal["joint", "separate", "none"]
Scaling = Literal["layer", "feature", "none"]

BETAS = (0.9, 0.999)  # AdamW's betas and ε are PyTorch's defaults
EPSILON = 1e-8


@dataclass(frozen=True, slots=True)
class CcsSettings:
    """Settings of CCS. Defaults are those of Burns et al., except for centring and scaling.

    Args:
        centring: see the module's docstring.
        scaling: "layer" divides a layer by one number, so that its features have a mean square of 1 (the learning rate
            then has the same effect in every layer); "feature" divides each feature by its standard deviation over all
            rows, as Burns et al. do; "none". Normals are given in the coordinates of the raw activations.
        epochs: number of full-batch steps, 1 or more.
        restarts: number of probes per layer, 1 or more.
        learning_rate: learning rate of AdamW, above 0.
        weight_decay: weight decay of AdamW, 0 or more.

    Raises:
        SettingsError: a value is invalid.
    """

    centring: Centring = "joint"
    scaling: Scaling = "layer"
    epochs: int = 1000
    restarts: int = 10
    learning_rate: float = 1e-3
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        require_one_of(Centring, "centring", self.centring)
        require_one_of(Scaling, "scaling", self.scaling)
        require(self.epochs >= 1, "epochs", self.epochs, "1 or more")
        require(self.restarts >= 1, "restarts", self.restarts, "1 or more")
        require(0 < self.learning_rate < math.inf, "learning_rate", self.learning_rate, "above 0")
        require(0 <= self.weight_decay < math.inf, "weight_decay", self.weight_decay, "0 or more")


@dataclass(frozen=True, slots=True, eq=False)
class CcsFit:
    """Result of CCS; float32 except for `best`.

    Args:
        theta_n: unit normals of the best restarts, in raw coordinates, (L, d); on average, personalized rows are on
            the positive side of neutral ones.
        losses: loss of each restart after the last step, (L, R); p = 1/2 everywhere has 0.25.
        agreement: mean |cos| between the normals of two restarts, (L,); 1 if there is only one restart.
        separation: share of the fitted pairs with p(x_P) > p(x_N), (L,). CCS accepts either order as long as the two
            sides differ: below 1, the best restart has some pairs the wrong way round.
        best: index of the restart with the lowest loss, int64 (L,).
    """

    theta_n: Tensor
    losses: Tensor
    agreement: Tensor
    separation: Tensor
    best: Tensor

    @property
    def loss(self) -> Tensor:
        """Loss of the best restart, (L,)."""
        return self.losses.amin(dim=1)


def fit_ccs(personalized: Tensor, neutral: Tensor, settings: CcsSettings, generator: torch.Generator) -> CcsFit:
    """Fit θ_N of every layer.

    Args:
        personalized: H_P, shape (K, L, d), of any float type; computed in float32.
        neutral: H_N, the same shape; row i is the other side of pair i.
        settings: settings of CCS.
        generator: draws the initial probes, on the CPU.
    """
    ours, _ = rows_by_layer(personalized, neutral)  # (L, K, d)
    probes = initial_probes(ours.shape[0], settings.restarts, ours.shape[2], generator)
    return fit_ccs_from(personalized, neutral, settings, probes)


def initial_probes(layers: int, restarts: int, width: int, generator: torch.Generator) -> Tensor:
    """Return w and b (last), drawn uniformly in ±1/√d as `nn.Linear` does: float32 (L, R, d + 1).

    They are drawn layer by layer, so that the probes of a layer do not depend on the number of layers after it.
    """
    return (2 * torch.rand(layers, restarts, width + 1, generator=generator) - 1) / math.sqrt(width)


def fit_ccs_from(personalized: Tensor, neutral: Tensor, settings: CcsSettings, probes: Tensor) -> CcsFit:
    """Fit θ_N of every layer from given probes.

    Args:
        personalized: H_P, shape (K, L, d).
        neutral: H_N, the same shape.
        settings: settings of CCS; the number of restarts must be that of the probes.
        probes: initial probes, see `initial_probes`, (L, R, d + 1); not changed.

    Raises:
        ValueError: `rows_by_layer` rejects the activations; the probes have the wrong shape; or, in some layers, the
            two sides are equal (there is no hyperplane between them), nothing is left after centring (a single pair,
            centred separately), or a loss is not finite. The message lists the layers.
    """
    ours, theirs = rows_by_layer(personalized, neutral)  # (L, K, d)
    expected = (ours.shape[0], settings.restarts, ours.shape[2] + 1)
    if tuple(probes.shape) != expected:
        raise ValueError(f"probes are {tuple(probes.shape)}, must be {expected}")
    contrast = ours - theirs
    size = ours.norm(dim=(1, 2)) + theirs.norm(dim=(1, 2))
    _reject(contrast.norm(dim=(1, 2)) <= NOTHING * size, "the two sides are equal")

    rows = centred(ours, theirs, settings.centring)  # (L, 2K, d)
    _reject(rows.norm(dim=(1, 2)) <= NOTHING * size, "centring leaves nothing")
    rows, inverse_scale = scaled(rows, settings.scaling)  # (L, 2K, d), (L, 1, d)
    fitted, losses = _optimized(rows, probes.to(rows.device, torch.float32).clone(), settings)
    normals = torch.nn.functional.normalize(fitted[..., :-1] * inverse_scale, dim=2)  # (L, R, d)
    _reject(~(losses.isfinite().all(dim=1) & normals.isfinite().all(dim=2).all(dim=1)), "a loss is not finite")

    best = losses.argmin(dim=1)  # (L,)
    theta = oriented(normals[torch.arange(len(best)), best], contrast.mean(dim=1))
    separation = ((contrast @ theta[..., None]) > 0).float().mean(dim=(1, 2))
    return CcsFit(theta, losses, _agreement(normals), separation, best)


def centred(ours: Tensor, theirs: Tensor, centring: Centring) -> Tensor:
    """Return both sides (L, K, d) as rows (L, 2K, d), personalized first, after the centring."""
    if centring == "separate":
        ours, theirs = (side - side.mean(dim=1, keepdim=True) for side in (ours, theirs))
    rows = torch.cat([ours, theirs], dim=1)
    return rows - rows.mean(dim=1, keepdim=True) if centring == "joint" else rows


def scaled(rows: Tensor, scaling: Scaling) -> tuple[Tensor, Tensor]:
    """Return the scaled rows (L, 2K, d) and the factors that they were multiplied with, (L, 1, d).

    "feature" removes a feature that never varies, because its weight would keep its random initial value.
    """
    inverse = torch.ones_like(rows[:, :1])
    if scaling == "layer":
        inverse = inverse / rows.square().mean(dim=(1, 2), keepdim=True).sqrt()
    elif scaling == "feature":
        spread = rows.std(dim=1, keepdim=True, correction=0)  # (L, 1, d)
        inverse = torch.where(spread > NOTHING * spread.amax(dim=2, keepdim=True), 1 / spread, 0)
    return rows * inverse, inverse


def _optimized(rows: Tensor, probes: Tensor, settings: CcsSettings) -> tuple[Tensor, Tensor]:
    """Optimize probes (L, R, d + 1) in place with AdamW over all epochs; return them and their losses (L, R).

    All buffers are reused, because allocating new ones of this size costs as much as the arithmetic.
    """
    rows = torch.nn.functional.pad(rows, (0, 1), value=1.0)  # (L, 2K, d + 1), the last column is for b
    logits = probes.new_empty(probes.shape[0], probes.shape[1], rows.shape[1])  # (L, R, 2K)
    slopes, gradient = torch.empty_like(logits), torch.empty_like(probes)
    first, second, root = torch.zeros_like(probes), torch.zeros_like(probes), torch.empty_like(probes)
    for epoch in range(1, settings.epochs + 1):
        torch.bmm(probes, rows.mT, out=logits)
        _slopes(logits, slopes)
        torch.bmm(slopes, rows, out=gradient)

        probes.mul_(1 - settings.learning_rate * settings.weight_decay)
        first.lerp_(gradient, 1 - BETAS[0])
        second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        torch.sqrt(second, out=root)
        root.div_(math.sqrt(1 - BETAS[1] ** epoch)).add_(EPSILON)
        probes.addcdiv_(first, root, value=-settings.learning_rate / (1 - BETAS[0] ** epoch))
    return probes, ccs_loss(torch.bmm(probes, rows.mT))


def ccs_loss(logits: Tensor) -> Tensor:
    """Return the loss (…,) of logits (…, 2K), personalized rows first."""
    personalized, neutral = logits.sigmoid().chunk(2, dim=-1)
    consistency = (personalized + neutral - 1).square().mean(dim=-1)
    return consistency + torch.minimum(personalized, neutral).square().mean(dim=-1)


def _slopes(logits: Tensor, out: Tensor) -> None:
    """Write ∂loss/∂logits into `out`, both (L, R, 2K); `logits` is overwritten.

    ∂loss/∂p_P = (2/K) (p_P + p_N − 1 + min(p_P, p_N) [p_P < p_N]),  a tie counts half;  ∂p/∂z = p (1 − p)
    """
    p = logits.sigmoid_()
    ours, theirs = p.chunk(2, dim=-1)  # (L, R, K)
    excess = ours + theirs - 1
    half = 0.5 * torch.minimum(ours, theirs)
    signed = half * torch.sign(theirs - ours)
    excess += half
    to_ours, to_theirs = out.chunk(2, dim=-1)
    torch.add(excess, signed, out=to_ours)
    torch.sub(excess, signed, out=to_theirs)
    out.mul_(p).mul_(1 - p).mul_(4 / p.shape[-1])


def _agreement(normals: Tensor) -> Tensor:
    """Return the mean |cos| between two restarts, (L,), of unit normals (L, R, d)."""
    restarts = normals.shape[1]
    if restarts == 1:
        return torch.ones_like(normals[:, 0, 0])
    above = torch.triu_indices(restarts, restarts, offset=1)
    return (normals @ normals.mT).abs()[:, above[0], above[1]].mean(dim=1)


def _reject(bad: Tensor, why: str) -> None:
    if bool(bad.any()):
        raise ValueError(f"CCS: {why} in layers {[int(index) for index in bad.nonzero()[:, 0]]}")
