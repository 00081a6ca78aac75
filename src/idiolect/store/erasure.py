"""Erasure: everything held about a person is deleted, and that nothing of it is left is shown, not promised.

    canaries → found (so the search works) → delete: calls, artifacts, rows → scrub both databases → none found

Where it is cut off, nothing is lost track of: until the rows are deleted the person is there and can be forgotten
again; from then on a mark makes whoever opens the store scrub it (`scrubbing`).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from idiolect.errors import StoreError
from idiolect.models.calls.cache import CallCache
from idiolect.store.byte_search import SearchedFile, search_files
from idiolect.store.canaries import (
    candidates,
    count_in_texts,
    forms,
    own_words,
    row_texts,
    strings,
    texts_of_learned,
    texts_of_others,
    texts_of_user,
    without_shared,
)
from idiolect.store.database import Database
from idiolect.store.people_rows import known_user
from idiolect.store.schema import checkpoints, opinions, personalizations, users
from idiolect.store.scrubbing import mark, scrub, truncate_log, unmark
from idiolect.store.users import Store

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
_TABLES = {
    "users": users.c.id,
    "opinions": opinions.c.user_id,
    "personalizations": personalizations.c.user_id,
    "checkpoints": checkpoints.c.user_id,
}


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
        limits: what this does not tell, in words.
    """

    user_id: str
    erased_at: datetime
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
    limits: tuple[str, ...]

    @property
    def proven(self) -> bool:
        """Whether the search, which found the person before, finds nothing any more, in any file.

        A person of whom nothing distinctive was held cannot be searched for: then the deleted rows are all there is.
        """
        searched = self.canaries == 0 or self.before.total > 0
        return searched and not self.after.total and not self.unreadable


def artifact_folder(store_folder: Path, user_id: str) -> Path:
    """Where files learned for a user are kept, in a store that is a folder; it need not be there."""
    return store_folder / "artifacts" / hashlib.sha256(user_id.encode()).hexdigest()


def forget_user(store: Store, user_id: str, *, cache: CallCache | None) -> Receipt:
    """Delete everything held about the user, and look for what is left of it.

    Args:
        store: where the user is.
        user_id: whom to forget.
        cache: the store's cache of calls, opened; None where there is none.

    Raises:
        UnknownUserError: the store holds no such user.
        StoreError: another process uses the cache (nothing is deleted then) or the store (the erasure is finished when
            the store is opened next), or they cannot be written.
        CacheError: the cache cannot be read or written.
    """
    database = store.database
    with database.reading() as connection:
        known_user(connection, user_id)
    if cache is not None and cache.in_use_by_others():
        raise StoreError(
            f"cache {cache.path}: another process is using it and might store calls for user {user_id!r} again;"
            " wait until it has ended, or stop it"
        )
    search = _Search(store, cache, _canaries(store, user_id, cache))
    before, _ = search.run()
    calls = None if cache is None else cache.forget(user_id)
    artifacts = _delete_artifacts(store.folder, user_id)
    rows, marked = _delete_rows(database, user_id)
    if cache is not None:
        cache.scrub()
    scrub(database)
    unmark(database, [marked])
    truncate_log(database)
    after, files = search.run()
    return Receipt(
        user_id=user_id,
        erased_at=datetime.now(UTC),
        rows=rows,
        calls_deleted=calls.deleted if calls else 0,
        calls_shared=calls.unlinked if calls else 0,
        artifacts=artifacts,
        searched_files=len(files),
        searched_bytes=sum(file.bytes for file in files),
        canaries=len(search.canaries),
        before=before,
        after=after,
        unreadable=tuple(str(file.path) for file in files if not file.readable),
        limits=_LIMITS if database.kind == "sqlite" else _SERVER_LIMITS + _LIMITS,
    )


def _canaries(store: Store, user_id: str, cache: CallCache | None) -> list[frozenset[bytes]]:
    """What to look for: per canary, the ways in which it may be written."""
    texts, others = list(texts_of_user(store.user(user_id))), list(own_words())
    for payload in _learned(store, user_id):
        texts.extend(texts_of_learned(payload))
    keys: list[bytes] = []
    for call in () if cache is None else cache.calls_of(user_id):
        (others if call.shared else texts).extend(strings(call.result))
        others.append(call.model)
        if not call.shared:
            keys.append(bytes.fromhex(call.key))  # made of what the person said
    pieces = without_shared(candidates(texts), others)
    with store.database.reading() as connection:
        pieces = without_shared(pieces, texts_of_others(connection, user_id))
    if cache is not None:
        pieces = without_shared(pieces, _results_of_others(store, user_id, cache))
    spelled = [frozenset(forms(piece)) for piece in pieces]
    return spelled + [frozenset({key, key.hex().encode()}) for key in keys]


def _learned(store: Store, user_id: str) -> list[Mapping[str, Any]]:
    """All that was learned for the user, finished or not."""
    finished = [record.payload for record in store.personalizations(user_id)]
    return finished + [record.payload for record in store.checkpoints(user_id)]


def _results_of_others(store: Store, user_id: str, cache: CallCache) -> Iterator[str]:
    for other in store.user_ids():
        if other != user_id:
            for call in cache.calls_of(other):
                yield from strings(call.result)


def _delete_rows(database: Database, user_id: str) -> tuple[dict[str, int], str]:
    """Delete the user's rows; how many of each table, and the mark of the erasure."""
    with database.writing() as connection:
        rows = {name: _count(connection, column, user_id) for name, column in _TABLES.items()}
        connection.execute(users.delete().where(users.c.id == user_id))  # the others follow, by their foreign keys
        if any(_count(connection, column, user_id) for column in _TABLES.values()):
            raise StoreError(f"store {database.where}: rows of user {user_id!r} cannot be deleted")
        return rows, mark(connection)


def _count(connection: sa.Connection, column: sa.Column[Any], user_id: str) -> int:
    return connection.scalar(sa.select(sa.func.count()).where(column == user_id)) or 0


def _delete_artifacts(store_folder: Path | None, user_id: str) -> int:
    """Delete the user's folder of artifacts; how many files were in it."""
    folder = None if store_folder is None else artifact_folder(store_folder, user_id)
    if folder is None or not folder.is_dir():
        return 0
    count = sum(1 for path in folder.rglob("*") if not path.is_dir())
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise StoreError(f"{folder}: artifacts cannot be deleted: {error.strerror}") from error
    return count


class _Search:
    """The same search, before and after."""

    def __init__(self, store: Store, cache: CallCache | None, canaries: list[frozenset[bytes]]) -> None:
        self.canaries = canaries
        self._store, self._cache = store, cache
        self._patterns = {form for canary in canaries for form in canary}

    def run(self) -> tuple[Found, list[SearchedFile]]:
        """What is found, and the files that were read."""
        files = search_files(_files(self._store, self._cache), self._patterns)
        found = {str(file.path): file.found for file in files if file.found}
        if self._store.database.place.file is None and (rows := self._in_rows()):
            found["rows of the database"] = rows
        return Found(found), files

    def _in_rows(self) -> int:
        with self._store.database.reading() as connection:
            return count_in_texts(self._patterns, row_texts(connection))


def _files(store: Store, cache: CallCache | None) -> dict[Path, str]:
    """Every file that could hold something: those below the store's folder, the databases, what lies beside them."""
    found: dict[Path, str] = {}
    if store.folder is not None:
        found |= {path: str(path.relative_to(store.folder)) for path in _below(store.folder)}
    for database in (store.database.place.file, store.cache_path, cache.path if cache else None):
        if database is not None and database.parent.is_dir():
            beside = (path for path in database.parent.iterdir() if path.name.startswith(database.name))
            found |= {path: path.name for path in beside if path.is_file() and path not in found}
    return found


def _below(folder: Path) -> Iterator[Path]:
    """The files below a folder, and the folders that cannot be read: these are found out by reading them."""
    unreadable: list[Path] = []
    for where, _, names in os.walk(folder, onerror=lambda error: unreadable.append(Path(error.filename))):
        yield from (path for name in names if not _is_special(path := Path(where, name)))
    yield from unreadable


def _is_special(path: Path) -> bool:
    """Whether it is a device or a pipe, which has no end to read to."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False
