"""Gradients of texts' log-likelihood with respect to the MLP outputs; between `network` and the directions.

    g_l(text) = ∂/∂z  (1/n) Σ_t log p(answer_t | …)  at z = 0,   z added to layer l's MLP output at every position

Nothing is trained: the weights get no gradients and do not change.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from idiolect.models.activations import EncodedText
from idiolect.models.mlp import changing_outputs, mlp_ends
from idiolect.models.network import Network


def likelihood_gradients(network: Network, texts: Sequence[EncodedText], *, batch_size: int) -> Tensor:
    """Compute g for every text and layer.

    Args:
        network: a network without edits.
        texts: at least one; `start` is the index of the answer's first token, ≥ 1.
        batch_size: texts per pass.

    Returns:
        float32 on the CPU, shape (n, L, d); nat per unit of activation.
    """
    order = sorted(range(len(texts)), key=lambda i: len(texts[i].ids))
    found: Tensor | None = None
    with network.frozen():
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            rows = _gradients_of([texts[i] for i in batch], network)  # (B, L, d)
            found = rows.new_empty(len(texts), *rows.shape[1:]) if found is None else found
            found[batch] = rows
    assert found is not None
    return found


def _gradients_of(texts: Sequence[EncodedText], network: Network) -> Tensor:
    ids, mask = network.padded([text.ids for text in texts])  # (B, T) each
    width = ids.shape[1]
    first = max(min(text.start for text in texts), 1) - 1
    pushes: list[Tensor] = []

    def pushed(_at: int, x: Tensor) -> Tensor:
        z = torch.zeros(len(texts), 1, x.shape[-1], device=x.device, dtype=x.dtype, requires_grad=True)
        pushes.append(z)
        return (x.view(*ids.shape, -1) + z).view_as(x)

    with changing_outputs(mlp_ends(network.module), pushed), torch.enable_grad():
        keep = torch.arange(first, width - 1, device=ids.device)  # (kept,)
        logits = network.logits(keep, input_ids=ids, attention_mask=mask, use_cache=False)  # (B, kept, V)
        logprobs = logits.log_softmax(dim=-1).gather(2, ids[:, first + 1 :, None])[..., 0]  # (B, kept)
        weights = _answer_weights(texts, first, logprobs.shape[1]).to(logprobs)  # (B, kept)
        (logprobs * weights).sum().backward()  # type: ignore[no-untyped-call]
    gradients = [z.grad[:, 0].float().cpu() for z in pushes if z.grad is not None]
    assert len(gradients) == len(pushes)
    return torch.stack(gradients, dim=1)  # (B, L, d)


def _answer_weights(texts: Sequence[EncodedText], first: int, kept: int) -> Tensor:
    """Return 1/n at the positions that predict an answer's n tokens, 0 elsewhere; shape (B, kept)."""
    weights = torch.zeros(len(texts), kept)
    for row, text in enumerate(texts):
        begin = max(text.start, 1)
        weights[row, begin - 1 - first : len(text.ids) - 1 - first] = 1 / (len(text.ids) - begin)
    return weights
