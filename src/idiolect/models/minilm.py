"""all-MiniLM-L6-v2 in two steps of transformers: what sentence-transformers computes, without its 1.5 s of imports.

    embedding(x) = v / ‖v‖,  v = the mean over x's tokens of BERT's last hidden states

Every other embedding model goes through sentence-transformers (`embedding`); a test compares the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import BertModel, BertTokenizer

from idiolect.models.similarity import FloatArray

_MAX_TOKENS = 256  # sentence_bert_config.json; what is beyond is cut off
_BATCH = 32


class MiniLm:
    """The sentence embeddings in a folder of all-MiniLM-L6-v2."""

    def __init__(self, network: Any, tokenizer: Any, device: torch.device) -> None:
        self._network, self._tokenizer, self._device = network.eval().to(device), tokenizer, device

    @classmethod
    def load(cls, folder: Path, device: str | None) -> MiniLm:
        """Load the model, by default onto the first GPU, or the CPU if there is none.

        Raises:
            OSError: the folder has no such model.
        """
        network = BertModel.from_pretrained(folder, add_pooling_layer=False, local_files_only=True)
        tokenizer = BertTokenizer.from_pretrained(folder, local_files_only=True)
        return cls(network, tokenizer, torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")))

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Return unit-norm embeddings, float32, shape (len(texts), 384)."""
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))  # little padding in each batch
        vectors = np.empty((len(texts), int(self._network.config.hidden_size)), dtype=np.float32)
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            vectors[batch] = self._embed([texts[i] for i in batch])
        return vectors

    @torch.inference_mode()
    def _embed(self, texts: list[str]) -> FloatArray:
        fed = self._tokenizer(texts, padding=True, truncation=True, max_length=_MAX_TOKENS, return_tensors="pt")
        fed = fed.to(self._device)
        states = self._network(**fed).last_hidden_state  # (B, T, d)
        shown = fed["attention_mask"][..., None].to(states.dtype)  # (B, T, 1)
        means = (states * shown).sum(dim=1) / shown.sum(dim=1).clamp(min=1e-9)  # (B, d)
        found: FloatArray = torch.nn.functional.normalize(means, dim=1).cpu().numpy()
        return found
