"""Everything that is held about one person: looked at, handed over, and forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from idiolect.errors import BusyError, UnknownUserError

# What deletes and searches is imported by the functions that need it: a look into the store is to be quick.
if TYPE_CHECKING:
    from idiolect.application.workspace import AsyncWorkspace
    from idiolect.erasure.holdings import Holdings
    from idiolect.erasure.receipt import Receipt
    from idiolect.models.calls.cache import CallCache
    from idiolect.people.user import User
    from idiolect.store import PersonalizationRecord, Store, UserSummary


@dataclass(frozen=True, slots=True)
class Known:
    """What is known and learned about one user.

    Args:
        user: profile, opinions and texts.
        summary: the same, counted.
        learned: what each method learned.
        entered: places in `user.opinions` of those that were added one by one.
        groups: ids of the groups that the user is in.
    """

    user: User
    summary: UserSummary
    learned: tuple[PersonalizationRecord, ...]
    entered: tuple[int, ...]
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExportedPerson:
    """Everything that is held about one user; `missed` names caches that could not be opened, with the reasons."""

    holdings: Holdings
    missed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ToForget:
    """What forgetting a user would delete.

    Args:
        summary: the user, counted; None where the store holds no such user and only things of theirs are left.
        unfinished: number of checkpoints.
        calls: number of cached calls that only they have.
    """

    summary: UserSummary | None
    unfinished: int
    calls: int


async def known_about(workspace: AsyncWorkspace, user_id: str) -> Known:
    """Return what is known and learned about a user.

    Raises:
        UnknownUserError: the store holds no such user.
        StoreError: the store cannot be read.
    """
    return known_in(workspace.store, user_id)


def known_in(store: Store, user_id: str) -> Known:
    """Return what a store holds about a user, as `known_about` does, without a workspace."""
    return Known(
        store.user(user_id),
        store.summary(user_id),
        tuple(store.personalizations(user_id)),
        store.entered(user_id),
        store.groups.groups_of(user_id),
    )


async def export_person(workspace: AsyncWorkspace, user_id: str) -> ExportedPerson:
    """Collect everything that is held about a user.

    Raises:
        UnknownUserError: the store holds no such user.
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

    with opened_caches(store.database, held=held) as caches:
        return ExportedPerson(holdings(store, user_id, caches=caches.opened), caches.missed)


async def to_forget(workspace: AsyncWorkspace, user_id: str) -> ToForget:
    """Count what `forget` would delete.

    Raises:
        UnknownUserError: nothing is held about such a user.
        StoreError, CacheError: the store or a cache cannot be read.
    """
    from idiolect.erasure.caches import opened_caches
    from idiolect.erasure.forgetting import has_leftovers

    store = workspace.store
    with opened_caches(store.database, held=_open_cache(workspace)) as caches:
        calls = sum(_count_calls(cache, user_id) for cache in caches.opened)
        try:
            return ToForget(store.summary(user_id), len(store.checkpoints(user_id)), calls)
        except UnknownUserError:
            if not has_leftovers(store, user_id, caches.opened):
                raise
            return ToForget(None, 0, calls)


async def forget(workspace: AsyncWorkspace, user_id: str) -> Receipt:
    """Delete everything that is held about a user, search for what is left, and return the receipt.

    Local models drop what they remember of prompts, too.

    Raises:
        BusyError: a use case of this workspace holds the user's data; nothing is deleted.
        UnknownUserError: nothing is held about such a user.
        StoreError: another process uses a cache (nothing is deleted then), or the store cannot be written.
        CacheError: another process is forgetting a user, or a cache cannot be read or written.
    """
    from idiolect.erasure.forgetting import forget_user

    if workspace.works_on(user_id):  # what it does next would be kept after the receipt
        raise BusyError(f"user {user_id!r} is being learned or asked here; wait until that has ended, or halt it")
    receipt = forget_user(workspace.store, user_id, cache=_open_cache(workspace))
    if workspace.opened_models is not None:
        await workspace.opened_models.forget_prompts()
    return receipt


def _open_cache(workspace: AsyncWorkspace) -> CallCache | None:
    """Return the cache that this workspace has open: nothing else may open it again for an erasure."""
    run = workspace.opened_run
    return None if run is None else run.calls.cache


def _count_calls(cache: CallCache, user_id: str) -> int:
    return sum(not call.shared for call in cache.calls_of(user_id))
