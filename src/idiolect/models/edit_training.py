"""Training of an edit by gradients of answers' log-likelihood; between `answer_likelihood` and CHAMELEON's steps.

    x ← x + Σ_k ⟨x, read_k⟩ write_k          at every layer and every position; the network itself does not change

`write_gradient` is ∂/∂write of the log-likelihood at a given edit. `train_edit` moves reads and writes up the mean
log-likelihood by Adam (Kingma & Ba 2015, arXiv 1412.6980). The edit and its gradients are computed in float32 whatever
the network's dtype; only the changed x is rounded to it. Reads and writes are optimized relative to the length of a
layer's activations, so that one learning rate suits every layer and model:

    read = ρ / m_l        write = ω · m_l        m_l = mean ‖x‖ of layer l (`scale`)
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from idiolect.models.answer_likelihood import Target, log_likelihoods, passes
from idiolect.models.mlp import changing_outputs, mlp_ends
from idiolect.models.network import Network

BETAS = (0.9, 0.99)

OnStep = Callable[[int, int], None]


def ignore_step(_done: int, _total: int) -> None:
    """Do nothing; the default observer of a training's steps."""


@dataclass(frozen=True, slots=True, eq=False)
class EditFactors:
    """Reads and writes of an edit of all L layers, of equal rank r; float32 on the CPU.

    Args:
        reads: shape (L, r, d).
        writes: shape (L, r, d).

    Raises:
        ValueError: the shapes differ or are wrong.
    """

    reads: Tensor
    writes: Tensor

    def __post_init__(self) -> None:
        if self.reads.ndim != 3 or self.reads.shape != self.writes.shape:
            raise ValueError(
                f"reads have shape {tuple(self.reads.shape)} and writes {tuple(self.writes.shape)}, both must be "
                "(L, r, d)"
            )


@dataclass(frozen=True, slots=True)
class PassSettings:
    """How targets go through the network.

    Args:
        packed: whether the network supports packed sequences (`scoring.packs`).
        max_tokens: maximum number of tokens in a pass, which keeps the activations of all layers; padding counts.
    """

    packed: bool
    max_tokens: int = 512


@dataclass(frozen=True, slots=True)
class EditTraining:
    """Settings of `train_edit`.

    Args:
        epochs: number of times that every target is used, ≥ 1.
        batch_size: targets per step, ≥ 1.
        learning_rate: learning rate of the writes at the first step, relative to the length of the activations; finite,
            > 0. It falls to 0 along a half cosine.
        read_factor: the reads' learning rate, as a multiple of the writes'; finite, ≥ 0. 0 leaves the reads unchanged.
        seed: seed of the targets' order.

    Raises:
        ValueError: a value is out of its range.
    """

    epochs: int = 2
    batch_size: int = 4
    learning_rate: float = 5e-4
    read_factor: float = 2.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if (number := getattr(self, name)) < 1:
                raise ValueError(f"{name} is {number}, must be at least 1")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate is {self.learning_rate}, must be finite and greater than 0")
        if not 0 <= self.read_factor < math.inf:
            raise ValueError(f"read_factor is {self.read_factor}, must be finite and not negative")


def write_gradient(
    network: Network,
    factors: EditFactors,
    targets: Sequence[Target],
    passing: PassSettings,
    on_step: OnStep = ignore_step,
) -> Tensor:
    """Return the sum over targets of ∂ log-likelihood / ∂ writes at the given edit; float32 on the CPU, (L, r, d).

    Args:
        network: a network without edits.
        factors: reads and writes of every layer.
        targets: at least one.
        passing: how targets go through the network.
        on_step: receives the number of passes done and of all passes, after each; may raise to stop the work.

    Raises:
        ValueError: there are no targets.
    """
    if not targets:
        raise ValueError("no targets to compute a gradient of: expected at least one")
    reads, writes = (each.to(network.device) for each in (factors.reads, factors.writes))
    writes = writes.clone().requires_grad_()
    with network.frozen(), _running(network, reads, writes), torch.enable_grad():
        batches = list(passes(targets, max_tokens=passing.max_tokens, packed=passing.packed))
        for done, batch in enumerate(batches, 1):
            found = log_likelihoods(network, [targets[i] for i in batch], packed=passing.packed)
            found.sum().backward()  # type: ignore[no-untyped-call]
            on_step(done, len(batches))
    assert writes.grad is not None
    return writes.grad.float().cpu()


def train_edit(
    network: Network,
    start: EditFactors,
    scale: Tensor,
    targets: Sequence[Target],
    settings: EditTraining,
    passing: PassSettings,
    on_step: OnStep = ignore_step,
) -> EditFactors:
    """Return the edit after training on the targets.

    Args:
        network: a network without edits.
        start: reads and writes to start from.
        scale: mean ‖x‖ of each layer, (L,), > 0.
        targets: at least one.
        settings: settings of the training.
        passing: how targets go through the network.
        on_step: receives the number of steps done and of all steps, after each; may raise to stop the work.

    Returns:
        reads and writes of the same shape, float32 on the CPU; not finite if the training diverged.

    Raises:
        ValueError: there are no targets.
    """
    if not targets:
        raise ValueError("no targets to train an edit on: expected at least one")
    length = scale.to(network.device, torch.float32)[:, None, None]  # (L, 1, 1)
    reads = (start.reads.to(network.device) * length).requires_grad_()
    writes = (start.writes.to(network.device) / length).requires_grad_()
    rate = settings.learning_rate
    groups = [{"params": [reads], "lr": settings.read_factor * rate}, {"params": [writes], "lr": rate}]
    optimizer = torch.optim.Adam(groups, betas=BETAS)
    steps = settings.epochs * math.ceil(len(targets) / settings.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * step / steps)))
    with network.frozen():
        for done, batch in enumerate(_batches(targets, settings), 1):
            for part in passes(batch, max_tokens=passing.max_tokens, packed=passing.packed):
                with torch.enable_grad(), _running(network, reads / length, writes * length):
                    found = log_likelihoods(network, [batch[i] for i in part], packed=passing.packed)
                    (-found.sum() / len(batch)).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            on_step(done, steps)
    return EditFactors((reads.detach() / length).cpu(), (writes.detach() * length).cpu())


def _batches(targets: Sequence[Target], settings: EditTraining) -> Iterator[list[Target]]:
    """Yield the targets of each step, shuffled anew in every epoch."""
    drawn = random.Random(settings.seed)
    for _ in range(settings.epochs):
        order = list(range(len(targets)))
        drawn.shuffle(order)
        for start in range(0, len(order), settings.batch_size):
            yield [targets[i] for i in order[start : start + settings.batch_size]]


@contextmanager
def _running(network: Network, reads: Tensor, writes: Tensor) -> Iterator[None]:
    """Edit every layer by factors (L, r, d) that may have gradients, within the context."""

    def edited(at: int, x: Tensor) -> Tensor:
        whole = x.float()  # x itself if it is float32 already
        return (whole + (whole @ reads[at].T) @ writes[at]).to(x.dtype)

    with changing_outputs(mlp_ends(network.module), edited):
        yield
