"""Log-probabilities of tokens with a gradient, without the logits of the whole vocabulary; under `answer_likelihood`.

    log p(t | h) = ⟨h, w_t⟩ − log Σ_v exp ⟨h, w_v⟩       h (n, d): last hidden states,  w (V, d): output embeddings
    ∂/∂h log Σ_v exp ⟨h, w_v⟩ = Σ_v p_v w_v              computed with it, one tile of the vocabulary after another

The logits of a pass are read and written several times, and do not fit into a CPU's caches; a tile of them does. This
holds for networks whose logits are these products and nothing else (no bias, cap or scale), which is tried out once on
a few tokens. The others, and those on other devices or in half precision, compute their logits as they always do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from idiolect.models.network import Network

_TILE = 2048  # rows of w; with the tokens of a pass, a tile takes a few MB
_TRIED = 3  # tokens; every vocabulary has as many


def token_logprobs(network: Network, keep: Tensor, at: Sequence[int], tokens: Sequence[int], **inputs: Any) -> Tensor:
    """Return log p of tokens at positions of a pass, float32 (n,), with a gradient if the pass has one.

    Args:
        network: the network, with whatever hooks are active.
        keep: positions (kept,) at which the network predicts.
        at: n indices of predictions, counted over the rows of the pass and, within a row, over the kept positions.
        tokens: n token ids.
        inputs: further inputs of the network.
    """
    places, back = torch.unique(network.tensor(at), return_inverse=True)  # (places,), (n,)
    ids = network.tensor(tokens)
    weight = network.output_weight
    if weight is None:
        logits = network.logits(keep, **inputs).flatten(0, 1)[places]  # (places, V)
        return logits[back, ids] - logits.logsumexp(dim=1)[back]
    with hidden_for_logits(network.module):
        hidden = network.logits(keep, **inputs).flatten(0, 1)[places]  # (places, d)
    normalizers: Tensor = _LogNormalizers.apply(hidden, weight)  # type: ignore[no-untyped-call]
    return (hidden[back] * weight[ids]).sum(dim=1) - normalizers[back]


def plain_output_weight(module: Any) -> Tensor | None:
    """Return the output embeddings w (V, d) if the logits are products with them and nothing else; otherwise None."""
    head = module.get_output_embeddings()
    if not isinstance(head, torch.nn.Linear) or head.bias is not None:
        return None
    weight = head.weight
    if weight.device.type != "cpu" or weight.dtype != torch.float32:
        return None
    ids = torch.arange(_TRIED)[None]
    with torch.no_grad():
        logits = module(input_ids=ids, use_cache=False).logits
        with hidden_for_logits(module):
            hidden = module(input_ids=ids, use_cache=False).logits
    same = hidden.shape[-1] == weight.shape[1] and torch.allclose(logits, hidden @ weight.T, rtol=1e-4, atol=1e-4)
    return weight if same else None


@contextmanager
def hidden_for_logits(module: Any) -> Iterator[None]:
    """Make the network return the last hidden states in place of logits within the context."""
    head = module.get_output_embeddings()
    head.forward = _unchanged  # hides the method of the class
    try:
        yield
    finally:
        del head.forward


def _unchanged(hidden: Tensor) -> Tensor:
    return hidden


class _LogNormalizers(torch.autograd.Function):
    """log Σ_v exp ⟨h, w_v⟩ of rows h (n, d), shape (n,), by tiles of w (V, d), with its gradient by h."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor) -> Tensor:
        greatest = hidden.new_full((len(hidden), 1), -torch.inf)  # logit so far, (n, 1)
        total = torch.zeros_like(greatest)  # Σ exp(logit − greatest)
        mixed = torch.zeros_like(hidden) if hidden.requires_grad else None  # Σ exp(logit − greatest) w, (n, d)
        for start in range(0, len(weight), _TILE):
            tile = weight[start : start + _TILE]
            logits = hidden @ tile.T
            grown = torch.maximum(greatest, logits.amax(dim=1, keepdim=True))
            shrunk = (greatest - grown).exp_()
            logits.sub_(grown).exp_()
            total.mul_(shrunk).add_(logits.sum(dim=1, keepdim=True))
            if mixed is not None:
                mixed.mul_(shrunk).addmm_(logits, tile)
            greatest = grown
        if mixed is not None:
            ctx.save_for_backward(mixed / total)
        return (greatest + total.log())[:, 0]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (expected,) = ctx.saved_tensors  # Σ_v p_v w_v
        return gradient[:, None] * expected, None
