"""`Store`, which keeps users and the data learned for them between runs.

Users are values of `people`; learned payloads are plain JSON. Every call is its own transaction, so nothing is ever
half written. A `Store` may be used from several threads, and a folder by several processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

from idiolect.errors import NotFittedError, StoreError
from idiolect.people.user import Opinion, User, unstorable_part
from idiolect.store.companions import cache_path, drop_note, note
from idiolect.store.database import Database
from idiolect.store.faults import damage_errors, damage_of, damaged
from idiolect.store.groups import Groups
from idiolect.store.learned_rows import all_learned, of, put_learned, read_learned, unverified
from idiolect.store.opening import locate, open_engine
from idiolect.store.people_rows import (
    batches,
    check_known,
    entered_places,
    page_of_ids,
    page_of_summaries,
    put_opinion,
    read_summary,
    read_user,
    read_user_with,
    remove_opinion,
    save_batch,
)
from idiolect.store.records import (
    CheckpointRecord,
    DamagedUser,
    PersonalizationRecord,
    SavedUsers,
    UserSummary,
    checkpoint_from_row,
    checkpoint_row,
    personalization_from_row,
    personalization_row,
)
from idiolect.store.schema import checkpoints, personalizations
from idiolect.store.scrubbing import finish_interrupted
from idiolect.store.started_rows import put_personalization, replace_personalization
from idiolect.store.tenancy import check_tenant, checked_tenant, create_tenant, tenant_folder
from idiolect.store.tenant_rows import TenantDatabase

_LOCK_TIMEOUT = 10.0


class Store:
    """A store of the users of one tenant. Open it with `Store.open`; close it, or use it as a context manager.

    Methods that read or write raise `StoreError` if the store cannot be read or written, or is damaged, and
    `UnknownUserError` for an id of a user that the store does not have.

    Attributes:
        where: the folder or URL, printable (without password).
        folder: the folder by which the store was named; None for a URL.
        groups: the groups of these users.
        tenant: the id of the tenant whose users and groups these are.
        database: the opened database, with the rows of all tenants, for the erasure.
        rows: the tenant's rows, for the erasure.
        finished_erasures: the number of interrupted erasures that the opening of this store has finished.
    """

    def __init__(self, database: Database, tenant: str, *, opened_by: Store | None = None) -> None:
        self.database, self.tenant = database, tenant
        self.rows = TenantDatabase(database, tenant)
        self.groups = Groups(self.rows)
        self.where, self.folder = database.where, database.place.folder
        self._is_view = opened_by is not None
        # Tenants and paths that `cache_path` noted, each with whether the note is new.
        self._noted_caches: dict[tuple[str, Path], bool] = {} if opened_by is None else opened_by._noted_caches
        self.finished_erasures: int = finish_interrupted(database) if opened_by is None else opened_by.finished_erasures

    @classmethod
    def open(
        cls, target: str | Path | None = None, *, tenant: str, create: bool = True, lock_timeout: float = _LOCK_TIMEOUT
    ) -> Store:
        """Open the store and migrate it to the newest revision; an interrupted erasure is finished first.

        Args:
            target: a folder (which contains `idiolect.db`), or a SQLAlchemy URL; None means `$IDIOLECT_STORE` or, if
                that is not set, the user's data folder.
            tenant: the tenant whose users and groups these are; those who know of only one name `DEFAULT_TENANT`.
            create: create the folder (mode 0700), the store and the tenant if there is none.
            lock_timeout: seconds to wait for a lock of another process.

        Raises:
            StoreError: there is no store or tenant and `create` is false; the tenant's id is not valid; or the database
                is not a store, was made by a newer Idiolect, is locked or is not readable.
        """
        place = locate(target)
        checked_tenant(tenant)
        engine = open_engine(place, create=create, lock_timeout=lock_timeout)
        database = Database(engine, place, lock_timeout=lock_timeout)
        try:
            if create:
                create_tenant(database, tenant)
            check_tenant(database, tenant)
            return cls(database, tenant)
        except BaseException:
            database.close()
            raise

    def of_tenant(self, tenant: str, *, create: bool = False) -> Store:
        """Return a view of the same opened database for another tenant; closing it closes nothing.

        Args:
            tenant: the tenant's id.
            create: create the tenant if there is none.

        Raises:
            StoreError: there is no such tenant and `create` is false; its id is not valid; or the store cannot be read,
                or written.
        """
        if create:
            create_tenant(self.database, tenant)
        check_tenant(self.database, tenant)
        return Store(self.database, tenant, opened_by=self)

    @property
    def tenant_folder(self) -> Path | None:
        """The folder of the tenant's cache and artifacts; None for a URL. For the default tenant, it is `folder`."""
        return None if self.folder is None else tenant_folder(self.folder, self.tenant)

    @property
    def cache_path(self) -> Path:
        """The path of the cache of calls made for these users; neither it nor its folder need exist.

        This is `calls.db` in the store's folder, or in a folder of the tenant's below it. For a store named by a URL,
        it is a file below `$IDIOLECT_CACHE` or, if that is not set, below the user's cache folder. Reading this
        property notes the path in the store, so that an erasure looks there. If no cache exists there when the store is
        closed, the note is dropped.

        Raises:
            StoreError: the path cannot be noted.
            CacheError: `$IDIOLECT_CACHE` begins with the home folder of an unknown user.
        """
        path = cache_path(self.database.place, self.tenant)
        if (self.tenant, path) not in self._noted_caches:
            self._noted_caches[self.tenant, path] = note(self.database, path, tenant=self.tenant)
        return path

    def close(self) -> None:
        """Close every connection; neither the store nor its views can be used afterwards. A view closes nothing."""
        if self._is_view:
            return
        for (tenant, path), is_new in self._noted_caches.items():
            with suppress(StoreError):  # a needless note does no harm
                if path.exists():
                    note(self.database, path, tenant=tenant)  # again, because another process may have dropped the note
                elif is_new:
                    drop_note(self.database, path, tenant=tenant)
        self._noted_caches.clear()
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def save_users(self, people: Iterable[User]) -> SavedUsers:
        """Add users; replace those whose id is already in the store.

        The data learned for them stays. Every opinion from `put_opinion` stays too, and replaces a new one on the same
        question. If a user answered a question more than once, only the newest answer is saved (`newest_answers`).

        This is one transaction: if the iterable raises, or a user cannot be stored, the store does not change.

        Raises:
            StoreError: a user contains something that cannot be stored, or the store cannot be written.
        """
        saved = SavedUsers()
        with self.rows.writing() as connection:
            for batch in batches(people):
                with damage_errors(self.where):
                    saved += save_batch(connection, batch, now=datetime.now(UTC))
        return saved

    def put_opinion(self, user_id: str, opinion: Opinion) -> Literal["added", "replaced"]:
        """Add an opinion at the end, or replace the one on the same question with the same choices, in its place.

        Questions are the same if their whole texts and their ordered choices are equal.

        Raises:
            StoreError: the opinion contains something that cannot be stored, or the store cannot be written.
        """
        with self.rows.writing() as connection, damage_of(user_id):
            return put_opinion(connection, user_id, opinion, now=datetime.now(UTC))

    def remove_opinion(self, user_id: str, question: str, choices: Sequence[str] | None = None) -> bool:
        """Delete the user's opinion on a question, whether it came from a users file or from `put_opinion`.

        Args:
            user_id: the user's id.
            question: the question's whole text.
            choices: the question's choices, in order; empty for a question without choices; None for any choices.

        Returns:
            Whether there was one.

        Raises:
            StoreError: `choices` is None and there are several opinions on that question; the user has no other opinion
                and no text; or the store cannot be written.
        """
        named = None if choices is None else tuple(choices)
        with self.rows.writing() as connection, damage_of(user_id):
            return remove_opinion(connection, user_id, question, named, now=datetime.now(UTC))

    def user(self, user_id: str) -> User:
        """Return the user."""
        with self.rows.reading() as connection, damage_of(user_id):
            return read_user(connection, user_id)

    def user_and_entered(self, user_id: str) -> tuple[User, tuple[int, ...]]:
        """Return the user and the indices of their opinions that came from `put_opinion`, from a single state."""
        with self.rows.reading() as connection, damage_of(user_id):
            return read_user(connection, user_id), entered_places(connection, user_id)

    def user_with(self, user_id: str, method: str) -> tuple[User, PersonalizationRecord | None]:
        """Return the user and what the method learned for them, None if nothing, from a single state of the store.

        This takes half the time of `user` and `find_personalization`, in PostgreSQL a third.
        """
        with self.rows.reading_once() as connection, damage_of(user_id):
            if (found := read_user_with(connection, user_id, method)) is not None:
                return found[0], None if found[1] is None else personalization_from_row(found[1])
        return self.user(user_id), None  # or the error for an unknown user

    def user_ids(self) -> Iterator[str]:
        """Yield every user's id, in order; read page by page."""
        return self.rows.pages(page_of_ids, key=str)

    def users(self) -> Iterator[UserSummary]:
        """Yield every user's summary, in the order of their ids; read page by page.

        Raises:
            StoreError: the data of a user is damaged; the message names them. `listed` goes on after such a user.
        """
        for user in self.listed():
            if isinstance(user, DamagedUser):
                raise damaged(user.id)
            yield user

    def listed(self) -> Iterator[UserSummary | DamagedUser]:
        """Yield the same as `users`, with a `DamagedUser` in place of the summary of a user whose data is damaged."""
        return self.rows.pages(page_of_summaries, key=lambda row: row.key if isinstance(row, DamagedUser) else row.id)

    def summary(self, user_id: str) -> UserSummary:
        """Return the user's summary."""
        with self.rows.reading() as connection, damage_of(user_id):
            return read_summary(connection, user_id)

    def save_personalization(
        self, user_id: str, method: str, payload: Mapping[str, Any], tensors: bytes | None = None
    ) -> None:
        """Save the data that a method learned for the user; replace its earlier data.

        Args:
            user_id: the user's id.
            method: the method's name.
            payload: the learned data, as JSON.
            tensors: learned data that is not JSON: the bytes of a safetensors file, at most `MAX_TENSORS`.

        Raises:
            ValueError: the method is blank, the payload is not a mapping, or the tensors have no bytes.
            StoreError: the payload is not strict JSON; the tensors are too large; the payload's `started_from` names a
                group whose edit it began at, and which does not have that edit any more (in this case nothing is
                saved); or the store cannot be written.
        """
        row = personalization_row(user_id, method, payload, tensors, now=datetime.now(UTC))
        with self.rows.writing() as connection, damage_of(user_id):
            put_personalization(connection, row)

    def compare_and_save_personalization(
        self,
        user_id: str,
        method: str,
        payload: Mapping[str, Any],
        tensors: bytes | None = None,
        *,
        expected_digest: str | None,
    ) -> bool:
        """Save the data that a method learned, unless the saved data has changed since the caller read it.

        Args:
            user_id, method, payload, tensors: as for `save_personalization`, which raises the same errors.
            expected_digest: the digest of the record that the caller read; None if there was none.

        Returns:
            Whether the data was saved.
        """
        row = personalization_row(user_id, method, payload, tensors, now=datetime.now(UTC))
        with self.rows.writing() as connection, damage_of(user_id):
            return replace_personalization(connection, row, expected_digest=expected_digest)

    def personalization(self, user_id: str, method: str) -> Mapping[str, Any]:
        """Return the data that the method learned for the user, without tensors.

        Raises:
            NotFittedError: the method has learned nothing for this user.
        """
        return self.personalization_record(user_id, method).payload

    def personalization_record(self, user_id: str, method: str) -> PersonalizationRecord:
        """Return the data that the method learned for the user, with its tensors, digest and dates.

        Raises:
            NotFittedError: the method has learned nothing for this user.
        """
        record = self.find_personalization(user_id, method)
        if record is None:
            raise NotFittedError(method, user_id)
        return record

    def find_personalization(self, user_id: str, method: str) -> PersonalizationRecord | None:
        """Return the same as `personalization_record`, but None if the method has learned nothing for the user."""
        with self.rows.reading() as connection, damage_of(user_id):
            row = read_learned(connection, personalizations, user_id, method)
            return None if row is None else personalization_from_row(row)

    def unverified_personalization(self, user_id: str, method: str) -> tuple[str | None, object]:
        """Return the digest and the payload of learned data that may be damaged, without verifying either.

        Returns:
            The digest as `compare_and_save_personalization` expects it, or None if the method has learned nothing for
            the user, and the payload, which may be any JSON value, or None if it cannot be read.

        Raises:
            UnknownUserError: there is no such user.
            StoreError: the store cannot be read.
        """
        with self.rows.reading() as connection:
            return unverified(connection, user_id, method)

    def personalizations(self, user_id: str) -> list[PersonalizationRecord]:
        """Return all records of data learned for the user, in the order of their methods."""
        with self.rows.reading() as connection, damage_of(user_id):
            return [personalization_from_row(row) for row in all_learned(connection, personalizations, user_id)]

    def personalization_digests(self, user_id: str) -> dict[str, str]:
        """Return the digest of each record of data learned for the user, by method; empty if there is no such user.

        The data is not read, so this is the quick way to find out whether it has changed.
        """
        if unstorable_part(user_id) is not None:
            return {}
        columns = personalizations.c.method, personalizations.c.digest
        with self.rows.reading() as connection, damage_of(user_id):
            chosen = connection.select(personalizations, *columns).where(personalizations.c.user_id == user_id)
            rows = connection.execute(chosen)
            return {row.method: row.digest for row in rows}

    def save_checkpoint(self, user_id: str, method: str, payload: Mapping[str, Any]) -> None:
        """Save a checkpoint of the method's learning; replace the one before. It is durable on return.

        Raises:
            ValueError: the method is blank, or the payload is not a mapping.
            StoreError: the payload is not strict JSON, or the store cannot be written.
        """
        row = checkpoint_row(user_id, method, payload, now=datetime.now(UTC))
        with self.rows.writing() as connection, damage_of(user_id):
            put_learned(connection, checkpoints, row)

    def checkpoint(self, user_id: str, method: str) -> Mapping[str, Any] | None:
        """Return the checkpoint of the method's learning; None if there is none."""
        with self.rows.reading() as connection, damage_of(user_id):
            row = read_learned(connection, checkpoints, user_id, method)
            return None if row is None else checkpoint_from_row(row).payload

    def drop_checkpoint(self, user_id: str, method: str) -> None:
        """Delete the checkpoint, if there is one."""
        if unstorable_part(user_id) is None and unstorable_part(method) is None:
            with self.rows.writing() as connection, damage_of(user_id):
                connection.execute(connection.delete(checkpoints).where(*of(checkpoints, user_id, method)))

    def count_checkpoints(self, user_id: str) -> int:
        """Return the number of the user's checkpoints, even if they are damaged."""
        with self.rows.reading() as connection:
            check_known(connection, user_id)
            return connection.count(checkpoints, checkpoints.c.user_id == user_id)

    def checkpoints(self, user_id: str) -> list[CheckpointRecord]:
        """Return every checkpoint of the user, in the order of their methods."""
        with self.rows.reading() as connection, damage_of(user_id):
            return [checkpoint_from_row(row) for row in all_learned(connection, checkpoints, user_id)]
