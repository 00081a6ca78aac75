"""The grounds of an answer to one question: a person's opinions by nearness to it, and what must not be used for it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from idiolect.methods.fermi.memory import ScoredAnswer, ScoredPrompt
from idiolect.methods.personalization import Neighbour


@dataclass(frozen=True, slots=True)
class Grounds:
    """Grounds for choosing a prompt for one question, and for combining answers to it.

    Opinions and prompts are given by their indices.

    Args:
        nearest: the Ñ nearest opinions, nearest first; empty without retrieval.
        ranking: all opinions, nearest first, including excluded ones.
        similarities: similarity of the question to each opinion; zeros if it is not needed.
        excluded: opinions that must not be used.
        revealing: prompts that reveal the answer.
    """

    nearest: tuple[Neighbour, ...]
    ranking: tuple[int, ...]
    similarities: tuple[float, ...]
    excluded: frozenset[int]
    revealing: frozenset[int]

    @property
    def if_similar(self) -> Grounds:
        """The same, as if nothing was retrieved unless one of the nearest opinions is similar to the question (> 0)."""
        return self if any(each.similarity > 0 for each in self.nearest) else replace(self, nearest=())

    def score_nearby(self, prompt: ScoredPrompt) -> float | None:
        """Return the mean alignment on the nearest opinions; None if the prompt may not be scored on any of them."""
        revealed = prompt.prompt.revealed
        return _mean([prompt.cells[each.index] for each in self.nearest if each.index not in revealed])

    def least_score(self, prompt: ScoredPrompt) -> float:
        """Return the mean alignment on the nearest opinions (on all, without any), where unknown scores count as 0."""
        revealed, counted = prompt.prompt.revealed, [near.index for near in self.nearest]
        places = [i for i in counted if i not in revealed] or [i for i in prompt.scoreable if i not in self.excluded]
        known = [cell.score for i in places if (cell := prompt.cells[i]) is not None]
        return math.fsum(known) / len(places) if places else 0.0

    def score_overall(self, prompt: ScoredPrompt) -> float | None:
        """Return the mean alignment on all opinions that count; None if there are none or one was not asked."""
        cells = [prompt.cells[i] for i in prompt.scoreable if i not in self.excluded]
        return None if None in cells else _mean(cells)


def _mean(cells: Iterable[ScoredAnswer | None]) -> float | None:
    known = [cell.score for cell in cells if cell is not None]
    return math.fsum(known) / len(known) if known else None
