"""What was checked, and what was found lost, doubled or otherwise wrong."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field


@dataclass
class Tally:
    """The outcome of checks; several threads may add to it.

    Args:
        kills: processes that were killed.
        checks: things that were compared.
        lost: what should be there and is not.
        doubled: what is there more often than it should, or was done more often.
        wrong: any other fault.
    """

    kills: int = 0
    checks: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def faults(self) -> list[str]:
        """All that was found, in words."""
        kinds = (("lost", self.lost), ("doubled", self.doubled), ("wrong", self.wrong))
        return [f"{kind}: {what}" for kind, found in kinds for what in found]

    def same(self, what: str, found: Iterable[Hashable], expected: Iterable[Hashable]) -> None:
        """Compare two collections, in any order, item by item."""
        there, wanted = Counter(found), Counter(expected)
        with self._lock:
            self.checks += len(wanted | there)
            self.lost += [f"{what}: {each!r}" for each in (wanted - there)]
            self.doubled += [f"{what}: {each!r}" for each in (there - wanted)]

    def holds(self, what: str, condition: object) -> bool:
        """Note whether something holds that is neither lost nor doubled, and return it."""
        with self._lock:
            self.checks += 1
            if not condition:
                self.wrong.append(what)
        return bool(condition)

    def never(self, what: str, again: Iterable[Hashable]) -> None:
        """Note each thing that was done again, though it must not be."""
        with self._lock:
            self.checks += 1
            self.doubled += [f"{what}: {each!r}" for each in again]

    def all_there(self, what: str, found: Iterable[Hashable], expected: Iterable[Hashable]) -> None:
        """Note each thing that is missing."""
        there, wanted = set(found), set(expected)
        with self._lock:
            self.checks += len(wanted)
            self.lost += [f"{what}: {each!r}" for each in wanted - there]

    def add(self, other: Tally) -> None:
        """Add another tally to this one."""
        self.kills, self.checks = self.kills + other.kills, self.checks + other.checks
        self.lost, self.doubled = self.lost + other.lost, self.doubled + other.doubled
        self.wrong = self.wrong + other.wrong
