"""One user's view of a remote embedding model; each text's vector is kept, and requests count like any other call.

    texts → look-up → the missing ones: a turn, with room in the budget → claims → one request → kept, text by text

Tokens are estimated as a quarter of the bytes before a request, and also after it if the embedder doesn't count them.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from idiolect.errors import CacheError, ModelError
from idiolect.models.calls.budget import Cost, Reservation
from idiolect.models.calls.kept_calls import KeptCalls, Operation
from idiolect.models.calls.model import Calls
from idiolect.models.calls.prices import Price
from idiolect.models.calls.tries import Tries
from idiolect.models.language_model import Usage
from idiolect.models.similarity import Embedder, FloatArray

_OPERATION = "embed"
_BYTES_A_TOKEN = 4
_TEXTS = 128  # per call; at most as many as the remote embedder sends in one request, as a test checks


@runtime_checkable
class CountingEmbedder(Protocol):
    """An `Embedder` that reports its usage."""

    async def embed_with_usage(self, texts: Sequence[str]) -> tuple[FloatArray, Usage]:
        """Return the embeddings, as `embed` does, and the usage of the requests that were actually sent.

        Raises:
            ModelError: the embedder returned no embeddings.
        """
        ...


class CalledEmbedder:
    """An `Embedder` that calls another one for one user.

    Args:
        calls: the calls of the run.
        embedder: the embedder that answers.
        known_as: the embedder's name in the cache; it names the server as well as the model.
        price: price per token; None if unknown.
        owner: the user's id.
    """

    def __init__(self, calls: Calls, embedder: Embedder, *, known_as: str, price: Price | None, owner: str) -> None:
        self._calls, self._embedder, self._price, self._owner = calls, embedder, price, owner
        self.name, self._known_as = embedder.name, known_as
        self._kept = KeptCalls(Operation(_OPERATION, _to_result, _from_result), calls.cache, known_as, owner)

    async def embed(self, texts: Sequence[str]) -> FloatArray:
        """Return unit-norm embeddings, float32, shape (len(texts), d); (0, 0) for no texts.

        Raises:
            ModelError: the embedder returned no embeddings.
            HaltedError: the run makes no further calls.
            CacheError: the cache cannot be read or written.
        """
        if not texts:
            return np.zeros((0, 0), dtype=np.float32)
        keys = {text: _key(self._known_as, text) for text in dict.fromkeys(texts)}
        vectors = await self._kept.look_up(list(keys.values()))
        self._calls.counts.found += bool(vectors) and len(vectors) == len(keys)  # a call is saved only if all are kept
        missing = {key: text for text, key in keys.items() if key not in vectors}
        for part in _parts(missing):
            async with self._calls.admitted(self._owner, self._cost(part.values())) as reservation:
                vectors |= await self._ask(part, reservation)
        if len({vector.shape for vector in vectors.values()}) > 1:
            raise ModelError(f"{self.name}: the embeddings differ in length")
        return np.stack([vectors[keys[text]] for text in texts])

    async def _ask(self, missing: Mapping[str, str], reservation: Reservation) -> dict[str, FloatArray]:
        tries = Tries(reservation)

        async def ask(keys: list[str]) -> dict[str, FloatArray]:
            rows = await self._embed([missing[key] for key in keys], tries)
            return dict(zip(keys, rows, strict=True))

        try:
            return await self._kept.make(list(missing), ask)
        finally:
            reservation.settle(tries.cost)

    async def _embed(self, texts: list[str], tries: Tries) -> FloatArray:
        with self._calls.counted(1, tries, failed_try=self._cost(texts), useless=Cost(1)):
            rows, cost = await self._embed_priced(texts)
        self._calls.counts.made += cost.calls
        tries.cost += cost
        return rows

    async def _embed_priced(self, texts: list[str]) -> tuple[FloatArray, Cost]:
        """Return the embeddings and their cost, which is zero if a counting embedder still has them all."""
        embedder = self._embedder
        if not isinstance(embedder, CountingEmbedder):
            return await embedder.embed(texts), self._cost(texts)
        rows, usage = await embedder.embed_with_usage(texts)
        return rows, self._priced(usage.calls, usage.prompt_tokens)

    def _cost(self, texts: Iterable[str]) -> Cost:
        tokens = sum(len(text.encode("utf-8", "surrogatepass")) // _BYTES_A_TOKEN + 1 for text in texts)
        return self._priced(1, tokens)

    def _priced(self, calls: int, tokens: int) -> Cost:
        return Cost(calls, tokens, 0, None if self._price is None else self._price.cost(tokens, 0))


def _parts(missing: Mapping[str, str]) -> Iterable[dict[str, str]]:
    """Split texts into requests, so that each request is one call and its answer is kept when it arrives."""
    items = list(missing.items())
    return [dict(items[start : start + _TEXTS]) for start in range(0, len(items), _TEXTS)]


def _key(model: str, text: str) -> str:
    return hashlib.sha256(json.dumps([_OPERATION, model, text]).encode()).hexdigest()


def _to_result(vector: FloatArray) -> dict[str, Any]:
    return {"vector": base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode()}


def _from_result(kept: Mapping[str, Any]) -> FloatArray:
    try:
        return np.frombuffer(base64.b64decode(kept["vector"], validate=True), dtype="<f4").astype(np.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise CacheError("a kept result is not an embedding; move the cache's file away to continue") from error
