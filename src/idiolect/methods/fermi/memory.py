"""Fermi's memory `M^t`: the L best of (memory ∪ new), each a triple (prompt, score, mis-aligned responses).

The order is total: greater score first, then the older prompt. Pruning is exact only because of that order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from idiolect.methods.alignment import AlignmentThresholds, alignment_score
from idiolect.methods.answering import Response
from idiolect.methods.fermi.prompt import Prompt
from idiolect.people.user import Opinion


@dataclass(frozen=True, slots=True)
class ScoredAnswer:
    """One cell: the response with a prompt to one scoring opinion, and its alignment score `s` in [0, 1]."""

    response: Response
    score: float


@dataclass(frozen=True, slots=True)
class ScoredPrompt:
    """A prompt with its judged responses so far.

    Args:
        prompt: the prompt.
        born: its place in the order of proposals over the whole run; smaller is older.
        cells: judged response for each scoring opinion; None if the opinion was not asked (or must not be asked,
            because it is in `prompt.revealed`).
    """

    prompt: Prompt
    born: int
    cells: tuple[ScoredAnswer | None, ...]

    @property
    def scoreable(self) -> tuple[int, ...]:
        """Indices of the opinions that this prompt may be scored on."""
        revealed = self.prompt.revealed
        return tuple(index for index in range(len(self.cells)) if index not in revealed)

    def judged(self, index: int) -> ScoredAnswer | None:
        """Return the response to opinion `index` if it counts for the prompt's score and was asked."""
        return None if index in self.prompt.revealed else self.cells[index]

    @property
    def complete(self) -> bool:
        """Whether all opinions that may be asked have been asked."""
        return all(self.cells[index] is not None for index in self.scoreable)

    def points_into(self, n: int) -> bool:
        """Return whether there is a cell for each of n opinions, and every index refers to one of them."""
        prompt = self.prompt
        indices = (*prompt.demonstrations, *prompt.revealed, *(seen.index for seen in prompt.driven_by))
        return len(self.cells) == n and all(0 <= index < n for index in indices)

    def bound(self, unknown: float) -> float:
        """Return the score with `unknown` for every open cell: 0 gives a lower bound, 1 an upper bound.

        `math.fsum` rounds correctly, so it is monotone: bounds hold in floating point, not only on paper.
        """
        known = [self.cells[index] for index in self.scoreable]
        if not known:
            return 0.0
        return math.fsum(unknown if cell is None else cell.score for cell in known) / len(known)

    @property
    def score(self) -> float:
        """`s_k`, the mean over its opinions, in [0, 1].

        Raises:
            ValueError: the prompt is not fully scored.
        """
        if not self.complete:
            raise ValueError("the prompt is not fully scored")
        return self.bound(0.0)

    def misaligned(self, opinions: Sequence[Opinion], thresholds: AlignmentThresholds) -> tuple[int, ...]:
        """Return the indices of the asked opinions with `s < τ`, in order."""
        return tuple(
            index
            for index, cell in enumerate(self.cells)
            if cell is not None and cell.score < thresholds.of(opinions[index].question.kind)
        )


def judge(opinion: Opinion, response: Response) -> ScoredAnswer:
    """Score one response against the user's answer."""
    kept = replace(response, logprobs=(), messages=())  # for the caller of one answer, not for what is stored
    return ScoredAnswer(kept, alignment_score(opinion.question, opinion.answer, response.answer))


def best_first(entries: Iterable[ScoredPrompt]) -> tuple[ScoredPrompt, ...]:
    """Return fully scored prompts by score, the older one of equals first."""
    return tuple(sorted(entries, key=lambda entry: (-entry.score, entry.born)))


@dataclass(frozen=True, slots=True)
class Memory:
    """The best prompts so far, best first.

    Args:
        size: L.
        entries: fully scored prompts, sorted by (score, older first), at most `size`.
    """

    size: int
    entries: tuple[ScoredPrompt, ...] = ()

    def updated(self, new: Iterable[ScoredPrompt]) -> Memory:
        """Return the L best of (memory ∪ new)."""
        return Memory(self.size, best_first((*self.entries, *new))[: self.size])
