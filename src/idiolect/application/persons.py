"""Everything that is held about one person: inspected, exported and forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from idiolect.application.owner import Owner
from idiolect.errors import BusyError, StoreError, UnknownUserError

# What deletes and searches is imported by the functions that need it: a look into the store is to be quick.
if TYPE_CHECKING:
    from idiolect.application.workspace import AsyncWorkspace
    from idiolect.erasure.holdings import Holdings
    from idiolect.erasure.receipt import Receipt
    from idiolect.models.calls.cache import CallCache
    from idiolect.people.user import User
    from idiolect.store import DamagedUser, PersonalizationRecord, Store, UserSummary


@dataclass(frozen=True, slots=True)
class Known:
    """Everything known about one user, with what was learned for them.

    Args:
        user: profile, opinions and texts.
        summary: counts of the user's data.
        learned: result of each method.
        entered: indices in `user.opinions` of opinions that were added one by one.
        groups: ids of the user's groups.
    """

    user: User
    summary: UserSummary
    learned: tuple[PersonalizationRecord, ...]
    entered: tuple[int, ...]
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExportedPerson:
    """Everything that is held about one user; `missed` lists caches that could not be opened, with the reasons."""

    holdings: Holdings
    missed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ToForget:
    """Counts of the data that forgetting a user would delete.

    Args:
        summary: counts of the user's data, or a mark that it is damaged; None if the store has no such user and only
            other data of theirs is left.
        unfinished: number of checkpoints.
        calls: number of cached calls that no other user shares.
        begun_edits: number of other people whose edits began at the edit of a group that was learned from the user.
    """

    summary: UserSummary | DamagedUser | None
    unfinished: int
    calls: int
    begun_edits: int = 0


async def known_about(workspace: AsyncWorkspace, user_id: str) -> Known:
    """Return everything known about a user, with what was learned for them.

    Raises:
        UnknownUserError: the store has no such user.
        StoreError: the store cannot be read.
    """
    return known_in(workspace.store, user_id)


def known_in(store: Store, user_id: str) -> Known:
    """Return what a store holds about a user, as `known_about` does, without a workspace."""
    user, entered = store.user_and_entered(user_id)  # at once, as somebody may change the user meanwhile
    return Known(
        user,
        store.summary(user_id),
        tuple(store.personalizations(user_id)),
        entered,
        store.groups.groups_of(user_id),
    )


async def export_person(workspace: AsyncWorkspace, user_id: str) -> ExportedPerson:
    """Collect everything that is held about a user.

    Raises:
        UnknownUserError: the store has no such user.
        StoreError, CacheError: the store or a cache cannot be read.
    """
    return export_from(workspace.store, user_id, held=_open_cache(workspace))


def export_from(store: Store, user_id: str, *, held: CallCache | None = None) -> ExportedPerson:
    """Collect what a store and its caches hold about a user, as `export_person` does, without a workspace.

    Args:
        store: the store.
        user_id: the user's id.
        held: a cache that the caller has open already.
    """
    from idiolect.erasure.caches import opened_caches
    from idiolect.erasure.holdings import holdings

    with opened_caches(store.database, tenant=store.tenant, held=held) as caches:
        return ExportedPerson(holdings(store, user_id, caches=caches.opened), caches.missed)


async def to_forget(workspace: AsyncWorkspace, user_id: str) -> ToForget:
    """Count the data that `forget` would delete.

    Raises:
        UnknownUserError: nothing is held about this user.
        StoreError, CacheError: the store or a cache cannot be read.
    """
    from idiolect.erasure.caches import opened_caches
    from idiolect.erasure.forgetting import has_leftovers

    store = workspace.store
    with opened_caches(store.database, tenant=store.tenant, held=_open_cache(workspace)) as caches:
        calls = sum(_count_calls(cache, user_id) for cache in caches.opened)
        try:
            begun = len(store.groups.begun_edits_with(user_id))
            return ToForget(_counted(store, user_id), store.count_checkpoints(user_id), calls, begun)
        except UnknownUserError:
            if not has_leftovers(store, user_id, caches.opened):
                raise
            return ToForget(None, 0, calls)


async def forget(workspace: AsyncWorkspace, user_id: str) -> Receipt:
    """Delete everything that is held about a user, search for traces, and return the receipt.

    Local models also drop their cached prompt prefixes.

    Raises:
        BusyError: a use case of this workspace holds the user's data; nothing was deleted.
        UnknownUserError: nothing is held about this user.
        StoreError: another process uses a cache (nothing was deleted), or the store cannot be written.
        CacheError: another process is forgetting a user, or a cache cannot be read or written.
    """
    from idiolect.erasure.forgetting import forget_user

    if workspace.works_on(Owner.user(user_id)):  # the use case could store new data after the receipt
        raise BusyError(f"a fit or a question is running for user {user_id!r}; wait until it has ended, or halt it")
    receipt = forget_user(workspace.store, user_id, cache=_open_cache(workspace))
    await workspace.forget_prompts()
    return receipt


def _counted(store: Store, user_id: str) -> UserSummary | DamagedUser:
    from idiolect.store import DamagedUser

    try:
        return store.summary(user_id)
    except UnknownUserError:
        raise
    except StoreError:  # if the store cannot be read at all, the next query fails as well
        return DamagedUser(user_id, user_id)


def _open_cache(workspace: AsyncWorkspace) -> CallCache | None:
    """Return the cache that this workspace has open, because an erasure must not open it a second time."""
    run = workspace.opened_run
    return None if run is None else run.calls.cache


def _count_calls(cache: CallCache, user_id: str) -> int:
    return sum(not call.shared for call in cache.calls_of(user_id))
