"""A method as the use cases see it: its name, what it gives back for one user, and when it need not learn again."""

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
    """The counts and scores of one personalization; thousands of them are kept until the end of a run."""

    @property
    def used(self) -> bool:
        """Whether the personalization answers; False where the base model does."""
        ...


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a learner made of one user.

    Args:
        payload, tensors: the personalization as the store keeps it.
        summary: its counts and scores.
        finished: whether it was learned to the end; what was stopped early never replaces what was not.
    """

    payload: Mapping[str, Any]
    summary: LearnedSummary
    tensors: bytes | None = None
    finished: bool = True


class Learner(Protocol):
    """A method with its models opened, ready to learn from one user after another."""

    @property
    def method(self) -> MethodName:
        """The method's name, in the store as well."""
        ...

    @property
    def remote(self) -> bool:
        """Whether some of its calls go to a server, so that many users are learned side by side."""
        ...

    async def fit(self, user: User, *, observer: Observer, checkpoints: CheckpointSink) -> Fitted:
        """Learn from one user.

        Raises:
            PersonalizationError: this user gave too little to learn from.
            ModelError: a model could not answer.
            HaltedError: the run was halted before anything was learned.
        """
        ...

    def already_learned(self, record: PersonalizationRecord, user: User) -> LearnedSummary | None:
        """Return the summary of an earlier result if this learner would learn the same; None if it would not."""
        ...
