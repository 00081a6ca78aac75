"""The shape of a method in an evaluation: it learns from a case, and what it learned answers, for them or another.

    learn(case, desk) → Learned → examinee(learned, desk) → answers, log-likelihoods of texts

Two steps, because the control answers one person's questions with what was learned from another, at a desk of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from idiolect.evaluate.benchmark import Case
from idiolect.evaluate.methods.bench import Desk
from idiolect.methods.personalization import Respondent
from idiolect.methods.texts import text_log_likelihoods
from idiolect.models.language_model import ChoiceModel

TextLikelihoods = Callable[[Sequence[str]], Awaitable[list[float]]]


@dataclass(frozen=True, slots=True)
class Learned:
    """What a method learned from a person.

    Args:
        value: whatever its `examinee` needs.
        used: whether a gate lets it answer; None: there is no gate.
        notes: for the record, JSON values; see `records.LearningRecord`.
        close: lets go of the memory that the value takes; None: it takes little.
    """

    value: Any
    used: bool | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    close: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Examinee:
    """What is asked the held-out questions, and whose surprise at held-out texts is measured.

    Args:
        respondent: answers questions.
        log_likelihoods: takes texts and gives nat per token of each; None: the method has nothing to do with texts.
    """

    respondent: Respondent
    log_likelihoods: TextLikelihoods | None = None

    @classmethod
    def with_texts(cls, respondent: Respondent, model: ChoiceModel, *, prompt: str = "") -> Examinee:
        """Return an examinee whose texts are measured by a model under one prompt ("": none)."""
        return cls(respondent, partial(text_log_likelihoods, model=model, prompt=prompt))


class EvaluatedMethod(Protocol):
    """One entry of the table of methods, with its settings."""

    async def learn(self, case: Case, desk: Desk, /) -> Learned:
        """Learn from `case.user`; what is asked of them is not to be looked at.

        Raises:
            PersonalizationError: this person gives nothing to learn from.
            ModelError, HaltedError: the model could not answer.
        """
        ...

    def examinee(self, learned: Learned, desk: Desk, /) -> Examinee:
        """Return what answers."""
        ...
