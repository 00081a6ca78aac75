"""Selection of the history items that guide the model: the first step of "fake it" (`preferences` is the next).

An item is a text of the user, or a question with their answer. With centred embeddings e_i and their first principal
component v, the k items with the largest |⟨e_i, v⟩| are selected: those that show best how the items differ.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from idiolect.models.similarity import Embedder, FloatArray
from idiolect.people.user import User


def history_items(user: User, *, max_chars: int) -> list[str]:
    """Return all items of the user's history, opinions first, in order; longer items are cut between words."""
    texts = [*(f"{opinion.question.text} → {opinion.answer}" for opinion in user.opinions), *user.texts]
    return [cut(text, max_chars) for text in texts]


async def select_history(items: Sequence[str], embedder: Embedder, *, k: int) -> list[int]:
    """Return the indices of the k items furthest out on the first principal component, in the order of the history.

    If there are no more than k items, all are returned.

    Raises:
        ModelError: the embedder failed.
    """
    if len(items) <= k:
        return list(range(len(items)))
    scores = np.abs(first_component_scores(await embedder.embed(items)))  # (n,)
    return sorted(int(index) for index in np.argsort(-scores, kind="stable")[:k])


def first_component_scores(vectors: FloatArray) -> FloatArray:
    """Return ⟨e_i − mean, v⟩ with v the first principal component; (n, d) → (n,). The sign is arbitrary."""
    centred = vectors - vectors.mean(axis=0)  # (n, d)
    _, _, components = np.linalg.svd(centred, full_matrices=False)  # (min(n, d), d)
    scores: FloatArray = centred @ components[0]
    return scores


def cut(text: str, max_chars: int) -> str:
    """Return a text on one line, cut between words if it is longer than `max_chars`."""
    flat = " ".join(text.split())
    return flat if len(flat) <= max_chars else flat[:max_chars].rsplit(" ", 1)[0] + " …"
