"""The receipt of an erasure: what was deleted, how it is known that nothing is left, and what that does not tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

_LIMITS = (
    "backups, snapshots and copies elsewhere, exports and recordings of calls are not looked at",
    "logs of the services that the models' calls went to are not looked at",
    "compressed and encrypted copies are not recognized",
    "a disk may keep the blocks of files that were shortened or removed",
)
_SERVER_LIMITS = (
    "the rows of every table were searched; the server's own files, its write-ahead log and its backups"
    " cannot be looked at from here (VACUUM FULL, and an end to old WAL segments, are its administrator's)",
    "caches of calls that other machines keep for this database are not looked at",
)


@dataclass(frozen=True, slots=True)
class Found:
    """Traces that a search found: how many in each place (a file's path, or `rows of the database`)."""

    places: Mapping[str, int]

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.places.values())


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an erasure did, and how it is known.

    Args:
        user_id: who was forgotten.
        erased_at: when it was finished.
        in_store: whether the store held the person; if not, only calls or artifacts of theirs were left.
        rows: rows deleted, by table.
        calls_deleted: cached results deleted, which only this person had.
        calls_shared: cached results left to the other people who asked the same.
        artifacts: files deleted from the person's folder of artifacts.
        searched_files: how many files were searched afterwards.
        searched_bytes: their size.
        canaries: how many distinctive strings were looked for.
        before: what the search found before the deletion.
        after: what it found afterwards; nothing, if all went well.
        unreadable: files that could not be read.
        caches_missed: caches that were used with the store and could not be looked into, and why.
        unfinished: what is deleted, but whose bytes may still be in the files, and why; whoever opens the store next
            finishes it.
        limits: what this does not tell, in words.
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
        """Whether the search, which found the person before, finds nothing any more, in any file of any cache.

        A person of whom nothing distinctive was held cannot be searched for: then the deleted rows are all there is.
        """
        searched = self.canaries == 0 or self.before.total > 0
        return searched and not (self.after.total or self.unreadable or self.caches_missed or self.unfinished)


def limits(*, on_server: bool) -> tuple[str, ...]:
    """Return what the search does not tell; `on_server` if the database is not a file."""
    return _SERVER_LIMITS + _LIMITS if on_server else _LIMITS
