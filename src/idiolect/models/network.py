"""One causal network and the only calls to its forward pass; `scoring` and `generation` build on it.

Edits run inside it (`editing`). It also reports what the architecture supports: packed sequences need every layer to be
attention that obeys a 4D mask, and no attention window shorter than the text.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from idiolect.errors import ContextLengthError
from idiolect.models import threads
from idiolect.models.editing import Editor, Edits
from idiolect.models.output_head import plain_output_weight
from idiolect.models.prefix_cache import KeysValues


class Network:
    """A Hugging Face causal LM in evaluation mode, with its device, dtype and limits."""

    def __init__(self, module: Any) -> None:
        self.module = module.eval()
        self.config = module.config.get_text_config()
        parameter = next(module.parameters())
        self.device: torch.device = parameter.device
        self.dtype: torch.dtype = parameter.dtype
        self.max_length: int | None = getattr(self.config, "max_position_embeddings", None)
        self.window = attention_window(self.config)
        self._keeps = "logits_to_keep" in inspect.signature(module.forward).parameters

    @property
    def stateful(self) -> bool:
        """Whether some layers carry a recurrent state, into which padding on the left could leak."""
        kinds = getattr(self.config, "layer_types", None) or ()
        recurrent = any("attention" not in kind or "linear" in kind for kind in kinds)
        return recurrent or bool(getattr(self.module, "_is_stateful", False))

    @cached_property
    def editor(self) -> Editor:
        """The editor of this network, created on first use."""
        return Editor(self.module)

    @cached_property
    def output_weight(self) -> Tensor | None:
        """The output embeddings (V, d), if logits are products of hidden states with them; see `output_head`."""
        return plain_output_weight(self.module)

    def editing(self, edits: Edits | None) -> AbstractContextManager[None]:
        """Return a context in which every forward pass is edited; None adds no hooks and changes nothing."""
        return nullcontext() if edits is None else self.editor.editing(edits)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Compute no gradients of the weights within the context."""
        trainable = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        for parameter in trainable:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in trainable:
                parameter.requires_grad_(True)

    def forget_edits(self) -> None:
        """Drop the copies of edits."""
        if "editor" in self.__dict__:  # cached_property creates it on first use
            self.editor.forget()

    def new_cache(self) -> Any:
        """Return an empty cache of the kind that this architecture needs."""
        return DynamicCache(config=self.config)

    def tensor(self, values: Any) -> Tensor:
        """Return the values as an integer tensor on the network's device."""
        return torch.tensor(values, dtype=torch.long, device=self.device)

    def padded(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Return token ids padded on the right, and their attention mask; (B, T) each, T the longest row."""
        ids, mask = padded(rows)
        return ids.to(self.device), mask.to(self.device)

    def logits(self, keep: Tensor | int, **inputs: Any) -> Tensor:
        """Return float32 logits (batch, kept, V) at the positions `keep`: indices, or how many from the end."""
        if self.device.type == "cpu":
            threads.adapt()
        if self._keeps:
            logits = self.module(**inputs, logits_to_keep=keep).logits
        else:
            logits = self.module(**inputs).logits
            logits = logits[:, -keep:] if isinstance(keep, int) else logits[:, keep]
        return logits.float()  # type: ignore[no-any-return]

    def packed_mask(self, visible: Any) -> Tensor:
        """Convert a boolean (rows, columns) mask to the 4D mask (1, 1, rows, columns) that this attention takes.

        The result is boolean for torch's own attention, which is faster with it in half precision. Otherwise it is
        additive: 0 where visible, the dtype's minimum elsewhere.
        """
        shown = torch.as_tensor(visible, device=self.device)
        if getattr(self.config, "_attn_implementation", None) == "sdpa":
            return shown[None, None]
        mask = torch.zeros(shown.shape, dtype=self.dtype, device=self.device)
        return mask.masked_fill_(~shown, torch.finfo(self.dtype).min)[None, None]

    def check_length(self, prompt: int, more: int, what: str) -> None:
        """Raise ContextLengthError if `prompt` + `more` tokens do not fit into the model's context."""
        if self.max_length is not None and prompt + more > self.max_length:
            raise ContextLengthError(
                f"the prompt has {prompt} tokens and {what} up to {more}; the model can read at most "
                f"{self.max_length} in total",
                limit=self.max_length,
            )


def padded(rows: Sequence[Sequence[int]], *, fill: int = 0) -> tuple[Tensor, Tensor]:
    """Return rows of integers, padded on the right, and 1 where they are no padding.

    Args:
        rows: B rows; at least one.
        fill: value of the padding.

    Returns:
        two integer tensors on the CPU, (B, T) each; T is the length of the longest row.
    """
    width = max(map(len, rows))
    missing = [width - len(row) for row in rows]
    values = [(*row, *[fill] * n) for row, n in zip(rows, missing, strict=True)]
    mask = [[1] * (width - n) + [0] * n for n in missing]
    return torch.tensor(values, dtype=torch.long), torch.tensor(mask, dtype=torch.long)


def attention_window(config: Any) -> int | None:
    """Return the shortest attention window of any layer, in tokens; None if every layer sees the whole text."""
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    slides = any("sliding" in kind for kind in kinds) if kinds else getattr(config, "use_sliding_window", True)
    windows = [window] if window and slides else []
    chunk = getattr(config, "attention_chunk_size", None)
    return min([*windows, *([chunk] if chunk else [])], default=None)


def cache_of(keys_values: KeysValues) -> Any:
    """Return a DynamicCache of one sequence that starts with these keys and values."""
    cache = DynamicCache()
    for layer, (k, v) in enumerate(keys_values):
        cache.update(k[None], v[None], layer)  # (1, heads, tokens, head_dim)
    return cache


def keys_values_of(cache: Any) -> KeysValues:
    """Return, per layer, the keys and values of the one sequence in `cache`, each (heads, tokens, head_dim)."""
    return [(layer.keys[0], layer.values[0]) for layer in cache.layers]


def log_normalizers(logits: Tensor) -> Tensor:
    """Return log Σ exp of each row of logits (n, V), shape (n,), with the same bits for any number of threads.

    torch divides a single row among its threads and adds up their parts, but gives each of several rows to one thread.
    """
    if len(logits) == 1:
        return torch.cat([logits, logits]).logsumexp(dim=1)[:1]
    return logits.logsumexp(dim=1)


def picked_logprobs(logits: Tensor, tokens: Sequence[int]) -> list[float]:
    """Return log p(tokens[i]) under logits[i] for each i; logits: float32 (n, V)."""
    index = torch.tensor(tokens, device=logits.device)[:, None]  # (n, 1)
    picked = logits.gather(1, index)[:, 0] - log_normalizers(logits)  # (n,)
    return [float(x) for x in picked.double().tolist()]
