"""`Store`: users, and what was learned for them, kept between runs.

`people` values go in and come out; what a method learned goes in and comes out as plain JSON. Every call is its own
transaction, and nothing is half written. A `Store` may be used from several threads, and a folder by several processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, RowMapping

from idiolect.errors import NotFittedError, StoreError, UnknownUserError
from idiolect.people.user import User, unstorable_part
from idiolect.store.faults import store_errors
from idiolect.store.opening import locate, open_engine
from idiolect.store.records import (
    PersonalizationRecord,
    SavedUsers,
    UserSummary,
    opinion_rows,
    personalization_from_row,
    personalization_row,
    user_from_rows,
    user_row,
)
from idiolect.store.schema import opinions, personalizations, users

_BATCH = 500  # users written or listed at a time
_FEW = 1000  # up to so many users, an unknown id is compared with theirs
_LOCK_TIMEOUT = 10.0


class Store:
    """What is kept about users. Open with `Store.open`; close, or use as a context manager."""

    def __init__(self, engine: Engine, where: str) -> None:
        self._engine = engine
        self._where = where
        self._closed = False

    @classmethod
    def open(
        cls, target: str | Path | None = None, *, create: bool = True, lock_timeout: float = _LOCK_TIMEOUT
    ) -> Store:
        """Open the store, of the newest revision.

        Args:
            target: a folder (holds `idiolect.db`), or a SQLAlchemy URL; None: `$IDIOLECT_STORE`, else the user's
                data folder.
            create: make the folder (mode 0700) and the store if there is none.
            lock_timeout: seconds to wait for a lock of another process.

        Raises:
            StoreError: no store and not to be created, not a store, made by a newer Idiolect, locked, not readable.
        """
        place = locate(target)
        return cls(open_engine(place, create=create, lock_timeout=lock_timeout), place.name)

    @property
    def where(self) -> str:
        """The folder or URL, printable (without password)."""
        return self._where

    def close(self) -> None:
        """Close every connection; the store cannot be used afterwards."""
        self._closed = True
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def save_users(self, people: Iterable[User]) -> SavedUsers:
        """Add users, or replace those whose id the store holds (what was learned for them stays).

        One transaction: when the iterable raises, or a user cannot be kept, the store is as it was.

        Raises:
            StoreError: a user holds something that a store cannot keep, or the store cannot be written.
        """
        new = total = 0
        with self._writing() as connection:
            for batch in _batches(people):
                new += _save_batch(connection, batch)
                total += len(batch)
        return SavedUsers(new=new, updated=total - new)

    def user(self, user_id: str) -> User:
        """The user.

        Raises:
            UnknownUserError: the store holds no such user.
            StoreError: the store cannot be read.
        """
        with self._reading() as connection:
            row = self._user_row(connection, user_id)
            given = sa.select(opinions).where(opinions.c.user_id == user_id).order_by(opinions.c.position)
            return user_from_rows(row, connection.execute(given).mappings())

    def users(self) -> Iterator[UserSummary]:
        """Every user, counted, in the order of their ids; read page by page.

        Raises:
            StoreError: the store cannot be read.
        """
        after: str | None = None
        while True:
            with self._reading() as connection:
                page = _summaries(connection, None if after is None else users.c.id > after)
            yield from page
            if len(page) < _BATCH:
                return
            after = page[-1].id

    def summary(self, user_id: str) -> UserSummary:
        """The user, counted.

        Raises:
            UnknownUserError: the store holds no such user.
            StoreError: the store cannot be read.
        """
        with self._reading() as connection:
            self._user_row(connection, user_id)
            return _summaries(connection, users.c.id == user_id)[0]

    def save_personalization(self, user_id: str, method: str, payload: Mapping[str, Any]) -> None:
        """Keep what a method learned for the user, in place of what it had learned before.

        Raises:
            ValueError: a blank method, or a payload that is no mapping.
            UnknownUserError: the store holds no such user.
            StoreError: the payload is not strict JSON, or the store cannot be written.
        """
        row = personalization_row(user_id, method, payload, now=datetime.now(UTC))
        with self._writing() as connection:
            self._user_row(connection, user_id)
            kept = {name: row[name] for name in ("payload", "digest", "updated_at")}
            changed = connection.execute(personalizations.update().where(*_fitted(user_id, method)).values(kept))
            if changed.rowcount == 0:
                connection.execute(personalizations.insert().values(row))

    def personalization(self, user_id: str, method: str) -> Mapping[str, Any]:
        """What the method learned for the user.

        Raises:
            UnknownUserError: the store holds no such user.
            NotFittedError: the method has learned nothing for this user.
            StoreError: the store cannot be read.
        """
        with self._reading() as connection:
            self._user_row(connection, user_id)
            if unstorable_part(method) is None:
                row = (
                    connection.execute(sa.select(personalizations).where(*_fitted(user_id, method))).mappings().first()
                )
                if row is not None:
                    return personalization_from_row(row).payload
        raise NotFittedError(f"{method!r} has learned nothing for user {user_id!r} yet")

    def personalizations(self, user_id: str) -> list[PersonalizationRecord]:
        """All that was learned for the user, by method.

        Raises:
            UnknownUserError: the store holds no such user.
            StoreError: the store cannot be read.
        """
        with self._reading() as connection:
            self._user_row(connection, user_id)
            learned = sa.select(personalizations).where(personalizations.c.user_id == user_id)
            rows = connection.execute(learned.order_by(personalizations.c.method)).mappings()
            return [personalization_from_row(row) for row in rows]

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with store_errors(self._where), self._open_engine(sqlite_begin="IMMEDIATE").begin() as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        level = {"isolation_level": "REPEATABLE READ"} if self._engine.dialect.name == "postgresql" else {}
        try:
            with store_errors(self._where), self._open_engine(**level).begin() as connection:
                yield connection
        except (
            AttributeError,
            KeyError,
            TypeError,
            ValueError,
        ) as error:  # broken JSON, or no valid user
            raise StoreError(f"store {self._where}: what it holds is damaged ({type(error).__name__})") from error

    def _open_engine(self, **options: str) -> Engine:
        if self._closed:
            raise StoreError(f"store {self._where}: is closed")
        return self._engine.execution_options(**options)

    def _user_row(self, connection: Connection, user_id: str) -> RowMapping:
        if unstorable_part(user_id) is None:
            row = connection.execute(sa.select(users).where(users.c.id == user_id)).mappings().first()
            if row is not None:
                return row
        near = _near_ids(connection, user_id)
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise UnknownUserError(f"the store holds no user {user_id!r}{hint}")


def _near_ids(connection: Connection, user_id: str) -> list[str]:
    ids = list(connection.scalars(sa.select(users.c.id).order_by(users.c.id).limit(_FEW + 1)))
    return get_close_matches(user_id, ids, n=2, cutoff=0.5) if len(ids) <= _FEW else []


def _fitted(user_id: str, method: str) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    return personalizations.c.user_id == user_id, personalizations.c.method == method


def _batches(people: Iterable[User]) -> Iterator[dict[str, User]]:
    """Users by id, at most `_BATCH` of them; an id that comes twice begins a batch, so that the later one wins."""
    batch: dict[str, User] = {}
    for user in people:
        if user.id in batch or len(batch) == _BATCH:
            yield batch
            batch = {}
        batch[user.id] = user
    if batch:
        yield batch


def _save_batch(connection: Connection, batch: Mapping[str, User]) -> int:
    """Write the users; how many of them are new."""
    now = datetime.now(UTC)
    rows = [user_row(user, now=now) for user in batch.values()]
    given = [row for user in batch.values() for row in opinion_rows(user)]
    known = set(connection.scalars(sa.select(users.c.id).where(users.c.id.in_(batch))))
    if known:
        connection.execute(opinions.delete().where(opinions.c.user_id.in_(known)))
        connection.execute(_replace_user(), [_bound(row) for row in rows if row["id"] in known])
    new = [row for row in rows if row["id"] not in known]
    if new:
        connection.execute(users.insert(), new)
    if given:
        connection.execute(opinions.insert(), given)
    return len(new)


def _replace_user() -> sa.Update:
    names = ("profile", "texts", "extra", "updated_at")
    return (
        users.update()
        .where(users.c.id == sa.bindparam("b_id"))
        .values({name: sa.bindparam(f"b_{name}") for name in names})
    )


def _bound(row: Mapping[str, Any]) -> dict[str, Any]:
    return {f"b_{name}": value for name, value in row.items() if name != "created_at"}


def _summaries(connection: Connection, condition: sa.ColumnElement[bool] | None) -> list[UserSummary]:
    n_opinions = sa.select(sa.func.count()).where(opinions.c.user_id == users.c.id).scalar_subquery()
    n_texts = sa.func.json_array_length(users.c.texts)
    columns = (users.c.id, n_opinions, n_texts, users.c.created_at, users.c.updated_at)
    page = sa.select(*columns).order_by(users.c.id).limit(_BATCH)
    rows = connection.execute(page if condition is None else page.where(condition)).all()
    methods = _methods(connection, [row[0] for row in rows])
    return [
        UserSummary(user_id, opinions_, texts, tuple(methods.get(user_id, ())), created_at, updated_at)
        for user_id, opinions_, texts, created_at, updated_at in rows
    ]


def _methods(connection: Connection, ids: list[str]) -> dict[str, list[str]]:
    learned = sa.select(personalizations.c.user_id, personalizations.c.method)
    methods: dict[str, list[str]] = {}
    for user_id, method in connection.execute(
        learned.where(personalizations.c.user_id.in_(ids)).order_by(personalizations.c.method)
    ):
        methods.setdefault(user_id, []).append(method)
    return methods
