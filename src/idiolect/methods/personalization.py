"""The result of a method: a `Respondent`, fitted to one user, that answers questions and explains its answers.

Methods return values, never touch the store, and report progress through an `Observer` that the caller passes.
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
    """An opinion near a question: its index among the scoring opinions, and the similarity."""

    index: int
    similarity: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A prompt considered for a question.

    Args:
        prompt: index of the prompt in the pool.
        score: mean alignment on the nearest opinions, in [0, 1]; or the estimate of the alignment on the question, if
            the settings shrink it, which may be outside of [0, 1].
        overall: mean alignment on all opinions that the prompt is scored on; None if not computed.
    """

    prompt: int
    score: float
    overall: float | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The choice of a prompt: Eq. 7 with its inputs.

    Args:
        nearest: the Ñ nearest opinions, nearest first (empty without retrieval).
        candidates: all prompts of the pool, in order.
        chosen: index of the chosen prompt.
        tied: number of prompts with the best score on the nearest opinions.
        answering: indices of all prompts that answer together, the chosen one first; empty: the chosen one alone.
        dispositions: indices of the dispositions that are stated behind the prompt.
    """

    nearest: tuple[Neighbour, ...]
    candidates: tuple[Candidate, ...]
    chosen: int
    tied: int
    answering: tuple[int, ...] = ()
    dispositions: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """A respondent's answer, with an explanation if the respondent has one."""

    response: Response
    explanation: Explanation | None = None

    @property
    def usage(self) -> Usage:
        """Cost of the answering call."""
        return self.response.usage


class Respondent(Protocol):
    """Answers as (or for) one user."""

    async def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Return one answer per question, in order.

        Raises:
            ModelError: the model could not answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of a method's work on one user, for a progress display.

    Args:
        user_id: id of the user.
        stage: current work in a few words ("scoring 4 prompts").
        done, total: number of finished steps, and of all steps.
        best_score: score of the best prompt so far, in [0, 1]; None before the first.
        usage: cost for this user so far.
        part: share of the current step that is done, in [0, 1].
    """

    user_id: str
    stage: str
    done: int
    total: int
    best_score: float | None = None
    usage: Usage = Usage()
    part: float = 0.0


Observer = Callable[[Progress], None]
"""Receives every step; an error that it raises ends the work."""


def ignore_progress(progress: Progress) -> None:
    """Ignore a step of progress."""
    del progress
