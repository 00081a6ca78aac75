"""The receipt of an erasure: the deletions, the evidence that nothing is left, and the limits of that evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

_LIMITS = (
    "backups, snapshots and copies elsewhere, exports and recordings of calls are not searched",
    "folders that groups save has written elsewhere, and what began at such a copy, are not searched",
    "logs of the services that received the models' calls are not searched",
    "compressed and encrypted copies are not recognized",
    "a cached answer that cannot be read is deleted, but its text is not searched for",
    "a disk may keep the blocks of files that were shortened or removed",
)
_DAMAGED_LIMITS = (
    "some of the person's data was damaged: it was deleted, but could be searched for only as far as its stored text"
    " could be read",
)
_SERVER_LIMITS = (
    "the rows of every table were searched, and the tables vacuumed as far as this login may; the server's own files,"
    " its write-ahead log, its replicas and its backups cannot be searched from here (its administrator has to run"
    " VACUUM FULL and remove old WAL segments)",
    "caches of calls that other machines keep for this database are not searched",
)


@dataclass(frozen=True, slots=True)
class Found:
    """The number of traces that a search found in each place (a file's path, or `rows of the database`)."""

    places: Mapping[str, int]

    @property
    def total(self) -> int:
        """Number of traces in all places."""
        return sum(self.places.values())


@dataclass(frozen=True, slots=True)
class Receipt:
    """The outcome of an erasure, and the evidence for it.

    Args:
        user_id: id of the person who was forgotten.
        erased_at: time at which the erasure was finished.
        in_store: whether the store had the person; if not, only calls or artifacts of theirs were left.
        rows: number of deleted rows, by table.
        begun_edits_deleted: number of other people whose edits are among these rows, because they began at the edit of
            a group that was learned from this person.
        calls_deleted: number of deleted cached results, which only this person had.
        calls_shared: number of cached results left to other people with the same calls.
        artifacts: number of files deleted from the person's folder of artifacts.
        searched_files: number of files searched afterwards.
        searched_bytes: total size of these files.
        canaries: number of distinctive strings that were searched for.
        before: traces found before the deletion.
        after: traces found afterwards; none if all went well.
        unreadable: files that could not be read.
        caches_missed: caches that were used with the store and could not be searched, each with the reason.
        unfinished: files that may still contain bytes of deleted data, each with the reason; the next opening of the
            store scrubs them.
        limits: the limits of the search, in words.
    """

    user_id: str
    erased_at: datetime
    in_store: bool
    rows: Mapping[str, int]
    begun_edits_deleted: int
    calls_deleted: int
    calls_shared: int
    artifacts: int
    searched_files: int
    searched_bytes: int
    canaries: int
    before: Found
    after: Found
    unreadable: tuple[str, ...]
    caches_missed: tuple[str, ...]
    unfinished: tuple[str, ...]
    limits: tuple[str, ...]

    @property
    def proven(self) -> bool:
        """Whether the search found the person before and nothing afterwards, in the store and in every cache.

        A person without any distinctive data cannot be searched for; the deleted rows are then the only evidence.
        """
        searched = self.canaries == 0 or self.before.total > 0
        return searched and not (self.after.total or self.unreadable or self.caches_missed or self.unfinished)


def limits(*, on_server: bool, damaged: bool = False) -> tuple[str, ...]:
    """Return the limits of the search, in words.

    Args:
        on_server: whether the database is not a file.
        damaged: whether some of the person's data was damaged.
    """
    return (*(_DAMAGED_LIMITS if damaged else ()), *(_SERVER_LIMITS if on_server else ()), *_LIMITS)
