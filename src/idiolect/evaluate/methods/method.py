"""The interface of a method in an evaluation: it learns from one case, and answers for the same case or another.

    learn(case, desk) → Learned → examinee(learned, desk) → answers, log-likelihoods of texts

There are two steps because the control answers one person's questions with what was learned from another, at its own
desk.
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
from idiolect.models.calls.model import Source
from idiolect.models.language_model import ChoiceModel
from idiolect.people.user import Question, User

Preparation = Callable[[Sequence[Question]], Awaitable[object]]


class TextLikelihoods(Protocol):
    """The log-likelihoods of texts under a method."""

    async def __call__(self, texts: Sequence[str], /, *, requests: Sequence[str] = ()) -> list[float]:
        """Return the log-likelihood of each text in nat per token, as answers to requests; (): to the plain request."""
        ...


@dataclass(frozen=True, slots=True)
class Learned:
    """Result of learning from a person.

    Args:
        value: data for the method's `examinee`.
        used: whether a gate lets it answer; None: there is no gate.
        notes: facts for the record, JSON values; see `records.LearningRecord`.
        close: releases the value's memory; None if it is small.
        source: the person, with the data that were learned from; the runner sets it.
    """

    value: Any
    used: bool | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    close: Callable[[], None] | None = None
    source: User | None = None


@dataclass(frozen=True, slots=True)
class Examinee:
    """A respondent for the held-out questions, with the likelihood that it gives to held-out texts.

    Args:
        respondent: answers questions.
        log_likelihoods: returns the log-likelihood of each text in nat per token; None: the method does not support
            texts.
        prepare: makes the calls that the method put off until it knows the questions, so that their cost is not that of
            an answer; None: there are none.
        answered_by: model that answers, for the price of an answer; None: the model of the run.
    """

    respondent: Respondent
    log_likelihoods: TextLikelihoods | None = None
    prepare: Preparation | None = None
    answered_by: Source | None = None

    @classmethod
    def with_texts(cls, respondent: Respondent, model: ChoiceModel, *, prompt: str = "") -> Examinee:
        """Return an examinee whose text likelihoods come from a model with one prompt ("": none)."""
        return cls(respondent, partial(text_log_likelihoods, model=model, prompt=prompt))


class EvaluatedMethod(Protocol):
    """A method with its settings, from the table of methods."""

    async def learn(self, case: Case, desk: Desk, /) -> Learned:
        """Learn from `case.user`, without using the held-out questions and texts of the case.

        Raises:
            PersonalizationError: this person has no data to learn from.
            ModelError, HaltedError: the model could not answer.
        """
        ...

    def examinee(self, learned: Learned, desk: Desk, /) -> Examinee:
        """Return the respondent with what was learned."""
        ...
