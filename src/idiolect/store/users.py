"""`Store`: users, and what was learned for them, kept between runs.

`people` values go in and come out; what a method learned goes in and comes out as plain JSON. Every call is its own
transaction, and nothing is half written. A `Store` may be used from several threads, and a folder by several processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from idiolect.errors import NotFittedError, StoreError
from idiolect.people.user import Opinion, User, unstorable_part
from idiolect.store.companions import drop_note, note
from idiolect.store.database import Database
from idiolect.store.groups import Groups
from idiolect.store.learned_rows import all_learned, held_digest, of, put_learned, read_learned
from idiolect.store.opening import locate, open_engine
from idiolect.store.people_rows import (
    batches,
    entered_places,
    known_user,
    page_of_ids,
    page_of_summaries,
    put_opinion,
    read_summary,
    read_user,
    remove_opinion,
    save_batch,
)
from idiolect.store.records import (
    CheckpointRecord,
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

_LOCK_TIMEOUT = 10.0


class Store:
    """What is kept about users. Open with `Store.open`; close, or use as a context manager."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._asked_caches: dict[Path, bool] = {}  # and whether there was no note of it before
        self._finished_erasures = finish_interrupted(database)

    @classmethod
    def open(
        cls, target: str | Path | None = None, *, create: bool = True, lock_timeout: float = _LOCK_TIMEOUT
    ) -> Store:
        """Open the store, of the newest revision; an erasure that was cut off is finished first.

        Args:
            target: a folder (holds `idiolect.db`), or a SQLAlchemy URL; None: `$IDIOLECT_STORE`, else the user's
                data folder.
            create: make the folder (mode 0700) and the store if there is none.
            lock_timeout: seconds to wait for a lock of another process.

        Raises:
            StoreError: no store and not to be created, not a store, made by a newer Idiolect, locked, not readable.
        """
        place = locate(target)
        engine = open_engine(place, create=create, lock_timeout=lock_timeout)
        database = Database(engine, place, lock_timeout=lock_timeout)
        try:
            return cls(database)
        except BaseException:
            database.close()
            raise

    @property
    def where(self) -> str:
        """The folder or URL, printable (without password)."""
        return self._database.where

    @property
    def folder(self) -> Path | None:
        """The folder that the store was named by; None for a URL."""
        return self._database.place.folder

    @property
    def cache_path(self) -> Path:
        """Where the cache of calls made for these users belongs; neither it nor its folder need be there.

        `calls.db` in the store's folder. For a URL, a file below `$IDIOLECT_CACHE`, else the user's cache folder.
        Whoever asks is taken to open it: it is noted, as by `note_cache`, until this store is closed and no cache is
        there.

        Raises:
            StoreError: it cannot be noted.
        """
        path = self._database.place.cache_path
        if path not in self._asked_caches:
            self._asked_caches[path] = note(self._database, path)
        return path

    def note_cache(self, path: Path) -> None:
        """Remember that calls made for these users are kept at `path`, so that an erasure looks there.

        Raises:
            StoreError: it cannot be noted.
        """
        note(self._database, path)

    @property
    def finished_erasures(self) -> int:
        """How many erasures that were cut off were finished when this store was opened."""
        return self._finished_erasures

    @property
    def database(self) -> Database:
        """The opened database, for the erasure."""
        return self._database

    @property
    def groups(self) -> Groups:
        """Groups of these users."""
        return Groups(self._database)

    def close(self) -> None:
        """Close every connection; the store cannot be used afterwards."""
        for path, is_new in self._asked_caches.items():
            with suppress(StoreError):  # a note too many does no harm
                if path.exists():
                    note(self._database, path)  # again: another process may have taken it back
                elif is_new:
                    drop_note(self._database, path)
        self._asked_caches.clear()
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def save_users(self, people: Iterable[User]) -> SavedUsers:
        """Add users, or replace those whose id the store holds. What was learned for them stays, and so does every
        opinion that `put_opinion` gave them, in the place of one on the same question.

        One transaction: when the iterable raises, or a user cannot be kept, the store is as it was.

        Raises:
            StoreError: a user holds something that a store cannot keep, or the store cannot be written.
        """
        saved = SavedUsers()
        with self._database.writing() as connection:
            for batch in batches(people):
                saved += save_batch(connection, batch, now=datetime.now(UTC))
        return saved

    def put_opinion(self, user_id: str, opinion: Opinion) -> Literal["added", "replaced"]:
        """Add an opinion at the end, or replace the one on the same question with the same choices, in its place.

        Questions are the same if their whole texts are equal, and their choices in order.

        Raises:
            UnknownUserError: the store holds no such user.
            StoreError: the opinion holds something that a store cannot keep, or the store cannot be written.
        """
        with self._database.writing() as connection:
            return put_opinion(connection, user_id, opinion, now=datetime.now(UTC))

    def remove_opinion(self, user_id: str, question: str, choices: Sequence[str] | None = None) -> bool:
        """Delete the user's opinion on a question, whether it came with a users file or by `put_opinion`.

        Args:
            user_id: whose it is.
            question: its whole text.
            choices: its choices, in order; empty: none; None: whatever they are.

        Returns:
            Whether there was one.

        Raises:
            UnknownUserError: the store holds no such user.
            StoreError: without choices, when there are several on that question; the user has no other opinion and no
                text; or the store cannot be written.
        """
        named = None if choices is None else tuple(choices)
        with self._database.writing() as connection:
            return remove_opinion(connection, user_id, question, named, now=datetime.now(UTC))

    def entered(self, user_id: str) -> tuple[int, ...]:
        """Which of the user's opinions `put_opinion` gave them: places in `User.opinions`, from 0.

        Raises:
            UnknownUserError: the store holds no such user.
            StoreError: the store cannot be read.
        """
        with self._database.reading() as connection:
            return entered_places(connection, user_id)

    def user(self, user_id: str) -> User:
        """The user.

        Raises:
            UnknownUserError: the store holds no such user.
            StoreError: the store cannot be read.
        """
        with self._database.reading() as connection:
            return read_user(connection, user_id)

    def user_ids(self) -> Iterator[str]:
        """Every user's id, in order; read page by page.

        Raises:
            StoreError: the store cannot be read.
        """
        return self._database.pages(page_of_ids, key=str)

    def users(self) -> Iterator[UserSummary]:
        """Every user, counted, in the order of their ids; read page by page.

        Raises:
            StoreError: the store cannot be read.
        """
        return self._database.pages(page_of_summaries, key=lambda user: user.id)

    def summary(self, user_id: str) -> UserSummary:
        """The user, counted.

        Raises:
            UnknownUserError: the store holds no such user.
            StoreError: the store cannot be read.
        """
        with self._database.reading() as connection:
            return read_summary(connection, user_id)

    def save_personalization(
        self, user_id: str, method: str, payload: Mapping[str, Any], tensors: bytes | None = None
    ) -> None:
        """Keep what a method learned for the user, in place of what it had learned before.

        Args:
            user_id: whose it is.
            method: which method learned it.
            payload: what it learned, as JSON.
            tensors: what of it is no JSON: the bytes of a safetensors file, at most `MAX_TENSORS`.

        Raises:
            ValueError: a blank method, a payload that is no mapping, or tensors without a byte.
            UnknownUserError: the store holds no such user.
            StoreError: the payload is not strict JSON, the tensors are too big, or the store cannot be written.
        """
        row = personalization_row(user_id, method, payload, tensors, now=datetime.now(UTC))
        with self._database.writing() as connection:
            put_learned(connection, personalizations, row)

    def compare_and_save_personalization(
        self,
        user_id: str,
        method: str,
        payload: Mapping[str, Any],
        tensors: bytes | None = None,
        *,
        expected_digest: str | None,
    ) -> bool:
        """Keep what a method learned, only if what it had learned before is still what the caller has seen.

        Args:
            user_id: whose it is.
            method: which method learned it.
            payload: what it learned, as JSON.
            tensors: as for `save_personalization`.
            expected_digest: the digest of what the caller has seen; None: nothing.

        Returns:
            Whether it was kept; if not, another process has saved something else meanwhile.

        Raises:
            ValueError: a blank method, a payload that is no mapping, or tensors without a byte.
            UnknownUserError: the store holds no such user.
            StoreError: the payload is not strict JSON, the tensors are too big, or the store cannot be written.
        """
        row = personalization_row(user_id, method, payload, tensors, now=datetime.now(UTC))
        with self._database.writing() as connection:
            if held_digest(connection, user_id, method) != expected_digest:
                return False
            put_learned(connection, personalizations, row)
            return True

    def personalization(self, user_id: str, method: str) -> Mapping[str, Any]:
        """What the method learned for the user, without tensors.

        Raises:
            UnknownUserError: the store holds no such user.
            NotFittedError: the method has learned nothing for this user.
            StoreError: the store cannot be read.
        """
        return self.personalization_record(user_id, method).payload

    def personalization_record(self, user_id: str, method: str) -> PersonalizationRecord:
        """What the method learned for the user, with its tensors, digest and dates.

        Raises:
            UnknownUserError: the store holds no such user.
            NotFittedError: the method has learned nothing for this user.
            StoreError: the store cannot be read, or what it holds is damaged.
        """
        record = self.find_personalization(user_id, method)
        if record is None:
            raise NotFittedError(method, user_id)
        return record

    def find_personalization(self, user_id: str, method: str) -> PersonalizationRecord | None:
        """Return what the method learned for the user, with its tensors, digest and dates; None if nothing.

        Raises:
            UnknownUserError: the store holds no such user.
            StoreError: the store cannot be read, or what it holds is damaged.
        """
        with self._database.reading() as connection:
            known_user(connection, user_id)
            if unstorable_part(method) is not None:
                return None
            row = read_learned(connection, personalizations, user_id, method)
            return None if row is None else personalization_from_row(row)

    def personalizations(self, user_id: str) -> list[PersonalizationRecord]:
        """All that was learned for the user, by method.

        Raises:
            UnknownUserError: the store holds no such user.
            StoreError: the store cannot be read.
        """
        with self._database.reading() as connection:
            return [personalization_from_row(row) for row in all_learned(connection, personalizations, user_id)]

    def save_checkpoint(self, user_id: str, method: str, payload: Mapping[str, Any]) -> None:
        """Keep how far a method has come with the user, in place of the checkpoint before; durable when it returns.

        Raises:
            ValueError: a blank method, or a payload that is no mapping.
            UnknownUserError: the store holds no such user.
            StoreError: the payload is not strict JSON, or the store cannot be written.
        """
        row = checkpoint_row(user_id, method, payload, now=datetime.now(UTC))
        with self._database.writing() as connection:
            put_learned(connection, checkpoints, row)

    def checkpoint(self, user_id: str, method: str) -> Mapping[str, Any] | None:
        """How far the method has come with the user; None if there is no checkpoint.

        Raises:
            UnknownUserError: the store holds no such user.
            StoreError: the store cannot be read, or the checkpoint is damaged.
        """
        with self._database.reading() as connection:
            known_user(connection, user_id)
            if unstorable_part(method) is not None:
                return None
            row = read_learned(connection, checkpoints, user_id, method)
            return None if row is None else checkpoint_from_row(row).payload

    def drop_checkpoint(self, user_id: str, method: str) -> None:
        """Delete the checkpoint, if there is one.

        Raises:
            StoreError: the store cannot be written.
        """
        if unstorable_part(user_id) is None and unstorable_part(method) is None:
            with self._database.writing() as connection:
                connection.execute(checkpoints.delete().where(*of(checkpoints, user_id, method)))

    def checkpoints(self, user_id: str) -> list[CheckpointRecord]:
        """Every checkpoint of the user, by method.

        Raises:
            UnknownUserError: the store holds no such user.
            StoreError: the store cannot be read, or a checkpoint is damaged.
        """
        with self._database.reading() as connection:
            return [checkpoint_from_row(row) for row in all_learned(connection, checkpoints, user_id)]
