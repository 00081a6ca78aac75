"""A method in a run of `fit`: what the flow of `fitting` asks of it and what it gives back; no method is known here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from idiolect.methods.checkpoints import CheckpointSink
from idiolect.methods.personalization import Observer
from idiolect.models.calls.model import Calls
from idiolect.people.user import User
from idiolect.store.records import PersonalizationRecord


class Learned(Protocol):
    """What was learned for one user, counted; thousands of them are kept until the end of a run."""

    @property
    def cells(self) -> tuple[str, ...]:
        """One text for each of the learner's columns."""
        ...

    @property
    def told(self) -> str:
        """The most important of it, for a line of progress."""
        ...

    @property
    def remark(self) -> str:
        """What is to be known beside it; "" where there is nothing."""
        ...

    @property
    def used(self) -> bool:
        """It answers; False where the base model does."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        ...


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a learner made of one user.

    Args:
        payload, tensors: as the store keeps them.
        learned: the same, counted.
        finished: learned to the end; what was stopped early never takes the place of what was not.
    """

    payload: Mapping[str, Any]
    learned: Learned
    tensors: bytes | None = None
    finished: bool = True


class Learner(Protocol):
    """A method with its models opened."""

    @property
    def method(self) -> str:
        """Its name in the store."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """What its table tells of each user; those of numbers are in `numbers`."""
        ...

    @property
    def numbers(self) -> tuple[str, ...]:
        """The columns that are aligned at their right."""
        ...

    @property
    def remote(self) -> bool:
        """Some of its calls go to a server, so that many users are learned side by side."""
        ...

    def calling(self, calls: Calls) -> Learner:
        """The same, with its models called through `calls`."""
        ...

    def unpriced(self) -> list[str]:
        """Remote models that are called and whose price is not known."""
        ...

    async def check(self) -> None:
        """Find out whether everything can be had, before every user fails one by one.

        Raises:
            ModelError, MissingExtraError: something cannot.
        """
        ...

    async def fit(self, user: User, *, observer: Observer, checkpoints: CheckpointSink) -> Fitted:
        """Learn from one user.

        Raises:
            PersonalizationError: this user gave too little to learn from.
            ModelError: a model could not answer.
            HaltedError: the run was told to stop before anything was learned.
        """
        ...

    def kept(self, record: PersonalizationRecord, user: User) -> Learned | None:
        """What an earlier run learned, if this one would learn the same."""
        ...

    def notes(self) -> list[str]:
        """What is to be said at the end of a run."""
        ...

    async def aclose(self) -> None:
        """Close connections; in the event loop in which they were opened."""
        ...
