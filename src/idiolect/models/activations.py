"""Φ: what the MLPs put out for given texts, captured in batched forward passes: between `network` and the directions.

Φ_l(text) = the output of layer l's down projection at the last token (CHAMELEON, arXiv 2503.01048); also means over
tokens, and single tokens, for the rules that read more than one. Statistics are float32 whatever the model's dtype.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from idiolect.models.mlp import mlp_ends
from idiolect.models.network import Network

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Activations:
    """What the MLPs of L layers put out for n texts; float32, on the CPU.

    Args:
        last: at the last token of each text, shape (n, L, d).
        mean: over the answer's tokens of each text, shape (n, L, d).
        tokens: at a sample of the answers' tokens of all texts, shape (L, m, d); empty where none was asked for.
    """

    last: Tensor
    mean: Tensor
    tokens: Tensor


@dataclass(frozen=True, slots=True)
class EncodedText:
    """Tokens of a text.

    Args:
        ids: all of them.
        start: from which on they belong to the answer, in [0, len(ids)); the first token of all is never read, its
            activations are of another size than all others'.
    """

    ids: Ids
    start: int = 0


@torch.inference_mode()
def capture(network: Network, texts: Sequence[EncodedText], *, batch_size: int, sample: int = 0) -> Activations:
    """Run the texts, unedited, and keep what comes out of the MLPs.

    Args:
        network: hooks of others must not be on it.
        texts: at least one; each of two tokens or more.
        batch_size: texts in a pass.
        sample: keep every token's activations up to about so many tokens, spread evenly; 0: none.
    """
    ends = mlp_ends(network.module)
    total = sum(len(text.ids) - max(text.start, 1) for text in texts)
    every = max(-(-total // sample), 1) if sample else 0
    n, width = len(texts), network.config.hidden_size
    last, mean = torch.empty(n, len(ends), width), torch.empty(n, len(ends), width)
    kept: list[list[Tensor]] = [[] for _ in ends]
    for batch in _batches(texts, batch_size):
        read, picked = _answer_masks([texts[i] for i in batch], every)
        ids = network.tensor(_padded([texts[i].ids for i in batch]))  # (B, T), padded on the right
        mask = network.tensor([[1] * len(texts[i].ids) + [0] * (ids.shape[1] - len(texts[i].ids)) for i in batch])
        ends_at = mask.sum(dim=1) - 1  # (B,)
        for layer, x in enumerate(_outputs(network, ends, ids, mask)):  # x: (B, T, d)
            x = x.float()
            weights = read.to(x.device, x.dtype)  # (B, T)
            last[batch, layer] = x[torch.arange(len(batch), device=x.device), ends_at].cpu()
            mean[batch, layer] = (torch.einsum("bt,btd->bd", weights, x) / weights.sum(dim=1, keepdim=True)).cpu()
            if every:
                kept[layer].append(x[picked.to(x.device)].cpu())
    tokens = torch.stack([torch.cat(rows) for rows in kept]) if every else torch.empty(len(ends), 0, width)
    return Activations(last, mean, tokens)


def _outputs(network: Network, ends: Sequence[Any], ids: Tensor, mask: Tensor) -> list[Tensor]:
    """What each layer's MLP puts out for a batch, (B, T, d) each."""
    found: list[Tensor] = []

    def keep(_module: Any, _inputs: Any, output: Any) -> None:
        found.append((output[0] if isinstance(output, tuple) else output).view(*ids.shape, -1))

    handles = [end.module.register_forward_hook(keep) for end in ends]
    try:
        network.logits(1, input_ids=ids, attention_mask=mask, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    assert len(found) == len(ends)
    return found


def _batches(texts: Sequence[EncodedText], size: int) -> Iterator[list[int]]:
    order = sorted(range(len(texts)), key=lambda i: len(texts[i].ids))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _padded(rows: Sequence[Ids]) -> list[Ids]:
    width = max(map(len, rows))
    return [(*row, *[0] * (width - len(row))) for row in rows]


def _answer_masks(texts: Sequence[EncodedText], every: int) -> tuple[Tensor, Tensor]:
    """Which tokens are the answers', and which of them are sampled: boolean (B, T) each."""
    width = max(len(text.ids) for text in texts)
    read = torch.zeros(len(texts), width, dtype=torch.bool)
    for row, text in enumerate(texts):
        read[row, min(max(text.start, 1), len(text.ids) - 1) : len(text.ids)] = True
    if not every:
        return read, torch.zeros_like(read)
    count = read.flatten().cumsum(0).view_as(read)  # 1, 2, 3, … along the answers' tokens
    return read, read & (count % every == 0)
