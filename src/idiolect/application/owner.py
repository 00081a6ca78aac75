"""`Owner`: the user or group that something was learned for, or that a question is asked about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Owner:
    """A user or a group, by id."""

    kind: Literal["user", "group"]
    id: str

    def __post_init__(self) -> None:
        if self.kind not in ("user", "group"):
            raise ValueError(f"kind is {self.kind!r}, must be 'user' or 'group'")

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"

    @classmethod
    def user(cls, user_id: str) -> Owner:
        """Return the owner for a user."""
        return cls("user", user_id)

    @classmethod
    def group(cls, group_id: str) -> Owner:
        """Return the owner for a group."""
        return cls("group", group_id)
