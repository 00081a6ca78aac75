"""all-MiniLM-L6-v2 with torch and tokenizers alone: as sentence-transformers computes it, without seconds of imports.

    embedding(x) = v / ‖v‖,  v = the mean over x's tokens of the last hidden states

Most of the time of a short question goes by while weights come from memory. Those of the products are therefore kept in
float16, half the bytes, and multiplied in float32. Where a device has no such product, the same rounded weights are
kept in float32, so that similarities are the same everywhere. They differ from those of the published weights by less
than 0.0002. Every other model goes through sentence-transformers (`embedding`); a test compares the two.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from idiolect.models.similarity import FloatArray

Map = Callable[[Tensor], Tensor]

_MAX_TOKENS = 256  # sentence_bert_config.json; what is beyond is cut off
_BATCH = 32
_EPS = 1e-12


@dataclass(frozen=True, slots=True)
class _Layer:
    """One layer of BERT, as maps from states to states, (B, T, ·)."""

    heads: int
    attended: Map  # to query, key and value
    output: Map
    output_norm: Map
    inner: Map
    outer: Map
    outer_norm: Map

    def __call__(self, states: Tensor, shown: Tensor | None) -> Tensor:
        batch, length, width = states.shape
        split = self.attended(states).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)  # (B, H, T, d / H) each
        heard = functional.scaled_dot_product_attention(query, key, value, attn_mask=shown)
        states = self.output_norm(states + self.output(heard.transpose(1, 2).reshape(batch, length, width)))
        return self.outer_norm(states + self.outer(functional.gelu(self.inner(states))))


class MiniLm:
    """The sentence embeddings in a folder of all-MiniLM-L6-v2.

    Args:
        weights: BERT's weights by their names.
        heads: number of attention heads.
        tokenizer: the tokenizer.
        device: where they are computed.
    """

    def __init__(self, weights: Mapping[str, Tensor], heads: int, tokenizer: Tokenizer, device: torch.device) -> None:
        layers = len({name.split(".")[2] for name in weights if name.startswith("encoder.layer.")})
        self._layers = [_layer(weights, f"encoder.layer.{at}.", heads, device) for at in range(layers)]
        first_kind = weights["embeddings.token_type_embeddings.weight"][0]
        self._words = weights["embeddings.word_embeddings.weight"].to(device)
        self._places = (weights["embeddings.position_embeddings.weight"] + first_kind).to(device)
        self._norm = _norm(weights, "embeddings.LayerNorm", device)
        self._tokenizer, self._device = tokenizer, device

    @classmethod
    def load(cls, folder: Path, device: str | None) -> MiniLm:
        """Load the model, by default onto the first GPU, or the CPU if there is none.

        Raises:
            OSError: the folder has no such model.
        """
        heads = int(json.loads((folder / "config.json").read_text())["num_attention_heads"])
        tokenizer = Tokenizer.from_str((folder / "tokenizer.json").read_text(encoding="utf-8"))
        tokenizer.enable_truncation(_MAX_TOKENS)
        tokenizer.enable_padding()
        chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        return cls(load_file(folder / "model.safetensors"), heads, tokenizer, chosen)

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Return unit-norm embeddings, float32, shape (len(texts), 384)."""
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))  # little padding in each batch
        vectors = np.empty((len(texts), self._words.shape[1]), dtype=np.float32)
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            vectors[batch] = self._embed([texts[i] for i in batch])
        return vectors

    @torch.inference_mode()
    def _embed(self, texts: list[str]) -> FloatArray:
        encoded = self._tokenizer.encode_batch(texts)
        ids = torch.tensor([each.ids for each in encoded], device=self._device)  # (B, T)
        shown = torch.tensor([each.attention_mask for each in encoded], device=self._device) == 1  # (B, T)
        mask = None if bool(shown.all()) else shown[:, None, None]  # (B, 1, 1, T)
        states = self._norm(self._words[ids] + self._places[: ids.shape[1]])
        for layer in self._layers:
            states = layer(states, mask)  # (B, T, d)
        counted = shown[..., None].to(states.dtype)  # (B, T, 1)
        means = (states * counted).sum(dim=1) / counted.sum(dim=1).clamp(min=1e-9)  # (B, d)
        found: FloatArray = functional.normalize(means, dim=1).cpu().numpy()
        return found


def multiplies_halves(device: torch.device) -> bool:
    """Return whether weights in float16 can be multiplied with states in float32: on x86."""
    return device.type == "cpu" and "fbgemm" in torch.backends.quantized.supported_engines


def _layer(weights: Mapping[str, Tensor], name: str, heads: int, device: torch.device) -> _Layer:
    parts = [f"{name}attention.self.{each}" for each in ("query", "key", "value")]
    return _Layer(
        heads,
        _product(weights, parts, device),
        _product(weights, [f"{name}attention.output.dense"], device),
        _norm(weights, f"{name}attention.output.LayerNorm", device),
        _product(weights, [f"{name}intermediate.dense"], device),
        _product(weights, [f"{name}output.dense"], device),
        _norm(weights, f"{name}output.LayerNorm", device),
    )


def _product(weights: Mapping[str, Tensor], names: Sequence[str], device: torch.device) -> Map:
    """Return x ↦ x Wᵀ + b, with the weights of these names one below the other and rounded to float16."""
    weight = torch.cat([weights[f"{name}.weight"] for name in names]).half().float()
    bias = torch.cat([weights[f"{name}.bias"] for name in names]).float()
    if multiplies_halves(device):
        packed = torch.ops.quantized.linear_prepack_fp16(weight, bias)
        return partial(_half_product, packed)
    return partial(functional.linear, weight=weight.to(device), bias=bias.to(device))


def _half_product(packed: torch.ScriptObject, states: Tensor) -> Tensor:
    found: Tensor = torch.ops.quantized.linear_dynamic_fp16(states, packed)
    return found


def _norm(weights: Mapping[str, Tensor], name: str, device: torch.device) -> Map:
    weight, bias = (weights[f"{name}.{kind}"].to(device) for kind in ("weight", "bias"))
    return partial(functional.layer_norm, normalized_shape=weight.shape, weight=weight, bias=bias, eps=_EPS)
