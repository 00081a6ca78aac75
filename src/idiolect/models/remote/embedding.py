"""Embeddings from an OpenAI-compatible API, with which `similarity.EmbeddingSimilarity` compares questions.

Vectors are checked before use: one per text, each with its own index, of equal length, finite and not zero. They are
scaled to unit norm here, because not every server does that. The embeddings of recent texts are kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from idiolect.errors import ModelError
from idiolect.models.language_model import Usage
from idiolect.models.remote import wire
from idiolect.models.remote.endpoint import Endpoint
from idiolect.models.remote.faults import UnansweredError
from idiolect.models.remote.transport import ApiClient, RemoteSettings, together
from idiolect.models.similarity import FloatArray

_DEFAULTS = RemoteSettings()
TEXTS_A_REQUEST = 128  # below every server's limit; with 4096 dimensions, the JSON stays below `MAX_RESPONSE`


class RemoteEmbedder:
    """One embedding model of one endpoint as an `Embedder`.

    Args:
        endpoint: the endpoint; it must name a model.
        settings: how to call it.
        remember: number of texts whose embeddings are kept.
    """

    def __init__(self, endpoint: Endpoint, *, settings: RemoteSettings = _DEFAULTS, remember: int = 4096) -> None:
        if not endpoint.model:
            raise ValueError("the endpoint does not name a model")
        self.client = ApiClient(endpoint, settings)
        self.name = endpoint.name  # URL#MODEL, or openai:MODEL; contains no secret
        self._endpoint, self._remember = endpoint, remember
        self._memo: OrderedDict[str, FloatArray] = OrderedDict()

    async def __aenter__(self) -> RemoteEmbedder:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self.client.aclose()

    async def check(self) -> None:
        """Check that a server answers and accepts the key; see `ApiClient.check`."""
        await self.client.check()

    async def embed(self, texts: Sequence[str]) -> FloatArray:
        """Return unit-norm embeddings, float32, shape (len(texts), d); (0, 0) for no texts.

        Raises:
            ModelError: no embeddings came, after all retries, or they cannot be compared.
        """
        return (await self.embed_with_usage(texts))[0]

    async def embed_with_usage(self, texts: Sequence[str]) -> tuple[FloatArray, Usage]:
        """Return the embeddings, as `embed` does, and the usage; a kept text costs nothing, a request is one call."""
        if not texts:
            return np.zeros((0, 0), dtype=np.float32), Usage()
        held = {text: self._memo[text] for text in texts if text in self._memo}
        fresh = [text for text in dict.fromkeys(texts) if text not in held]
        batches = [fresh[start : start + TEXTS_A_REQUEST] for start in range(0, len(fresh), TEXTS_A_REQUEST)]
        usage = Usage()
        answers = await together([self._embed(batch) for batch in batches])
        for batch, (vectors, cost) in zip(batches, answers, strict=True):
            held.update(zip(batch, vectors, strict=True))
            usage += cost
        if len({vector.shape for vector in held.values()}) > 1:
            raise ModelError(f"{self.name}: the embeddings differ in length")
        self._keep(texts, held)
        return np.stack([held[text] for text in texts]), usage

    async def _embed(self, texts: list[str]) -> tuple[FloatArray, Usage]:
        body = {"model": self._endpoint.model, "input": [wire.whole(t) for t in texts], "encoding_format": "float"}

        def read(payload: Any) -> tuple[FloatArray, Usage]:
            vectors = read_vectors(payload, len(texts))
            norms = np.linalg.norm(vectors, axis=1, keepdims=True)  # (texts, 1)
            if not norms.all():
                raise ModelError(f"{self.name}: an embedding is zero, so it cannot be compared")
            tokens = wire.read_prompt_tokens(payload, texts)
            return np.asarray(vectors / norms, dtype=np.float32), Usage(1, tokens, 0, tokens)

        return await self.client.post("/embeddings", lambda: body, read)

    def _keep(self, texts: Sequence[str], held: dict[str, FloatArray]) -> None:
        for text in dict.fromkeys(texts):
            self._memo[text] = held[text]
            self._memo.move_to_end(text)
        while len(self._memo) > self._remember:
            self._memo.popitem(last=False)


def read_vectors(payload: Any, count: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the embeddings in a payload, float64, shape (count, d), in the order of their index.

    Raises:
        UnansweredError: they are not `count` vectors of finite numbers, of equal length.
    """
    data = payload.get("data") if isinstance(payload, dict) else None
    if not isinstance(data, list) or len(data) != count:
        raise UnansweredError("the numbers of embeddings and texts differ")
    rows: dict[int, list[float]] = {}
    for item in data:
        index, row = (item.get("index"), _row(item.get("embedding"))) if isinstance(item, dict) else (None, None)
        if type(index) is not int or not 0 <= index < count or row is None:
            raise UnansweredError("an embedding has no valid index, or does not consist of numbers")
        rows[index] = row
    if len(rows) != count or len({len(row) for row in rows.values()}) != 1:
        raise UnansweredError("embeddings are repeated, or differ in length")
    return np.array([rows[index] for index in range(count)], dtype=np.float64)


def _row(value: Any) -> list[float] | None:
    """Return the value if it is a list of numbers that float32 can represent; NaN fails the comparison."""
    if isinstance(value, list) and value and all(type(x) in (int, float) and abs(x) < 1e30 for x in value):
        return value
    return None
