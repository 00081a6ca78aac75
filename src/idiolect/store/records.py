"""Records: users and learned payloads as rows of the tables, and the values that the store returns.

Rows are built and checked here, before any SQL runs; data that cannot be stored raises a `StoreError` that gives its
place. A row from which no valid value can be read back is damaged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.engine import RowMapping

from idiolect.errors import DamagedError, StoreError
from idiolect.people.user import Opinion, Question, User, UserProfile
from idiolect.store.faults import REMEDY
from idiolect.store.strict_json import checked_json, checked_text, digest, dumps

_MIB = 1 << 20
MAX_TENSORS = 256 * _MIB  # bytes in one row; databases handle them in one piece


@dataclass(frozen=True, slots=True)
class SavedUsers:
    """The numbers of users that `Store.save_users` added and replaced.

    `entered` counts these users' opinions from `Store.put_opinion` that stayed although the saved ones differ on the
    question, or lack it. `superseded` contains, for each user who answered a question more than once, the number of
    older answers, which were not saved.
    """

    new: int = 0
    updated: int = 0
    entered: int = 0
    superseded: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: SavedUsers) -> SavedUsers:
        return SavedUsers(
            self.new + other.new,
            self.updated + other.updated,
            self.entered + other.entered,
            {**self.superseded, **other.superseded},
        )


@dataclass(frozen=True, slots=True)
class UserSummary:
    """A summary of the store's data about a user. `methods` are the names of methods that learned something, sorted."""

    id: str
    n_opinions: int
    n_texts: int
    methods: tuple[str, ...]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class DamagedUser:
    """A user whose data cannot be counted. `id` is printable; `key` is the id as the database returns it."""

    id: str
    key: str | bytes

    @property
    def named(self) -> bool:
        """Whether `id` is the user's id, so that the user can be fitted again, or forgotten."""
        return self.id == self.key


@dataclass(frozen=True, slots=True)
class PersonalizationRecord:
    """The data that a method learned for one user or group: JSON, optional safetensors bytes, the SHA-256 of both."""

    method: str
    created_at: datetime
    updated_at: datetime
    digest: str
    payload: Mapping[str, Any]
    tensors: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """The state of a method that is still learning for one user: plain JSON, and the SHA-256 of its canonical text."""

    method: str
    updated_at: datetime
    digest: str
    payload: Mapping[str, Any]


def user_row(user: User, *, now: datetime) -> dict[str, Any]:
    """Return the user's row of `users`."""
    at = f"user {user.id!r}"
    return {
        "id": checked_text(user.id, at=f"{at}: id"),
        "profile": checked_json(user.profile.attributes, at=f"{at}: profile"),
        "texts": checked_json(user.texts, at=f"{at}: texts"),
        "extra": checked_json(user.extra, at=f"{at}: extra"),
        "created_at": now,
        "updated_at": now,
    }


def opinion_rows(user: User) -> list[dict[str, Any]]:
    """Return the user's rows of `opinions`, in order."""
    return [opinion_row(opinion, user_id=user.id, position=position) for position, opinion in enumerate(user.opinions)]


def opinion_row(opinion: Opinion, *, user_id: str, position: int, entered: bool = False) -> dict[str, Any]:
    """Return the opinion's row of `opinions`."""
    at = f"user {user_id!r}: opinions[{position}]"
    return {
        "user_id": user_id,
        "position": position,
        "question": checked_text(opinion.question.text, at=f"{at}.question"),
        "choices": checked_json(opinion.question.choices, at=f"{at}.choices"),
        "ordinal": opinion.question.ordinal,
        "answer": checked_text(opinion.answer, at=f"{at}.answer"),
        "extra": checked_json(opinion.extra, at=f"{at}.extra"),
        "entered": entered,
    }


def user_from_rows(user: Mapping[str, Any] | RowMapping, opinions: Iterable[Mapping[str, Any] | RowMapping]) -> User:
    """Return the user from a row of `users` and its rows of `opinions`, in order.

    Raises:
        ValueError: the rows do not describe a valid user.
    """
    opinions = list(opinions)
    dumps([user["extra"], *(row["extra"] for row in opinions)]).encode()  # fails if a text in it was not UTF-8
    return User(
        id=user["id"],
        profile=UserProfile(user["profile"]),
        opinions=tuple(_opinion(row) for row in opinions),
        texts=user["texts"],
        extra=user["extra"],
    )


def _opinion(row: Mapping[str, Any] | RowMapping) -> Opinion:
    question = Question(text=row["question"], choices=row["choices"], ordinal=row["ordinal"])
    return Opinion(question=question, answer=row["answer"], extra=row["extra"])


def personalization_row(
    user_id: str, method: str, payload: Mapping[str, Any], tensors: bytes | None, *, now: datetime
) -> dict[str, Any]:
    """Return the row of `personalizations`."""
    learned = learned_columns(method, payload, tensors, at=f"data learned by {method} for user {user_id!r}", now=now)
    return {"user_id": user_id, **learned}


def learned_columns(
    method: str, payload: Mapping[str, Any], tensors: bytes | None, *, at: str, now: datetime
) -> dict[str, Any]:
    """Return the columns that rows of `personalizations` and `group_personalizations` have in common.

    Raises:
        ValueError: the method is blank, the payload is not a mapping, or the tensors have no bytes.
        StoreError: the payload is not strict JSON or contains text that cannot be stored, or the tensors are too large.
    """
    value = _checked_payload(method, payload, at=at)
    if tensors is not None and not tensors:
        raise ValueError("tensors are empty; pass None if there are none")
    if tensors is not None and len(tensors) > MAX_TENSORS:
        raise StoreError(
            f"{at}: tensors of {len(tensors) / _MIB:,.0f} MiB; a store keeps at most {MAX_TENSORS / _MIB:,.0f} MiB"
        )
    return {
        "method": method,
        "payload": value,
        "tensors": tensors,
        "digest": learned_digest(value, tensors),
        "created_at": now,
        "updated_at": now,
    }


def learned_digest(payload: object, tensors: bytes | None) -> str:
    """Return the SHA-256 (hex) of the payload if there are no tensors, otherwise of the digests of both."""
    if tensors is None:
        return digest(payload)
    return digest({"payload": digest(payload), "tensors": hashlib.sha256(tensors).hexdigest()})


def _checked_payload(method: str, payload: Mapping[str, Any], *, at: str) -> dict[str, Any]:
    if not method.strip():
        raise ValueError("method is blank")
    checked_text(method, at="method")
    value = checked_json(payload, at=at)
    if not isinstance(value, dict):
        raise ValueError(f"payload is a {type(payload).__name__}, must be a mapping")
    return value


def checkpoint_row(user_id: str, method: str, payload: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """Return the row of `checkpoints`; raise the same errors as `learned_columns`."""
    value = _checked_payload(method, payload, at=f"data learned by {method} for user {user_id!r}")
    return {
        "user_id": user_id,
        "method": method,
        "payload": value,
        "digest": digest(value),
        "updated_at": now,
    }


def personalization_from_row(row: Mapping[str, Any] | RowMapping) -> PersonalizationRecord:
    """Return the record of a row of `personalizations` or `group_personalizations`.

    Raises:
        DamagedError: the row's digest is wrong.
    """
    tensors = None if row["tensors"] is None else bytes(row["tensors"])
    if learned_digest(row["payload"], tensors) != row["digest"]:
        raise _damaged(row)
    return PersonalizationRecord(
        method=row["method"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        digest=row["digest"],
        payload=row["payload"],
        tensors=tensors,
    )


def checkpoint_from_row(row: RowMapping) -> CheckpointRecord:
    """Return the record of a row of `checkpoints`.

    Raises:
        DamagedError: the row's digest is wrong.
    """
    if digest(row["payload"]) != row["digest"]:
        raise _damaged(row)
    return CheckpointRecord(
        method=row["method"], updated_at=row["updated_at"], digest=row["digest"], payload=row["payload"]
    )


def _damaged(row: Mapping[str, Any] | RowMapping) -> DamagedError:
    whose, remedy = f"user {row.get('user_id')!r}", REMEDY
    if "user_id" not in row:
        whose, remedy = f"group {row['group_id']!r}", "fit the group again"
    return DamagedError(f"the data learned by {row['method']} for {whose} is damaged: its digest is wrong; {remedy}")
