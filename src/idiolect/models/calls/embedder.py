"""One user's view of a remote embedding model: each text's vector is kept, and what is asked counts like any call.

    texts → look-up → the missing ones: a turn → room in the budget → claims → one request → kept, text by text

Servers don't tell embeddings' tokens in one way; a quarter of the bytes stands in for them.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from idiolect.errors import CacheError, ModelError
from idiolect.models.calls.budget import Cost
from idiolect.models.calls.model import Calls, together
from idiolect.models.calls.prices import Price
from idiolect.models.similarity import Embedder, FloatArray

_OPERATION = "embed"
_BYTES_A_TOKEN = 4


class CalledEmbedder:
    """An `Embedder` that asks another one for one user.

    Args:
        calls: of the run.
        embedder: answers.
        known_as: what a cache knows it by; names the server as well as the model.
        price: per token; None where it isn't known.
        owner: the user's id.
    """

    def __init__(self, calls: Calls, embedder: Embedder, *, known_as: str, price: Price | None, owner: str) -> None:
        self._calls, self._embedder, self._price, self._owner = calls, embedder, price, owner
        self._known_as = known_as

    @property
    def name(self) -> str:
        """The embedder's own name."""
        return self._embedder.name

    async def embed(self, texts: Sequence[str]) -> FloatArray:
        """Unit-norm embeddings, float32, shape (len(texts), d); (0, 0) for no texts.

        Raises:
            ModelError: no embeddings came.
            HaltedError: the run makes no further calls.
            CacheError: the cache cannot be read or written.
        """
        if not texts:
            return np.zeros((0, 0), dtype=np.float32)
        keys = {text: _key(self._known_as, text) for text in dict.fromkeys(texts)}
        vectors = await self._look_up(list(keys.values()))
        missing = {key: text for text, key in keys.items() if key not in vectors}
        if missing:
            async with self._calls.turns.take(self._owner):
                vectors |= await self._ask(missing)
        if len({vector.shape for vector in vectors.values()}) > 1:
            raise ModelError(f"{self.name}: the embeddings are not all of one length")
        return np.stack([vectors[keys[text]] for text in texts])

    async def _look_up(self, keys: list[str]) -> dict[str, FloatArray]:
        cache = self._calls.cache
        if cache is None:
            return {}
        found = await cache.look_up(keys, owner=self._owner)
        known = {key: _vector(kept) for key, kept in zip(keys, found, strict=True) if kept is not None}
        self._calls.counts.found += bool(known) and len(known) == len(keys)  # a call less only if none is left
        return known

    async def _ask(self, missing: Mapping[str, str]) -> dict[str, FloatArray]:
        cost = self._cost(missing.values())
        reservation = await self._calls.budget.reserve(self._owner, cost)
        spent = Cost()
        claimed: list[str] = []
        try:
            vectors = await self._claim(list(missing), claimed)
            asked = [key for key in missing if key not in vectors]
            if asked:
                spent = Cost(calls=1)
                rows = await self._embedder.embed([missing[key] for key in asked])
                spent = self._cost(missing[key] for key in asked)
                self._calls.counts.made += 1
                vectors |= dict(zip(asked, rows, strict=True))
            claimed.clear()  # from here on each is kept, whatever happens to this task
            for failure in await together([self._keep(key, vectors[key]) for key in asked]):
                if isinstance(failure, BaseException):
                    raise failure
            return vectors
        except ModelError:
            self._calls.counts.failed += 1
            raise
        finally:
            reservation.settle(spent)
            if claimed:
                await asyncio.shield(self._let_go(claimed))

    async def _claim(self, keys: list[str], claimed: list[str]) -> dict[str, FloatArray]:
        cache = self._calls.cache
        if cache is None:
            return {}
        begun = await together(
            [cache.begin(key, operation=_OPERATION, model=self._known_as, owner=self._owner) for key in keys]
        )
        claimed += [key for key, kept in zip(keys, begun, strict=True) if kept is None]
        vectors: dict[str, FloatArray] = {}
        for key, kept in zip(keys, begun, strict=True):
            if isinstance(kept, BaseException):
                raise kept
            if kept is not None:
                vectors[key] = _vector(kept)
        return vectors

    async def _keep(self, key: str, vector: FloatArray) -> None:
        if self._calls.cache is not None:
            text = base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode()
            await self._calls.cache.keep(key, {"vector": text}, owner=self._owner)

    async def _let_go(self, claimed: list[str]) -> None:
        if self._calls.cache is not None:
            for key in claimed:
                await self._calls.cache.abandon(key)

    def _cost(self, texts: Iterable[str]) -> Cost:
        tokens = sum(len(text.encode("utf-8", "surrogatepass")) // _BYTES_A_TOKEN + 1 for text in texts)
        return Cost(1, tokens, 0, None if self._price is None else self._price.cost(tokens, 0))


def _key(model: str, text: str) -> str:
    return hashlib.sha256(json.dumps([_OPERATION, model, text]).encode()).hexdigest()


def _vector(kept: Mapping[str, Any]) -> FloatArray:
    try:
        return np.frombuffer(base64.b64decode(kept["vector"], validate=True), dtype="<f4").astype(np.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise CacheError("a kept result is no embedding: move the cache's file away to go on") from error
