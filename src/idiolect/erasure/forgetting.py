"""Forgetting: deleting all data about a person, then searching for remnants instead of promising that none exist.

    caches locked → canaries → found (so the search works) → delete: calls, artifacts, rows → scrub all → none found

An erasure may be interrupted at any point. Until the rows are deleted, the person is still in the store and can be
forgotten again. From then on, a mark makes the next opening of the store scrub it (`store.scrubbing`), and the receipt
is kept for whoever gave a key for it (`kept_receipts`).
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from idiolect.erasure import kept_receipts
from idiolect.erasure.byte_search import SearchedFile
from idiolect.erasure.caches import OpenedCaches, calls_of_other_tenants, opened_caches
from idiolect.erasure.canaries import (
    candidates,
    forms,
    own_words,
    strings,
    tensors_of_others,
    texts_of_others,
    unshared,
    without_shared,
)
from idiolect.erasure.person_rows import PersonRows, key_texts, read_person_rows
from idiolect.erasure.receipt import Found, Receipt, limits
from idiolect.erasure.searching import Search, cache_paths
from idiolect.erasure.served_rows import SERVED, served_texts
from idiolect.errors import CacheError, StoreError, UnknownUserError
from idiolect.models.calls.cache import CallCache
from idiolect.models.calls.cache.claims import erasing
from idiolect.paths import printable_path
from idiolect.people.user import unstorable_part
from idiolect.store.companions import known_caches
from idiolect.store.database import Database
from idiolect.store.group_rows import leave_groups, lock_groups_of
from idiolect.store.people_rows import check_known, lock_known
from idiolect.store.schema import (
    api_keys,
    checkpoints,
    group_members,
    group_sources,
    opinions,
    personalizations,
    users,
)
from idiolect.store.scrubbing import mark, scrub, truncate_log, unmark
from idiolect.store.tenant_rows import TenantConnection
from idiolect.store.users import Store

_log = logging.getLogger(__name__)
_TABLES = {
    "users": users.c.id,
    "opinions": opinions.c.user_id,
    "personalizations": personalizations.c.user_id,
    "checkpoints": checkpoints.c.user_id,
}
_SERVED = {table.name: table.c.user_id for table in SERVED}
_OTHER_COLUMNS = (group_members.c.user_id, group_sources.c.user_id, api_keys.c.user_id)


def artifact_folder(tenant_folder: Path, user_id: str) -> Path:
    """Return the folder of the files learned for a user, in `Store.tenant_folder`; it need not exist."""
    return tenant_folder / "artifacts" / hashlib.sha256(user_id.encode()).hexdigest()


def forget_user(store: Store, user_id: str, *, cache: CallCache | None = None, key: str | None = None) -> Receipt:
    """Delete all data about the user, in the store and in every cache used with it, and search for remnants.

    This also works for a user of whom only calls or artifacts are left. During the erasure nobody can open the caches.

    Args:
        store: the user's store.
        user_id: the id of the user to forget.
        cache: a cache of the store that the caller has open; the others are opened here.
        key: a random key of whoever asks, for whom the receipt is kept (`kept_receipts`); None: it is not.

    Returns:
        The receipt. Its `unfinished` names files that could not be scrubbed yet.

    Raises:
        UnknownUserError: neither the store nor a cache has such a user.
        StoreError: another process uses a cache (in this case nothing is deleted), or the store cannot be written.
        CacheError: another process is forgetting a user, or a cache cannot be read or written.
    """
    database = store.database
    name = None if key is None else kept_receipts.name_of(user_id, key)
    of_tenant = opened_caches(database, tenant=store.tenant, held=cache)
    with of_tenant as caches, _excluding_others(store, user_id, caches.opened) as in_store:
        held = read_person_rows(store, user_id) if in_store else None
        search = Search(store, caches.opened, _canaries(store, user_id, caches.opened, held))
        before, _ = search.run()
        draft = _draft(user_id, database, search, before, in_store=in_store, damaged=held is not None and held.damaged)
        draft, marked = _delete(store, caches.opened, draft, name)
        unfinished = _scrub_all(database, user_id, caches.opened, marked)
        after, files, faults = _searched_again(search)
        receipt = replace(
            draft,
            erased_at=datetime.now(UTC),
            searched_files=len(files),
            searched_bytes=sum(file.bytes for file in files),
            after=after,
            unreadable=tuple(printable_path(file.path) for file in files if not file.readable),
            caches_missed=caches.missed + _made_meanwhile(store, caches),
            unfinished=unfinished + faults,
        )
        if name is not None:
            kept_receipts.finish(store.rows, name, receipt)
        return receipt


def check_held(store: Store, user_id: str) -> None:
    """Check that there is something to forget about a user, without keeping anybody from anything.

    Raises:
        UnknownUserError: neither the store nor a cache has such a user.
        StoreError, CacheError: the store cannot be read, or another process is forgetting a user.
    """
    with opened_caches(store.database, tenant=store.tenant) as caches:
        _is_held(store, user_id, caches.opened)


def _draft(
    user_id: str, database: Database, search: Search, before: Found, *, in_store: bool, damaged: bool
) -> Receipt:
    """Return the receipt of an erasure that has searched, and deleted nothing yet."""
    return Receipt(
        user_id=user_id,
        erased_at=datetime.now(UTC),
        in_store=in_store,
        rows={},
        begun_edits_deleted=0,
        calls_deleted=0,
        calls_shared=0,
        artifacts=0,
        searched_files=0,
        searched_bytes=0,
        canaries=len(search.canaries),
        before=before,
        after=Found({}),
        unreadable=(),
        caches_missed=(),
        unfinished=(kept_receipts.UNFINISHED,),
        limits=limits(on_server=database.kind != "sqlite", damaged=damaged),
    )


@contextmanager
def _excluding_others(store: Store, user_id: str, caches: Sequence[CallCache]) -> Iterator[bool]:
    """Lock others out of the store's caches, even of those yet to be created; yield whether the store has the user."""
    _is_held(store, user_id, caches)  # a mistyped id fails before waiting for any lock
    with ExitStack() as stack:
        for path in cache_paths(store, caches):
            if path.parent.is_dir():
                try:
                    stack.enter_context(erasing(path, lock_timeout=store.database.lock_timeout))
                except OSError as error:  # if no lock file can be created, no cache can be opened there either
                    _log.warning("cache %s: cannot be locked: %s", path, error.strerror)
        for cache in caches:
            if cache.in_use_by_others():
                raise StoreError(
                    f"cache {printable_path(cache.path)}: another process or workspace is using it and might store"
                    " calls of the user again; wait until it has ended, or close it"
                )
        yield _is_held(store, user_id, caches)


def _is_held(store: Store, user_id: str, caches: Sequence[CallCache]) -> bool:
    """Return whether the store has the user; raise UnknownUserError if no calls or artifacts of them exist either."""
    try:
        with store.rows.reading() as connection:
            check_known(connection, user_id)
    except UnknownUserError:
        if not has_leftovers(store, user_id, caches):
            raise
        return False
    return True


def has_leftovers(store: Store, user_id: str, caches: Sequence[CallCache]) -> bool:
    """Return whether the caches have calls of this id, or the store has artifacts or API keys."""
    if unstorable_part(user_id) is not None:
        return False
    if any(cache.holds(user_id) for cache in caches):
        return True
    folder = store.tenant_folder
    if folder is not None and artifact_folder(folder, user_id).is_dir():
        return True
    with store.rows.reading() as connection:
        return connection.count(api_keys, api_keys.c.user_id == user_id) > 0


def _made_meanwhile(store: Store, caches: OpenedCaches) -> tuple[str, ...]:
    """Return warnings about caches created during the erasure, in folders that did not exist when locks were taken."""
    before = {cache.path for cache in caches.opened}
    known = known_caches(store.database, tenant=store.tenant)
    new = (path for path in known if path.exists() and path not in before)
    return tuple(
        f"cache {printable_path(path)}: was created during the erasure; forget the user again"
        for path in new
        if not any(missed.startswith(f"cache {printable_path(path)}:") for missed in caches.missed)
    )


def _canaries(
    store: Store, user_id: str, caches: Sequence[CallCache], held: PersonRows | None
) -> list[frozenset[bytes]]:
    """Return the canaries, each as the set of its spellings in bytes; `held` is what the person's rows contain."""
    texts, others = [user_id, *(held.texts if held else ()), *key_texts(store.rows, user_id)], list(own_words())
    texts.extend(served_texts(store.rows, user_id))
    keys: list[bytes] = []
    elsewhere_keys: set[bytes] = set()
    for call in chain.from_iterable(cache.calls_of(user_id) for cache in caches):
        (others if call.shared else texts).extend(strings(call.result))
        others.append(call.model)
        if not call.shared:
            keys.append(bytes.fromhex(call.key))  # a hash of the person's texts
    elsewhere = [_results_of_others(store, user_id, cache) for cache in caches]
    for call in calls_of_other_tenants(store.database, tenant=store.tenant):
        others.extend(strings(call.result))
        others.append(call.model)
        elsewhere_keys.add(bytes.fromhex(call.key))
    pieces = without_shared(candidates(texts), chain(others, _rows_of_others(store, user_id), *elsewhere))
    with store.rows.reading() as connection:
        numbers = unshared(held.numbers if held else (), tensors_of_others(connection, user_id))
    spelled = [frozenset(forms(piece)) for piece in pieces]
    spelled += [frozenset({key, key.hex().encode()}) for key in keys if key not in elsewhere_keys]
    return spelled + [frozenset({piece}) for piece in numbers]


def _rows_of_others(store: Store, user_id: str) -> Iterator[str]:
    with store.rows.reading() as connection:
        yield from texts_of_others(connection, user_id)


def _results_of_others(store: Store, user_id: str, cache: CallCache) -> Iterator[str]:
    with store.rows.reading() as connection:
        ids = connection.scalars(connection.select(users, users.c.id).where(users.c.id != user_id)).all()
    for other in ids:
        if isinstance(other, str) and unstorable_part(other) is None:  # otherwise damaged; no call has such an owner
            for call in cache.calls_of(other):
                yield from strings(call.result)


def _delete(store: Store, caches: Sequence[CallCache], draft: Receipt, name: str | None) -> tuple[Receipt, str]:
    """Delete all data, rows last, because the erasure can be repeated until then; without rows, set the mark first.

    Args:
        store: the store.
        caches: the caches of calls.
        draft: the receipt before the deletion.
        name: name under which the receipt is kept; None: it is not.

    Returns:
        The receipt with what was deleted, and the mark of the erasure.
    """
    if draft.in_store:
        return _delete_rows(store, _delete_files(store, caches, draft), name)
    deleted, marked = _delete_rows(store, draft, name)
    return _delete_files(store, caches, deleted), marked


def _delete_files(store: Store, caches: Sequence[CallCache], draft: Receipt) -> Receipt:
    """Delete calls and artifacts, and return the receipt with their numbers."""
    calls = [cache.forget(draft.user_id) for cache in caches]
    return replace(
        draft,
        calls_deleted=sum(each.deleted for each in calls),
        calls_shared=sum(each.unlinked for each in calls),
        artifacts=_delete_artifacts(store.tenant_folder, draft.user_id),
    )


def _scrub_all(database: Database, user_id: str, caches: Sequence[CallCache], name: str) -> tuple[str, ...]:
    """Remove all bytes of deleted data, then the mark; return the faults that prevented it (the mark then stays)."""
    faults = _faults([*(partial(_scrub_cache, cache, user_id) for cache in caches), partial(scrub, database)])
    return faults or _faults([partial(unmark, database, [name]), partial(truncate_log, database)])


def _scrub_cache(cache: CallCache, user_id: str) -> None:
    cache.forget(user_id)  # again, because a call may have ended since the first time
    cache.scrub()


def _faults(steps: Iterable[Callable[[], None]]) -> tuple[str, ...]:
    """Run every step, even if an earlier one failed, and return the messages of the failures."""
    faults = []
    for step in steps:
        try:
            step()
        except (StoreError, CacheError) as error:
            faults.append(str(error))
    return tuple(faults)


def _searched_again(search: Search) -> tuple[Found, list[SearchedFile], tuple[str, ...]]:
    """Search after the deletion. Because that cannot be undone, a failed search becomes a fault in the receipt."""
    try:
        return *search.run(), ()
    except StoreError as error:
        return Found({}), [], (str(error),)


def _delete_rows(store: Store, draft: Receipt, name: str | None) -> tuple[Receipt, str]:
    """Delete the user's rows, and those of others that contain what a group had learned from the user.

    Returns:
        The receipt with their numbers, which is kept if there is a name for it, and the mark of the erasure.
    """
    user_id = draft.user_id
    with store.rows.writing() as connection:
        lock_groups_of(connection, user_id)
        with suppress(UnknownUserError):  # only calls, artifacts or keys of theirs are left
            lock_known(connection, user_id, deleting=True)
        rows = {table: _count(connection, column, user_id) for table, column in _TABLES.items()}
        served = {table: _count(connection, column, user_id) for table, column in _SERVED.items()}
        rows |= {table: count for table, count in served.items() if count}
        left = leave_groups(connection, user_id, now=datetime.now(UTC))  # deletes data that groups learned from them
        rows |= {table: rows.get(table, 0) + count for table, count in left.rows.items()}
        if keys := connection.changed(connection.delete(api_keys).where(api_keys.c.user_id == user_id)):
            rows["api_keys"] = keys
        connection.execute(connection.delete(users).where(users.c.id == user_id))  # cascades to the other tables
        if any(
            _count(connection, column, user_id) for column in (*_TABLES.values(), *_SERVED.values(), *_OTHER_COLUMNS)
        ):
            raise StoreError(f"store {store.where}: could not delete all rows of user {user_id!r}")
        deleted = replace(draft, erased_at=datetime.now(UTC), rows=rows, begun_edits_deleted=len(left.begun_edits))
        if name is not None:
            kept_receipts.begin(connection, name, deleted)
        return deleted, mark(connection.whole)


def _count(connection: TenantConnection, column: sa.Column[Any], user_id: str) -> int:
    return connection.count(column.table, column == user_id)


def _delete_artifacts(tenant_folder: Path | None, user_id: str) -> int:
    """Delete the user's folder of artifacts and return the number of files that were in it."""
    folder = None if tenant_folder is None else artifact_folder(tenant_folder, user_id)
    if folder is None or not folder.is_dir():
        return 0
    count = sum(1 for path in folder.rglob("*") if not path.is_dir())
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise StoreError(f"{folder}: artifacts cannot be deleted: {error.strerror}") from error
    return count
