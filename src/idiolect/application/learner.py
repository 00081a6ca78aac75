"""The interface of a method to the use cases: its name, its result for one user, and when it can skip learning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from idiolect.application.names import MethodName
    from idiolect.methods.checkpoints import CheckpointSink
    from idiolect.methods.personalization import Observer
    from idiolect.people.user import User
    from idiolect.store import PersonalizationRecord


class LearnedSummary(Protocol):
    """Counts and scores of one personalization; thousands of them are kept until the end of a run."""

    @property
    def used(self) -> bool:
        """Whether the personalization answers; False if the base model does."""
        ...


@dataclass(frozen=True, slots=True)
class Fitted:
    """Result of learning from one user.

    Args:
        payload, tensors: the personalization in the store's format.
        summary: its counts and scores.
        finished: whether learning was completed. An unfinished result never replaces a finished one.
        unread: examples of answers that named no choice, if there were many. No log may contain them.
    """

    payload: Mapping[str, Any]
    summary: LearnedSummary
    tensors: bytes | None = None
    finished: bool = True
    unread: tuple[str, ...] = ()


class Learner(Protocol):
    """A method with open models, ready to learn from users one after another."""

    @property
    def method(self) -> MethodName:
        """Name of the method, also in the store."""
        ...

    @property
    def remote(self) -> bool:
        """Whether some calls go to a server; if so, many users are learned concurrently."""
        ...

    @property
    def preset_line(self) -> str:
        """Which preset of settings was chosen, and why, in one line; "" if there was no choice."""
        ...

    async def fit(self, user: User, *, observer: Observer, checkpoints: CheckpointSink) -> Fitted:
        """Learn from one user.

        Raises:
            PersonalizationError: the user has too little data to learn from.
            ModelError: a model could not answer.
            HaltedError: the run was halted before anything was learned.
        """
        ...

    def already_learned(self, record: PersonalizationRecord, user: User) -> LearnedSummary | None:
        """Return the summary of an earlier result if learning again would give the same; otherwise None."""
        ...
