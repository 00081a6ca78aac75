"""Unreadable records of a published data set, which are left out, counted and listed, never in people's own words."""

from __future__ import annotations

from dataclasses import dataclass, field

MAX_BROKEN_KEPT = 1000
"""Maximum number of broken records of a data set that are kept; further ones are only counted."""


@dataclass(frozen=True, slots=True)
class BrokenRecord:
    """One record that was left out; printed as `place: what is wrong`.

    Args:
        place: the record's place, such as "dev_questions.json: question 110" or "info.csv:12".
        message: the fault in plain words, without anything that a person said.
    """

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


@dataclass(frozen=True, slots=True)
class BrokenRecords:
    """The broken records of a data set: their number, and the first `MAX_BROKEN_KEPT` of them."""

    count: int = 0
    first: tuple[BrokenRecord, ...] = ()

    def __add__(self, other: BrokenRecords) -> BrokenRecords:
        return BrokenRecords(self.count + other.count, (*self.first, *other.first)[:MAX_BROKEN_KEPT])


@dataclass(slots=True)
class BrokenRecordsLog:
    """A log of broken records, filled while a data set is read."""

    count: int = 0
    _first: list[BrokenRecord] = field(default_factory=list)

    def add(self, place: str, message: str) -> None:
        """Add one broken record."""
        self.count += 1
        if len(self._first) < MAX_BROKEN_KEPT:
            self._first.append(BrokenRecord(place, message))

    @property
    def records(self) -> BrokenRecords:
        """The broken records so far."""
        return BrokenRecords(self.count, tuple(self._first))
