"""Similarity of questions, as one Protocol; Retrieval-of-Prompt and few-shot retrieval decide by it.

`EmbeddingSimilarity` is the one that Fermi uses (cosine of sentence embeddings); `Bm25Similarity` needs no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from idiolect.models.words import words_of

FloatArray = NDArray[np.float32]


@runtime_checkable
class Embedder(Protocol):
    """A model that turns texts into vectors."""

    @property
    def name(self) -> str:
        """The name under which the user opened the embedder."""
        ...

    async def embed(self, texts: Sequence[str]) -> FloatArray:
        """Return unit-norm embeddings, float32, shape (len(texts), d)."""
        ...


@runtime_checkable
class Similarity(Protocol):
    """A measure of how similar each query is to each document; greater is more similar."""

    @property
    def name(self) -> str:
        """The name under which the user opened the similarity."""
        ...

    async def similarity(self, queries: Sequence[str], documents: Sequence[str]) -> FloatArray:
        """Return float32 scores, shape (len(queries), len(documents)); empty sequences give empty arrays."""
        ...


class EmbeddingSimilarity:
    """Cosine of sentence embeddings, in [-1, 1]."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder, self.name = embedder, embedder.name

    async def similarity(self, queries: Sequence[str], documents: Sequence[str]) -> FloatArray:
        """Return float32 cosines, shape (len(queries), len(documents)).

        Raises:
            ModelError: the embedder failed.
        """
        if not queries or not documents:
            return np.zeros((len(queries), len(documents)), dtype=np.float32)
        vectors = await self.embedder.embed([*queries, *documents])  # (queries + documents, d)
        similarities: FloatArray = vectors[: len(queries)] @ vectors[len(queries) :].T
        return similarities


class RememberedDocuments:
    """Cosine of sentence embeddings for callers that compare ever new queries with the same few documents.

    The embeddings of all documents so far are kept; those of queries are not.
    """

    def __init__(self, embedder: Embedder) -> None:
        self.embedder, self.name = embedder, embedder.name
        self._kept: dict[str, FloatArray] = {}

    async def similarity(self, queries: Sequence[str], documents: Sequence[str]) -> FloatArray:
        """Return the same as `EmbeddingSimilarity.similarity`; raise the same errors."""
        if not queries or not documents:
            return np.zeros((len(queries), len(documents)), dtype=np.float32)
        fresh = [text for text in dict.fromkeys(documents) if text not in self._kept]
        vectors = await self.embedder.embed([*queries, *fresh])  # (queries + fresh, d)
        self._kept.update(zip(fresh, vectors[len(queries) :], strict=True))
        compared = np.stack([self._kept[text] for text in documents])  # (documents, d)
        similarities: FloatArray = vectors[: len(queries)] @ compared.T
        return similarities


class Bm25Similarity:
    """BM25 (Lucene's variant) of the query's words in each document: ≥ 0, unbounded, and 0 without a common word.

    Documents are indexed at each call, so scores are comparable only within one call. Words are case-folded. There are
    no stop words and no stemming, because those would suit only one language.
    """

    name = "bm25"

    async def similarity(self, queries: Sequence[str], documents: Sequence[str]) -> FloatArray:
        """Return float32 scores, shape (len(queries), len(documents))."""
        import bm25s  # it imports scipy, and takes longer to import than all that is needed for embeddings

        scores: FloatArray = np.zeros((len(queries), len(documents)), dtype=np.float32)
        corpus = [_words(document) for document in documents]
        if not any(corpus):
            return scores
        index = bm25s.BM25(method="lucene", backend="numpy")
        index.index(corpus, show_progress=False)
        for row, query in enumerate(queries):
            known = index.get_tokens_ids(_words(query))
            if known:
                scores[row] = index.get_scores_from_ids(known)  # (documents,)
        return scores


def _words(text: str) -> list[str]:
    return words_of(text.casefold(), with_underscores=True)
