"""What a method gives back: a `Respondent`, fitted to one user, that answers questions and explains its answers.

Methods return values, never touch the store, and report progress through an `Observer` that the caller hands them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from idiolect.models.language_model import Usage

if TYPE_CHECKING:
    from idiolect.methods.answering import Response
    from idiolect.people.user import Question


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A past opinion near a question: its index among the scoring opinions, and the similarity."""

    index: int
    similarity: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """One prompt considered for a question.

    Args:
        prompt: its index in the pool.
        score: mean alignment on the nearest opinions, in [0, 1].
        overall: mean alignment on all opinions where that was computed, else None.
    """

    prompt: int
    score: float
    overall: float | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a prompt was chosen: Eq. 7 with its inputs.

    Args:
        nearest: the Ñ nearest opinions, nearest first (empty without retrieval).
        candidates: every prompt of the pool, in order.
        chosen: index of the chosen prompt.
        tied: how many prompts shared the best score on the nearest opinions.
    """

    nearest: tuple[Neighbour, ...]
    candidates: tuple[Candidate, ...]
    chosen: int
    tied: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A respondent's answer, and why it is this one where there is a why."""

    response: Response
    explanation: Explanation | None = None

    @property
    def usage(self) -> Usage:
        """Cost of the answering call."""
        return self.response.usage


class Respondent(Protocol):
    """Answers as (or for) one user."""

    async def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """One answer a question, in order.

        Raises:
            ModelError: the model could not answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of a method's work on one user, for people who wait.

    Args:
        user_id: whose.
        stage: what is being done, in a few words ("scoring 4 prompts").
        done, total: steps; `done` of `total` are finished.
        best_score: of the best prompt so far, in [0, 1]; None before the first.
        usage: spent on this user so far.
    """

    user_id: str
    stage: str
    done: int
    total: int
    best_score: float | None = None
    usage: Usage = Usage()


Observer = Callable[[Progress], None]


def ignore_progress(progress: Progress) -> None:
    """An observer that looks away."""
    del progress
