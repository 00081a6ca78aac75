"""How much a person's dispositions bear on a question, and which of them are stated when it is asked.

    bearing(d, q) = similarity(q, text of d) + mean over the explained opinions i of similarity(q, q_i)
    d is stated  ⇔  it is the person's own, or bearing(d, q) is positive, among the greatest, and at least as great as
                    a share of the bearings of d on the person's own questions

The share makes similarities of any scale comparable with themselves, such as cosines and BM25.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from idiolect.methods.fermi.dispositions import Disposition, disposition_key
from idiolect.methods.fermi.examples import compared_text
from idiolect.methods.fermi.extension_settings import DispositionSettings
from idiolect.methods.fermi.prompt import quoted_opinions, same_question
from idiolect.models.similarity import FloatArray, Similarity
from idiolect.people.user import Opinion, Question


async def bearings(
    questions: Sequence[Question],
    dispositions: Sequence[Disposition],
    opinions: Sequence[Opinion],
    similarity: Similarity,
    *,
    with_choices: bool,
) -> FloatArray:
    """Return how much each disposition bears on each question, shape (questions, dispositions).

    This is the question's similarity to the statement, plus its mean similarity to the questions that the statement
    explains, except to itself.
    """
    asked = [compared_text(question, with_choices=with_choices) for question in questions]
    known = [compared_text(opinion.question, with_choices=with_choices) for opinion in opinions]
    n = len(dispositions)
    matrix = await similarity.similarity(asked, [*(each.text for each in dispositions), *known])
    found: FloatArray = np.array(matrix[:, :n], dtype=np.float32)
    for row, question in enumerate(questions):
        others = [i for i, opinion in enumerate(opinions) if not same_question(opinion.question, question)]
        for place, each in enumerate(dispositions):
            explained = [matrix[row, n + i] for i in each.explains if i in others]
            found[row, place] += float(np.mean(explained)) if explained else 0.0
    return found


@dataclass(frozen=True, slots=True)
class Bearing:
    """How much a person's dispositions bear on questions.

    Args:
        dispositions: the dispositions.
        least: for each disposition, how much it has to bear on a question to be stated.
        matrix: how much each bears on each question, shape (questions, dispositions).
    """

    dispositions: tuple[Disposition, ...]
    least: FloatArray
    matrix: FloatArray

    def chosen(
        self, place: int, settings: DispositionSettings, *, excluded: Collection[int], judged: Sequence[Opinion]
    ) -> tuple[int, ...]:
        """Return the indices of the dispositions to state for a question: all of the person's own, and the nearest.

        Args:
            place: place of the question.
            settings: how many are stated.
            excluded: indices of opinions that must not be used.
            judged: opinions that the answer is judged on; a disposition that quotes one is not stated.
        """
        usable = [
            k
            for k, each in enumerate(self.dispositions)
            if each.used_without(excluded) and not quoted_opinions(each.stated, judged)
        ]
        row = self.matrix[place]
        own = [k for k in usable if self.dispositions[k].own]
        near = [k for k in usable if k not in own and row[k] > 0 and row[k] >= self.least[k]]
        near.sort(key=lambda k: (-row[k], k))
        different = {
            disposition_key(self.dispositions[k].stated): k for k in reversed((*own, *near))
        }  # the first stays
        nearest = [k for k in near if k in different.values()][: settings.retrieved]
        return tuple(k for k in usable if k in nearest or (k in own and k in different.values()))


async def bearing_on(
    questions: Sequence[Question],
    dispositions: Sequence[Disposition],
    opinions: Sequence[Opinion],
    settings: DispositionSettings,
    similarity: Similarity | None,
    *,
    with_choices: bool,
) -> Bearing:
    """Return how much the dispositions bear on the questions, compared with the questions of the known opinions.

    Without a similarity, none bears on anything, and only the person's own are stated.
    """
    if similarity is None or all(each.own or each.struck for each in dispositions):
        nothing = np.zeros((len(questions), len(dispositions)), dtype=np.float32)
        return Bearing(tuple(dispositions), np.zeros(len(dispositions), dtype=np.float32), nothing)
    everything = [*questions, *(opinion.question for opinion in opinions)]
    matrix = await bearings(everything, dispositions, opinions, similarity, with_choices=with_choices)
    known = matrix[len(questions) :]  # (opinions, dispositions)
    least: FloatArray = np.quantile(known, settings.nearness, axis=0).astype(np.float32)
    return Bearing(tuple(dispositions), least, matrix[: len(questions)])
