"""Hybrid prompts: which of a person's answers stand behind a prompt, nearest to the question last.

Learning without the examples would score a text in a form in which it never answers. So the opinions that are nearest
to a scoring opinion stand behind each prompt that is scored on it, without those on the same question (leave-one-out).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from idiolect.methods.fermi.prompt import same_question
from idiolect.models.similarity import Similarity
from idiolect.people.user import Opinion, Question


def compared_text(question: Question, *, with_choices: bool) -> str:
    """Return the text by which a question is compared; it includes choices because survey batteries share a stem."""
    return "\n".join((question.text, *question.choices)) if with_choices else question.text


def nearest_last(ranking: Sequence[int], opinions: Sequence[Opinion], question: Question, k: int) -> tuple[int, ...]:
    """Return the k nearest opinions that are not on the question itself, nearest last.

    Args:
        ranking: indices of the opinions, nearest first.
        opinions: the opinions.
        question: the question that is asked.
        k: number of opinions.
    """
    others = (index for index in ranking if not same_question(opinions[index].question, question))
    return tuple(index for index, _ in zip(others, range(k), strict=False))[::-1]


async def neighbours_of_each(
    opinions: Sequence[Opinion], similarity: Similarity | None, *, k: int, with_choices: bool
) -> tuple[tuple[int, ...], ...]:
    """Return for each opinion the k others that are nearest to it, nearest last; empty ones if k is 0.

    Raises:
        ValueError: k is positive, and there is no similarity.
    """
    if not k:
        return ((),) * len(opinions)
    if similarity is None:
        raise ValueError("hybrid prompts need a similarity")
    texts = [compared_text(opinion.question, with_choices=with_choices) for opinion in opinions]
    matrix = await similarity.similarity(texts, texts)  # (opinions, opinions)
    return tuple(
        nearest_last([int(i) for i in np.argsort(-row, kind="stable")], opinions, opinion.question, k)
        for opinion, row in zip(opinions, matrix, strict=True)
    )
