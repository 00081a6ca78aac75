"""The shape of a method in an evaluation: it learns from a case, and what it learned answers, for them or another.

    learn(case, desk) → what was learned → respondent(learned, desk) → answers, log-likelihoods of texts

Two steps, because the control answers one person's questions with what was learned from another, at a desk of its own.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from idiolect.errors import PersonalizationError
from idiolect.evaluate.benchmark import Case
from idiolect.evaluate.methods.bench import Bench, Desk
from idiolect.methods.personalization import Answer
from idiolect.people.user import Question


class AskedRespondent(Protocol):
    """What is asked the held-out questions, and whose surprise at held-out texts is measured."""

    async def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """One answer a question, in order.

        Raises:
            ModelError, HaltedError: the model could not answer.
            PersonalizationError: this method answers no questions.
        """
        ...

    async def log_likelihoods(self, texts: Sequence[str]) -> list[float]:
        """Nat per token of each text.

        Raises:
            ModelError, HaltedError: the model could not answer.
            PersonalizationError: this method says nothing of texts.
        """
        ...


@dataclass(frozen=True, slots=True)
class Learned:
    """What a method learned from a person.

    Args:
        value: whatever its `respondent` needs.
        used: whether a gate lets it answer; None: there is no gate.
        notes: for the record, JSON values; see `records.LearningRecord`.
    """

    value: Any
    used: bool | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)


class Method(Protocol):
    """One entry of the table of methods, with its settings."""

    async def learn(self, case: Case, desk: Desk) -> Learned:
        """Learn from `case.user`; what is asked of them is not to be looked at.

        Raises:
            PersonalizationError: this person gives nothing to learn from.
            ModelError, HaltedError: the model could not answer.
        """
        ...

    def respondent(self, learned: Learned, desk: Desk) -> AskedRespondent:
        """What answers."""
        ...

    def shares_learning(self, bench: Bench) -> Hashable:
        """Methods with the same key learn the same from a person, and do it once; None: with nobody."""
        ...


class NoTexts:
    """For methods that say nothing of texts."""

    async def log_likelihoods(self, texts: Sequence[str]) -> list[float]:
        """Refuses.

        Raises:
            PersonalizationError: always.
        """
        del texts
        raise PersonalizationError("this method says nothing of texts")
