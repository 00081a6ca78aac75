"""Erasure: everything held about a person is deleted, and that nothing of it is left is shown, not promised.

    caches locked → canaries → found (so the search works) → delete: calls, artifacts, rows → scrub all → none found

Where it is cut off, nothing is lost track of: until the rows are deleted the person is there and can be forgotten
again; from then on a mark makes whoever opens the store scrub it (`scrubbing`).
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from idiolect.errors import CacheError, StoreError, UnknownUserError
from idiolect.models.calls.cache import CallCache, ForgottenCalls
from idiolect.models.calls.cache.claims import erasing
from idiolect.people.user import unstorable_part
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
from idiolect.store.companions import OpenedCaches, known_caches, opened_caches
from idiolect.store.database import Database
from idiolect.store.group_rows import learned_with, leave_groups
from idiolect.store.people_rows import known_user
from idiolect.store.receipt import Found, Receipt, limits
from idiolect.store.schema import checkpoints, group_members, group_sources, opinions, personalizations, users
from idiolect.store.scrubbing import mark, scrub, truncate_log, unmark
from idiolect.store.tensor_canaries import count_in_tensors, row_tensors, slices, tensors_of_others, unshared
from idiolect.store.users import Store

_log = logging.getLogger(__name__)
_TABLES = {
    "users": users.c.id,
    "opinions": opinions.c.user_id,
    "personalizations": personalizations.c.user_id,
    "checkpoints": checkpoints.c.user_id,
}
_GROUP_COLUMNS = (group_members.c.user_id, group_sources.c.user_id)


def artifact_folder(store_folder: Path, user_id: str) -> Path:
    """Where files learned for a user are kept, in a store that is a folder; it need not be there."""
    return store_folder / "artifacts" / hashlib.sha256(user_id.encode()).hexdigest()


def forget_user(store: Store, user_id: str, *, cache: CallCache | None = None) -> Receipt:
    """Delete everything held about the user, in the store and in every cache used with it, and look for what is left.

    It also works for a user of whom only calls or artifacts are left. As long as it takes, no one can open the caches.

    Args:
        store: where the user is.
        user_id: whom to forget.
        cache: a cache of the store that the caller has open; the others are opened here.

    Returns:
        The receipt. What could be deleted but not scrubbed yet is in it, as `unfinished`.

    Raises:
        UnknownUserError: neither the store nor a cache holds such a user.
        StoreError: another process uses a cache (nothing is deleted then), or the store cannot be written.
        CacheError: another process is forgetting a user, or a cache cannot be read or written.
    """
    database = store.database
    with opened_caches(database, held=cache) as caches, _alone(store, user_id, caches.opened) as in_store:
        search = _Search(store, caches.opened, _canaries(store, user_id, caches.opened, in_store=in_store))
        before, _ = search.run()
        deleted = _delete(store, user_id, caches.opened, in_store=in_store)
        unfinished = _scrub_all(database, user_id, caches.opened, deleted.mark)
        after, files, faults = _searched_again(search)
        return Receipt(
            user_id=user_id,
            erased_at=datetime.now(UTC),
            in_store=in_store,
            rows=deleted.rows,
            calls_deleted=sum(calls.deleted for calls in deleted.calls),
            calls_shared=sum(calls.unlinked for calls in deleted.calls),
            artifacts=deleted.artifacts,
            searched_files=len(files),
            searched_bytes=sum(file.bytes for file in files),
            canaries=len(search.canaries),
            before=before,
            after=after,
            unreadable=tuple(str(file.path) for file in files if not file.readable),
            caches_missed=caches.missed + _came_meanwhile(database, caches),
            unfinished=unfinished + faults,
            limits=limits(on_server=database.kind != "sqlite"),
        )


@contextmanager
def _alone(store: Store, user_id: str, caches: Sequence[CallCache]) -> Iterator[bool]:
    """Keep everybody else from the store's caches, those that are not there yet too; whether it holds the user.

    Raises:
        UnknownUserError: neither the store nor a cache holds such a user.
        StoreError: another process uses one of the caches.
        CacheError: another process is forgetting a user.
    """
    _is_held(store, user_id, caches)  # a slip of the pen waits for no lock
    with ExitStack() as stack:
        for path in _cache_paths(store.database, caches):
            if path.parent.is_dir():
                try:
                    stack.enter_context(erasing(path, lock_timeout=store.database.lock_timeout))
                except OSError as error:  # where no file can be made, no cache can be opened either
                    _log.warning("cache %s: cannot be locked: %s", path, error.strerror)
        for cache in caches:
            if cache.in_use_by_others():
                raise StoreError(
                    f"cache {cache.path}: another process is using it and might store calls of the user again;"
                    " wait until it has ended, or stop it"
                )
        yield _is_held(store, user_id, caches)


def _is_held(store: Store, user_id: str, caches: Sequence[CallCache]) -> bool:
    """Whether the store holds the user; False: only calls or artifacts are left.

    Raises:
        UnknownUserError: nothing is.
    """
    try:
        with store.database.reading() as connection:
            known_user(connection, user_id)
    except UnknownUserError:
        if not has_leftovers(store, user_id, caches):
            raise
        return False
    return True


def has_leftovers(store: Store, user_id: str, caches: Sequence[CallCache]) -> bool:
    """Whether there are calls in the caches, or artifacts, of this id."""
    if unstorable_part(user_id) is not None:
        return False
    folder = store.folder
    return any(cache.holds(user_id) for cache in caches) or (
        folder is not None and artifact_folder(folder, user_id).is_dir()
    )


def _cache_paths(database: Database, caches: Sequence[CallCache]) -> list[Path]:
    return list(dict.fromkeys([*known_caches(database), *(cache.path for cache in caches)]))


def _came_meanwhile(database: Database, caches: OpenedCaches) -> tuple[str, ...]:
    """Caches that were made while the erasure went on, in folders that were not there to lock them in."""
    before = {cache.path for cache in caches.opened}
    new = (path for path in known_caches(database) if path.exists() and path not in before)
    return tuple(
        f"cache {path}: was made during the erasure; forget the user once more"
        for path in new
        if not any(missed.startswith(f"cache {path}:") for missed in caches.missed)
    )


def _canaries(store: Store, user_id: str, caches: Sequence[CallCache], *, in_store: bool) -> list[frozenset[bytes]]:
    """What to look for: per canary, the ways in which it may be written."""
    texts, others = [user_id], list(own_words())
    numbers: list[bytes] = []
    if in_store:
        texts.extend(texts_of_user(store.user(user_id)))
        for payload, tensors in _learned(store, user_id):
            texts.extend(texts_of_learned(payload))
            numbers.extend(slices(tensors or b""))
    keys: list[bytes] = []
    for call in chain.from_iterable(cache.calls_of(user_id) for cache in caches):
        (others if call.shared else texts).extend(strings(call.result))
        others.append(call.model)
        if not call.shared:
            keys.append(bytes.fromhex(call.key))  # made of what the person said
    pieces = without_shared(candidates(texts), others)
    with store.database.reading() as connection:
        pieces = without_shared(pieces, texts_of_others(connection, user_id))
        numbers = unshared(numbers, tensors_of_others(connection, user_id))
    for cache in caches:
        pieces = without_shared(pieces, _results_of_others(store, user_id, cache))
    spelled = [frozenset(forms(piece)) for piece in pieces]
    spelled += [frozenset({key, key.hex().encode()}) for key in keys]
    return spelled + [frozenset({piece}) for piece in numbers]


def _learned(store: Store, user_id: str) -> Iterator[tuple[Mapping[str, Any], bytes | None]]:
    """All that was learned for the user, finished or not, and for groups with what they gave; payloads and tensors."""
    for record in store.personalizations(user_id):
        yield record.payload, record.tensors
    for checkpoint in store.checkpoints(user_id):
        yield checkpoint.payload, None
    with store.database.reading() as connection:
        for row in learned_with(connection, user_id):
            yield row["payload"], row["tensors"]


def _results_of_others(store: Store, user_id: str, cache: CallCache) -> Iterator[str]:
    for other in store.user_ids():
        if other != user_id:
            for call in cache.calls_of(other):
                yield from strings(call.result)


@dataclass(frozen=True, slots=True)
class _Deleted:
    rows: Mapping[str, int]
    mark: str
    calls: tuple[ForgottenCalls, ...]
    artifacts: int


def _delete(store: Store, user_id: str, caches: Sequence[CallCache], *, in_store: bool) -> _Deleted:
    """Delete rows last: until then the erasure can be repeated. Where there are none, the mark tells of it, first."""
    rows = None if in_store else _delete_rows(store.database, user_id)
    calls = tuple(cache.forget(user_id) for cache in caches)
    artifacts = _delete_artifacts(store.folder, user_id)
    counts, name = rows or _delete_rows(store.database, user_id)
    return _Deleted(counts, name, calls, artifacts)


def _scrub_all(database: Database, user_id: str, caches: Sequence[CallCache], name: str) -> tuple[str, ...]:
    """Leave no bytes of what is deleted; what kept this from being done. Then the mark of that name stays."""
    faults = _faults([*(partial(_scrub_cache, cache, user_id) for cache in caches), partial(scrub, database)])
    return faults or _faults([partial(unmark, database, [name]), partial(truncate_log, database)])


def _scrub_cache(cache: CallCache, user_id: str) -> None:
    cache.forget(user_id)  # what came since the first time, from who knows where
    cache.scrub()


def _faults(steps: Iterable[Callable[[], None]]) -> tuple[str, ...]:
    """Take every step; what they failed of."""
    faults = []
    for step in steps:
        try:
            step()
        except (StoreError, CacheError) as error:
            faults.append(str(error))
    return tuple(faults)


def _searched_again(search: _Search) -> tuple[Found, list[SearchedFile], tuple[str, ...]]:
    """What is found after the deletion, which is past undoing: a search that fails is a fault, not the end."""
    try:
        return *search.run(), ()
    except StoreError as error:
        return Found({}), [], (str(error),)


def _delete_rows(database: Database, user_id: str) -> tuple[dict[str, int], str]:
    """Delete the user's rows; how many of each table, and the mark of the erasure."""
    with database.writing() as connection:
        rows = {name: _count(connection, column, user_id) for name, column in _TABLES.items()}
        rows |= leave_groups(connection, user_id, now=datetime.now(UTC))  # what was learned with them goes as well
        connection.execute(users.delete().where(users.c.id == user_id))  # the others follow, by their foreign keys
        if any(_count(connection, column, user_id) for column in (*_TABLES.values(), *_GROUP_COLUMNS)):
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

    def __init__(self, store: Store, caches: Sequence[CallCache], canaries: list[frozenset[bytes]]) -> None:
        self.canaries = canaries
        self._store, self._caches = store, caches
        self._patterns = {form for canary in canaries for form in canary}

    def run(self) -> tuple[Found, list[SearchedFile]]:
        """What is found, and the files that were read."""
        database = self._store.database
        databases = [database.place.file, *_cache_paths(database, self._caches)]
        files = search_files(_files(self._store.folder, databases), self._patterns)
        found = {str(file.path): file.found for file in files if file.found}
        if database.place.file is None and (rows := self._in_rows()):
            found["rows of the database"] = rows
        return Found(found), files

    def _in_rows(self) -> int:
        with self._store.database.reading() as connection:
            in_texts = count_in_texts(self._patterns, row_texts(connection))
            return in_texts + count_in_tensors(self._patterns, row_tensors(connection))


def _files(folder: Path | None, databases: Iterable[Path | None]) -> dict[Path, str]:
    """Every file that could hold something: those below the store's folder, the databases, what lies beside them."""
    found = {} if folder is None else {path: str(path.relative_to(folder)) for path in _below(folder)}
    seen = set(map(os.path.realpath, found))
    for database in databases:
        if database is not None and database.parent.is_dir():
            beside = (path for path in database.parent.iterdir() if path.name.startswith(database.name))
            found |= {path: path.name for path in beside if path.is_file() and os.path.realpath(path) not in seen}
            seen.update(map(os.path.realpath, found))
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
