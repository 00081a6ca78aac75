"""What tests of CHAMELEON on the command line share: tiny open weights in a folder, embeddings of a hash, writers."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from typer.testing import Result

from idiolect.methods.chameleon.evidence import ChameleonEvidence, JudgingSettings, TextEvidence
from idiolect.methods.chameleon.personalization import ChameleonPersonalization
from idiolect.methods.evidence import Evidence
from idiolect.models.similarity import EmbeddingSimilarity, FloatArray
from idiolect.store import DEFAULT_TENANT, Store
from tests.cli.learning import ANN, run
from tests.models.tiny import SIZES, tokenizer

SMALL = ("--method", "chameleon", "--preset", "measured", "--max-tokens", "20")
_WORDS = ("people", "cannot", "find", "work", "should", "help", "government", "agree", "strongly", "disagree", "that")
# They end a sentence wherever they stand; a random model would hardly ever end one in so few tokens.
_STOPS = ("。", "！")
_NUL = "Ā"  # as a byte-level tokenizer spells it; a random model writes it, and no store keeps it


def writer(user_id: str, n: int = 12) -> dict[str, Any]:
    """Somebody who wrote n texts, and answered what Ann was asked."""
    texts = [" ".join(_WORDS[(i * 5 + j * (i + 1)) % len(_WORDS)] for j in range(14)) + f" {i}." for i in range(n)]
    said = [f"{user_id} says: {text}" for text in texts]
    return {"id": user_id, "profile": {"Age": "30-44"}, "opinions": ANN["opinions"], "texts": said}


def weights(folder: Path, *, seed: int = 0) -> str:
    """A model folder with random weights; another seed, other weights."""
    torch.manual_seed(seed)
    network: Any = LlamaForCausalLM(LlamaConfig(**SIZES | {"max_position_embeddings": 2048}))
    spelling = copy.deepcopy(tokenizer())
    spelling.add_special_tokens({"additional_special_tokens": [_NUL]})
    spelling.add_tokens(list(_STOPS))
    one, other = spelling.convert_tokens_to_ids(list(_STOPS))
    with torch.no_grad():  # opposite rows, of which one is likely at most places
        network.lm_head.weight[one] *= 4
        network.lm_head.weight[other] = -network.lm_head.weight[one]
    network.save_pretrained(folder)
    spelling.save_pretrained(folder)
    return str(folder)


class HashEmbedder:
    """Vectors of no meaning, always the same for a text."""

    name = "hash"

    async def embed(self, texts: Sequence[str]) -> FloatArray:
        """float32, shape (len(texts), 8)."""
        seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) for text in texts]
        vectors = np.stack([np.random.default_rng(seed).normal(size=8) for seed in seeds])
        unit: FloatArray = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        return unit


def similarity(_name: str, **_remote: object) -> EmbeddingSimilarity:
    """In the place of `open_similarity`."""
    return EmbeddingSimilarity(HashEmbedder())


def fit(people: Path, store: Path, model: str, *more: str) -> Result:
    """`idiolect fit --method chameleon`, small."""
    return run("fit", people, "--store", store, "--model", model, *SMALL, *more)


def learned(store: Path, user_id: str) -> ChameleonPersonalization:
    with Store.open(store, create=False, tenant=DEFAULT_TENANT) as opened:
        (record,) = [each for each in opened.personalizations(user_id) if each.method == "chameleon"]
    return ChameleonPersonalization.from_parts(record.payload, record.tensors)


def save(store: Path, user_id: str, kept: ChameleonPersonalization) -> None:
    """In the place of what was learned; its card says nothing of the data."""
    with Store.open(store, create=False, tenant=DEFAULT_TENANT) as opened:
        opened.save_personalization(user_id, "chameleon", kept.to_json(), kept.tensor_bytes())


def too_costly(kept: ChameleonPersonalization) -> ChameleonPersonalization:
    """The same with scores that speak for the edit, and a cost on the model's own texts that forbids it."""
    trials = tuple(replace(trial, eligible=False) for trial in kept.trials)
    return replace(kept, trials=trials, evidence=evidence((1.0, 1.0), (0.0, 0.0), (0.25,)))


def evidence(edited: tuple[float, ...], base: tuple[float, ...], ratios: tuple[float, ...] = ()) -> ChameleonEvidence:
    """On opinions with these scores, and on texts with these log-ratios to the base model."""
    n, texts = len(ratios), None
    if ratios:
        texts = TextEvidence(tuple(ratio - 4 for ratio in ratios), (-4.0,) * n, (9,) * n)
    return ChameleonEvidence(texts, Evidence(edited, base), JudgingSettings())
