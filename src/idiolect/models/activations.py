"""Φ, the outputs of the MLPs for given texts, captured in batched forward passes; between `network` and the directions.

Φ_l(text) = the output of layer l's down projection at the last token (CHAMELEON, arXiv 2503.01048); also means over
tokens, and single tokens, for the rules that read more than one. Statistics are float32 whatever the model's dtype,
and computed in the hooks, so that a pass keeps only one layer's outputs at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from idiolect.errors import ModelError
from idiolect.models.mlp import MlpEnd, changing_outputs, mlp_ends
from idiolect.models.network import Network

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Activations:
    """Outputs of the MLPs of L layers for n texts; float32, on the CPU.

    Args:
        last: outputs at the last token of each text, shape (n, L, d).
        mean: means over the tokens of each text's answer, shape (n, L, d).
        tokens: outputs at a sample of the answer tokens of all texts, shape (L, m, d); empty without a sample.
    """

    last: Tensor
    mean: Tensor
    tokens: Tensor


@dataclass(frozen=True, slots=True)
class EncodedText:
    """The tokens of a text.

    Args:
        ids: all token ids; two or more.
        start: index of the answer's first token, in [0, len(ids)). The text's first token is never read, because its
            activations differ in scale from those of all others.
    """

    ids: Ids
    start: int = 0

    def __post_init__(self) -> None:
        if len(self.ids) < 2:
            raise ValueError(f"a text has {len(self.ids)} tokens, must have at least 2: the first one is never read")
        if not 0 <= self.start < len(self.ids):
            raise ValueError(f"start is {self.start}, must be in [0, {len(self.ids)})")

    @property
    def first(self) -> int:
        """Index of the first token whose activations are read."""
        return max(self.start, 1)


@torch.inference_mode()
def capture(network: Network, texts: Sequence[EncodedText], *, batch_size: int, sample: int = 0) -> Activations:
    """Run the texts, unedited, and capture the outputs of the MLPs.

    Args:
        network: a network without any other hooks.
        texts: at least one.
        batch_size: texts per pass.
        sample: about how many tokens, spread evenly, to keep per-token activations for; 0 keeps none.

    Raises:
        ModelError: the network's layers are not built like those of any supported model family.
        ValueError: there are no texts.
    """
    if not texts:
        raise ValueError("no texts to capture activations of: expected at least one")
    ends = mlp_ends(network.module)
    total = sum(len(text.ids) - text.first for text in texts)
    every = max(-(-total // sample), 1) if sample else 0
    n, width = len(texts), int(network.config.hidden_size)
    last, mean = torch.empty(n, len(ends), width), torch.empty(n, len(ends), width)
    kept: list[list[Tensor]] = [[] for _ in ends]
    seen = 0
    for batch in _batches(texts, batch_size):
        answers = _Answers([texts[i] for i in batch], network, every, seen)
        seen += answers.count
        for layer, (at_last, over, tokens) in enumerate(_run(network, ends, answers)):
            last[batch, layer], mean[batch, layer] = at_last.cpu(), over.cpu()
            kept[layer].append(tokens.cpu())
    return Activations(last, mean, torch.stack([torch.cat(rows) for rows in kept]))


class _Answers:
    """The texts of a pass, padded on the right, and the positions of their answers."""

    def __init__(self, texts: Sequence[EncodedText], network: Network, every: int, seen: int) -> None:
        width = max(len(text.ids) for text in texts)
        self.ids = network.tensor([(*text.ids, *[0] * (width - len(text.ids))) for text in texts])  # (B, T)
        column = torch.arange(width, device=network.device)  # (T,)
        lengths = network.tensor([len(text.ids) for text in texts])[:, None]  # (B, 1)
        self.mask = (column < lengths).long()  # (B, T)
        self._ends_at = lengths[:, 0] - 1  # (B,)
        read = (column < lengths) & (column >= network.tensor([text.first for text in texts])[:, None])  # (B, T)
        self.count = int(read.sum())
        self._weights = read.float() / read.sum(dim=1, keepdim=True)  # (B, T)
        number = seen + read.flatten().cumsum(0).view_as(read)  # 1, 2, 3, … along the answers' tokens of all passes
        self._picked = read & (number % every == 0) if every else torch.zeros_like(read)

    def reduce(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reduce a layer's outputs (B, T, d) to the last ones (B, d), the means (B, d) and the sampled ones (m, d)."""
        x = x.view(*self.ids.shape, -1).float()
        rows = torch.arange(len(x), device=x.device)
        return x[rows, self._ends_at], torch.einsum("bt,btd->bd", self._weights, x), x[self._picked]


def _run(network: Network, ends: Sequence[MlpEnd], answers: _Answers) -> list[tuple[Tensor, Tensor, Tensor]]:
    found: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    def see(at: int, x: Tensor) -> Tensor:
        found[at] = answers.reduce(x)
        return x

    with changing_outputs(ends, see):
        network.logits(1, input_ids=answers.ids, attention_mask=answers.mask, use_cache=False)
    if len(found) < len(ends):
        raise ModelError(f"cannot capture activations: the MLPs of only {len(found)} of {len(ends)} layers ran")
    return [found[at] for at in range(len(ends))]


def _batches(texts: Sequence[EncodedText], size: int) -> Iterator[list[int]]:
    order = sorted(range(len(texts)), key=lambda i: len(texts[i].ids))
    for start in range(0, len(order), size):
        yield order[start : start + size]
