"""all-MiniLM-L6-v2 with torch and tokenizers alone: as sentence-transformers computes it, without seconds of imports.

    embedding(x) = v / ‖v‖,  v = the mean over x's tokens of the last hidden states

BERT's layers are those of `torch.nn.TransformerEncoder`, whose fused inference takes 0.65 to 0.9 of the time of
transformers' own. Every other model goes through sentence-transformers (`embedding`); a test compares the two.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from idiolect.models.similarity import FloatArray

_MAX_TOKENS = 256  # sentence_bert_config.json; what is beyond is cut off
_BATCH = 32
_EPS = 1e-12
# BERT's names in one layer, by those of torch; query, key and value are one matrix there.
_OF_A_LAYER = {
    "self_attn.out_proj": "attention.output.dense",
    "norm1": "attention.output.LayerNorm",
    "linear1": "intermediate.dense",
    "linear2": "output.dense",
    "norm2": "output.LayerNorm",
}


class MiniLm(nn.Module):
    """The sentence embeddings in a folder of all-MiniLM-L6-v2.

    Args:
        weights: BERT's weights by their names.
        heads: number of attention heads.
        tokenizer: the tokenizer.
    """

    _words: Tensor
    _places: Tensor

    def __init__(self, weights: Mapping[str, Tensor], heads: int, tokenizer: Tokenizer) -> None:
        super().__init__()
        layers = len({name.split(".")[2] for name in weights if name.startswith("encoder.layer.")})
        inner, width = weights["encoder.layer.0.intermediate.dense.weight"].shape
        layer = nn.TransformerEncoderLayer(
            width, heads, inner, dropout=0.0, activation="gelu", layer_norm_eps=_EPS, batch_first=True
        )
        self._encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self._encoder.load_state_dict({k: v for at in range(layers) for k, v in _layer(weights, at).items()})
        first_kind = weights["embeddings.token_type_embeddings.weight"][0]
        self.register_buffer("_words", weights["embeddings.word_embeddings.weight"])
        self.register_buffer("_places", weights["embeddings.position_embeddings.weight"] + first_kind)
        self._norm = nn.LayerNorm(width, eps=_EPS)
        self._norm.load_state_dict({key: weights[f"embeddings.LayerNorm.{key}"] for key in ("weight", "bias")})
        self._tokenizer = tokenizer
        self.eval()

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
        model = cls(load_file(folder / "model.safetensors"), heads, tokenizer)
        return model.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))

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
        device = self._words.device
        ids = torch.tensor([each.ids for each in encoded], device=device)  # (B, T)
        padded = torch.tensor([each.attention_mask for each in encoded], device=device) == 0  # (B, T)
        fed = self._norm(self._words[ids] + self._places[: ids.shape[1]])
        states = self._encoder(fed, src_key_padding_mask=padded if bool(padded.any()) else None)  # (B, T, d)
        shown = (~padded)[..., None].to(states.dtype)  # (B, T, 1)
        means = (states * shown).sum(dim=1) / shown.sum(dim=1).clamp(min=1e-9)  # (B, d)
        found: FloatArray = nn.functional.normalize(means, dim=1).cpu().numpy()
        return found


def _layer(weights: Mapping[str, Tensor], at: int) -> dict[str, Tensor]:
    """Return the weights of BERT's layer `at` by the names of `nn.TransformerEncoder`."""
    bert, ours, found = f"encoder.layer.{at}.", f"layers.{at}.", {}
    for kind in ("weight", "bias"):
        parts = [weights[f"{bert}attention.self.{name}.{kind}"] for name in ("query", "key", "value")]
        found[f"{ours}self_attn.in_proj_{kind}"] = torch.cat(parts)
        for name, berts in _OF_A_LAYER.items():
            found[f"{ours}{name}.{kind}"] = weights[f"{bert}{berts}.{kind}"]
    return found
