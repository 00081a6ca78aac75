"""How near two questions are: the decision behind Retrieval-of-Prompt and few-shot retrieval, as one Protocol.

`EmbeddingSimilarity` is Fermi's (cosine of sentence embeddings); `Bm25Similarity` needs no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into vectors."""

    @property
    def name(self) -> str:
        """What the user called it."""
        ...

    async def embed(self, texts: Sequence[str]) -> FloatArray:
        """Unit-norm embeddings, float32, shape (len(texts), d)."""
        ...


@runtime_checkable
class Similarity(Protocol):
    """Scores how near each query is to each document; greater is nearer."""

    @property
    def name(self) -> str:
        """What the user called it."""
        ...

    async def similarity(self, queries: Sequence[str], documents: Sequence[str]) -> FloatArray:
        """float32, shape (len(queries), len(documents)); empty sequences give empty arrays."""
        ...
