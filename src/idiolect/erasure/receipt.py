"""The receipt of an erasure: the deletions, the evidence that nothing is left, and the limits of that evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

_LIMITS = (
    "backups, snapshots and copies elsewhere, exports and recordings of calls are not looked at",
    "logs of the services that the models' calls went to are not looked at",
    "compressed and encrypted copies are not recognized",
    "a cached answer that cannot be read is deleted, and is not searched for",
    "a disk may keep the blocks of files that were shortened or removed",
)
_SERVER_LIMITS = (
    "the rows of every table were searched; the server's own files, its write-ahead log and its backups"
    " cannot be looked at from here (VACUUM FULL, and an end to old WAL segments, are its administrator's)",
    "caches of calls that other machines keep for this database are not looked at",
)


@dataclass(frozen=True, slots=True)
class Found:
    """The number of traces that a search found in each place (a file's path, or `rows of the database`)."""

    places: Mapping[str, int]

    @property
    def total(self) -> int:
        """The number of traces in all places."""
        return sum(self.places.values())


@dataclass(frozen=True, slots=True)
class Receipt:
    """The outcome of an erasure, and the evidence for it.

    Args:
        user_id: who was forgotten.
        erased_at: when it was finished.
        in_store: whether the store held the person; if not, only calls or artifacts of theirs were left.
        rows: rows deleted, by table.
        calls_deleted: cached results deleted, which only this person had.
        calls_shared: cached results left to other people with the same calls.
        artifacts: files deleted from the person's folder of artifacts.
        searched_files: number of files searched afterwards.
        searched_bytes: their size.
        canaries: number of distinctive strings that were looked for.
        before: the traces found before the deletion.
        after: the traces found afterwards; none, if all went well.
        unreadable: files that could not be read.
        caches_missed: caches that were used with the store and could not be searched, and why.
        unfinished: files that may still hold bytes of deleted data, and why; the next opening of the store finishes
            them.
        limits: what the search cannot show, in words.
    """

    user_id: str
    erased_at: datetime
    in_store: bool
    rows: Mapping[str, int]
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
        """Whether the search found the person before, and afterwards nothing, in the store and every cache.

        A person of whom nothing distinctive was held cannot be searched for: then the deleted rows are all there is.
        """
        searched = self.canaries == 0 or self.before.total > 0
        return searched and not (self.after.total or self.unreadable or self.caches_missed or self.unfinished)


def limits(*, on_server: bool) -> tuple[str, ...]:
    """Return what the search cannot show, in words; `on_server` if the database is not a file."""
    return _SERVER_LIMITS + _LIMITS if on_server else _LIMITS
